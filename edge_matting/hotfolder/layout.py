"""The folders of a hot folder: made, told apart, and read as recipes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, islice, product
from pathlib import Path

from edge_matting.config.settings import HotFolder
from edge_matting.core.durable import make_folders


def prepare(folder: HotFolder) -> None:
    """Make the five folders; raises ``FolderUnavailable`` where that is not possible."""
    for path in _parts(folder).values():
        make_folders(path)


def recipe_for(path: str, recipes: Iterable[str], default: str) -> str:
    """The recipe of a source: its first-level sub-folder if that is one, else the default.

    The case of letters matters only where it tells two recipes apart: ``Passport/`` is for the
    recipe ``passport``.
    """
    first, slash, _ = path.partition("/")
    if not slash:
        return default
    alike = [name for name in recipes if name.casefold() == first.casefold()]
    if first in alike:
        return first
    return alike[0] if len(alike) == 1 else default


def overlaps(folders: Sequence[HotFolder]) -> list[str]:
    """One ``hot_folders[N].KEY: what`` line per pair of folders that would feed each other."""
    faults = []
    for number, folder in enumerate(folders):
        faults += [f"hot_folders[{number}].{fault}" for fault in _own_overlaps(folder)]
    for (first, one), (second, other) in combinations(enumerate(folders), 2):
        fault = _common(one, other)
        if fault is not None:
            faults.append(f"hot_folders[{second}].path: overlaps hot_folders[{first}]: {fault}")
    return faults


def _parts(folder: HotFolder) -> dict[str, Path]:
    return {
        "in": folder.inbox,
        "out": folder.outbox,
        "done": folder.done,
        "failed": folder.failed,
        "review": folder.review,
    }


def _own_overlaps(folder: HotFolder) -> Iterator[str]:
    """At most one fault about ``out`` and one about what symlinks bring together."""
    parts = _parts(folder)
    out = parts.pop("out")
    about_out = (_overlap(out, part) for part in parts.values())
    about_rest = (_overlap(one, other) for one, other in combinations(parts.values(), 2))
    yield from (f"out: {fault}" for fault in islice(filter(None, about_out), 1))
    yield from (f"path: {fault}" for fault in islice(filter(None, about_rest), 1))


def _common(one: HotFolder, other: HotFolder) -> str | None:
    pairs = product(_parts(other).values(), _parts(one).values())
    return next(filter(None, (_overlap(ours, theirs) for ours, theirs in pairs)), None)


def _overlap(one: Path, other: Path) -> str | None:
    # realpath, for Path.resolve raises on a symlink loop before Python 3.13
    a, b = Path(os.path.realpath(one)), Path(os.path.realpath(other))
    if a == b:
        return f"{one} is the same folder as {other}"
    if b in a.parents:
        return f"{one} is inside {other}"
    return f"{one} is around {other}" if a in b.parents else None
