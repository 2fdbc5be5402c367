"""A fake appliance with five jobs, and the status page made for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fakes import ManualClock
from flask.testing import FlaskClient
from prometheus_client import Metric
from prometheus_client.core import HistogramMetricFamily

from edge_matting.core.anchored import AnchoredFolder
from edge_matting.core.device_values import DeviceProfile, Gpu, Vitals
from edge_matting.core.jobs import (
    Execution,
    Job,
    Original,
    Output,
    Place,
    Quality,
    Result,
    Signature,
    TimeBucket,
)
from edge_matting.core.plan import Plan
from edge_matting.core.reasons import WORDS, Reason
from edge_matting.core.states import JobState
from edge_matting.status.app import create_app
from edge_matting.status.interfaces import (
    PART_BYTES,
    ActionRefused,
    ApplianceInterface,
    ApplianceState,
    CacheReport,
    EngineReport,
    ExecutionReport,
    FolderReport,
    JobReader,
    QueueReport,
    RateReport,
    StatusSnapshot,
    UploadReport,
    WorkReport,
)
from edge_matting.status.security import usual_hosts

TOKEN = "correct-horse-battery-staple"
SCRIPT_NAME = '"><script>alert(1)</script>.jpg'
BYTES_NAME = "gr\udcfcn\n\u202egpj.jpg"  # Latin-1 bytes, a newline, a right-to-left override
JPEG = b"\xff\xd8\xff\xe0 a preview"
MARK = {"X-Requested-With": "edge-matting"}
FOREIGN = {"REMOTE_ADDR": "192.168.7.9"}


def job(number: int, state: JobState = JobState.SUCCEEDED, source: str | None = None) -> Job:
    trouble = {
        JobState.FAILED: ("truncated", "the file ends too early; copy it again"),
        JobState.REVIEW: ("no_subject", "no subject found"),
    }
    code, message = trouble.get(state, (None, None))
    source = source or f"photo-{number}.jpg"
    moment = 1_795_000_000.0 + number
    return Job(
        id=number,
        folder="/srv/edge-matting",
        source=source,
        signature=Signature(1000, 1, 2),
        recipe="cutout",
        state=state,
        attempts=1,
        alone=False,
        stem=source.rpartition(".")[0],
        original=Original(Place.DONE, source),
        code=code,
        message=message,
        created_at=moment,
        updated_at=moment,
        finished_at=moment if state is not JobState.PENDING else None,
        seconds=1.25,
    )


RESULT = Result(
    sha256="ab" * 32,
    source_size=(640, 480),
    outputs=(Output("photo.png", "cutout", "png", "cd" * 32),),
    recipe_key="0123456789abcdef",
    model_id="default",
    model_sha256="ef" * 32,
    execution=Execution("ort", "cpu", "fp32", (512, 512), 1),
    cache="miss",
    quality=Quality("ok", (), 0.4, 0.02, float("nan")),
    seconds={"total": 1.25},
)

SNAPSHOT = StatusSnapshot(
    state=ApplianceState.WORKING,
    by_itself=Reason("by_itself_working"),
    to_do=Reason("to_do_working"),
    paused=False,
    reasons=(),
    version="0.1.0",
    started_at=1_795_000_000.0,
    uptime_seconds=3600.0,
    plan=Plan(
        backend="ort",
        provider="cpu",
        precision="fp32",
        resolution=(512, 512),
        batch=1,
        workers=2,
        pixels_in_flight=48_000_000,
        session_threads=2,
        memory_bytes=2**30,
        reasons=(Reason("no_usable_gpu", provider="cpu"),),
    ),
    profile=DeviceProfile(
        machine="aarch64",
        board="Raspberry Pi 5 Model B",
        family="raspberry",
        cpu_model="Cortex-A76",
        logical_cpus=4,
        usable_cpus=4.0,
        memory_bytes=8 * 2**30,
        page_size=16384,
        gpus=(Gpu("Orin", None, (8, 7), integrated=True),),
        notes=(Reason.of("NVML: not found"),),
    ),
    vitals=Vitals(73.0, 3 * 2**30, 61.5, None, None, None, None),
    execution=ExecutionReport("cuda", "cpu", "fp32", Reason.of("libcudnn.so.9 is missing")),
    queue=QueueReport({JobState.PENDING: 7, JobState.SUCCEEDED: 3}, 12.5, 70.0),
    rates=RateReport(6.0, 5.5, None),
    cache=CacheReport(hits=2, misses=5, entries=4, disk_bytes=9000, evictions=1),
    folders=(
        FolderReport("/srv/edge-matting", "cutout", Reason("watch_native"), 40 * 10**9, None),
        FolderReport(
            "/mnt/caf\udce9",
            "cutout",
            Reason("watch_polling", seconds=5.0, why=Reason("watch_as_set")),
            None,
            Reason.of("not mounted"),
        ),
    ),
    engine=EngineReport(4711, 1, 0.4),
    finished={JobState.SUCCEEDED: 3, JobState.FAILED: 1},
)


def in_state(state: ApplianceState, *reasons: Reason) -> StatusSnapshot:
    """The snapshot of an appliance in that state, with its sentences."""
    code = f"by_itself_{state.value}"
    says = "{reason}" in WORDS[code]["en"]
    return replace(
        SNAPSHOT,
        state=state,
        by_itself=Reason(code, reason=reasons[0]) if says else Reason(code),
        to_do=Reason(f"to_do_{state.value}"),
        paused=state is ApplianceState.PAUSED,
        reasons=reasons,
    )


def histogram(name: str, bounds: tuple[float, ...], *values: float, **labels: str) -> Metric:
    counts = [sum(value <= bound for value in values) for bound in (*bounds, float("inf"))]
    family = HistogramMetricFamily(f"edge_matting_{name}", "Counted", labels=list(labels))
    buckets = list(zip([*map(str, bounds), "+Inf"], counts, strict=True))
    family.add_metric(list(labels.values()), buckets, sum(values))
    return family


WORK = WorkReport(
    finished={(JobState.SUCCEEDED, ""): 3, (JobState.FAILED, "truncated"): 1},
    cache={"miss": 2, "rejected": 1},
    histograms=(
        histogram("end_to_end_seconds", (1.0, 10.0), 0.5, 5.0, 5.0, 20.0),
        histogram("job_seconds", (1.0,), 0.5, 0.75, 2.5),
        histogram("batch_size", (1.0,), 1.0, 1.0, 1.0),
        histogram("stage_seconds", (0.1,), 0.05, 0.05, 0.2, stage="decode"),
    ),
)


class FakeJobs:
    def __init__(self, *jobs: Job) -> None:
        self.rows = {one.id: one for one in jobs}
        self.asked = 0

    def get(self, job_id: int) -> Job | None:
        return self.rows.get(job_id)

    def jobs(self, state: JobState | None, limit: int, before: int | None) -> Sequence[Job]:
        self.asked += 1
        newest_first = sorted(self.rows.values(), key=lambda one: -one.id)
        return [
            one
            for one in newest_first
            if state in (None, one.state) and (before is None or one.id < before)
        ][:limit]

    def result(self, job_id: int) -> Result | None:
        return RESULT if self.rows[job_id].state is JobState.SUCCEEDED else None

    def finished(self, after: float, until: float) -> Sequence[tuple[int, float]]:
        moments = [(one.id, one.finished_at or 0.0) for one in self.rows.values()]
        return [(number, at) for number, at in moments if after < at <= until]

    def counts(self) -> Mapping[JobState, int]:
        states = [one.state for one in self.rows.values()]
        return {state: states.count(state) for state in set(states)}


class FakeAppliance:
    def __init__(self, jobs: FakeJobs) -> None:
        self.ledger = jobs
        self.stuck: tuple[Reason, ...] = ()
        self.not_ready: tuple[Reason, ...] = ()
        self.state = SNAPSHOT
        self.fault: Exception | None = None
        self.results: Path | None = None
        self.upload: UploadReport | None = None
        self.parameters: Mapping[str, Any] = {}
        self.retried: list[tuple[int, str | None]] = []
        self.histories = 0

    def health(self) -> tuple[Reason, ...]:
        return self.stuck

    def readiness(self) -> tuple[Reason, ...]:
        return self.not_ready

    def snapshot(self) -> StatusSnapshot:
        if self.fault is not None:
            raise self.fault
        return self.state

    def work(self) -> WorkReport:
        return WORK

    def history(self, width: int) -> Sequence[TimeBucket]:
        self.histories += 1
        return [TimeBucket(0, 0, None, None)] * (3600 // width - 1) + [TimeBucket(3, 1, 1.25, 2.0)]

    def retry(self, job_id: int, model: str | None) -> Job:
        self.retried.append((job_id, model))
        return self._put(job_id, {JobState.FAILED, JobState.REVIEW}, JobState.PENDING)

    def accept(self, job_id: int) -> Job:
        return self._put(job_id, {JobState.REVIEW}, JobState.SUCCEEDED)

    def _put(self, job_id: int, before: set[JobState], after: JobState) -> Job:
        old = self.ledger.rows[job_id]
        if old.state not in before:
            raise ActionRefused("wrong_state", f"job {job_id} is {old.state.value}")
        self.ledger.rows[job_id] = replace(old, state=after)
        return self.ledger.rows[job_id]

    def results_folder(self, job: Job) -> AnchoredFolder | None:
        return None if self.results is None else AnchoredFolder(self.results)

    def begin_upload(
        self,
        name: str,
        size: int,
        recipe: str | None,
        folder: int,
        parameters: Mapping[str, Any],
    ) -> UploadReport:
        if self.fault is not None:
            raise self.fault
        self.parameters = parameters
        self.upload = UploadReport("ab" * 16, name, size, 0, PART_BYTES, None)
        return self.upload

    def add_to_upload(self, upload_id: str, offset: int, data: bytes) -> UploadReport:
        if self.upload is None or upload_id != self.upload.id:
            raise ActionRefused("no_such_upload", "unknown", HTTPStatus.NOT_FOUND)
        received = offset + len(data)
        file = self.upload.name if received == self.upload.size else None
        self.upload = replace(self.upload, received=received, file=file)
        return self.upload

    def cancel_upload(self, upload_id: str) -> None:
        self.upload = None

    def pause(self) -> None:
        self.state = replace(self.state, state=ApplianceState.PAUSED)

    def resume(self) -> None:
        self.state = replace(self.state, state=ApplianceState.WORKING)


class BufferedClient(FlaskClient):
    """Reads each answer to its end, so that no file stays open."""

    def open(self, *args, **kwargs):
        return super().open(*args, buffered=True, **kwargs)


class House:
    """A fake appliance with five jobs, and the page made for it."""

    def __init__(self, previews: Path) -> None:
        self.jobs = FakeJobs(
            job(1),
            job(2, JobState.FAILED),
            job(3, JobState.REVIEW, SCRIPT_NAME),
            job(4, JobState.SUCCEEDED, BYTES_NAME),
            job(5, JobState.PENDING),
        )
        self.appliance = FakeAppliance(self.jobs)
        self.previews = previews
        self.url = ""  # where a test serves it
        self.clock = ManualClock()
        (previews / "1.jpg").write_bytes(JPEG)
        (previews / "99.jpg").write_bytes(JPEG)  # of no job

    def client(self, token: str | None = None) -> FlaskClient:
        appliance: ApplianceInterface = self.appliance
        reader: JobReader = self.jobs
        app = create_app(
            appliance,
            reader,
            thumbnails_dir=self.previews,
            token=token,
            clock=self.clock,
            allowed_hosts=usual_hosts("127.0.0.1"),
        )
        app.test_client_class = BufferedClient
        return app.test_client()


def error_of(answer) -> str:
    assert answer.mimetype == "application/json"
    error = answer.get_json()["error"]
    assert set(error) == {"code", "message"}
    assert error["message"]
    return str(error["code"])
