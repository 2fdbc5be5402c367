"""The folders of a hot folder: made, told apart, and read as recipes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, islice, product
from pathlib import Path

from edge_matting.config.settings import HotFolder, Settings
from edge_matting.core.durable import make_folders


def prepare(folder: HotFolder) -> None:
    """Make the five folders; raises a ``TemporaryError`` where that is not possible."""
    for path in _parts(folder).values():
        make_folders(path)


def pinned(settings: Settings) -> Settings:
    """The same settings; from now on each hot folder is held to what its parts are."""
    folders = tuple(folder.pinned() for folder in settings.hot_folders)
    return settings.model_copy(update={"hot_folders": folders})


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


def overlaps(folders: Sequence[HotFolder], state_dir: Path | None = None) -> list[str]:
    """One ``hot_folders[N].KEY: what`` line per pair of folders that would feed each other.

    None may lead to the appliance's own files in ``state_dir`` either.
    """
    faults = []
    for number, folder in enumerate(folders):
        faults += [f"hot_folders[{number}].{fault}" for fault in _own_overlaps(folder)]
        if state_dir is not None:
            meeting = filter(None, (_meets(path, state_dir) for path in _parts(folder).values()))
            faults += [f"hot_folders[{number}].path: {fault}" for fault in islice(meeting, 1)]
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


def _meets(part: Path, state_dir: Path) -> str | None:
    """Whether photos would lie among our own files, or those among photos."""
    fault = _overlap(state_dir, part)
    if fault is None:
        return None
    state, lies = Path(os.path.realpath(state_dir)), Path(os.path.realpath(part))
    beside = state in lies.parents and state_dir in part.parents  # written so, and not by a link
    return None if beside else f"{fault} (state_dir)"


def _overlap(one: Path, other: Path) -> str | None:
    # realpath, for Path.resolve raises on a symlink loop before Python 3.13
    a, b = Path(os.path.realpath(one)), Path(os.path.realpath(other))
    if a == b:
        return f"{one} is the same folder as {other}"
    if b in a.parents:
        return f"{one} is inside {other}"
    return f"{one} is around {other}" if a in b.parents else None
