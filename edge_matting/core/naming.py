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

from edge_matting.core.output_kinds import LONGEST_NAME, OUTPUT_KINDS

NAME_BYTES: Final = 255
"""Longest name of a file on Linux file systems, in bytes."""

_STEM_BYTES: Final = NAME_BYTES - len(".") - LONGEST_NAME - len(".json")

_EXTENSION_BYTES: Final = 32
"""What is longer after the last dot is no extension."""


def stem_candidates(source: str) -> Iterator[str]:
    """Yield the stems ``source`` may take, best first: ``a``, ``a~jpg``, ``a~jpg~2``, ...

    Never ends. The first that conflicts with no other source's stem is the one to take.
    """
    folder, name = posixpath.split(source)
    base, extension = posixpath.splitext(name)
    longer = f"{base}~{extension[1:]}" if extension[1:] else base
    yield posixpath.join(folder, _stem(base, "", name))
    if longer != base:
        yield posixpath.join(folder, _stem(longer, "", name))
    yield from (posixpath.join(folder, _stem(longer, f"~{number}", name)) for number in count(2))


def numbered_stem(stem: str, number: int) -> str:
    """``a``, ``a~2``, ``a~3`` for 1, 2, 3; short enough for the names of outputs."""
    return stem if number == 1 else _stem(stem, f"~{number}", stem)


def conflicting_stems(stem: str) -> tuple[str, ...]:
    """All stems that conflict with ``stem``, itself first.

    Between a stem and an extension may stand the name of an output kind.
    """
    longer = [f"{stem}.{kind}" for kind in OUTPUT_KINDS]
    shorter = [stem[: -len(kind) - 1] for kind in OUTPUT_KINDS if stem.endswith(f".{kind}")]
    return (stem, *longer, *shorter)


def shortened(text: str, suffix: str, limit: int, mark: str) -> str:
    """``text + suffix`` if it has at most ``limit`` bytes, else ``text`` cut and ``~mark`` between.

    Cut by characters: half of one would be an undecodable byte.
    """
    room = limit - len(os.fsencode(suffix))
    if len(os.fsencode(text)) <= room:
        return text + suffix
    room -= len(f"~{mark}")
    while len(os.fsencode(text)) > room:
        text = text[:-1]
    return f"{text}~{mark}{suffix}"


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


def _stem(text: str, suffix: str, name: str) -> str:
    """``text + suffix``, cut where outputs named after it would be longer than a name may be."""
    mark = hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
    return shortened(text, suffix, _STEM_BYTES, mark)
