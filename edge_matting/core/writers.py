"""Whether somebody has a file open for writing, as far as the system lets us know.

A read lease (fcntl(2), ``F_SETLEASE``) is granted only where nobody has; it needs the file to be
ours. Where the file system knows no leases, ``/proc/*/fd`` of our own user's processes is looked
through. A writer on another machine, or of another user, stays unknown.
"""

from __future__ import annotations

import errno
import fcntl
import math
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_F_SETSIG: Final = 10
_FLAGS: Final = re.compile(r"^flags:\s*([0-7]+)", re.MULTILINE)

TAIL_BYTES: Final = 4096


class OpenWriters:
    """Which files our own user's processes have open for writing, by ``/proc``.

    Looking through all processes takes milliseconds, so one look answers for ``valid_seconds``.
    """

    def __init__(self, valid_seconds: float = 1.0, root: Path = Path("/proc")) -> None:
        self._valid_seconds = valid_seconds
        self._root = root
        self._taken_at = -math.inf
        self._files: frozenset[tuple[int, int]] = frozenset()
        self._lock = threading.Lock()

    def have(self, status: os.stat_result) -> bool:
        """Whether the file is one of them."""
        now = time.monotonic()
        with self._lock:
            if now - self._taken_at > self._valid_seconds:
                self._files = frozenset(_open_for_writing(self._root))
                self._taken_at = now
            return (status.st_dev, status.st_ino) in self._files


OURS: Final = OpenWriters()


def has_writer(descriptor: int, ours: OpenWriters = OURS) -> bool | None:
    """Whether the file, open here for reading, is open elsewhere for writing; None: unknown."""
    try:
        # Whoever opens it for writing while the lease is held sends this signal; the usual one
        # would end the process, this one does nothing.
        fcntl.fcntl(descriptor, _F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        if error.errno in {errno.EAGAIN, errno.EWOULDBLOCK}:
            return True
        return True if ours.have(os.fstat(descriptor)) else None
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def looks_unfinished(descriptor: int) -> bool:
    """Whether it has a hole, or ends in nothing but zeros: room that is still to be written."""
    size = os.fstat(descriptor).st_size
    if not size:
        return False
    try:
        if os.lseek(descriptor, 0, os.SEEK_HOLE) < size:
            return True
    except OSError:  # a file system that does not tell
        pass
    length = min(size, TAIL_BYTES)
    return not any(os.pread(descriptor, length, size - length))


def _open_for_writing(root: Path) -> Iterator[tuple[int, int]]:
    for process in root.glob("[0-9]*"):
        try:
            names = os.listdir(process / "fd")
        except OSError:  # another user's, or gone
            continue
        for name in names:
            if _writes(process, name):
                try:
                    status = (process / "fd" / name).stat()
                except OSError:  # closed meanwhile
                    continue
                yield status.st_dev, status.st_ino


def _writes(process: Path, name: str) -> bool:
    try:
        match = _FLAGS.search((process / "fdinfo" / name).read_text("ascii", "replace"))
    except OSError:
        return False
    return match is not None and int(match[1], 8) & os.O_ACCMODE != os.O_RDONLY
