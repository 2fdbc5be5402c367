"""Slow housekeeping: what the settings let the appliance forget."""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from edge_matting.config import HotFolder, Settings
from edge_matting.core.clock import Clock
from edge_matting.core.errors import LedgerError, SourceChanged, SourceGone, TemporaryError
from edge_matting.core.jobs import Job, Original, Place
from edge_matting.core.walks import sweep_temporaries
from edge_matting.daemon.changed_originals import ChangedOriginals
from edge_matting.ledger import Ledger
from edge_matting.publish import dispose
from edge_matting.publish.publication import roll_back

log = logging.getLogger(__name__)

PERIOD_SECONDS = 3600.0
FIRST_SECONDS = 60.0
DAY = 86400.0
AT_ONCE = 200
LOOK_SECONDS = 1.0
STOP_SECONDS = 5.0
KEPT_THUMBNAILS = 2000
KEPT_ENGINES = 16
"""Engines that TensorRT compiled: models, precisions and sizes that are gone back to."""


class Housekeeping:
    """Does something about once an hour, in a thread of its own: a slow disk keeps nobody waiting.

    Each round goes on until nothing is left to do, so that it keeps up with any pace of photos.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        clock: Clock,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._changed = ChangedOriginals(settings, ledger, clock, wake)
        self._ledger = ledger
        self._clock = clock
        self._next = clock.monotonic() + FIRST_SECONDS
        self._folders = {str(folder.path): folder for folder in settings.hot_folders}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it after the file that it is at."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                self._changed.step()
                self.step()
            except Exception:
                # What cannot be tidied now is tried again in an hour; the thread must not end.
                log.exception("housekeeping failed")

    def step(self) -> None:
        """Do what is due."""
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
        deleted = kept = 0
        try:
            while not self._stopping.is_set():
                jobs = self._ledger.put_away_before(place, before, AT_ONCE, skip=kept)
                if not jobs:
                    break
                gone = sum(map(self._delete, jobs))
                deleted, kept = deleted + gone, kept + len(jobs) - gone
        except LedgerError as error:
            log.error("old originals cannot be deleted: %s", error)
        if deleted:
            log.info("%d originals older than %g days deleted from %s/", deleted, days, place.value)

    def _delete(self, job: Job) -> bool:
        """Whether the original is gone; it is not where its folder left the configuration."""
        folder = self._folders.get(job.folder)
        if folder is None or self._stopping.is_set():
            return False
        try:
            original = dispose(folder, job, Place.GONE)
        except (SourceGone, SourceChanged):
            original = Original(Place.GONE, job.source)  # somebody was faster, or it is not ours
        except (TemporaryError, OSError) as error:
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
            with contextlib.suppress(OSError):  # what stays is tried again in an hour
                path.unlink()

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
            parts = (folder.outbox, folder.review, folder.done, folder.failed)
            removed = sweep(folder, parts, before)
            if removed:
                log.info("%s: %d unfinished files of killed engines removed", folder.path, removed)


def sweep(folder: HotFolder, parts: Iterable[Path], before: float | None = None) -> int:
    """Remove unfinished files of ours in these parts; never raises. How many there were."""
    removed = 0
    for part in parts:
        try:
            removed += roll_back(folder.door(part), before=before)
            removed += sweep_temporaries(folder.door(part), before=before)
        except TemporaryError as error:
            log.debug("%s is not swept: %s", part, error)
    return removed
