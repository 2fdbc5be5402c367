"""Whether a hot folder can be worked in right now."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from edge_matting.config import HotFolder
from edge_matting.core.errors import FolderUnavailable
from edge_matting.core.reasons import Reason


def folder_problem(folder: HotFolder, min_free_mb: float) -> Reason | None:
    """Why work in this folder must wait, or None.

    ``in/`` need not be writable: an original that cannot be moved away is done once and stays.
    """
    return next(_problems(folder, min_free_mb), None)


def space_problem(path: Path, min_free_mb: float) -> Reason | None:
    """Why nothing may be written to the file system of ``path`` any more, or None."""
    free = free_bytes(path)
    if free is None or free >= min_free_mb * 1e6:
        return None
    return Reason("little_space", path=str(path), free=round(free / 1e6), asked=min_free_mb)


def free_bytes(path: Path) -> int | None:
    """Free space for this user on the file system of ``path``; None when it cannot be told."""
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return None


def _problems(folder: HotFolder, min_free_mb: float) -> Iterator[Reason]:
    yield from _part_problems(folder, folder.inbox, os.R_OK | os.X_OK, "folder_unreadable")
    for path in (folder.outbox, folder.review, folder.done, folder.failed):
        yield from _part_problems(folder, path, os.W_OK | os.X_OK, "folder_unwritable")
        if (full := space_problem(path, min_free_mb)) is not None:
            yield full


def _part_problems(folder: HotFolder, path: Path, right: int, refused: str) -> Iterator[Reason]:
    try:
        with folder.door(path).opened() as descriptor:
            # By its descriptor: the path may lead elsewhere the moment after.
            allowed = os.access(f"/proc/self/fd/{descriptor}", right)
    except FolderUnavailable as error:
        missing = isinstance(error.__cause__, FileNotFoundError | NotADirectoryError)
        yield Reason("folder_gone", path=str(path)) if missing else error.reason
        return
    if not allowed:
        yield Reason(refused, path=str(path))
