"""What readers without the token get: names and states, not where things lie or what they are.

Absolute paths become names, process ids, digests and serial numbers become null; of a job its
result and its own settings are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, Final

SECRET_KEYS: Final = frozenset(
    {"pid", "sha256", "model_sha256", "recipe_key", "uuid", "parameters", "preview"}
)
_PATH = re.compile(r"""(?<![\w./~-])/(?:[^\s/:;,'"()]+/)*([^\s/:;,'"()]+)/?""")


def short_names(paths: Iterable[str]) -> Mapping[str, str]:
    """For each absolute path its last part, or as many of them as tell it from the others."""
    parts = {path: PurePosixPath(path).parts[1:] for path in dict.fromkeys(paths)}
    depth = 1
    while True:
        names = {path: "/".join(of[-depth:]) or path for path, of in parts.items()}
        if len(set(names.values())) == len(names) or depth > max(map(len, parts.values())):
            return MappingProxyType(names)
        depth += 1


def public(value: Any, names: Mapping[str, str]) -> Any:
    """``value``, of plain JSON, as everybody may read it; ``names`` are those of the folders."""
    if isinstance(value, dict):
        return {
            key: _nothing(item) if key in SECRET_KEYS else public(item, names)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [public(item, names) for item in value]
    return public_text(value, names) if isinstance(value, str) else value


def public_text(text: str, names: Mapping[str, str] = MappingProxyType({})) -> str:
    """``text`` with a name in place of each absolute path."""
    if "/" not in text:
        return text
    for path in sorted(names, key=len, reverse=True):  # known ones may hold spaces
        text = text.replace(path, names[path])
    return _PATH.sub(r"\1", text)


def _nothing(value: Any) -> Any:
    return {} if isinstance(value, dict) else None
