"""Where an original goes when its job is finished: ``done/``, ``failed/``, or away.

Nothing is ever overwritten there, and nothing but the very file of the job is moved: a new file
under the old name belongs to another job. Called again after a crash, ``dispose`` finds what it
has moved already.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Final

from edge_matting.config.settings import HotFolder
from edge_matting.core.clock import iso_utc
from edge_matting.core.durable import (
    blocking,
    durable_remove,
    durable_write,
    make_folders,
    move_no_replace,
)
from edge_matting.core.errors import FolderUnavailable, JobError, SourceChanged, SourceGone
from edge_matting.core.jobs import Job, Original, Place, Signature
from edge_matting.publish.names import fit, numbered
from edge_matting.publish.sidecar import as_json

REPORT_SUFFIX: Final = ".error.json"


Move = Callable[[Path, Path], None]


def dispose(
    folder: HotFolder,
    job: Job,
    target: Place,
    report: bytes | None = None,
    *,
    move: Move = move_no_replace,
) -> Original:
    """Bring the job's original to ``target`` and return where it lies then.

    ``DONE`` and ``FAILED`` mirror the source's sub-folder and number a taken name (``a~2.jpg``);
    ``FAILED`` needs a ``report``, which lies there before the file does; ``GONE`` deletes; ``IN``
    leaves it. Raises ``SourceGone``, ``SourceChanged``, ``DiskFull``, ``FolderUnavailable``.
    """
    if target is Place.FAILED and report is None:
        raise ValueError(f"no report for {job.source}, which goes to failed/")
    if target is Place.IN or job.original.place is Place.GONE:
        return job.original
    source = locate(folder, job.original)
    if not _is_original(source, job):
        moved = _moved_before(folder, job, target)
    elif job.original.place is target:
        moved = _stay(folder, job, report)
    elif target is Place.GONE:
        moved = _delete(source, job)
    else:
        moved = _move(folder, job, target, report, move)
    if job.original.place is Place.FAILED and target is not Place.FAILED:
        remove_report(folder, job.original)
    return moved


def build_report(job: Job, failed_at: float, version: str, hint: str | None = None) -> bytes:
    """``NAME.error.json``: why a photo lies in ``failed/``; times in seconds since the epoch."""
    return as_json(
        {
            "source": job.source,
            "code": job.code,
            "message": job.message,
            "hint": _hint(job.code) if hint is None else hint,
            "attempts": job.attempts,
            "failed_at": iso_utc(failed_at),
            "first_seen": iso_utc(job.created_at),
            "version": version,
        }
    )


def remove_report(folder: HotFolder, original: Original) -> None:
    """Remove the report beside an original that lies, or lay, in ``failed/``."""
    path = _report_path(locate(folder, original))
    with blocking(f"cannot remove {path}"):
        if path.parent.is_dir():
            durable_remove(path)


def locate(folder: HotFolder, original: Original) -> Path:
    """The absolute path of an original."""
    return _root(folder, original.place) / original.path


def _stay(folder: HotFolder, job: Job, report: bytes | None) -> Original:
    if report is not None:
        durable_write(_report_path(locate(folder, job.original)), report)
    return job.original


def _delete(source: Path, job: Job) -> Original:
    durable_remove(source)
    return Original(Place.GONE, job.source)


def _move(folder: HotFolder, job: Job, target: Place, report: bytes | None, move: Move) -> Original:
    source = locate(folder, job.original)
    make_folders(locate(folder, Original(target, job.source)).parent, _root(folder, target))
    for original in _candidates(target, job.source):
        path = locate(folder, original)
        if _is_taken(path, source):
            continue
        if report is not None:
            durable_write(_report_path(path), report)
        try:
            move(source, path)
        except FileExistsError:  # somebody took the name since
            continue
        except FileNotFoundError as error:
            raise SourceGone(f"{source} is gone") from error
        _check_moved(path, source, job)
        return original
    raise AssertionError("candidates never end")  # pragma: no cover


def _check_moved(path: Path, source: Path, job: Job) -> None:
    """Put back a new photo that was renamed over the old one between the check and the move."""
    moved = path.lstat()
    alike = (moved.st_size, moved.st_mtime_ns) == (job.signature.size, job.signature.mtime_ns)
    if job.original.place is Place.IN and not alike:
        move_no_replace(path, source)
        raise SourceChanged(f"{source} was replaced while it was moved")


def _moved_before(folder: HotFolder, job: Job, target: Place) -> Original:
    """Where an earlier call, cut short before its result was kept, has put the original."""
    source = locate(folder, job.original)
    status = _status(source)
    if target is Place.GONE and status is None:
        _check_mounted(folder, job)
        return Original(Place.GONE, job.source)
    for original in _candidates(target, job.source) if target is not Place.GONE else ():
        there = _status(locate(folder, original))
        if there is None:
            break
        if _is_moved(there, job, _root(folder, job.original.place)):
            return original
    if status is not None:
        raise SourceChanged(f"{source} is not the file any more that was taken")
    _check_mounted(folder, job)
    raise SourceGone(f"{source} is gone")


def _check_mounted(folder: HotFolder, job: Job) -> None:
    """Without its root the file may be on a disk that is not mounted; it is not gone then."""
    root = _root(folder, job.original.place)
    if _status(root) is None:
        raise FolderUnavailable(f"{root} is not there")


def _is_original(path: Path, job: Job) -> bool:
    """Whether the job's file lies at its place, and is not another one of the same name."""
    status = _status(path)
    if status is None or not stat.S_ISREG(status.st_mode):
        return False
    if job.original.place is Place.IN:
        return Signature.of(status) == job.signature
    # A copy to another file system has another inode, and FAT rounds the time.
    return status.st_size == job.signature.size


def _is_moved(status: os.stat_result, job: Job, root: Path) -> bool:
    """Whether a file in the target folder is the job's, moved or copied there from ``root``."""
    moved = Signature.of(status)
    origin = _status(root)
    if origin is not None and origin.st_dev != status.st_dev:
        moved = replace(moved, inode=job.signature.inode)
    return stat.S_ISREG(status.st_mode) and moved == job.signature


def _is_taken(path: Path, source: Path) -> bool:
    """Whether ``path`` is another file's; not what an interrupted move left of ``source``."""
    there, here = _status(path), source.lstat()
    if there is None or os.path.samestat(there, here):
        return False
    copied = there.st_dev != here.st_dev and there.st_size == here.st_size
    return not (copied and there.st_mtime_ns == here.st_mtime_ns)


def _candidates(target: Place, source: str) -> Iterator[Original]:
    path = PurePosixPath(source)
    for number in count(1):  # pragma: no branch
        name = numbered(path.name, number)
        # In failed/ such a name is the report of another file.
        if target is Place.FAILED and name.lower().endswith(REPORT_SUFFIX):
            continue
        yield Original(target, str(path.parent / name))


def _status(path: Path) -> os.stat_result | None:
    with blocking(f"cannot look at {path}"):
        try:
            return path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None


def _root(folder: HotFolder, place: Place) -> Path:
    roots = {Place.IN: folder.inbox, Place.DONE: folder.done, Place.FAILED: folder.failed}
    return roots[place]


def _report_path(path: Path) -> Path:
    return path.with_name(fit(path.name, REPORT_SUFFIX))


def _hint(code: str | None) -> str:
    """The default hint of the error class with this code."""
    classes: list[type[JobError]] = [JobError]
    for kind in classes:
        classes += kind.__subclasses__()
    return next((kind.default_hint for kind in classes if kind.code == code), "")
