"""Moves a file from one anchored folder to another and never over a file; killed, it can go on."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from edge_matting.core.anchored import AnchoredFolder, sync_parent, write_hidden
from edge_matting.core.beneath import open_regular
from edge_matting.core.durable import CHUNK_BYTES, blocking, temporary_name
from edge_matting.core.errors import SourceChanged
from edge_matting.core.jobs import COARSE_NS, Signature
from edge_matting.core.renames import Spot, rename_no_replace


def move_no_replace(
    source_folder: AnchoredFolder, source: str, target_folder: AnchoredFolder, target: str
) -> None:
    """Move a regular file, across file systems too, and sync both folders.

    Run again after a crash it finishes the move. Raises ``FileExistsError`` where another file
    has the name, ``FileNotFoundError`` where the source is gone, ``SourceChanged`` where it
    changed while it was copied, and a ``TemporaryError`` for what the system refuses.
    """
    shown, there_shown = source_folder.shown(source), target_folder.shown(target)
    attempt = f"cannot move {shown} to {there_shown}"
    gone = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(shown))
    if source_folder.status(source) is None:
        raise gone
    with (
        blocking(attempt, passing=(FileExistsError,)),
        source_folder.spot(source) as here,
        target_folder.spot(target) as there,
    ):
        try:
            status = here.status()
        except FileNotFoundError:
            raise gone from None
        move_between(here, there, status)


def move_between(here: Spot, there: Spot, status: os.stat_result) -> None:
    """As ``move_no_replace``, for names in open folders."""
    if _is_same_file(status, there):
        here.unlink()  # the half that a crash left of link and unlink
    else:
        try:
            rename_no_replace(here, there)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            copy_no_replace(here, there)
    sync_parent(there)
    sync_parent(here)


def copy_no_replace(here: Spot, there: Spot) -> None:
    """Move by copying, for two file systems; a copy that a crash left behind is recognised.

    A copy whose original cannot be removed is removed again: a file has one place.
    """
    before = here.status()
    made = not _has_same_content(here, there)
    if made:
        hidden = Spot(there.folder, temporary_name())
        write_hidden(hidden, _chunks(here), 0o666)
        try:
            times = (before.st_atime_ns, before.st_mtime_ns)
            os.utime(hidden.name, ns=times, dir_fd=hidden.folder, follow_symlinks=False)
            _check_unchanged(here, before)
            rename_no_replace(hidden, there)
        except BaseException:
            hidden.unlink()
            raise
        sync_parent(there)
    try:
        here.unlink()
    except FileNotFoundError:
        return  # somebody took it away: the copy is the only one
    except OSError:
        if made:
            there.unlink()
        raise


def _check_unchanged(here: Spot, before: os.stat_result) -> None:
    if not Signature.of(before).agrees(here.status()):
        raise SourceChanged(f"{here.name} changed while it was moved")


def _is_same_file(status: os.stat_result, there: Spot) -> bool:
    try:
        return os.path.samestat(status, there.status())
    except FileNotFoundError:
        return False


def _has_same_content(here: Spot, there: Spot) -> bool:
    try:
        status = there.status()
    except FileNotFoundError:
        return False
    source = here.status()
    alike = source.st_size == status.st_size and stat.S_ISREG(status.st_mode)
    if not alike or abs(source.st_mtime_ns - status.st_mtime_ns) > COARSE_NS:
        return False
    ours, theirs = _chunks(here), _chunks(there)
    return all(one == other for one, other in zip(ours, theirs, strict=False))


def _chunks(spot: Spot) -> Iterator[bytes]:
    with os.fdopen(open_regular(spot.folder, spot.name), "rb", buffering=0) as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
