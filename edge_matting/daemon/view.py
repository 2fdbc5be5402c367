"""What the page may know and do: `status.ports.Appliance` over the daemon's parts.

The main loop attaches its parts and refreshes slow readings; the page's threads read.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from edge_matting import __version__
from edge_matting.config import HotFolder, Settings
from edge_matting.core.clock import Clock
from edge_matting.core.errors import LedgerError
from edge_matting.core.jobs import Job
from edge_matting.core.plan import DeviceProfile, Plan
from edge_matting.core.states import FINISHED, JobState
from edge_matting.daemon.intake import Intake
from edge_matting.daemon.supervisor import Supervisor
from edge_matting.device import read_vitals
from edge_matting.hotfolder.condition import free_bytes
from edge_matting.ledger import Ledger
from edge_matting.publish import accept_result
from edge_matting.status.ports import (
    ActionRefused,
    ApplianceState,
    CacheReport,
    EngineReport,
    ExecutionReport,
    FolderReport,
    QueueReport,
    RateReport,
    StatusSnapshot,
)

VITALS_SECONDS = 2.0
LOOP_SECONDS = 30.0
"""A main loop that stands still for so long is stuck; it turns at least once a second."""

RATE_WINDOWS = (60.0, 600.0, 3600.0)


@dataclass(frozen=True, slots=True)
class Parts:
    """The working parts under the present settings."""

    settings: Settings
    supervisor: Supervisor
    intakes: Sequence[Intake]
    url: str


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
        self._vitals = read_vitals(has_gpu=bool(profile.gpus))
        self._next_vitals = 0.0
        self._at_start: Mapping[JobState, int] = ledger.counts()
        self._accepting = threading.Lock()

    # -- for the main loop ------------------------------------------------------------

    def attach(
        self, settings: Settings, supervisor: Supervisor, intakes: Sequence[Intake], url: str
    ) -> None:
        """Show these parts from now on."""
        self._parts = Parts(settings, supervisor, intakes, url)
        supervisor.pause(paused=self._paused)

    def refresh(self) -> None:
        """Take the slow readings."""
        now = self._ticked = self._clock.monotonic()
        if now >= self._next_vitals:
            self._next_vitals = now + VITALS_SECONDS
            self._vitals = read_vitals(has_gpu=bool(self._profile.gpus))
        if self._parts is not None:
            self._parts.supervisor.pause(paused=self._paused)

    def headline(self) -> str:
        """One line for systemctl status."""
        counts = self._ledger.counts()
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
        reasons = [] if problem is None else [problem]
        reasons += [intake.problem for intake in parts.intakes if intake.problem is not None]
        if self._degraded(parts):
            reasons.append(self._missing_accelerator(parts) or "the accelerator is missing")
        return tuple(reasons)

    def snapshot(self) -> StatusSnapshot:
        counts = self._ledger.counts()
        parts = self._parts
        oldest = self._ledger.oldest_pending()
        rates = self._rates()
        now = self._clock.monotonic()
        return StatusSnapshot(
            state=self._word(counts),
            reasons=self._reasons(),
            version=__version__,
            started_at=self._started_at,
            uptime_seconds=now - self._started,
            plan=self._plan(),
            profile=self._profile,
            vitals=self._vitals,
            execution=self._execution(),
            queue=QueueReport(
                counts=counts,
                oldest_pending_seconds=(
                    None if oldest is None else max(0.0, self._clock.now() - oldest)
                ),
                eta_seconds=_eta(counts, rates),
            ),
            rates=rates,
            cache=self._cache(),
            folders=() if parts is None else tuple(_folder(intake) for intake in parts.intakes),
            engine=self._engine(),
            finished={
                state: max(0, _count(counts, state) - _count(self._at_start, state))
                for state in FINISHED
            },
        )

    def retry(self, job_id: int, model: str | None) -> Job:
        try:
            job = self._ledger.retry(job_id, model=model)
        except LedgerError as error:
            raise ActionRefused("not_possible", str(error)) from error
        if job is None:
            raise self._not_in(job_id, "failed or in review")
        self._wake_engine()
        return job

    def accept(self, job_id: int) -> Job:
        with self._accepting:
            job = self._ledger.get(job_id)
            if job is None or job.state is not JobState.REVIEW:
                raise self._not_in(job_id, "in review")
            folder = self._hot_folder(job)
            outputs = accept_result(
                folder.review, folder.outbox, job.stem, job.outputs, self._clock.now()
            )
            if outputs is None:
                raise ActionRefused(
                    "result_missing", f"the result of job {job_id} is no longer in {folder.review}"
                )
            try:
                accepted = self._ledger.accept(job_id, outputs)
            except LedgerError as error:
                raise ActionRefused("not_possible", str(error)) from error
        if accepted is None:
            raise self._not_in(job_id, "in review")
        self._wake_engine()
        return accepted

    def pause(self) -> None:
        self._paused = True
        self._wake()

    def resume(self) -> None:
        self._paused = False
        self._wake()

    # -- pieces -----------------------------------------------------------------------

    def _word(self, counts: Mapping[JobState, int]) -> ApplianceState:
        parts = self._parts
        if parts is None or (parts.supervisor.engine is not None and not parts.supervisor.ready()):
            return ApplianceState.STARTING
        if self.health():
            return ApplianceState.STUCK
        if any(intake.problem for intake in parts.intakes) or not parts.supervisor.ready():
            return ApplianceState.STOPPED
        if self._paused:
            return ApplianceState.PAUSED
        if self._degraded(parts):
            return ApplianceState.DEGRADED
        working = _count(counts, JobState.RUNNING) + _count(counts, JobState.PENDING)
        return ApplianceState.WORKING if working else ApplianceState.IDLE

    def _reasons(self) -> tuple[str, ...]:
        parts = self._parts
        reasons = [*self.health(), *self.readiness()]
        if parts is not None and (missing := self._missing_accelerator(parts)) not in {
            None,
            *reasons,
        }:
            reasons.append(str(missing))
        return tuple(reasons)

    def _degraded(self, parts: Parts) -> bool:
        wanted = parts.settings.device.missing_accelerator == "degrade"
        return wanted and self._missing_accelerator(parts) is not None

    def _missing_accelerator(self, parts: Parts) -> str | None:
        session = _session(parts)
        if session is None or session["requested_provider"] == session["actual_provider"]:
            return None
        return (
            f"{session['requested_provider']} was asked for, {session['actual_provider']} "
            f"is in use: {session['reason']}"
        )

    def _plan(self) -> Plan | None:
        ready = _ready(self._parts)
        if ready is None:
            return None
        values = dict(ready["plan"])
        values["resolution"] = tuple(values["resolution"])
        values["reasons"] = tuple(values["reasons"])
        return Plan(**values)

    def _execution(self) -> ExecutionReport | None:
        session = None if self._parts is None else _session(self._parts)
        if session is None:
            return None
        return ExecutionReport(
            requested=session["requested_provider"],
            actual=session["actual_provider"],
            precision=session["precision"],
            cause=session["reason"],
        )

    def _engine(self) -> EngineReport:
        parts = self._parts
        if parts is None or parts.supervisor.engine is None:
            return EngineReport(None, 0 if parts is None else parts.supervisor.restarts, None)
        engine = parts.supervisor.engine
        silent = engine.voice.silent_seconds(time.monotonic())
        return EngineReport(engine.pid, parts.supervisor.restarts, round(silent, 1))

    def _rates(self) -> RateReport:
        uptime = self._clock.monotonic() - self._started
        per_minute = []
        for window in RATE_WINDOWS:
            span = min(window, max(uptime, 1.0))
            per_minute.append(sum(self._ledger.rate(span).values()) * 60.0 / span)
        return RateReport(*(round(value, 2) for value in per_minute))

    def _cache(self) -> CacheReport:
        return CacheReport(*((0, 0) if self._parts is None else self._parts.supervisor.answers()))

    def _hot_folder(self, job: Job) -> HotFolder:
        parts = self._parts
        for intake in () if parts is None else parts.intakes:
            if str(intake.folder.path) == job.folder:
                return intake.folder
        raise ActionRefused("folder_unknown", f"{job.folder} is no longer in the configuration")

    def _not_in(self, job_id: int, wanted: str) -> ActionRefused:
        job = self._ledger.get(job_id)
        if job is None:
            return ActionRefused(
                "no_such_job", f"there is no job {job_id}", HTTPStatus.NOT_FOUND.value
            )
        return ActionRefused("wrong_state", f"job {job_id} is {job.state.value}, not {wanted}")

    def _wake_engine(self) -> None:
        if self._parts is not None:
            self._parts.supervisor.wake()


def _count(counts: Mapping[JobState, int], state: JobState) -> int:
    return counts.get(state, 0)


def _eta(counts: Mapping[JobState, int], rates: RateReport) -> float | None:
    """Seconds until the queue is empty at the pace of the last minutes."""
    waiting = _count(counts, JobState.PENDING) + _count(counts, JobState.RUNNING)
    pace = rates.last_minute or rates.last_10_minutes
    return round(waiting * 60.0 / pace, 1) if waiting and pace else None


def _folder(intake: Intake) -> FolderReport:
    folder = intake.folder
    return FolderReport(
        path=str(folder.path),
        recipe=folder.recipe,
        watch=intake.watch,
        free_bytes=free_bytes(folder.outbox),
        problem=intake.problem,
    )


def _ready(parts: Parts | None) -> dict[str, Any] | None:
    engine = None if parts is None else parts.supervisor.engine
    return None if engine is None else engine.voice.ready


def _session(parts: Parts) -> dict[str, Any] | None:
    ready = _ready(parts)
    return None if ready is None else dict(ready["session"])
