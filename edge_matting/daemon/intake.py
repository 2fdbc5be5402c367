"""One hot folder's way into the ledger: events are hints, the directory is the truth."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Container

from edge_matting.config import HotFolder, Settings
from edge_matting.core.clock import Clock
from edge_matting.core.errors import LedgerError, TemporaryError
from edge_matting.core.jobs import Signature, Source
from edge_matting.core.logs import shown
from edge_matting.core.reasons import Reason
from edge_matting.hotfolder.condition import folder_problem, space_problem
from edge_matting.hotfolder.filesystems import has_stable_inodes
from edge_matting.hotfolder.layout import prepare, recipe_for
from edge_matting.hotfolder.scan import FoundFile, ScanProblem, look, scan
from edge_matting.hotfolder.settle import SettleTracker
from edge_matting.hotfolder.unfinished import UnfinishedFiles
from edge_matting.hotfolder.watch import FolderWatcher
from edge_matting.ledger import Ledger

log = logging.getLogger(__name__)

POLLING_SECONDS = 5.0
"""Rescan interval of a folder whose changes raise no events."""

CHECK_SECONDS = 2.0
"""How often the folder itself is looked at: there, writable, with room."""

LOOK_SECONDS = 0.2
"""Least time between two looks at the files that have not settled yet."""

MAX_SCAN_PROBLEMS = 20


def make_parts(folder: HotFolder, ledger: Ledger) -> None:
    """Make the folder and its parts, unless the disk it lies on seems not to be mounted.

    A folder that had photos before and now has no in/ is more likely unmounted than new;
    photos must not go to the disk below the mount point.
    """
    try:
        if folder.inbox.is_dir() or not ledger.knows(str(folder.path)):
            prepare(folder)
    except (TemporaryError, OSError, LedgerError) as error:
        log.debug("%s", error)  # told by folder_problem, once


class Intake:
    """Scans at start, listens, rescans for ever, and enqueues what has settled."""

    def __init__(
        self,
        folder: HotFolder,
        settings: Settings,
        ledger: Ledger,
        clock: Clock,
        wake: Callable[[], None],
    ) -> None:
        self.folder = folder
        self.problem: Reason | None = None
        self.ledger_problem: Reason | None = None
        """Why settled files cannot be written to the ledger; tried again at every rescan."""
        self._settings = settings
        self._ledger = ledger
        self._clock = clock
        self._wake = wake
        self._hints: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._tracker = SettleTracker(settings.intake.settle_seconds)
        self._watcher: FolderWatcher | None = None
        self._next_check = 0.0
        self._next_scan = 0.0
        self._next_look = 0.0
        self._scan_problems: tuple[ScanProblem, ...] = ()
        self._inbox = folder.door(folder.inbox)
        self._stable_inodes = True
        self._unfinished = UnfinishedFiles(settings.intake.stalled_seconds)
        self._arriving = 0
        self._counted: dict[str, tuple[Signature, bool]] = {}  # whether a file is no job yet

    @property
    def watch(self) -> Reason:
        """How the folder is watched, in words."""
        return self._watcher.describe() if self._watcher else Reason("watch_none")

    @property
    def arriving(self) -> int:
        """Files in ``in/`` that are no jobs yet: still being written, or work is blocked."""
        return self._arriving

    @property
    def scan_problems(self) -> tuple[ScanProblem, ...]:
        """Sub-folders that the last scan could not look into."""
        return self._scan_problems

    def prepare(self) -> None:
        make_parts(self.folder, self._ledger)

    def stop(self) -> None:
        if self._watcher:
            self._watcher.stop()
            self._watcher = None

    def step(self) -> tuple[int, float]:
        """Do what is due; the number of new jobs and the seconds until the next step is due."""
        now = self._clock.monotonic()
        if now >= self._next_check:
            self._next_check = now + CHECK_SECONDS
            self._check_folder(now)
        if self.problem is not None:
            self._look_on(now)
            return 0, CHECK_SECONDS
        try:
            self._observe(now)
            added = self._enqueue()
            self._count_arriving()
        except TemporaryError as error:
            self._set_problem(error.reason)
            return 0, CHECK_SECONDS
        except LedgerError as error:
            if self.ledger_problem is None:
                log.error("%s: no files can be queued: %s", self.folder.path, error)
            self.ledger_problem = error.reason
            self._next_scan = 0.0
            return 0, CHECK_SECONDS
        return added, self._seconds_until_due()

    # -- the folder itself ------------------------------------------------------------

    def _check_folder(self, now: float) -> None:
        """Notice a folder that went away, filled up or came back."""
        if self.folder.inbox.is_dir():
            self.prepare()
        min_free_mb = self._settings.limits.min_free_mb
        problem = folder_problem(self.folder, min_free_mb) or space_problem(
            self._settings.state_dir, min_free_mb
        )
        self._set_problem(problem)
        if problem is None and (self._watcher is None or not self._watcher.alive()):
            self._watch()
            self._next_scan = now

    def _set_problem(self, problem: Reason | None) -> None:
        if problem == self.problem:
            return
        if problem is None:
            log.info("%s: available again", self.folder.path)
            self._next_scan = 0.0
        else:
            log.error("%s: %s", self.folder.path, problem)
        self.problem = problem

    def _watch(self) -> None:
        """Start watching; what happens before the scan that follows is seen by the scan."""
        self.stop()
        intake = self._settings.intake
        self._watcher = FolderWatcher(
            self.folder.inbox,
            intake.watch,
            self._hint,
            poll_seconds=min(POLLING_SECONDS, intake.rescan_seconds),
            door=self._inbox,
        )
        try:
            self._watcher.start()
        except TemporaryError as error:  # gone since it was looked at
            log.warning("%s", error)
            return
        log.info("%s: %s", self.folder.inbox, self._watcher.describe())

    def _hint(self, path: str | None) -> None:
        self._hints.put(path)
        self._wake()

    def _look_on(self, now: float) -> None:
        """Count what comes while nothing can be taken in."""
        self._next_look = max(self._next_look, now + CHECK_SECONDS)
        try:
            self._observe(now)
            self._count_arriving()
        except (TemporaryError, LedgerError) as error:
            log.debug("%s: %s", self.folder.path, error)  # the problem is reported already
            self._arriving = 0

    # -- what lies in it --------------------------------------------------------------

    def _observe(self, now: float) -> None:
        for path in self._hinted():
            if path is None:
                self._next_scan = now
            else:
                # An arrival, perhaps the very file that was taken before: forget its past.
                self._tracker.forget(path)
                self._look(path, now)
        if now >= self._next_scan:
            self._scan()
        elif now >= self._next_look and self._tracker.next_check(now) == 0:
            self._next_look = now + LOOK_SECONDS
            for path in self._tracker.waiting():
                self._look(path, now)

    def _hinted(self) -> list[str | None]:
        paths: dict[str | None, None] = {}
        while True:
            try:
                paths[self._hints.get_nowait()] = None
            except queue.Empty:
                return list(paths)

    def _look(self, path: str, now: float) -> None:
        try:
            found = look(self._inbox, path, stable_inodes=self._stable_inodes)
        except TemporaryError as error:  # the next scan says what it is about
            log.debug("%s", error)
            found = None
        if found is None:
            self._tracker.forget(path)
        else:
            self._tracker.observe(path, found.signature, now)

    def _scan(self) -> None:
        # The time is taken after the listing: a file may settle late, never early.
        self._stable_inodes = has_stable_inodes(self.folder.inbox)
        entries = list(scan(self._inbox, stable_inodes=self._stable_inodes))
        now = self._clock.monotonic()
        found = [entry for entry in entries if isinstance(entry, FoundFile)]
        problems = tuple(entry for entry in entries if isinstance(entry, ScanProblem))
        for file in found:
            self._tracker.observe(file.path, file.signature, now)
        if not problems:
            present = {file.path for file in found}
            self._tracker.retain(present)
            self._withdraw(present)
        self._tell_scan_problems(problems)
        if self._watcher is not None:
            self._watcher.check()
        self._next_scan = now + self._rescan_seconds()

    def _withdraw(self, present: Container[str]) -> None:
        """End the jobs whose photos were taken away while they waited."""
        folder = str(self.folder.path)
        missing = [
            job_id
            for job_id, path in self._ledger.waiting_in(folder)
            if path not in present and look(self._inbox, path) is None
        ]
        withdrawn = self._ledger.withdraw(missing) if missing else 0
        if withdrawn:
            log.info("%s: %d withdrawn, taken away while they waited", self.folder.path, withdrawn)

    def _count_arriving(self) -> None:
        """Each file is looked up once: after a restart, some are jobs already."""
        before = self._counted
        self._counted = {}
        for path, signature in self._tracker.unsettled():
            known = before.get(path)
            if known is None or known[0] != signature:
                source = Source(str(self.folder.path), path, signature, self.folder.recipe)
                known = signature, self._ledger.count_new([source]) == 1
            self._counted[path] = known
        self._arriving = sum(is_new for _, is_new in self._counted.values())

    def _tell_scan_problems(self, problems: tuple[ScanProblem, ...]) -> None:
        if problems != self._scan_problems:
            for problem in problems[:MAX_SCAN_PROBLEMS]:
                log.warning("%s: %s", shown(self.folder.inbox / problem.path), problem.reason)
        self._scan_problems = problems

    def _rescan_seconds(self) -> float:
        wanted = self._settings.intake.rescan_seconds
        polling = None if self._watcher is None else self._watcher.poll_seconds
        return wanted if polling is None else polling

    def _enqueue(self) -> int:
        settled = self._finished(self._tracker.settled())
        if not settled:
            if not self._tracker.waiting():
                self.ledger_problem = None
            return 0
        sources = [
            Source(str(self.folder.path), path, signature, self._recipe(path))
            for path, signature in settled
        ]
        try:
            report = self._ledger.enqueue(sources)
        except LedgerError:
            for source in sources:
                self._tracker.forget(source.path)
            raise
        self.ledger_problem = None
        for source in report.busy:
            self._tracker.forget(source.path)
            # Asked again when the version in work is finished; the rescan is the backstop.
            self._hints.put(source.path)
        if report.added:
            log.info("%s: %d new", self.folder.inbox, report.added)
        return report.added + report.followed

    def _finished(self, settled: list[tuple[str, Signature]]) -> list[tuple[str, Signature]]:
        """Those that nobody is writing any more; the others are looked at again."""
        now, finished = self._clock.monotonic(), []
        for path, signature in settled:
            if self._unfinished.holds_back(self._inbox.file(path), signature, now):
                self._tracker.look_again(path, signature, now)
            else:
                finished.append((path, signature))
        self._unfinished.retain(self._tracker.waiting())
        return finished

    def _recipe(self, path: str) -> str:
        return recipe_for(path, self._settings.recipes, self.folder.recipe)

    def _seconds_until_due(self) -> float:
        now = self._clock.monotonic()
        settle = self._tracker.next_check(now)
        moments = [self._next_scan - now, self._next_check - now]
        if settle is not None:
            moments.append(max(settle, self._next_look - now))
        return max(0.0, min(moments))
