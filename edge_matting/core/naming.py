"""Output names: which stem a source gets, so that no two sources' outputs ever meet.

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


def _stem(text: str, suffix: str, name: str) -> str:
    """``text + suffix``, cut where outputs named after it would be longer than a name may be."""
    mark = hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
    return shortened(text, suffix, _STEM_BYTES, mark)
