"""What lies in ``in/``: names and signatures, without opening anything or following symlinks."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass

from edge_matting.core.anchored import AnchoredFolder
from edge_matting.core.jobs import Signature
from edge_matting.core.walks import Unseen, walk
from edge_matting.hotfolder.ignore import is_ignored, is_ignored_path


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A regular file that is not ignored."""

    path: str  # relative to in/
    signature: Signature


@dataclass(frozen=True, slots=True)
class ScanProblem:
    """A sub-folder or file that could not be looked at; the scan goes on without it."""

    path: str  # relative to in/
    reason: str


def scan(inbox: AnchoredFolder, *, stable_inodes: bool = True) -> Iterator[FoundFile | ScanProblem]:
    """Everything to take in ``inbox`` and its sub-folders.

    Without ``stable_inodes`` signatures have none (see `filesystems.has_stable_inodes`). Raises
    ``FolderUnavailable`` or another ``TemporaryError`` when ``inbox`` itself cannot be listed.
    After a scan with problems the absence of a path proves nothing.
    """
    for entry in walk(inbox, skip=is_ignored):
        if isinstance(entry, Unseen):
            yield ScanProblem(entry.path, entry.reason)
        elif stat.S_ISREG(entry.status.st_mode):
            yield FoundFile(entry.path, Signature.of(entry.status, stable_inode=stable_inodes))


def look(inbox: AnchoredFolder, path: str, *, stable_inodes: bool = True) -> FoundFile | None:
    """The one file at ``path``; None where there is none to take.

    Raises a ``TemporaryError`` when it cannot be looked at.
    """
    if is_ignored_path(path):
        return None
    status = inbox.status(path)
    if status is None or not stat.S_ISREG(status.st_mode):
        return None
    return FoundFile(path, Signature.of(status, stable_inode=stable_inodes))
