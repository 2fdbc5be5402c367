"""Ids of models that were renamed: settings, commands and jobs may still use the former one.

A renamed model keeps its file, and results are known by its digest: those of before stay valid.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

FORMER_IDS: Final[Mapping[str, str]] = MappingProxyType({"preview": "small"})
"""Former id to the present one."""


def current_id(model_id: str) -> str:
    """The id that a model has now."""
    return FORMER_IDS.get(model_id, model_id)


def former_ids(model_id: str) -> tuple[str, ...]:
    """What the model was called before."""
    return tuple(former for former, current in FORMER_IDS.items() if current == model_id)
