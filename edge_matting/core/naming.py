"""Names: which stem a source gets, so that no two sources' outputs ever meet; numbers; lengths.

A source's outputs are ``STEM.EXT``, ``STEM.KIND.EXT`` and ``STEM.json``; the stem mirrors the
source's sub-folder. Who gets which stem is remembered by the caller; here are only the rules.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Iterator
from itertools import count
from typing import Final

KINDS: Final = ("cutout", "alpha", "composite", "trimap", "foreground", "preview")
"""What an output may show, and what may stand between a stem and an extension."""

NAME_BYTES: Final = 255
"""Longest name of a file on Linux file systems, in bytes."""

_STEM_BYTES: Final = NAME_BYTES - len(".foreground.json")

_MARK_BYTES: Final = 1 + 16  # "~" and 16 hex digits
_EXTENSION_BYTES: Final = 32
"""What is longer after the last dot is no extension."""


def stem_candidates(source: str) -> Iterator[str]:
    """Yield the stems ``source`` may take, best first: ``a``, ``a~jpg``, ``a~jpg~2``, ...

    Never ends. The first that conflicts with no other source's stem is the one to take.
    """
    folder, name = posixpath.split(source)
    base, extension = posixpath.splitext(name)
    longer = f"{base}~{extension[1:]}" if extension[1:] else base
    yield posixpath.join(folder, _fitted(base, "", name))
    if longer != base:
        yield posixpath.join(folder, _fitted(longer, "", name))
    yield from (posixpath.join(folder, _fitted(longer, f"~{number}", name)) for number in count(2))


def numbered_stem(stem: str, number: int) -> str:
    """``a``, ``a~2``, ``a~3`` for 1, 2, 3; short enough for the names of outputs."""
    return stem if number == 1 else _fitted(stem, f"~{number}", stem)


def conflicts(a: str, b: str) -> bool:
    """Whether outputs of two stems could have the same name (``a.alpha.png`` of ``a``)."""
    return b in conflicting_stems(a)


def conflicting_stems(stem: str) -> tuple[str, ...]:
    """All stems that conflict with ``stem``, itself first; at most two more than ``KINDS``."""
    longer = [f"{stem}.{kind}" for kind in KINDS]
    shorter = [stem[: -len(kind) - 1] for kind in KINDS if stem.endswith(f".{kind}")]
    return (stem, *longer, *shorter)


def _fitted(text: str, suffix: str, name: str) -> str:
    """``text + suffix``, cut where outputs named after it would be longer than a name may be."""
    room = _STEM_BYTES - len(suffix)
    if len(os.fsencode(text)) <= room:
        return text + suffix
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
    return f"{_cut(text, room - 9)}~{digest}{suffix}"


def _cut(text: str, size: int) -> str:
    while len(os.fsencode(text)) > size:
        text = text[:-1]
    return text


def fit(stem: str, suffix: str) -> str:
    """``stem + suffix`` if a name may be that long, else cut, with a hash of the whole stem."""
    room = NAME_BYTES - len(os.fsencode(suffix))
    if len(os.fsencode(stem)) <= room:
        return stem + suffix
    mark = hashlib.sha256(os.fsencode(stem)).hexdigest()[: _MARK_BYTES - 1]
    kept = stem
    while len(os.fsencode(kept)) > room - _MARK_BYTES:
        kept = kept[:-1]  # by characters: half of one would be an undecodable byte
    return f"{kept}~{mark}{suffix}"


def numbered(name: str, number: int) -> str:
    """``a.jpg``, ``a~2.jpg``, ``a~3.jpg`` for 1, 2, 3."""
    if number == 1:
        return name
    stem, extension = posixpath.splitext(name)
    if len(os.fsencode(extension)) > _EXTENSION_BYTES:
        stem, extension = name, ""
    return fit(stem, f"~{number}{extension}")
