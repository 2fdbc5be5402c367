"""Slow housekeeping: what the settings let the appliance forget."""

from __future__ import annotations

import logging
import shutil

from edge_matting.config import HotFolder, Settings
from edge_matting.core.clock import Clock
from edge_matting.core.durable import sweep_temporaries
from edge_matting.core.errors import Blocked, LedgerError, SourceChanged, SourceGone
from edge_matting.core.jobs import Job, Original, Place
from edge_matting.ledger import Ledger
from edge_matting.publish import dispose

log = logging.getLogger(__name__)

PERIOD_SECONDS = 3600.0
FIRST_SECONDS = 60.0
DAY = 86400.0
DELETED_AT_ONCE = 1000
KEPT_THUMBNAILS = 2000
KEPT_ENGINES = 16
"""Engines that TensorRT compiled: models, precisions and sizes that are gone back to."""


class Housekeeping:
    """Called from the main loop; does something about once an hour."""

    def __init__(self, settings: Settings, ledger: Ledger, clock: Clock) -> None:
        self._settings = settings
        self._ledger = ledger
        self._clock = clock
        self._next = clock.monotonic() + FIRST_SECONDS

    def step(self) -> None:
        now = self._clock.monotonic()
        if now < self._next:
            return
        self._next = now + PERIOD_SECONDS
        self._delete_originals(Place.DONE, self._settings.retention.done_days)
        self._delete_originals(Place.FAILED, self._settings.retention.failed_days)
        self._forget_history()
        self._trim_thumbnails()
        self._trim_engines()
        self._sweep_results()

    def _delete_originals(self, place: Place, days: float | None) -> None:
        """Delete what the appliance itself put there; anything else in the folder is not ours."""
        if days is None:
            return
        before = self._clock.now() - days * DAY
        folders = {str(folder.path): folder for folder in self._settings.hot_folders}
        deleted = 0
        try:
            for job in self._ledger.put_away_before(place, before, DELETED_AT_ONCE):
                if job.folder in folders:
                    deleted += self._delete(job, folders[job.folder])
        except LedgerError as error:
            log.error("old originals cannot be deleted: %s", error)
        if deleted:
            log.info("%d originals older than %g days deleted from %s/", deleted, days, place.value)

    def _delete(self, job: Job, folder: HotFolder) -> bool:
        try:
            original = dispose(folder, job, Place.GONE)
        except (SourceGone, SourceChanged):
            original = Original(Place.GONE, job.source)  # somebody was faster, or it is not ours
        except Blocked as error:
            log.warning("job %d: its original cannot be deleted: %s", job.id, error)
            return False
        return self._ledger.moved(job, original)

    def _forget_history(self) -> None:
        days = self._settings.retention.history_days
        if days is None:
            return
        try:
            forgotten = self._ledger.prune(days * DAY)
        except LedgerError as error:
            log.error("the history cannot be shortened: %s", error)
            return
        if forgotten:
            log.info("%d jobs older than %g days forgotten", forgotten, days)

    def _trim_thumbnails(self) -> None:
        """Keep the newest thumbnails; they are named by job, and jobs are numbered upwards."""
        folder = self._settings.thumbnails_dir
        if not folder.is_dir():
            return
        numbered = sorted(
            (path for path in folder.glob("*.jpg") if path.stem.isdigit()),
            key=lambda path: int(path.stem),
        )
        for path in numbered[:-KEPT_THUMBNAILS]:
            path.unlink(missing_ok=True)

    def _trim_engines(self) -> None:
        """Keep the compiled engines used last; each use sets its folder's time."""
        root = self._settings.engines_dir
        if not root.is_dir():
            return
        folders = sorted(root.iterdir(), key=lambda path: path.stat().st_mtime)
        for folder in folders[:-KEPT_ENGINES]:
            shutil.rmtree(folder, ignore_errors=True)  # what stays is tried again in an hour
            log.info("compiled engine %s was not used for long and is deleted", folder.name)

    def _sweep_results(self) -> None:
        """Remove what a killed engine left unfinished; what is being written is younger."""
        before = self._clock.now() - PERIOD_SECONDS
        for folder in self._settings.hot_folders:
            roots = (folder.outbox, folder.review, folder.done, folder.failed)
            removed = sum(sweep_temporaries(root, before=before) for root in roots)
            if removed:
                log.info("%s: %d unfinished files of killed engines removed", folder.path, removed)
