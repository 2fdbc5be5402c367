"""The bytes of a source, read once and only if it is still the file that was settled."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from edge_matting.core.errors import SourceChanged, SourceGone, SourceUnreadable, TooLarge
from edge_matting.core.jobs import Signature
from edge_matting.core.logs import shown


def read_source(path: Path, signature: Signature | None, max_bytes: int) -> bytes:
    """The file's bytes.

    ``signature`` is what the file looked like when it settled; None takes it as it is. Raises
    ``SourceGone``, ``SourceChanged``, ``SourceUnreadable`` or ``TooLarge``. Links are not
    followed, and nothing but a regular file is opened (a FIFO would block for ever).
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unopened(path, error) from error
    try:
        status = os.fstat(descriptor)
        _check(path, status, signature, max_bytes)
        data = _read(path, descriptor, status.st_size)
        if (
            Signature.of(os.fstat(descriptor)) != Signature.of(status)
            or len(data) != status.st_size
        ):
            raise SourceChanged(f"{shown(path)}: changed while it was read")
    finally:
        os.close(descriptor)
    return data


def _unopened(path: Path, error: OSError) -> SourceGone | SourceUnreadable:
    if error.errno in {errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ENXIO}:
        return SourceGone(f"{shown(path)}: is no longer there as a regular file")
    return SourceUnreadable(f"{shown(path)}: cannot be opened: {error.strerror}")


def _check(path: Path, status: os.stat_result, signature: Signature | None, max_bytes: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise SourceGone(f"{shown(path)}: is no longer there as a regular file")
    if signature is not None and Signature.of(status) != signature:
        raise SourceChanged(f"{shown(path)}: changed after it had settled")
    if status.st_size > max_bytes:
        raise TooLarge(
            f"{shown(path)}: {status.st_size / 1e6:.1f} MB; the limit is {max_bytes / 1e6:g} MB"
        )


def _read(path: Path, descriptor: int, size: int) -> bytes:
    try:
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return file.read(size + 1)
    except OSError as error:
        raise SourceUnreadable(f"{shown(path)}: cannot be read: {error.strerror}") from error
