"""What the status page needs from the daemon and the ledger, and the values they hand over.

The page owns these interfaces; the daemon hands in objects that satisfy them. Both are called
from several threads at once and must answer within milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import Any, Protocol

from prometheus_client import Metric

from edge_matting.core.anchored import AnchoredFolder
from edge_matting.core.device_values import DeviceProfile, Vitals
from edge_matting.core.jobs import Job, Result, TimeBucket
from edge_matting.core.plan import Plan
from edge_matting.core.plate_notes import PlateNote
from edge_matting.core.reasons import Reason
from edge_matting.core.states import JobState


class ActionRefused(Exception):
    """An action was understood and not done; ``message`` says why and what to do."""

    def __init__(
        self,
        code: str,
        message: str,
        http_status: int = HTTPStatus.CONFLICT.value,
        *,
        retry_seconds: int | None = None,
    ) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds
        self.code = code
        self.message = message
        self.http_status = http_status


class ApplianceState(str, Enum):
    """The appliance in one word; the values are part of the public interface.

    `core.reasons.states` says of each what happens by itself and what a person has to do.
    """

    STARTING = "starting"  # for the first time since the start; photos wait
    WORKING = "working"
    IDLE = "idle"
    PAUSED = "paused"  # by a person, until a person resumes
    RECOVERING = "recovering"  # the engine is being replaced; nobody has to do anything
    PARTLY_BLOCKED = "partly_blocked"  # one of several folders or engines; the rest works
    BLOCKED = "blocked"  # a full disk, a folder gone: resumes once that is put right
    NOT_READY = "not_ready"  # no usable model or runtime: a person has to act
    DEGRADED = "degraded"  # works without the accelerator, where the settings call that a fault
    STUCK = "stuck"  # without progress; systemd restarts the service


@dataclass(frozen=True, slots=True)
class ExecutionReport:
    """The execution provider asked for and the one in use; they may differ."""

    requested: str
    actual: str | None  # None until a session is warm
    precision: str | None
    cause: Reason | None  # why they differ
    nodes: Mapping[str, int] = field(default_factory=dict)  # of the graph, by provider
    seconds: float | None = None  # of one picture through the model
    cpu_seconds: float | None = None  # the same on the processor, where another is in use
    self_test: float | None = None  # difference to the known matte, mean absolute, 0 to 1
    notes: tuple[Reason, ...] = ()  # what was given up and why, and what speaks against the proof


@dataclass(frozen=True, slots=True)
class QueueReport:
    counts: Mapping[JobState, int]
    oldest_pending_seconds: float | None
    eta_seconds: float | None  # None when there is nothing to estimate from
    arriving: int = 0  # files in in/ that are no jobs yet: still being written, or work is blocked


@dataclass(frozen=True, slots=True)
class RateReport:
    """Finished photos a minute, averaged over three windows; None before there is a figure."""

    last_minute: float | None
    last_10_minutes: float | None
    last_hour: float | None


@dataclass(frozen=True, slots=True)
class CacheReport:
    """Answers since the start of the appliance; neither number falls while it runs."""

    hits: int
    misses: int
    saved_seconds: float | None = None  # of work, estimated from what a photo takes without it
    entries: int = 0  # stored mattes
    memory_bytes: int = 0
    disk_bytes: int = 0
    evictions: int = 0  # since the start of the work process
    problem: Reason | None = None  # why the disk is not used, if it should be


@dataclass(frozen=True, slots=True)
class FolderReport:
    path: str
    recipe: str
    watch: Reason  # how it is watched
    free_bytes: int | None
    problem: Reason | None


@dataclass(frozen=True, slots=True)
class EngineReport:
    pid: int | None  # None while there is no engine
    restarts: int  # since the start of the appliance
    last_progress_seconds: float | None  # age of the last sign of progress


@dataclass(frozen=True, slots=True)
class AdaptationCount:
    """How often the plan was adapted for one cause in one direction, since the start."""

    cause: str  # heat, power, memory_pressure, out_of_memory, provider_lost
    direction: str  # down, up
    count: int


@dataclass(frozen=True, slots=True)
class AdaptationReport:
    """How the plan is adapted to the device while it runs."""

    lowered: tuple[Reason, ...] = ()  # steps in force, in words: "workers 4 -> 2: heat"
    counts: tuple[AdaptationCount, ...] = ()


@dataclass(frozen=True, slots=True)
class PreparingReport:
    """What the engine is busy with before, or between, photos."""

    what: str  # "calibration", "engine_build": a word that the page has a text for
    fraction: float | None  # 0 to 1; None where nobody can tell
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class RecipeReport:
    """A recipe that uploads can choose, and what it makes of a photo."""

    name: str
    outputs: tuple[str, ...]  # "cutout png", "composite jpg"
    background: str | None  # "#rrggbb" where an output shows it
    parameters: Mapping[str, Any] = field(default_factory=dict)  # what an upload may change


PART_BYTES = 256 * 1024
"""How much of an upload one request may bring; the web server holds it in memory."""


@dataclass(frozen=True, slots=True)
class UploadReport:
    """How far an upload is."""

    id: str
    name: str
    size: int
    received: int
    part_bytes: int  # the most that one request may bring
    file: str | None  # its name in in/, once all is there
    job: int | None = None  # that it became, then; None where the ledger could not be written


@dataclass(frozen=True, slots=True)
class WorkReport:
    """What was finished since the start, for the metrics."""

    finished: Mapping[tuple[JobState, str], int]  # by state and reason; "" without a reason
    cache: Mapping[str, int]  # results by what the cache did: miss, exact, matte, perceptual
    histograms: tuple[Metric, ...]  # of whole jobs, stages and batches, as Prometheus wants them


@dataclass(frozen=True, slots=True)
class StatusSnapshot:
    """The whole appliance at one moment."""

    state: ApplianceState
    by_itself: Reason  # what happens without anybody doing anything
    to_do: Reason  # what a person has to do, if anything
    paused: bool  # by a person, whatever else is the matter
    reasons: tuple[Reason, ...]  # why it is in this state, where that needs saying
    version: str
    started_at: float  # seconds since the epoch, UTC
    uptime_seconds: float
    plan: Plan | None
    profile: DeviceProfile
    vitals: Vitals
    execution: ExecutionReport | None
    queue: QueueReport
    rates: RateReport
    cache: CacheReport
    folders: tuple[FolderReport, ...]
    engine: EngineReport
    finished: Mapping[JobState, int]  # jobs finished since the start, by the state they ended in
    preparing: PreparingReport | None = None
    adaptation: AdaptationReport = AdaptationReport()
    models: tuple[str, ...] = ()  # ids that a retry may name
    recipes: tuple[RecipeReport, ...] = ()
    plates: tuple[PlateNote, ...] = ()  # learned, the latest first
    max_file_bytes: int = 0  # a larger upload is refused
    state_free_bytes: int | None = None  # where the ledger and the thumbnails lie


class ApplianceInterface(Protocol):
    """The running appliance; actions raise ``ActionRefused`` or an ``EdgeMattingError``."""

    def health(self) -> tuple[Reason, ...]:
        """Reasons why it is stuck; empty when it makes progress or is idle."""

    def readiness(self) -> tuple[Reason, ...]:
        """Reasons why it cannot work now; empty when it can."""

    def snapshot(self) -> StatusSnapshot:
        """Everything the page shows but the jobs themselves."""

    def work(self) -> WorkReport:
        """What was finished since the start, counted."""

    def history(self, width: int) -> Sequence[TimeBucket]:
        """What finished in the last hour, in stretches of ``width`` seconds, oldest first."""

    def retry(self, job_id: int, model: str | None) -> Job:
        """Put a failed or reviewed job back in the queue."""

    def accept(self, job_id: int) -> Job:
        """Move a reviewed job's result to ``out/``."""

    def results_folder(self, job: Job) -> AnchoredFolder | None:
        """Where the files of the job's result lie; None where its hot folder is not known now."""

    def begin_upload(
        self,
        name: str,
        size: int,
        recipe: str | None,
        folder: int,
        parameters: Mapping[str, Any],
    ) -> UploadReport:
        """Reserve a place in ``in/`` of a hot folder, counted from 0.

        ``parameters`` change the recipe for this photo alone.
        """

    def add_to_upload(self, upload_id: str, offset: int, data: bytes) -> UploadReport:
        """Append a part; with the last one the photo appears in ``in/``."""

    def cancel_upload(self, upload_id: str) -> None:
        """Forget an upload that is not finished."""

    def pause(self) -> None:
        """Claim no further jobs; what is in work is finished. Pausing twice is no fault."""

    def resume(self) -> None:
        """Claim jobs again."""


class JobReader(Protocol):
    """The part of the ledger that the page reads."""

    def get(self, job_id: int, /) -> Job | None:
        """The job, or None."""

    def jobs(self, state: JobState | None, limit: int, before: int | None, /) -> Sequence[Job]:
        """At most ``limit`` jobs, newest (highest id) first, with an id below ``before``."""

    def result(self, job_id: int, /) -> Result | None:
        """What came of a finished job."""

    def finished(self, after: float, until: float, /) -> Sequence[tuple[int, float]]:
        """Ids and moments of the jobs that finished in that time, oldest first."""

    def counts(self) -> Mapping[JobState, int]:
        """How many jobs stand in each state."""
