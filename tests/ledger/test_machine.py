"""Any order of work, failures, deaths, crashes and clock jumps against a small model."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from fakes import ManualClock
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from ledger_jobs import FOLDER, a_result

from edge_matting.core.errors import (
    DiskFull,
    JobError,
    LedgerError,
    NotAnImage,
    SourceGone,
    TemporaryError,
    Truncated,
)
from edge_matting.core.jobs import (
    Claim,
    Done,
    Failed,
    Job,
    Original,
    Outcome,
    Place,
    Signature,
    Source,
)
from edge_matting.core.states import FINISHED, JobState
from edge_matting.ledger import Ledger

MAX_ATTEMPTS = 3
PENDING, RUNNING, SUCCEEDED, REVIEW, FAILED, WITHDRAWN = JobState
PATHS = ["a.jpg", "a.png", "a.alpha.jpg", "sub/a.jpg", "b\udcff.jpg"]
RESULT = a_result("a.png")
OUTCOMES: list[Outcome] = [
    Done(SUCCEEDED, RESULT),
    Done(REVIEW, RESULT),
    *(Failed(error("no")) for error in (NotAnImage, Truncated, DiskFull, SourceGone)),
]


@dataclass
class Expected:
    """What the model knows of one job."""

    id: int
    path: str
    version: int
    queued: float
    due: float
    state: JobState = PENDING
    attempts: int = 0
    delays: int = 0
    alone: bool = False
    place: Place = Place.IN
    settled: bool = False

    def is_due(self, now: float) -> bool:
        return self.state is PENDING and (self.due <= now or self.queued > now)

    def wait(self, now: float, delay: float) -> None:
        self.state, self.queued, self.due = PENDING, now, now + delay

    def refund(self, now: float, delay: float = 0.0) -> None:
        self.attempts -= 1
        self.wait(now, delay)

    def count(self, now: float) -> None:
        if self.attempts >= MAX_ATTEMPTS:
            self.state = FAILED
        else:
            self.wait(now, 2.0**self.attempts)

    def withdraw(self) -> None:
        self.state, self.place, self.settled = WITHDRAWN, Place.GONE, True

    def fail(self, error: JobError, now: float) -> None:
        if isinstance(error, SourceGone) and self.place is Place.IN:
            self.withdraw()
        elif not isinstance(error, TemporaryError):
            self.state = FAILED
        elif error.refund:
            self.delays += 1
            self.refund(now, min(2.0**self.delays, 60.0))
        else:
            self.count(now)


@dataclass
class Model:
    jobs: dict[int, Expected] = field(default_factory=dict)
    last_id: int = 0

    def newest(self, path: str) -> Expected | None:
        same = [job for job in self.jobs.values() if job.path == path]
        return max(same, key=lambda job: job.id, default=None)

    def add(self, path: str, version: int, now: float) -> None:
        self.last_id += 1
        self.jobs[self.last_id] = Expected(self.last_id, path, version, now, now)

    def enqueue(self, path: str, version: int, now: float) -> str:
        newest = self.newest(path)
        if newest is None:
            self.add(path, version, now)
            return "added"
        here = newest.place is Place.IN
        if here and newest.version == version:
            return "known"
        if newest.state in FINISHED:
            self.add(path, version, now)
            return "added"
        if not here or newest.state is RUNNING:
            return "busy"
        newest.version, newest.attempts, newest.delays, newest.alone = version, 0, 0, False
        newest.wait(now, 0.0)
        return "followed"

    def is_phantom(self, job: Expected) -> bool:
        return job.place is Place.IN and any(
            other.path == job.path
            and other.version == job.version
            and other.state in FINISHED
            and other.place is not Place.IN
            for other in self.jobs.values()
            if other.id < job.id
        )

    def running(self) -> list[Expected]:
        return [job for job in self.jobs.values() if job.state is RUNNING]


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        memory = Path("/dev/shm")  # syncing costs nothing there
        self.folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
        self.clock = ManualClock()
        self.model = Model()
        self.claims: list[Claim] = []  # all ever made, stale ones too
        self.generation = 0
        self.ledger = self._open()

    def teardown(self) -> None:
        self.ledger.close()
        shutil.rmtree(self.folder)

    def _path(self) -> Path:
        return self.folder / f"{self.generation}.sqlite"

    def _open(self) -> Ledger:
        return Ledger.open(self._path(), clock=self.clock, max_attempts=MAX_ATTEMPTS)

    def _valid(self, claim: Claim) -> bool:
        return self.ledger.holds(claim)

    @rule(path=st.sampled_from(PATHS), version=st.integers(1, 2))
    def enqueue(self, path: str, version: int) -> None:
        source = Source("/srv/hot", path, Signature(1, version, 1), "cutout")
        found = self.ledger.enqueue([source])
        case = self.model.enqueue(path, version, self.clock.time)
        assert found.busy == ((source,) if case == "busy" else ())
        assert (found.added, found.followed, found.known) == tuple(
            int(case == name) for name in ("added", "followed", "known")
        )

    @rule(limit=st.integers(0, 3))
    def claim(self, limit: int) -> None:
        now, running = self.clock.time, self.model.running()
        due = [job for job in self.model.jobs.values() if job.is_due(now)]
        lonely = [job for job in due if job.alone]
        claims = self.ledger.claim(limit)
        if any(job.alone for job in running) or (lonely and running):
            assert claims == []
        elif lonely:
            assert len(claims) == min(limit, 1)
        else:
            assert len(claims) == min(limit, len(due))
        for claim in claims:
            expected = self.model.jobs[claim.job.id]
            assert expected in (lonely or due)
            expected.state = RUNNING
            expected.attempts += 1
        self.claims += claims

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), outcome=st.sampled_from(OUTCOMES))
    def finish(self, data: st.DataObject, outcome: Outcome) -> None:
        claim = data.draw(st.sampled_from(self.claims))
        if not self._valid(claim):  # a stale worker
            assert self.ledger.finish(claim, outcome) is None
            return
        expected = self.model.jobs[claim.job.id]
        job = self.ledger.finish(claim, outcome)
        if isinstance(outcome, Done):
            expected.state, expected.settled = outcome.state, False
        elif isinstance(outcome.error, SourceGone) and self.model.is_phantom(expected):
            del self.model.jobs[expected.id]
            assert job is None
            return
        else:
            expected.fail(outcome.error, self.clock.time)
        assert job is not None

    @rule(path=st.sampled_from(PATHS))
    def somebody_takes_a_waiting_photo_away(self, path: str) -> None:
        waiting = [
            job
            for job in self.model.jobs.values()
            if job.path == path and job.state is PENDING and job.place is Place.IN
        ]
        found = [number for number, source in self.ledger.waiting_in(FOLDER) if source == path]
        assert found == [job.id for job in waiting]
        assert self.ledger.withdraw(found) == len(waiting)
        for job in waiting:
            job.withdraw()

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self.claims))
        valid = self._valid(claim)
        assert self.ledger.release(claim) is valid
        if valid:
            self.model.jobs[claim.job.id].refund(self.clock.time)

    @rule(guilty=st.booleans())
    def engine_dies(self, guilty: bool) -> None:
        running = self.model.running()
        recovered = self.ledger.recover_after_engine_death(guilty=guilty)
        assert len(recovered.returned) + len(recovered.failed) == len(running)
        for job in running:
            job.alone = job.alone or guilty
            if guilty and len(running) == 1:
                job.count(self.clock.time)
            else:
                job.refund(self.clock.time)
        assert not any(self._valid(claim) for claim in self.claims)

    @rule()
    def machine_crashes(self) -> None:
        """What is committed is all there is: the files as they lie, without the shared memory."""
        old, before = self.ledger, self._path()
        self.generation += 1
        for ending in ("", "-wal"):
            shutil.copyfile(f"{before}{ending}", f"{self._path()}{ending}")
        self.ledger = self._open()
        old.close()

    @rule()
    def daemon_restarts(self) -> None:
        self.ledger.close()
        self.ledger = self._open()
        self.ledger.recover_after_engine_death(guilty=False)
        for job in self.model.running():
            job.refund(self.clock.time)

    @rule(seconds=st.sampled_from([0.5, 3.0, 100.0, 1e8, -0.5, -100.0, -1e8]))
    def clock_moves(self, seconds: float) -> None:
        self.clock.time += seconds

    @rule(place=st.sampled_from([Place.DONE, Place.FAILED, Place.GONE, None]))
    def originals_are_put_away(self, place: Place | None) -> None:
        misplaced = self.ledger.misplaced(2)
        unsettled = [
            j.id for j in self.model.jobs.values() if j.state in FINISHED and not j.settled
        ]
        assert [job.id for job in misplaced] == sorted(unsettled)[:2]
        for job in misplaced:
            expected = self.model.jobs[job.id]
            expected.settled = True
            if place is None:
                assert self.ledger.stays(job)
            else:
                assert self.ledger.moved(job, Original(place, job.source))
                expected.place = place

    @precondition(lambda self: self.model.jobs)
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        expected = self.model.jobs[data.draw(st.sampled_from(sorted(self.model.jobs)))]
        newest = self.model.newest(expected.path) is expected
        allowed = newest and expected.settled and expected.place is not Place.GONE
        try:
            job = self.ledger.retry(expected.id)
        except LedgerError:
            assert not allowed
            return
        assert (job is not None) is (expected.state in {REVIEW, FAILED})
        if job is not None:
            assert allowed
            self._retried(expected)

    def _retried(self, job: Expected) -> None:
        job.attempts, job.delays, job.alone, job.settled = 0, 0, False, False
        job.wait(self.clock.time, 0.0)

    @precondition(lambda self: self.model.jobs)
    @rule(data=st.data())
    def accept(self, data: st.DataObject) -> None:
        expected = self.model.jobs[data.draw(st.sampled_from(sorted(self.model.jobs)))]
        try:
            job = self.ledger.accept(expected.id, RESULT.outputs)
        except LedgerError:
            assert self.model.newest(expected.path) is not expected
            return
        assert (job is not None) is (expected.state is REVIEW)
        if job is not None:
            expected.state, expected.settled = SUCCEEDED, False

    @rule()
    def prune(self) -> None:
        self.ledger.prune(10.0)
        left = {job.id for job in self.ledger.jobs(None, 10_000)}
        for job_id in set(self.model.jobs) - left:
            job = self.model.jobs[job_id]
            assert job.state in FINISHED
            assert job.settled
            assert self.model.newest(job.path) is not job or job.place is not Place.IN
        self.model.jobs = {n: job for n, job in self.model.jobs.items() if n in left}

    @invariant()
    def the_ledger_is_sound(self) -> None:
        assert self.ledger.check() == []

    @invariant()
    def the_ledger_says_what_the_model_says(self) -> None:
        found = {job.id: _seen(job) for job in self.ledger.jobs(None, 10_000)}
        assert found == {
            job.id: (job.path, job.version, job.state, job.attempts, job.alone, job.place)
            for job in self.model.jobs.values()
        }
        states = [job.state for job in self.model.jobs.values()]
        assert self.ledger.counts() == {state: states.count(state) for state in JobState}

    @invariant()
    def no_healthy_job_is_forgotten(self) -> None:
        now = self.clock.time
        jobs = self.model.jobs.values()
        next_due = self.ledger.next_due()
        assert (next_due is not None and next_due <= now) == any(job.is_due(now) for job in jobs)
        pending = [job for job in jobs if job.state is PENDING]
        assert (next_due is None) == (not pending)


def _seen(job: Job) -> tuple[object, ...]:
    version, place = job.signature.mtime_ns, job.original.place
    return (job.source, version, job.state, job.attempts, job.alone, place)


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(
    max_examples=30,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
