"""Writes and moves that survive a power cut, and the errors they end in.

A name appears only when its content is on the disk: temporary name in the target folder, write,
fsync, rename, fsync of the folder. Pillai et al., "All File Systems Are Not Created Equal"
(OSDI 2014), shows what happens when any of the four is left out.
"""

from __future__ import annotations

import ctypes
import errno
import filecmp
import math
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Final

from edge_matting.core.errors import Blocked, DiskFull, FolderUnavailable, SourceChanged
from edge_matting.core.jobs import Signature

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
        errno.EISDIR,
        errno.ELOOP,
        errno.ENODEV,
        errno.ENOENT,
        errno.ENOTCONN,
        errno.ENOTDIR,
        errno.ENXIO,
        errno.EPERM,
        errno.EROFS,
        errno.ESTALE,
        errno.ETIMEDOUT,
    }
)
_UNSUPPORTED: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})
_NO_LINKS: Final = _UNSUPPORTED | {errno.EPERM, errno.EMLINK}

Rename = Callable[[Path, Path], None]
"""A system call that gives a file a second or another name."""

_AT_FDCWD: Final = -100
_RENAME_NOREPLACE: Final = 1


def blocked(error: OSError, attempt: str) -> Blocked | None:
    """What a failed ``attempt`` ("cannot write /x/y") means; None if it is no matter of place."""
    if error.errno in _FULL:
        return DiskFull(f"{attempt}: {error.strerror}")
    if error.errno in _FOLDER:
        return FolderUnavailable(f"{attempt}: {error.strerror}")
    return None


@contextmanager
def blocking(attempt: str) -> Iterator[None]:
    """Turn an ``OSError`` in ``attempt`` into ``DiskFull`` or ``FolderUnavailable``."""
    try:
        yield
    except OSError as error:
        meaning = blocked(error, attempt)
        if meaning is None:
            raise
        raise meaning from error


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


def move_no_replace(source: Path, target: Path) -> None:
    """Move a regular file, across file systems too, and sync both folders.

    Run again after a crash it finishes the move. Raises ``FileExistsError`` where another file
    has the name, ``FileNotFoundError`` where the source is gone, ``SourceChanged`` where it
    changed while it was copied, ``DiskFull`` and ``FolderUnavailable``.
    """
    status = source.lstat()
    with blocking(f"cannot move {source} to {target}"):
        if _same_file(status, target):
            source.unlink()  # the half that a crash left of link and unlink
        else:
            _move(source, target)
        sync_folder(target.parent)
        if source.parent != target.parent:
            sync_folder(source.parent)


def rename_no_replace(source: Path, target: Path, call: Rename | None = None) -> None:
    """Rename within one file system; ``FileExistsError`` where ``target`` exists."""
    try:
        (call or _renameat2)(source, target)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        link_no_replace(source, target)  # NFS knows no flags


def link_no_replace(source: Path, target: Path, call: Rename = os.link) -> None:
    """As ``rename_no_replace``, for a file system without the flag."""
    try:
        call(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        reserve_no_replace(source, target)  # sshfs, exFAT
    else:
        source.unlink()


def reserve_no_replace(source: Path, target: Path) -> None:
    """As ``rename_no_replace``, for a file system with neither flag nor links.

    The name is taken by an empty file of our own, which the rename replaces.
    """
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC))
    with _removed_on_failure(target):
        source.rename(target)


def copy_no_replace(source: Path, target: Path) -> None:
    """Move by copying, for two file systems; a copy that a crash left behind is recognised."""
    before = source.lstat()
    if not _same_content(source, target):
        temporary = _write_temporary(target.parent, read_chunks(source), 0o666)
        with _removed_on_failure(temporary):
            os.utime(temporary, ns=(before.st_atime_ns, before.st_mtime_ns))
            if Signature.of(source.lstat()) != Signature.of(before):
                raise SourceChanged(f"{source} changed while it was moved to {target}")
            rename_no_replace(temporary, target)
        sync_folder(target.parent)
    source.unlink()


def make_folders(path: Path, within: Path | None = None) -> None:
    """Make the folder and its parents, each synced into the one above it.

    ``within`` must exist already: below the mount point of a disk that is not mounted, folders
    would be made on the wrong disk.
    """
    with blocking(f"cannot make the folder {path}"):
        missing = list(takewhile(lambda folder: not folder.is_dir(), (path, *path.parents)))
        if within in missing:
            raise FolderUnavailable(f"the folder {within} is not there")
        for folder in reversed(missing):
            _make_folder(folder)
            sync_folder(folder.parent)


def sync_folder(path: Path, call: Callable[[int], None] | None = None) -> None:
    """Make the names in ``path`` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        (call or os.fsync)(descriptor)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:  # some network file systems sync no folders
            raise
    finally:
        os.close(descriptor)


def temporary_name() -> str:
    """A hidden name that nobody else has and ``sweep_temporaries`` knows."""
    return f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"


def is_temporary(name: str) -> bool:
    """Whether the name is one of our own unfinished files."""
    return name.startswith(TEMPORARY_PREFIX) and name.endswith(TEMPORARY_SUFFIX)


def sweep_temporaries(root: Path, *, before: float | None = None) -> int:
    """Remove what killed writers of ours left under ``root``; return how many files.

    Without ``before`` (seconds since the epoch) for a moment in which none of our processes writes
    there; with it what was last written earlier goes. Symlinks are not followed.
    """
    removed = 0
    for folder, _, names in os.walk(root):
        for name in filter(is_temporary, names):
            path = Path(folder, name)
            if before is None or _written(path) < before:
                removed += _removed(path)
    return removed


def _written(path: Path) -> float:
    """When it was last written; never, for one that has just got its name."""
    try:
        return path.lstat().st_mtime
    except OSError:
        return math.inf


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
        for chunk in [data] if isinstance(data, bytes) else data:
            _write_all(file.fileno(), chunk)
        os.fsync(file.fileno())
    return path


def _write_all(descriptor: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


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


def _move(source: Path, target: Path) -> None:
    try:
        rename_no_replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy_no_replace(source, target)


def _renameat2(source: Path, target: Path, library: object | None = None) -> None:
    call = getattr(library or ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:  # a C library older than glibc 2.28
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    names = os.fsencode(source), os.fsencode(target)
    if call(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_NOREPLACE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(source), None, str(target))


def _same_file(status: os.stat_result, target: Path) -> bool:
    try:
        return os.path.samestat(status, target.lstat())
    except (FileNotFoundError, NotADirectoryError):
        return False


def _same_content(source: Path, target: Path) -> bool:
    try:
        there = target.lstat()
    except FileNotFoundError:
        return False
    here = source.lstat()
    alike = (there.st_size, there.st_mtime_ns) == (here.st_size, here.st_mtime_ns)
    if not (alike and stat.S_ISREG(there.st_mode)):
        return False
    return filecmp.cmp(source, target, shallow=False)
