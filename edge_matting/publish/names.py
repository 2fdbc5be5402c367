"""Names of originals and reports: numbered where taken, cut where too long.

A name is ``str`` with undecodable bytes as surrogate escapes; its length counts in bytes.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
from typing import Final

from edge_matting.core.naming import NAME_BYTES, shortened

_EXTENSION_BYTES: Final = 32
"""What is longer after the last dot is no extension."""


def fit(stem: str, suffix: str) -> str:
    """``stem + suffix`` if a name may be that long, else cut, with a hash of the whole stem."""
    mark = hashlib.sha256(os.fsencode(stem)).hexdigest()[:16]
    return shortened(stem, suffix, NAME_BYTES, mark)


def numbered(name: str, number: int) -> str:
    """``a.jpg``, ``a~2.jpg``, ``a~3.jpg`` for 1, 2, 3."""
    if number == 1:
        return name
    stem, extension = posixpath.splitext(name)
    if len(os.fsencode(extension)) > _EXTENSION_BYTES:
        stem, extension = name, ""
    return fit(stem, f"~{number}{extension}")
