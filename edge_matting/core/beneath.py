"""Opens files and folders below a folder without following a link on the way.

``openat2(2)`` with ``RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS`` where the kernel has it and lets us
call it (Linux 5.6; a seccomp filter may refuse it), else one ``openat`` with ``O_NOFOLLOW`` for
each component. A path may be longer than ``PATH_MAX``: it is walked in pieces.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Final, NoReturn, cast

FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
FOLDER_PATH: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
"""Enough to look below a folder, also one that may be entered and not listed."""

_FILE: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_PIECE_BYTES: Final = 2048
"""Length at which a path is cut, well below PATH_MAX (4096)."""

_SYS_OPENAT2: Final = 437  # the same on every architecture
_RESOLVE_NO_SYMLINKS: Final = 0x04
_RESOLVE_BENEATH: Final = 0x08
_MISSING: Final = frozenset({errno.ENOSYS, errno.EPERM, errno.E2BIG})


class _OpenHow(ctypes.Structure):
    _fields_ = [  # ctypes' own form
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    ]


def components(relative: str) -> list[str]:
    """The names in a path relative to a folder; "" and "." are the folder itself.

    Raises ``ValueError`` for one that is absolute or leads upwards: no caller may hold such.
    """
    names = [name for name in relative.split("/") if name not in {"", "."}]
    if relative.startswith("/") or ".." in names or "\0" in relative:
        raise ValueError(f"not a path below a folder: {relative!r}")
    return names


def open_beneath(folder: int, relative: str, flags: int, mode: int = 0) -> int:
    """Open what ``relative`` names below the open ``folder``; the caller closes it.

    Raises ``OSError``: ``ELOOP`` or ``ENOTDIR`` where a component is a link.
    """
    pieces = _pieces(components(relative))
    current = folder
    try:
        for piece in pieces[:-1]:
            following = _open(current, piece, FOLDER_PATH, 0)
            _close_step(current, folder)
            current = following
        return _open(current, pieces[-1], flags | os.O_CLOEXEC, mode)
    finally:
        _close_step(current, folder)


def open_regular(folder: int, relative: str, flags: int = os.O_RDONLY) -> int:
    """Open a regular file; anything else raises ``OSError`` (``ENXIO``) and is never waited for."""
    descriptor = open_beneath(folder, relative, flags | _FILE)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            _refuse(relative)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _refuse(relative: str) -> NoReturn:
    raise OSError(errno.ENXIO, "not a regular file", relative)


@contextmanager
def parent_of(folder: int, relative: str) -> Iterator[tuple[int, str]]:
    """The open folder that holds ``relative``, and its last name: what the ``*at`` calls take."""
    names = components(relative)
    if not names:
        raise ValueError("the folder itself has no parent below it")
    if len(names) == 1:
        yield folder, names[0]
        return
    descriptor = open_beneath(folder, "/".join(names[:-1]), FOLDER_PATH)
    try:
        yield descriptor, names[-1]
    finally:
        os.close(descriptor)


@cache
def has_openat2() -> bool:
    """Whether the kernel, and whoever filters our calls, know ``openat2``."""
    try:
        descriptor = _openat2(_at_fdcwd(), ".", FOLDER_PATH, 0)
    except OSError as error:
        if error.errno in _MISSING:
            return False
        raise
    os.close(descriptor)
    return True


def _open(folder: int, names: Sequence[str], flags: int, mode: int) -> int:
    if has_openat2():
        return _openat2(folder, "/".join(names) or ".", flags, mode)
    return open_by_component(folder, names, flags, mode)


def open_by_component(folder: int, names: Sequence[str], flags: int, mode: int = 0) -> int:
    """As ``openat2`` would, for a kernel without it."""
    current = folder
    try:
        for name in names[:-1]:
            following = os.open(name, FOLDER_PATH | os.O_NOFOLLOW, dir_fd=current)
            _close_step(current, folder)
            current = following
        last = names[-1] if names else "."
        return os.open(last, flags | os.O_NOFOLLOW, mode, dir_fd=current)
    finally:
        _close_step(current, folder)


def _openat2(folder: int, path: str, flags: int, mode: int) -> int:
    how = _OpenHow(
        flags, mode if flags & os.O_CREAT else 0, _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS
    )
    name = os.fsencode(path)
    while True:
        descriptor = int(
            _syscall()(
                ctypes.c_long(_SYS_OPENAT2),
                ctypes.c_int(folder),
                ctypes.c_char_p(name),
                ctypes.byref(how),
                ctypes.c_size_t(ctypes.sizeof(how)),
            )
        )
        if descriptor >= 0:
            return descriptor
        number = ctypes.get_errno()
        # EAGAIN: something was renamed on the way, so that "beneath" could not be vouched for.
        if number not in {errno.EINTR, errno.EAGAIN}:
            raise OSError(number, os.strerror(number), path)


@cache
def _syscall() -> Callable[..., int]:
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    return cast("Callable[..., int]", call)


def _at_fdcwd() -> int:
    return -100


def _pieces(names: list[str]) -> list[list[str]]:
    pieces: list[list[str]] = [[]]
    length = 0
    for name in names:
        size = len(os.fsencode(name)) + 1
        if pieces[-1] and length + size > _PIECE_BYTES:
            pieces.append([])
            length = 0
        pieces[-1].append(name)
        length += size
    return pieces


def _close_step(current: int, folder: int) -> None:
    if current != folder:
        os.close(current)
