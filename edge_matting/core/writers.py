"""Whether somebody has a file open for writing, as far as the system lets us know.

A read lease (fcntl(2), ``F_SETLEASE``) is granted only where nobody has; it needs the file to be
ours. Where the file system knows no leases, ``/proc/*/fd`` of our own user's processes is looked
through. A writer on another machine, or of another user, stays unknown.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_F_SETSIG: Final = 10
_FLAGS: Final = re.compile(r"^flags:\s*([0-7]+)", re.MULTILINE)

TAIL_BYTES: Final = 4096


def has_writer(descriptor: int, root: Path = Path("/proc")) -> bool | None:
    """Whether the file, open here for reading, is open elsewhere for writing; None: unknown."""
    try:
        # Whoever opens it for writing while the lease is held sends this signal; the usual one
        # would end the process, this one does nothing.
        fcntl.fcntl(descriptor, _F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        if error.errno in {errno.EAGAIN, errno.EWOULDBLOCK}:
            return True
        return True if _is_open_for_writing(descriptor, root) else None
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


def _is_open_for_writing(descriptor: int, root: Path) -> bool:
    status = os.fstat(descriptor)
    wanted = status.st_dev, status.st_ino
    return any(
        (other.st_dev, other.st_ino) == wanted and _writes(folder, name)
        for folder, name, other in _open_files(root)
    )


def _open_files(root: Path) -> Iterator[tuple[Path, str, os.stat_result]]:
    for process in root.glob("[0-9]*"):
        try:
            names = os.listdir(process / "fd")
        except OSError:  # another user's, or gone
            continue
        for name in names:
            try:
                yield process, name, (process / "fd" / name).stat()
            except OSError:
                continue


def _writes(process: Path, name: str) -> bool:
    try:
        match = _FLAGS.search((process / "fdinfo" / name).read_text("ascii", "replace"))
    except OSError:
        return False
    return match is not None and int(match[1], 8) & os.O_ACCMODE != os.O_RDONLY
