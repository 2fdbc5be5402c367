"""What the page may know and do: `status.ports.Appliance` over the daemon's parts.

The main loop attaches its parts and refreshes slow readings; the page's threads read.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from edge_matting import __version__
from edge_matting.config import Settings
from edge_matting.core.clock import Clock
from edge_matting.core.device_values import DeviceProfile
from edge_matting.core.errors import LedgerError
from edge_matting.core.jobs import Job, TimeBucket
from edge_matting.core.logs import shown
from edge_matting.core.plate_notes import learned_plates
from edge_matting.core.states import JobState
from edge_matting.daemon.intake import Intake
from edge_matting.daemon.page import reports
from edge_matting.daemon.page.actions import Actions
from edge_matting.daemon.page.eta import EtaEstimator
from edge_matting.daemon.page.job_metrics import JobMetrics
from edge_matting.daemon.page.reports import Parts
from edge_matting.daemon.page.uploads import Uploads
from edge_matting.daemon.supervisor import Supervisor
from edge_matting.device import VitalsReader
from edge_matting.hotfolder.condition import free_bytes
from edge_matting.ledger import Ledger
from edge_matting.status.interfaces import (
    ActionRefused,
    AdaptationCount,
    AdaptationReport,
    ApplianceState,
    CacheReport,
    EngineReport,
    QueueReport,
    RateReport,
    StatusSnapshot,
    UploadReport,
    WorkReport,
)

VITALS_SECONDS = 2.0
LOOP_SECONDS = 30.0
"""A main loop that stands still for so long is stuck; it turns at least once a second."""

SHOWN_PROBLEMS = 3
RATE_WINDOWS = (60.0, 600.0, 3600.0)


class View:
    """A snapshot of everything, and the page's actions."""

    def __init__(
        self, ledger: Ledger, clock: Clock, profile: DeviceProfile, wake: Callable[[], None]
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._profile = profile
        self._wake = wake
        self._parts: Parts | None = None
        self._started_at = clock.now()
        self._started = clock.monotonic()
        self._ticked = self._started
        self._paused = False
        self._queue_changed = False
        self._hits = self._misses = self._restarts = 0  # of parts that were replaced
        self._readings = VitalsReader()
        self._vitals = self._readings.read()
        self._next_vitals = 0.0
        self._tally = JobMetrics(ledger, clock)
        self._adapted: Counter[tuple[str, str]] = Counter()  # by parts that were replaced
        self._pace = EtaEstimator()
        self._unreadable: str | None = None  # why the ledger could not be read just now
        self._actions = Actions(ledger, clock)

    # -- for the main loop ------------------------------------------------------------

    def attach(
        self, settings: Settings, supervisor: Supervisor, intakes: Sequence[Intake], url: str
    ) -> None:
        """Show these parts from now on; what the former ones counted is kept."""
        if self._parts is not None:
            self._adapted += self._parts.supervisor.adapted()
            hits, misses = self._parts.supervisor.answers()
            self._hits, self._misses = self._hits + hits, self._misses + misses
            self._restarts += self._parts.supervisor.restarts
            self._parts.uploads.close()
        uploads = Uploads(settings, self._ledger, self._clock, self._wake)
        self._parts = Parts(settings, supervisor, intakes, url, uploads)
        supervisor.pause(paused=self._paused)

    def refresh(self) -> None:
        """Take the slow readings."""
        now = self._ticked = self._clock.monotonic()
        if now >= self._next_vitals:
            self._next_vitals = now + VITALS_SECONDS
            self._vitals = self._readings.read()
        self._count_work(now)
        if self._parts is not None:
            self._parts.uploads.step()
            self._parts.supervisor.pause(paused=self._paused)
            if self._queue_changed:
                self._queue_changed = False
                self._parts.supervisor.wake()

    def headline(self) -> str:
        """One line for systemctl status."""
        try:
            counts = self._ledger.counts()
        except LedgerError as error:
            return str(error)
        reasons = self.readiness()
        state = "; ".join(reasons) if reasons else self._word(counts).value
        return f"{state}: {_count(counts, JobState.PENDING)} waiting"

    # -- for the page -----------------------------------------------------------------

    def health(self) -> tuple[str, ...]:
        reasons = []
        still = self._clock.monotonic() - self._ticked
        if still > LOOP_SECONDS:
            reasons.append(f"the main loop has not moved for {still:.0f} s")
        supervisor = None if self._parts is None else self._parts.supervisor
        if supervisor is not None and supervisor.replaced_in_a_row and not supervisor.ready():
            reasons.append(
                f"the engine was replaced {supervisor.replaced_in_a_row} times without progress"
            )
        return tuple(reasons)

    def readiness(self) -> tuple[str, ...]:
        parts = self._parts
        if parts is None:
            return ("it is starting",)
        problem = parts.supervisor.problem()
        reasons = [why for why in (problem, self._unreadable) if why is not None]
        for intake in parts.intakes:
            reasons += [why for why in (intake.problem, intake.ledger_problem) if why is not None]
        reasons += parts.supervisor.obstacles()
        if reports.is_degraded(parts):
            reasons.append(reports.missing_accelerator(parts) or "the accelerator is missing")
        return tuple(dict.fromkeys(reasons))

    def snapshot(self) -> StatusSnapshot:
        counts = self._ledger.counts()
        parts = self._parts
        oldest = self._ledger.oldest_pending()
        now = self._clock.monotonic()
        return StatusSnapshot(
            state=self._word(counts),
            reasons=self._reasons(),
            version=__version__,
            started_at=self._started_at,
            uptime_seconds=now - self._started,
            plan=reports.plan_in_use(parts),
            profile=self._profile,
            vitals=self._vitals,
            execution=reports.execution(parts),
            queue=QueueReport(
                counts=counts,
                oldest_pending_seconds=(
                    None if oldest is None else max(0.0, self._clock.now() - oldest)
                ),
                eta_seconds=self._eta(counts),
            ),
            rates=self._rates(),
            cache=self._cache(),
            adaptation=self._adaptation(),
            folders=() if parts is None else reports.folders(parts),
            engine=self._engine(),
            finished=self._tally.finished(),
            preparing=reports.preparing(parts),
            models=reports.models(parts),
            recipes=() if parts is None else reports.recipes(parts.settings),
            plates=() if parts is None else tuple(learned_plates(parts.settings.plates_dir)),
            max_file_bytes=0 if parts is None else int(parts.settings.limits.max_file_mb * 1e6),
            state_free_bytes=None if parts is None else free_bytes(parts.settings.state_dir),
        )

    def work(self) -> WorkReport:
        return self._tally.report()

    def history(self, width: int) -> Sequence[TimeBucket]:
        return self._tally.history(width)

    def retry(self, job_id: int, model: str | None) -> Job:
        known = reports.models(self._parts)
        if model is not None and known and model not in known:
            raise ActionRefused(
                "unknown_model", f"there is no model {model}; known: {', '.join(known)}"
            )
        job = self._actions.retry(job_id, model)
        self._tell_queue_changed()
        return job

    def accept(self, job_id: int) -> Job:
        parts = self._parts
        folders = [] if parts is None else [intake.folder for intake in parts.intakes]
        job = self._actions.accept(job_id, folders)
        self._tell_queue_changed()
        return job

    def results_folder(self, job: Job) -> Path | None:
        for intake in () if self._parts is None else self._parts.intakes:
            if str(intake.folder.path) == job.folder:
                folder = intake.folder
                return folder.review if job.state is JobState.REVIEW else folder.outbox
        return None

    def begin_upload(
        self,
        name: str,
        size: int,
        recipe: str | None,
        folder: int,
        parameters: Mapping[str, Any],
    ) -> UploadReport:
        return self._uploads().begin(name, size, recipe, folder, parameters)

    def add_to_upload(self, upload_id: str, offset: int, data: bytes) -> UploadReport:
        return self._uploads().add(upload_id, offset, data)

    def cancel_upload(self, upload_id: str) -> None:
        self._uploads().cancel(upload_id)

    def pause(self) -> None:
        self._paused = True
        self._wake()

    def resume(self) -> None:
        self._paused = False
        self._wake()

    def _uploads(self) -> Uploads:
        if self._parts is None:
            raise ActionRefused("starting", "it is starting", HTTPStatus.SERVICE_UNAVAILABLE)
        return self._parts.uploads

    # -- pieces -----------------------------------------------------------------------

    def _word(self, counts: Mapping[JobState, int]) -> ApplianceState:
        parts = self._parts
        if parts is None or parts.supervisor.is_starting():
            return ApplianceState.STARTING
        if self.health():
            return ApplianceState.STUCK
        if any(intake.problem for intake in parts.intakes) or not parts.supervisor.ready():
            return ApplianceState.STOPPED
        if self._paused:
            return ApplianceState.PAUSED
        if reports.is_degraded(parts):
            return ApplianceState.DEGRADED
        working = _count(counts, JobState.RUNNING) + _count(counts, JobState.PENDING)
        return ApplianceState.WORKING if working else ApplianceState.IDLE

    def _reasons(self) -> tuple[str, ...]:
        parts = self._parts
        reasons = [*self.health(), *self.readiness()]
        for intake in () if parts is None else parts.intakes:
            reasons += [
                f"{shown(intake.folder.inbox / problem.path)} cannot be looked into: "
                f"{problem.reason}; what lies there is not taken"
                for problem in intake.scan_problems[:SHOWN_PROBLEMS]
            ]
        if parts is not None and (missing := reports.missing_accelerator(parts)) not in {
            None,
            *reasons,
        }:
            reasons.append(str(missing))
        if parts is not None:
            reasons += parts.supervisor.partial_problems()
            reasons += (reports.session_report(parts) or {}).get("notes", ())
        return tuple(dict.fromkeys(reasons))

    def _engine(self) -> EngineReport:
        supervisor = None if self._parts is None else self._parts.supervisor
        restarts = self._restarts + (supervisor.restarts if supervisor else 0)
        engine = supervisor.engine if supervisor else None  # taken once: the main loop changes it
        if engine is None:
            return EngineReport(None, restarts, None)
        silent = engine.events.silent_seconds(time.monotonic())
        return EngineReport(engine.pid, restarts, round(silent, 1))

    def _adaptation(self) -> AdaptationReport:
        supervisor = None if self._parts is None else self._parts.supervisor
        counts = self._adapted + (supervisor.adapted() if supervisor else Counter())
        engines = supervisor.engines if supervisor else ()
        return AdaptationReport(
            lowered=tuple(dict.fromkeys(why for each in engines for why in each.events.lowered)),
            counts=tuple(AdaptationCount(*key, count) for key, count in sorted(counts.items())),
        )

    def _tell_queue_changed(self) -> None:
        """The main loop wakes the engine; the page's threads never talk to it."""
        self._queue_changed = True
        self._wake()

    def _rates(self) -> RateReport:
        """Never extrapolated: one photo in the first seconds is one photo a minute."""
        uptime = self._clock.monotonic() - self._started
        return RateReport(
            *(self._rate(min(window, max(uptime, RATE_WINDOWS[0]))) for window in RATE_WINDOWS)
        )

    def _rate(self, seconds: float) -> float:
        """Photos a minute over that time."""
        return round(self._tally.finished_within(seconds) * 60.0 / seconds, 2)

    def _eta(self, counts: Mapping[JobState, int]) -> float | None:
        """Seconds until the queue is empty; None while nothing moves, for that may last."""
        if self._paused or self.readiness():
            return None
        seconds = self._pace.seconds_for(_active(counts))
        return None if seconds is None else round(seconds, 1)

    def _count_work(self, now: float) -> None:
        try:
            self._tally.step()
            active = _active(self._ledger.counts())
        except LedgerError as error:
            self._unreadable = str(error)
            return  # what is missed now is counted later
        self._unreadable = None
        busy = active > 0 and not self._paused and not self.readiness()
        self._pace.look(now, sum(self._tally.finished().values()), busy=busy)

    def _cache(self) -> CacheReport:
        hits, misses = (0, 0) if self._parts is None else self._parts.supervisor.answers()
        saved = self._tally.saved_seconds()
        engine = None if self._parts is None else self._parts.supervisor.engine
        stored = {} if engine is None else engine.events.cache
        return CacheReport(self._hits + hits, self._misses + misses, saved, **stored)


def _count(counts: Mapping[JobState, int], state: JobState) -> int:
    return counts.get(state, 0)


def _active(counts: Mapping[JobState, int]) -> int:
    return _count(counts, JobState.PENDING) + _count(counts, JobState.RUNNING)
