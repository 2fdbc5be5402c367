"""Photos in ``failed/`` that somebody has completed or repaired: they are tried once more."""

from __future__ import annotations

import logging
import stat
from collections.abc import Callable

from edge_matting.config import HotFolder, Settings
from edge_matting.core.anchored import AnchoredFile
from edge_matting.core.clock import Clock
from edge_matting.core.errors import LedgerError, TemporaryError
from edge_matting.core.jobs import Job, Place, Signature
from edge_matting.core.logs import shown
from edge_matting.core.states import JobState
from edge_matting.hotfolder.filesystems import has_stable_inodes
from edge_matting.hotfolder.settle import SettleTracker
from edge_matting.hotfolder.unfinished import UnfinishedFiles
from edge_matting.ledger import Ledger

log = logging.getLogger(__name__)

NEWEST = 2000
"""So many failed jobs are looked after."""


class ChangedOriginals:
    """Looks at the originals of failed jobs, again and again; a changed one settles, as in ``in/``.

    Not for the main loop: each look costs a system call for each failed photo.
    """

    def __init__(
        self, settings: Settings, ledger: Ledger, clock: Clock, wake: Callable[[], None]
    ) -> None:
        self._folders = {str(folder.path): folder for folder in settings.hot_folders}
        self._ledger = ledger
        self._clock = clock
        self._wake = wake
        self._period = settings.intake.rescan_seconds
        self._tracker = SettleTracker(settings.intake.settle_seconds)
        self._unfinished = UnfinishedFiles(settings.intake.stalled_seconds)
        self._next = clock.monotonic() + self._period

    def step(self) -> None:
        """Look when it is time; a job whose original has settled goes back to the queue."""
        now = self._clock.monotonic()
        waits = self._tracker.next_check(now)
        if now < self._next and (waits is None or waits > 0):
            return
        self._next = now + self._period
        try:
            self._look(now)
        except LedgerError as error:
            log.debug("changed originals are not looked for: %s", error)

    def _look(self, now: float) -> None:
        jobs = {str(job.id): job for job in self._ledger.jobs(JobState.FAILED, NEWEST)}
        present = set()
        for key, job in jobs.items():
            signature = self._changed(job)
            if signature is not None:
                present.add(key)
                self._tracker.observe(key, signature, now)
        self._tracker.retain(present)
        for key, signature in self._tracker.settled():
            self._take_again(jobs[key], signature, now)

    def _changed(self, job: Job) -> Signature | None:
        """What the original looks like now, if that is not what was tried."""
        folder = self._folders.get(job.folder)
        if folder is None or job.original.place is not Place.FAILED:
            return None
        try:
            status = _file(job, folder).status()
        except TemporaryError:
            return None
        if status is None or not stat.S_ISREG(status.st_mode):
            return None
        if job.signature.agrees(status, copied=True):
            return None
        return Signature.of(status, stable_inode=has_stable_inodes(folder.failed))

    def _take_again(self, job: Job, signature: Signature, now: float) -> None:
        file = _file(job, self._folders[job.folder])
        if self._unfinished.holds_back(file, signature, now):
            self._tracker.look_again(str(job.id), signature, now)
            return
        try:
            again = self._ledger.retry(job.id, signature=signature)
        except LedgerError as error:  # a newer photo has its name, or it is not put away yet
            log.debug("job %d: %s", job.id, error)
            return
        if again is not None:
            log.info("job %d: %s has changed; it is tried again", job.id, shown(file.shown))
            self._wake()


def _file(job: Job, folder: HotFolder) -> AnchoredFile:
    return folder.door(folder.failed).file(job.original.path)
