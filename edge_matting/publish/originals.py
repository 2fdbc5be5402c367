"""Where an original goes when its job is finished: ``done/``, ``failed/``, or away.

Nothing is ever overwritten there, and nothing but the very file of the job is moved or deleted: a
new file under the old name belongs to another job. Called again after a crash, ``dispose`` finds
what it has moved already.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Callable, Iterator

from edge_matting.config.settings import HotFolder
from edge_matting.core.anchored import MAX_SAME_NAME, AnchoredFile, AnchoredFolder
from edge_matting.core.errors import PathRefused, SourceChanged, SourceGone, SourceGrows
from edge_matting.core.jobs import Job, Original, Place
from edge_matting.core.moves import move_no_replace
from edge_matting.core.naming import numbered
from edge_matting.core.writers import has_writer
from edge_matting.publish.publication import digest_of
from edge_matting.publish.report import (
    REPORT_SUFFIX,
    remove_report,
    report_may_lie_at,
    write_report,
)

Move = Callable[[AnchoredFolder, str, AnchoredFolder, str], None]


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
    leaves it. Raises ``SourceGone``, ``SourceChanged``, and ``TemporaryError`` such as
    ``DiskFull`` and ``FolderUnavailable``.
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
        remove_report(source.folder, job.original.path, job)
    return moved


def locate(folder: HotFolder, original: Original) -> AnchoredFile:
    """The file of an original."""
    return _root(folder, original.place).file(original.path)


def _stay(folder: HotFolder, job: Job, report: bytes | None) -> Original:
    if report is not None:
        write_report(_root(folder, job.original.place), job.original.path, job, report)
    return job.original


def _delete(source: AnchoredFile, job: Job) -> Original:
    """Only what was done, byte by byte, and what nobody is writing."""
    try:
        descriptor = source.open()
    except FileNotFoundError:
        return Original(Place.GONE, job.source)
    except OSError as error:
        raise SourceChanged(f"{source.shown} is not the file any more that was taken") from error
    try:
        if has_writer(descriptor):
            raise SourceGrows(f"{source.shown} is still open for writing; it is not deleted")
    finally:
        os.close(descriptor)
    if job.sha256 is not None and digest_of(source.folder, source.relative) != job.sha256:
        raise SourceChanged(f"{source.shown} has other bytes than were done; it is not deleted")
    if not _is_original(source, job):
        raise SourceChanged(f"{source.shown} changed before it could be deleted")
    source.folder.remove(source.relative)
    return Original(Place.GONE, job.source)


def _move(folder: HotFolder, job: Job, target: Place, report: bytes | None, move: Move) -> Original:
    source, root = locate(folder, job.original), _root(folder, target)
    for name in _candidates(root, target, job.source):
        if _is_taken(root.file(name), source, job):
            continue
        if report is not None:
            if not report_may_lie_at(root, name, job, report):
                continue
            write_report(root, name, job, report)
        try:
            move(source.folder, source.relative, root, name)
        except FileExistsError:  # somebody took the name since
            continue
        except FileNotFoundError as error:
            raise SourceGone(f"{source.shown} is gone") from error
        _check_moved(root.file(name), source, job)
        return Original(target, name)
    raise PathRefused(f"{root.shown(job.source)}: {MAX_SAME_NAME} files have this name")


def _check_moved(moved: AnchoredFile, source: AnchoredFile, job: Job) -> None:
    """Put back a new photo that was renamed over the old one between the check and the move."""
    status = moved.status()
    if job.original.place is not Place.IN or status is None:
        return
    if not job.signature.agrees(status, copied=_is_elsewhere(status, source.folder)):
        move_no_replace(moved.folder, moved.relative, source.folder, source.relative)
        raise SourceChanged(f"{source.shown} was replaced while it was moved")


def _moved_before(folder: HotFolder, job: Job, target: Place) -> Original:
    """Where an earlier call, cut short before its result was kept, has put the original."""
    source = locate(folder, job.original)
    there = source.status()
    if target is Place.GONE and there is None:
        source.folder.check()  # else it may be on a disk that is not mounted, and not gone
        return Original(Place.GONE, job.source)
    if target is not Place.GONE:
        root = _root(folder, target)
        for name in _candidates(root, target, job.source):
            status = root.status(name)
            if status is None:
                break
            if _is_moved(root.file(name), status, source.folder, job):
                return Original(target, name)
    if there is not None:
        raise SourceChanged(f"{source.shown} is not the file any more that was taken")
    source.folder.check()
    raise SourceGone(f"{source.shown} is gone")


def _is_original(file: AnchoredFile, job: Job) -> bool:
    """Whether the job's file lies at its place, and is not another one of the same name."""
    status = file.status()
    if status is None or not stat.S_ISREG(status.st_mode):
        return False
    if job.original.place is Place.IN:
        return job.signature.agrees(status)
    if job.sha256 is None:  # it never could be done
        return status.st_size == job.signature.size
    return digest_of(file.folder, file.relative) == job.sha256


def _is_moved(file: AnchoredFile, status: os.stat_result, origin: AnchoredFolder, job: Job) -> bool:
    """Whether a file in the target folder is the job's, moved or copied there from ``origin``."""
    copied = _is_elsewhere(status, origin)
    if not (stat.S_ISREG(status.st_mode) and job.signature.agrees(status, copied=copied)):
        return False
    known = job.sha256 if copied else None
    return known is None or digest_of(file.folder, file.relative) == known


def _is_elsewhere(status: os.stat_result, folder: AnchoredFolder) -> bool:
    """Whether a file is on another file system than ``folder``."""
    there = folder.status_of_itself()
    return there is not None and there.st_dev != status.st_dev


def _is_taken(file: AnchoredFile, source: AnchoredFile, job: Job) -> bool:
    """Whether another file lies there; not what an interrupted move left of ``source``."""
    there, here = file.status(), source.status()
    if there is None or here is None or os.path.samestat(there, here):
        return False
    copied = there.st_dev != here.st_dev and job.signature.agrees(there, copied=True)
    return not copied


def _candidates(root: AnchoredFolder, target: Place, source: str) -> Iterator[str]:
    """Names for the source below ``root``, whose folder is made."""
    folder, name = posixpath.split(source)
    folder = root.make_folders(folder)
    for number in range(1, MAX_SAME_NAME):
        candidate = numbered(name, number)
        # In failed/ such a name is the report of another file.
        if target is Place.FAILED and candidate.lower().endswith(REPORT_SUFFIX):
            continue
        yield posixpath.join(folder, candidate)


def _root(folder: HotFolder, place: Place) -> AnchoredFolder:
    roots = {Place.IN: folder.inbox, Place.DONE: folder.done, Place.FAILED: folder.failed}
    return folder.door(roots[place])
