"""``package.module:name`` in a table, imported when it is needed.

A table that every layer reads, such as the output kinds, thus loads no picture library and no
runtime where only its data is wanted.
"""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=256)
def load_reference(reference: str) -> Any:
    """What ``package.module:name`` stands for; ``ValueError`` names a reference that is wrong."""
    module, _, name = reference.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (AttributeError, ModuleNotFoundError, ValueError) as error:
        raise ValueError(f"{reference}: {error}") from error
