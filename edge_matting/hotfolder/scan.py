"""What lies in ``in/``: names and signatures, without opening anything or following symlinks."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_matting.core.durable import blocking
from edge_matting.core.jobs import Signature
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


def scan(inbox: Path) -> Iterator[FoundFile | ScanProblem]:
    """Everything to take in ``inbox`` and its sub-folders.

    Raises ``FolderUnavailable`` when ``inbox`` itself cannot be listed. After a scan with
    problems the absence of a path proves nothing.
    """
    with blocking(f"cannot read the folder {inbox}"):
        entries = _entries(inbox)
    folders: list[str] = []
    yield from _look_through(entries, "", folders)
    while folders:
        relative = folders.pop()
        try:
            entries = _entries(inbox / relative)
        except FileNotFoundError:
            continue  # moved away meanwhile
        except OSError as error:
            yield ScanProblem(relative, _reason(error))
            continue
        yield from _look_through(entries, relative + "/", folders)


def look(inbox: Path, path: str) -> FoundFile | None:
    """The one file at ``path``; None where there is none to take.

    Raises ``FolderUnavailable`` when it cannot be looked at.
    """
    if is_ignored_path(path):
        return None
    with blocking(f"cannot look at {inbox / path}"):
        try:
            status = (inbox / path).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
    return FoundFile(path, Signature.of(status)) if stat.S_ISREG(status.st_mode) else None


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return [entry for entry in entries if not is_ignored(entry.name)]


def _look_through(
    entries: list[os.DirEntry[str]], prefix: str, folders: list[str]
) -> Iterator[FoundFile | ScanProblem]:
    for entry in entries:
        relative = prefix + entry.name
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue  # moved away meanwhile
        except OSError as error:
            yield ScanProblem(relative, _reason(error))
            continue
        if stat.S_ISREG(status.st_mode):
            yield FoundFile(relative, Signature.of(status))
        elif stat.S_ISDIR(status.st_mode):
            folders.append(relative)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
