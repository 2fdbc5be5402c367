"""Gives a file another name in an open folder, and never takes a name that exists.

Names are relative to open folders, so that nobody can swap a folder between the look at it and
the call.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

_UNSUPPORTED: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})
_NO_LINKS: Final = _UNSUPPORTED | {errno.EPERM, errno.EMLINK}
_RENAME_NOREPLACE: Final = 1


@dataclass(frozen=True, slots=True)
class Spot:
    """A name in an open folder."""

    folder: int  # descriptor
    name: str

    def status(self) -> os.stat_result:
        """What lies there, a link itself and not where it leads."""
        return os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)

    def unlink(self) -> None:
        os.unlink(self.name, dir_fd=self.folder)


Rename = Callable[[Spot, Spot], None]
"""A system call that gives a file a second or another name."""


def rename_over(source: Spot, target: Spot) -> None:
    """Rename, replacing what has the name."""
    os.rename(source.name, target.name, src_dir_fd=source.folder, dst_dir_fd=target.folder)


def link(source: Spot, target: Spot) -> None:
    """A second name for the file itself, also where that is a link."""
    os.link(
        source.name,
        target.name,
        src_dir_fd=source.folder,
        dst_dir_fd=target.folder,
        follow_symlinks=False,
    )


def rename_no_replace(source: Spot, target: Spot, call: Rename | None = None) -> None:
    """Rename within one file system; ``FileExistsError`` where ``target`` exists."""
    try:
        (call or renameat2)(source, target)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        link_no_replace(source, target)  # NFS knows no flags


def link_no_replace(source: Spot, target: Spot, call: Rename = link) -> None:
    """As ``rename_no_replace``, for a file system without the flag."""
    try:
        call(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        reserve_no_replace(source, target)  # sshfs, exFAT
    else:
        source.unlink()


def reserve_no_replace(source: Spot, target: Spot) -> None:
    """As ``rename_no_replace``, for a file system with neither flag nor links.

    The name is taken by an empty file of our own, which the rename replaces.
    """
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    os.close(os.open(target.name, flags, dir_fd=target.folder))
    try:
        rename_over(source, target)
    except BaseException:
        target.unlink()
        raise


def renameat2(source: Spot, target: Spot, library: object | None = None) -> None:
    """``renameat2(2)`` with ``RENAME_NOREPLACE``; ``ENOSYS`` where the C library has none."""
    call: Any = getattr(_library() if library is None else library, "renameat2", None)
    if call is None:  # a C library older than glibc 2.28
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    names = os.fsencode(source.name), os.fsencode(target.name)
    if call(source.folder, names[0], target.folder, names[1], _RENAME_NOREPLACE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), source.name, None, target.name)


@cache
def _library() -> object:
    return ctypes.CDLL(None, use_errno=True)
