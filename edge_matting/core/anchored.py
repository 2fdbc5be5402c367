"""The one door to the files below a hot folder.

Everything is named relative to an anchored folder and reached from its open descriptor,
component by component, without following a link: who may write below it can make links, FIFOs
and deep trees there, and can swap a folder while it is looked at. Only regular files are read,
and nothing is waited for.
"""

from __future__ import annotations

import errno
import os
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_matting.core.beneath import (
    FOLDER,
    FOLDER_PATH,
    components,
    open_beneath,
    open_regular,
    parent_of,
)
from edge_matting.core.durable import (
    CHUNK_BYTES,
    blocked,
    blocking,
    sync_descriptor,
    temporary_name,
    write_synced,
)
from edge_matting.core.errors import FolderUnavailable
from edge_matting.core.naming import fit
from edge_matting.core.pins import Pin, open_pinned
from edge_matting.core.renames import Spot, rename_no_replace, rename_over

NOT_THERE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})
_IN_THE_WAY: Final = frozenset({errno.EEXIST, errno.ENOTDIR, errno.ELOOP})
MAX_SAME_NAME: Final = 10_000
"""So many things of one name are somebody's mistake, and not counted further."""


@dataclass(frozen=True, slots=True)
class AnchoredFolder:
    """A folder, and the door to all that lies below it. Paths are relative to it.

    ``pins`` are those of the hot folder ``root`` that it is a part of; without them the folder
    is whatever ``path`` leads to. Every method raises ``FolderUnavailable`` when it is not there
    or not the one it was, and turns other ``OSError`` into a ``TemporaryError``.
    """

    path: Path
    root: Path | None = None
    pins: Sequence[Pin] = ()

    def shown(self, relative: str) -> Path:
        """The absolute path, for messages and never for opening."""
        return self.path / relative

    def file(self, relative: str) -> AnchoredFile:
        return AnchoredFile(self, relative)

    @contextmanager
    def opened(self, relative: str = "", flags: int = FOLDER_PATH) -> Iterator[int]:
        """A descriptor of the folder, or of one below it. Raises ``OSError`` for the latter."""
        descriptor = self._base()
        try:
            if components(relative) or flags != FOLDER_PATH:
                below = open_beneath(descriptor, relative, flags)
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def spot(self, relative: str) -> Iterator[Spot]:
        """The name in its open folder, for a system call. Raises ``OSError``."""
        with self.opened() as base, parent_of(base, relative) as (folder, name):
            yield Spot(folder, name)

    def check(self) -> None:
        """Raise ``FolderUnavailable`` when it is not there, or not the one it was."""
        os.close(self._base())

    # -- looking and reading ----------------------------------------------------------

    def status(self, relative: str) -> os.stat_result | None:
        """What lies there, a link itself and not where it leads; None where nothing does."""
        with blocking(f"cannot look at {self.shown(relative)}"):
            try:
                with self.spot(relative) as spot:
                    return spot.status()
            except OSError as error:
                if error.errno in NOT_THERE:
                    return None
                raise

    def status_of_itself(self) -> os.stat_result | None:
        """The folder's own; None where it is not there."""
        try:
            with self.opened() as descriptor:
                return os.fstat(descriptor)
        except FolderUnavailable:
            return None

    def open_file(self, relative: str) -> int:
        """A descriptor of a regular file, for reading; raises ``OSError`` for anything else."""
        with self.opened() as base:
            return open_regular(base, relative)

    def chunks(self, relative: str) -> Iterator[bytes]:
        """The bytes of a regular file that may be larger than memory. Raises ``OSError``."""
        with os.fdopen(self.open_file(relative), "rb", buffering=0) as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def read(self, relative: str, max_bytes: int) -> bytes | None:
        """A small regular file whole; None where there is none, or a larger one."""
        with blocking(f"cannot read {self.shown(relative)}"):
            try:
                descriptor = self.open_file(relative)
            except OSError as error:
                if error.errno in NOT_THERE:
                    return None
                raise
            with os.fdopen(descriptor, "rb") as file:
                data = file.read(max_bytes + 1)
        return data if len(data) <= max_bytes else None

    # -- making and removing ----------------------------------------------------------

    def make_folders(self, relative: str) -> str:
        """Make a folder below and return where it is: numbered (``q.png~2``) where taken.

        The anchored folder itself must be there: below the mount point of a disk that is not
        mounted, folders would be made on the wrong disk.
        """
        with blocking(f"cannot make the folder {self.shown(relative)}"), self.opened() as base:
            if _is_folder(base, relative):
                return relative
            made = ""
            for name in components(relative):
                made = _make_folder(base, made, name)
            return made

    def stage(self, folder: str, data: bytes | Iterable[bytes], mode: int = 0o666) -> str:
        """Write a hidden file in ``folder``, synced, and return its path; `put` names it."""
        name = temporary_name()
        with blocking(f"cannot write into {self.shown(folder)}"), self.opened(folder) as parent:
            write_hidden(Spot(parent, name), data, mode)
        return posixpath.join(folder, name)

    def write_at(self, staged: str, data: bytes, offset: int, *, synced: bool) -> None:
        """Write a part of a staged file, at its place."""
        with blocking(f"cannot write {self.shown(staged)}"), self.opened() as base:
            descriptor = open_regular(base, staged, os.O_WRONLY)
            try:
                written = 0
                while written < len(data):
                    written += os.pwrite(descriptor, data[written:], offset + written)
                if synced:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def put(self, staged: str, relative: str, *, replace: bool) -> None:
        """Give a staged file its name, in the same folder; durable after `sync`.

        Raises ``FileExistsError`` where the name is taken and must not be.
        """
        attempt = f"cannot write {self.shown(relative)}"
        with blocking(attempt, passing=(FileExistsError,)), self.spot(relative) as target:
            source = Spot(target.folder, posixpath.basename(staged))
            (rename_over if replace else rename_no_replace)(source, target)

    def sync(self, folder: str) -> None:
        """Make the names in a folder below durable."""
        with blocking(f"cannot sync {self.shown(folder)}"), self.opened(folder, FOLDER) as open_one:
            sync_descriptor(open_one)

    def write(self, relative: str, data: bytes, *, replace: bool) -> None:
        """Put a file there, whole or not at all, onto the disk.

        Raises ``FileExistsError`` where the name is taken and must not be.
        """
        folder = posixpath.dirname(relative)
        staged = self.stage(folder, data)
        try:
            self.put(staged, relative, replace=replace)
        except BaseException:
            self.discard(staged)
            raise
        self.sync(folder)

    def scribble(self, relative: str, data: bytes) -> None:
        """Put a small file there that may be lost with a power cut; without room there is none."""
        try:
            with self.spot(relative) as spot:
                hidden = Spot(spot.folder, temporary_name())
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                descriptor = os.open(hidden.name, flags, 0o600, dir_fd=hidden.folder)
                try:
                    os.write(descriptor, data)
                finally:
                    os.close(descriptor)
                rename_over(hidden, spot)
        except (OSError, FolderUnavailable):
            return  # what it would have told is found out otherwise, or not at all

    def remove(self, relative: str) -> bool:
        """Remove a file and sync its folder; False if there was none."""
        with blocking(f"cannot remove {self.shown(relative)}"):
            try:
                with self.spot(relative) as spot:
                    spot.unlink()
                    sync_parent(spot)
            except OSError as error:
                if error.errno in NOT_THERE:
                    return False
                raise
        return True

    def discard(self, relative: str) -> bool:
        """Remove a file of ours that nobody misses; what stays is swept later."""
        try:
            with self.spot(relative) as spot:
                spot.unlink()
        except (OSError, FolderUnavailable):
            return False
        return True

    def _base(self) -> int:
        try:
            if self.root is None:
                return os.open(self.path, FOLDER_PATH)
            return open_pinned(self.path, self.root, self.pins)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FolderUnavailable(f"{self.path} is not there") from error
        except OSError as error:
            raise FolderUnavailable(f"cannot open {self.path}: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class AnchoredFile:
    """One file below an anchored folder."""

    folder: AnchoredFolder
    relative: str

    @property
    def shown(self) -> Path:
        """The absolute path, for messages and never for opening."""
        return self.folder.shown(self.relative)

    def status(self) -> os.stat_result | None:
        return self.folder.status(self.relative)

    def chunks(self) -> Iterator[bytes]:
        return self.folder.chunks(self.relative)

    def open(self) -> int:
        return self.folder.open_file(self.relative)


def anchored_file(path: Path) -> AnchoredFile:
    """A file that somebody named by its path, and that is no part of a hot folder."""
    return AnchoredFile(AnchoredFolder(path.parent), path.name)


def write_hidden(spot: Spot, data: bytes | Iterable[bytes], mode: int) -> None:
    """Make a new file and write it onto the disk; nothing is left of one that fails."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(spot.name, flags, mode, dir_fd=spot.folder)
    try:
        write_synced(descriptor, data)
    except BaseException:
        spot.unlink()
        raise
    finally:
        os.close(descriptor)


def sync_parent(spot: Spot) -> None:
    """Make the names in the spot's folder durable."""
    descriptor = os.open(".", FOLDER, dir_fd=spot.folder)
    try:
        sync_descriptor(descriptor)
    finally:
        os.close(descriptor)


def _is_folder(base: int, relative: str) -> bool:
    try:
        os.close(open_beneath(base, relative, FOLDER_PATH))
    except OSError as error:
        if error.errno in NOT_THERE:
            return False
        raise
    return True


def _make_folder(base: int, above: str, name: str) -> str:
    """One more level; the first of ``name``, ``name~2``, ... that is a folder or free."""
    for number in range(1, MAX_SAME_NAME):
        relative = posixpath.join(above, name if number == 1 else fit(name, f"~{number}"))
        with parent_of(base, relative) as (folder, wanted):
            try:
                os.mkdir(wanted, dir_fd=folder)
            except FileExistsError:
                if _is_folder(base, relative):
                    return relative
                continue
            sync_parent(Spot(folder, wanted))
            return relative
    raise blocked(OSError(errno.EEXIST, os.strerror(errno.EEXIST)), f"cannot make {name}")
