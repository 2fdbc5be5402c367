"""What lies below an anchored folder: a bounded look without recursion, opening no file."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from edge_matting.core.anchored import AnchoredFolder
from edge_matting.core.beneath import FOLDER, open_beneath
from edge_matting.core.durable import blocked, is_temporary

MAX_DEPTH: Final = 100
MAX_ENTRIES: Final = 2_000_000
"""What one walk looks at; the rest is looked at when some of it is gone."""

Skip = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class WalkedFile:
    """Something that is not a folder."""

    path: str  # relative to the folder that was walked
    status: os.stat_result


@dataclass(frozen=True, slots=True)
class Unseen:
    """A folder or file that could not be looked at; the walk goes on without it."""

    path: str
    reason: str


def walk(
    folder: AnchoredFolder,
    *,
    skip: Skip = lambda _name: False,
    max_depth: int = MAX_DEPTH,
    max_entries: int = MAX_ENTRIES,
) -> Iterator[WalkedFile | Unseen]:
    """Everything below ``folder`` but what has a name to ``skip``.

    Raises a ``TemporaryError``, such as ``FolderUnavailable``, when ``folder`` itself cannot be
    listed.
    """
    left, waiting = max_entries, [""]
    with folder.opened() as base:
        while waiting:
            relative = waiting.pop()
            try:
                entries = _listed(base, relative, skip)
            except OSError as error:
                if not relative:
                    raise blocked(error, f"cannot read the folder {folder.path}") from error
                if not isinstance(error, FileNotFoundError):  # moved away meanwhile
                    yield Unseen(relative, _reason(error))
                continue
            left -= len(entries)
            below: list[str] = []
            yield from _looked_at(entries, relative, below)
            if relative.count("/") + 2 > max_depth and below:
                yield Unseen(below[0], f"more than {max_depth} folders deep: it is not looked into")
            elif left < 0:
                yield Unseen(relative, f"more than {max_entries} files: not all are seen")
                return
            else:
                waiting += below


def folder_inodes(folder: AnchoredFolder, max_depth: int = MAX_DEPTH) -> Iterator[int]:
    """The inode of ``folder`` and of every folder below it that can be looked into."""
    waiting = [""]
    with folder.opened() as base:
        yield os.fstat(base).st_ino
        while waiting:
            relative = waiting.pop()
            try:
                entries = _listed(base, relative, lambda _name: False)
            except OSError:  # moved away, or not for us
                continue
            below: list[str] = []
            statuses = dict(entries)
            for _ in _looked_at(entries, relative, below):
                continue
            for path in below if relative.count("/") + 2 <= max_depth else ():
                status = statuses[path.rpartition("/")[2]]
                if isinstance(status, os.stat_result):
                    yield status.st_ino
                waiting.append(path)


def sweep_temporaries(folder: AnchoredFolder, *, before: float | None = None) -> int:
    """Remove what killed writers of ours left below ``folder``; return how many files.

    Without ``before`` (seconds since the epoch) for a moment in which none of our processes writes
    there; with it what was last written earlier goes.
    """
    latest = math.inf if before is None else before
    found = [
        entry.path
        for entry in walk(folder)
        if isinstance(entry, WalkedFile)
        and is_temporary(entry.path.rpartition("/")[2])
        and entry.status.st_mtime < latest
    ]
    return sum(map(folder.discard, found))


_Seen = tuple[str, os.stat_result | OSError]


def _listed(base: int, relative: str, skip: Skip) -> list[_Seen]:
    descriptor = open_beneath(base, relative, FOLDER)
    try:
        with os.scandir(descriptor) as entries:
            return [(entry.name, _seen(entry)) for entry in entries if not skip(entry.name)]
    finally:
        os.close(descriptor)


def _seen(entry: os.DirEntry[str]) -> os.stat_result | OSError:
    try:
        return entry.stat(follow_symlinks=False)
    except OSError as error:
        return error


def _looked_at(
    entries: list[_Seen], folder: str, below: list[str]
) -> Iterator[WalkedFile | Unseen]:
    """What is no folder; the folders are added to ``below``."""
    prefix = f"{folder}/" if folder else ""
    for name, seen in entries:
        if isinstance(seen, FileNotFoundError):
            continue  # moved away meanwhile
        if isinstance(seen, OSError):
            yield Unseen(prefix + name, _reason(seen))
        elif stat.S_ISDIR(seen.st_mode):
            below.append(prefix + name)
        else:
            yield WalkedFile(prefix + name, seen)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
