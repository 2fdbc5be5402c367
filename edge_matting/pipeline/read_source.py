"""The bytes of a source, read once and only if it is still the file that was settled."""

from __future__ import annotations

import os
from pathlib import Path

from edge_matting.core.anchored import NOT_THERE, AnchoredFile
from edge_matting.core.durable import blocked
from edge_matting.core.errors import (
    ResourcesShort,
    SourceChanged,
    SourceGone,
    SourceUnreadable,
    TemporaryError,
    TooLarge,
)
from edge_matting.core.jobs import Signature
from edge_matting.core.logs import shown


def read_source(file: AnchoredFile, signature: Signature | None, max_bytes: int) -> bytes:
    """The file's bytes.

    ``signature`` is what the file looked like when it settled; None takes it as it is. Raises
    ``SourceGone``, ``SourceChanged``, ``SourceUnreadable``, ``TooLarge`` or
    ``FolderUnavailable``. Links are not followed on the way, and nothing but a regular file is
    opened (a FIFO would block for ever).
    """
    try:
        descriptor = file.open()
    except OSError as error:
        raise _unopened(file.shown, error) from error
    try:
        status = os.fstat(descriptor)
        _check(file.shown, status, signature, max_bytes)
        data = _read(file.shown, descriptor, status.st_size)
        if not Signature.of(status).agrees(os.fstat(descriptor)) or len(data) != status.st_size:
            raise SourceChanged(f"{shown(file.shown)}: changed while it was read")
    finally:
        os.close(descriptor)
    return data


def _unopened(path: Path, error: OSError) -> TemporaryError | SourceGone:
    if error.errno in NOT_THERE:
        return SourceGone(f"{shown(path)}: is no longer there as a regular file")
    meaning = blocked(error, f"{shown(path)}: cannot be opened")
    if isinstance(meaning, ResourcesShort):
        return meaning
    return SourceUnreadable(f"{shown(path)}: cannot be opened: {error.strerror}")


def _check(path: Path, status: os.stat_result, signature: Signature | None, max_bytes: int) -> None:
    if signature is not None and not signature.agrees(status):
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
