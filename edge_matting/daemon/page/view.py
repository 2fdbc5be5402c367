"""What the page may know and do: `status.ports.Appliance` over the daemon's parts.

The main loop attaches its parts and refreshes slow readings; the page's threads read.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from edge_matting import __version__
from edge_matting.config import Settings
from edge_matting.core.anchored import AnchoredFolder
from edge_matting.core.clock import Clock
from edge_matting.core.device_values import DeviceProfile
from edge_matting.core.errors import LedgerError
from edge_matting.core.jobs import Job, TimeBucket
from edge_matting.core.logs import shown
from edge_matting.core.model_ids import current_id
from edge_matting.core.plate_notes import learned_plates
from edge_matting.core.reasons import Reason
from edge_matting.core.states import JobState
from edge_matting.daemon.engine_supervision import ENDED_UNHEALTHY
from edge_matting.daemon.intake import Intake
from edge_matting.daemon.page import reports
from edge_matting.daemon.page.actions import Actions
from edge_matting.daemon.page.condition import Facts, by_itself, facts_of, state_of
from edge_matting.daemon.page.eta import EtaEstimator
from edge_matting.daemon.page.job_metrics import JobMetrics
from edge_matting.daemon.page.reports import Parts
from edge_matting.daemon.page.uploads import Uploads
from edge_matting.daemon.pause import PauseSwitch
from edge_matting.daemon.supervisor import Supervisor
from edge_matting.device import VitalsReader
from edge_matting.hotfolder.condition import free_bytes
from edge_matting.ledger import Ledger
from edge_matting.status.interfaces import (
    ActionRefused,
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


_ENGINE_STATES = frozenset({ApplianceState.RECOVERING, ApplianceState.NOT_READY})
"""States that come of the engine alone, whatever else is the matter."""


class View:
    """A snapshot of everything, and the page's actions."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        profile: DeviceProfile,
        wake: Callable[[], None],
        pause: PauseSwitch | None = None,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._profile = profile
        self._wake = wake
        self._parts: Parts | None = None
        self._started_at = clock.now()
        self._started = clock.monotonic()
        self._ticked = self._started
        self._pause = pause or PauseSwitch(None)
        self._queue_changed = False
        self._hits = self._misses = self._restarts = 0  # of parts that were replaced
        self._readings = VitalsReader()
        self._vitals = self._readings.read()
        self._next_vitals = 0.0
        self._tally = JobMetrics(ledger, clock)
        self._adapted: Counter[tuple[str, str]] = Counter()  # by parts that were replaced
        self._pace = EtaEstimator()
        kept = ledger.kept_as  # a damaged ledger that this one took the place of
        self._kept_as = None if kept is None else Reason("ledger_rebuilt", kept=str(kept))
        self._last_queue: tuple[Mapping[JobState, int], float | None] = ({}, None)
        self._unreadable: Reason | None = None  # why the ledger could not be read just now
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
        supervisor.pause(paused=self._pause.is_on)

    def refresh(self) -> None:
        """Take the slow readings."""
        now = self._ticked = self._clock.monotonic()
        if now >= self._next_vitals:
            self._next_vitals = now + VITALS_SECONDS
            self._vitals = self._readings.read()
        self._count_work(now)
        if self._parts is not None:
            self._parts.uploads.step()
            self._parts.supervisor.pause(paused=self._pause.is_on)
            if self._queue_changed:
                self._queue_changed = False
                self._parts.supervisor.wake()

    def headline(self) -> str:
        """One line for systemctl status."""
        counts, _ = self._queue()
        reasons = self.readiness()
        word = self._state(counts).value.replace("_", " ")
        told = f"{word}: {'; '.join(reasons)}" if reasons else word
        return f"{told}: {_count(counts, JobState.PENDING) + self._arriving()} waiting"

    # -- for the page -----------------------------------------------------------------

    def health(self) -> tuple[Reason, ...]:
        reasons = []
        if self._is_still():
            still = self._clock.monotonic() - self._ticked
            reasons.append(Reason("loop_stalled", seconds=round(still)))
        supervisor = None if self._parts is None else self._parts.supervisor
        if supervisor is not None and supervisor.ended_in_a_row >= ENDED_UNHEALTHY:
            why = supervisor.last_problem or Reason("engine_restarting")
            reasons.append(Reason("engines_end", n=supervisor.ended_in_a_row, why=why))
        elif supervisor is not None and supervisor.replaced_in_a_row and not supervisor.ready():
            reasons.append(Reason("engine_replaced", n=supervisor.replaced_in_a_row))
        return tuple(reasons)

    def readiness(self) -> tuple[Reason, ...]:
        parts = self._parts
        if parts is None:
            return (Reason("starting"),)
        reasons = [] if self._unreadable is None else [self._unreadable]
        for intake in parts.intakes:
            reasons += [why for why in (intake.problem, intake.ledger_problem) if why is not None]
        reasons += parts.supervisor.obstacles().values()
        problem = parts.supervisor.problem()
        reasons += [] if problem is None else [problem]
        if reports.is_degraded(parts):
            reasons.append(reports.missing_accelerator(parts) or Reason("accelerator_missing"))
        return tuple(dict.fromkeys(reasons))

    def snapshot(self) -> StatusSnapshot:
        counts, oldest = self._queue()
        parts = self._parts
        now = self._clock.monotonic()
        state, reasons = self._state(counts), self._reasons()
        return StatusSnapshot(
            state=state,
            by_itself=by_itself(state, self._main_reason(state, reasons)),
            to_do=Reason(f"to_do_{state.value}"),
            paused=self._pause.is_on,
            reasons=reasons,
            version=__version__,
            started_at=self._started_at,
            uptime_seconds=now - self._started,
            plan=reports.plan_in_use(parts),
            profile=self._profile,
            vitals=self._vitals,
            execution=reports.execution(parts),
            queue=QueueReport(
                counts=counts,
                arriving=self._arriving(),
                oldest_pending_seconds=(
                    None if oldest is None else max(0.0, self._clock.now() - oldest)
                ),
                eta_seconds=self._eta(counts),
            ),
            rates=self._rates(),
            cache=self._cache(),
            adaptation=reports.adaptation(parts, self._adapted),
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
        model = None if model is None else current_id(model)
        if model is not None and known and model not in known:
            raise ActionRefused(
                "unknown_model", Reason("unknown_model", model=model, known=", ".join(known))
            )
        job = self._actions.retry(job_id, model)
        self.note_new_work()
        return job

    def accept(self, job_id: int) -> Job:
        parts = self._parts
        folders = [] if parts is None else [intake.folder for intake in parts.intakes]
        job = self._actions.accept(job_id, folders)
        self.note_new_work()
        return job

    def results_folder(self, job: Job) -> AnchoredFolder | None:
        for intake in () if self._parts is None else self._parts.intakes:
            if str(intake.folder.path) == job.folder:
                folder = intake.folder
                path = folder.review if job.state is JobState.REVIEW else folder.outbox
                return folder.door(path)
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
        report = self._uploads().add(upload_id, offset, data)
        if report.job is not None:
            self.note_new_work()
        return report

    def cancel_upload(self, upload_id: str) -> None:
        self._uploads().cancel(upload_id)

    def pause(self) -> None:
        self._pause.set(on=True)
        self._wake()

    def resume(self) -> None:
        self._pause.set(on=False)
        self._wake()

    def _uploads(self) -> Uploads:
        if self._parts is None:
            raise ActionRefused("starting", Reason("starting"), HTTPStatus.SERVICE_UNAVAILABLE)
        return self._parts.uploads

    # -- pieces -----------------------------------------------------------------------

    def _queue(self) -> tuple[Mapping[JobState, int], float | None]:
        """Counts and the oldest photo's moment; the last that could be read, with the reason why
        there are no newer ones."""
        try:
            self._last_queue = self._ledger.counts(), self._ledger.oldest_pending()
        except LedgerError as error:
            self._unreadable = error.reason
        return self._last_queue

    def _state(self, counts: Mapping[JobState, int]) -> ApplianceState:
        return state_of(self._facts(counts))

    def _facts(self, counts: Mapping[JobState, int]) -> Facts:
        parts = self._parts
        if parts is None:
            return Facts(attached=False)
        facts = facts_of(parts.supervisor, parts.intakes)
        return replace(
            facts,
            ledger_blocked=facts.ledger_blocked or self._unreadable is not None,
            stalled=self._is_still() or parts.supervisor.is_hopeless(),
            paused=self._pause.is_on,
            degraded=reports.is_degraded(parts),
            photos=_active(counts) + self._arriving(),
        )

    def _is_still(self) -> bool:
        return self._clock.monotonic() - self._ticked > LOOP_SECONDS

    def _arriving(self) -> int:
        """Files in the hot folders that are no jobs yet."""
        return 0 if self._parts is None else sum(one.arriving for one in self._parts.intakes)

    def _reasons(self) -> tuple[Reason, ...]:
        parts = self._parts
        reasons = [*self.health(), *self.readiness()]
        for intake in () if parts is None else parts.intakes:
            reasons += [
                Reason(
                    "subfolder_unreadable",
                    path=shown(intake.folder.inbox / problem.path),
                    why=problem.reason,
                )
                for problem in intake.scan_problems[:SHOWN_PROBLEMS]
            ]
        if parts is not None:
            missing = reports.missing_accelerator(parts)
            reasons += [] if missing is None else [missing]
            reasons += parts.supervisor.partial_problems()
            session = reports.session_report(parts)
            reasons += () if session is None else reports.notes(session)
            reasons += reports.adaptation(parts, self._adapted).lowered
        reasons += [] if self._pause.problem is None else [self._pause.problem]
        reasons += [] if self._kept_as is None else [self._kept_as]
        return tuple(dict.fromkeys(reasons))

    def _main_reason(self, state: ApplianceState, reasons: Sequence[Reason]) -> Reason:
        """The one that makes it this state."""
        of_engine = None if self._parts is None else self._parts.supervisor.problem()
        if state in _ENGINE_STATES and of_engine is not None:
            return of_engine
        return reasons[0] if reasons else Reason("starting")

    def _engine(self) -> EngineReport:
        supervisor = None if self._parts is None else self._parts.supervisor
        restarts = self._restarts + (supervisor.restarts if supervisor else 0)
        engine = supervisor.engine if supervisor else None  # taken once: the main loop changes it
        if engine is None:
            return EngineReport(None, restarts, None)
        silent = engine.events.silent_seconds(time.monotonic())
        return EngineReport(engine.pid, restarts, round(silent, 1))

    def note_new_work(self) -> None:
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
        if self._pause.is_on or self.readiness():
            return None
        seconds = self._pace.seconds_for(_active(counts))
        return None if seconds is None else round(seconds, 1)

    def _count_work(self, now: float) -> None:
        try:
            self._tally.step()
            active = _active(self._ledger.counts())
        except LedgerError as error:
            self._unreadable = error.reason
            return  # what is missed now is counted later
        self._unreadable = None
        busy = active > 0 and not self._pause.is_on and not self.readiness()
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
