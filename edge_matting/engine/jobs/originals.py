"""Originals go to their place once their job is finished; a crash in between is made good."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from edge_matting import __version__
from edge_matting.config import HotFolder
from edge_matting.core.clock import Clock
from edge_matting.core.errors import (
    DiskFull,
    FolderUnavailable,
    JobError,
    JobSourceError,
    ResourcesShort,
    SourceChanged,
    SourceGone,
    SourceGrows,
)
from edge_matting.core.jobs import Job, Place
from edge_matting.core.states import FINISHED, JobState
from edge_matting.engine.jobs.folders import Folders
from edge_matting.engine.jobs.source import Originals
from edge_matting.publish import build_report, dispose

log = logging.getLogger(__name__)


def _silent() -> None:
    """Nobody listens."""


class OriginalMover:
    """Moves, keeps or deletes originals as the hot folder's settings say."""

    def __init__(
        self,
        record: Originals,
        folders: Folders,
        clock: Clock,
        problem: Callable[[HotFolder], str | None],
        moving: AbstractContextManager[object] | None = None,
    ) -> None:
        """``problem`` is why a folder cannot be worked in at all, None: it can.

        ``moving`` is held while an original is moved: ``put_away_all`` may meet a worker, or
        another engine's, at the same one. None: there is no other engine.
        """
        self._record = record
        self._folders = folders
        self._clock = clock
        self._problem = problem
        self._moving = moving or threading.Lock()

    def put_away_all(self, limit: int = 1000, progress: Callable[[], None] = _silent) -> None:
        """Make good what a crash, a full disk or an accepted review left undone; never raises.

        ``progress`` is called for each original: a slow disk is no hang.
        """
        try:
            misplaced = self._record.misplaced(limit)
        except JobSourceError as error:
            log.error("originals cannot be put away: %s", error)
            return
        for job in misplaced:
            progress()
            if self._folders.known(job.folder):
                self.put_away(job)

    def put_away(self, job: Job) -> None:
        """Put the original of a finished job away; other states are left alone. Never raises.

        What the system refuses for this one original is logged once and left; what a full disk or a
        missing folder prevents is tried again by ``put_away_all``.
        """
        if job.state not in FINISHED or job.state is JobState.WITHDRAWN:
            return
        try:
            self._try(job, self._folders.of(job.folder))
        except JobSourceError as error:
            log.error("job %d: its original's place cannot be recorded: %s", job.id, error)
        except Exception:
            # A mistake of ours about one original must not cost the others their turn.
            log.exception("job %d: its original cannot be put away", job.id)

    def _try(self, job: Job, folder: HotFolder) -> None:
        try:
            with self._moving:
                self._put_away(job, folder)
        except FileNotFoundError as error:
            # Somebody took the file away this very moment; put_away_all looks at it anew.
            log.debug("job %d: its original vanished while it was moved: %s", job.id, error)
        except (SourceGone, SourceChanged):
            # Somebody took it away, or dropped a new photo over it: that one is another job.
            self._record.stays(job)
        except (DiskFull, ResourcesShort, SourceGrows) as error:
            log.warning("job %d: its original waits: %s", job.id, error)
        except (JobError, OSError) as error:
            self._unmovable(job, folder, error)

    def _put_away(self, job: Job, folder: HotFolder) -> None:
        target = target_of(job, folder)
        report = None
        if target is Place.FAILED:
            report = build_report(job, self._clock.now(), __version__)
        original = dispose(folder, job, target, report)
        if original == job.original:
            self._record.stays(job)
        else:
            self._record.moved(job, original)

    def _unmovable(self, job: Job, folder: HotFolder, error: Exception) -> None:
        if isinstance(error, FolderUnavailable) and self._problem(folder) is not None:
            log.debug("job %d: its original waits for its folder: %s", job.id, error)
            return
        log.error("job %d: its original stays where it is: %s", job.id, error)
        self._record.stays(job, str(error))


def target_of(job: Job, folder: HotFolder) -> Place:
    """Where the original of a finished job belongs; deletion waits for success."""
    if job.state is JobState.FAILED:
        return Place.FAILED
    if folder.originals == "keep":
        return Place.DONE if job.original.place is Place.FAILED else job.original.place
    if folder.originals == "delete" and job.state is JobState.SUCCEEDED:
        return Place.GONE
    return Place.DONE
