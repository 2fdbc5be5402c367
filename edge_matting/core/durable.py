"""Writes that survive a power cut, and the errors they end in; below a hot folder: `anchored`.

A name appears only when its content is on the disk: temporary name in the target folder, write,
fsync, rename, fsync of the folder. Pillai et al., "All File Systems Are Not Created Equal"
(OSDI 2014), shows what happens when any of the four is left out.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Final

from edge_matting.core.errors import (
    DiskFull,
    FolderUnavailable,
    PathRefused,
    ResourcesShort,
    TemporaryError,
)

TEMPORARY_PREFIX: Final = ".edge-matting-"
TEMPORARY_SUFFIX: Final = ".tmp"

CHUNK_BYTES: Final = 1 << 20

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_FOLDER: Final = frozenset(
    {
        errno.EACCES,
        errno.EBUSY,
        errno.EHOSTDOWN,
        errno.EIO,
        errno.ENODEV,
        errno.ENOENT,
        errno.ENOTCONN,
        errno.EPERM,
        errno.EROFS,
        errno.ESTALE,
        errno.ETIMEDOUT,
    }
)
_SCARCE: Final = frozenset(
    {
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.ENOLCK),
        *(errno.EAGAIN, errno.EINTR, errno.EDEADLK, errno.ETXTBSY),
    }
)
_UNSUPPORTED: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})


def blocked(error: OSError, attempt: str) -> TemporaryError:
    """What a failed ``attempt`` ("cannot write /x/y") means: every error number means something."""
    reason = f"{attempt}: {error.strerror or error}"
    if error.errno in _FULL:
        return DiskFull(reason)
    if error.errno in _FOLDER:
        return FolderUnavailable(reason)
    return ResourcesShort(reason) if error.errno in _SCARCE else PathRefused(reason)


@contextmanager
def blocking(attempt: str, *, passing: tuple[type[OSError], ...] = ()) -> Iterator[None]:
    """Turn an ``OSError`` in ``attempt`` into a ``TemporaryError``, but for those ``passing``."""
    try:
        yield
    except passing:
        raise
    except OSError as error:
        raise blocked(error, attempt) from error


def durable_write(path: Path, data: bytes | Iterable[bytes], *, mode: int = 0o666) -> None:
    """Put ``data`` at ``path``, whole or not at all, replacing what was there.

    ``mode`` is narrowed by the umask. Raises ``DiskFull``, ``FolderUnavailable``.
    """
    with blocking(f"cannot write {path}"):
        temporary = _write_temporary(path.parent, data, mode)
        with _removed_on_failure(temporary):
            temporary.rename(path)
        sync_folder(path.parent)


def durable_remove(path: Path) -> bool:
    """Remove the file and sync its folder; False if there was none."""
    with blocking(f"cannot remove {path}"):
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        sync_folder(path.parent)
    return True


def make_folders(path: Path) -> None:
    """Make the folder and its parents, each synced into the one above it."""
    with blocking(f"cannot make the folder {path}"):
        missing = list(takewhile(lambda folder: not folder.is_dir(), (path, *path.parents)))
        for folder in reversed(missing):
            _make_folder(folder)
            sync_folder(folder.parent)


def sync_folder(path: Path, call: Callable[[int], None] | None = None) -> None:
    """Make the names in ``path`` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_descriptor(descriptor, call)
    finally:
        os.close(descriptor)


def sync_descriptor(folder: int, call: Callable[[int], None] | None = None) -> None:
    """Make the names in an open folder durable."""
    try:
        (call or os.fsync)(folder)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:  # some network file systems sync no folders
            raise


def write_synced(descriptor: int, data: bytes | Iterable[bytes]) -> None:
    """Write all of ``data`` to an open file, onto the disk."""
    for chunk in [data] if isinstance(data, bytes) else data:
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)


def temporary_name() -> str:
    """A hidden name that nobody else has and a sweep knows."""
    return f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"


def is_temporary(name: str) -> bool:
    """Whether the name is one of our own unfinished files."""
    return name.startswith(TEMPORARY_PREFIX) and name.endswith(TEMPORARY_SUFFIX)


def read_chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a file that may be larger than memory; a symlink is refused, a FIFO is empty."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, f"{path} is not a folder") from error


def _write_temporary(folder: Path, data: bytes | Iterable[bytes], mode: int) -> Path:
    path = folder / temporary_name()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(path, flags, mode)
    with _removed_on_failure(path), os.fdopen(descriptor, "wb", buffering=0) as file:
        write_synced(file.fileno(), data)
    return path


@contextmanager
def _removed_on_failure(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        _removed(path)
        raise


def _removed(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:  # it is gone, or its folder is: the next sweep is the second chance
        return False
    return True
