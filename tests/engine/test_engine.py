"""The engine's parts: the channel, the loop, outcomes, and where originals belong."""

from __future__ import annotations

import io
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_model import MANIFEST, FakeSession
from fakes import QuietReporter
from harness import PHOTO

from edge_matting.config import HotFolder, parse_settings
from edge_matting.core.clock import SystemClock
from edge_matting.core.errors import DeviceLost, LedgerError, OutOfMemory, SessionError, Truncated
from edge_matting.core.jobs import Claim, Job, Original, Place, Signature, Source
from edge_matting.core.states import JobState
from edge_matting.engine.channel import Reporter, listen
from edge_matting.engine.jobs.hotfolder_source import HotFolderSource
from edge_matting.engine.jobs.originals import target_of
from edge_matting.engine.loop import Computed, WorkLoop
from edge_matting.engine.models.pool import KEPT, ModelPool
from edge_matting.engine.worker import EngineHooks, Supply, Worker
from edge_matting.hotfolder.layout import prepare
from edge_matting.ledger import Ledger
from edge_matting.pipeline import PixelBudget, Tools
from tools.waiting import wait_until

JOB = Job(
    id=1,
    folder="/hot",
    source="a.jpg",
    signature=Signature(1, 1, 1),
    recipe="cutout",
    state=JobState.SUCCEEDED,
    attempts=1,
    alone=False,
    stem="a",
    original=Original(Place.IN, "a.jpg"),
)


@pytest.fixture
def pipe():
    read_end, write_end = os.pipe()
    yield read_end, write_end
    os.close(read_end)
    os.close(write_end)


def test_the_channel_tells_the_age_of_the_slowest_worker(pipe):
    reporter = Reporter(pipe[1])
    reporter.alive()
    reporter.progress("decode")
    reporter.finished(reused=True)
    reporter.finished(reused=False)
    time.sleep(0.12)
    reporter.alive()
    reporter.rest()
    reporter.alive()
    said = [json.loads(line) for line in os.read(pipe[0], 65536).splitlines()]
    assert [message["oldest"] for message in said] == [0.0, pytest.approx(0.1, abs=0.1), 0.0]
    assert said[1]["oldest"] > 0
    assert (said[2]["reused"], said[2]["made"]) == (1, 1)


def test_a_daemon_that_does_not_listen_never_blocks_the_engine(pipe):
    reporter = Reporter(pipe[1])
    for _ in range(5000):
        reporter.send("problem", message="x" * 100)
    os.read(pipe[0], 65536)
    reporter.send("ready")


def test_a_dead_daemon_is_no_error():
    read_end, write_end = os.pipe()
    os.close(read_end)
    Reporter(write_end).send("ready")
    os.close(write_end)


def test_commands_are_called_until_the_daemon_is_gone():
    called: list[str] = []
    commands = {"wake": lambda: called.append("wake"), "stop": lambda: called.append("stop")}
    lines = io.StringIO("wake\nnonsense\nstop\n")
    listen(lines, commands, lambda: called.append("gone"))
    assert called == ["wake", "stop", "gone"]


class Work:
    """Jobs to claim, and what was done with them."""

    def __init__(self, jobs: int) -> None:
        self.left = jobs
        self.done = 0
        self.most = 0
        self.inside = 0
        self.lock = threading.Lock()
        self.refuse = False

    def claim(self, limit: int) -> list[Claim]:
        if self.refuse:
            self.refuse = False
            raise LedgerError("the disk is full")
        with self.lock:
            number = min(limit, self.left)
            self.left -= number
        return [Claim(JOB, "token")] * number

    def perform(self, _claim: Claim, _computed: Computed) -> None:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        time.sleep(0.002)
        with self.lock:
            self.inside -= 1
            self.done += 1


@contextmanager
def at_work(loop: WorkLoop) -> Iterator[None]:
    """The loop runs in a thread of its own, and ends with the body."""
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield
    finally:
        loop.stop()
        thread.join(10)
    assert not thread.is_alive()


def test_the_loop_keeps_to_its_slots_survives_the_ledger_and_finishes_what_it_began():
    work = Work(40)
    work.refuse = True
    loop = WorkLoop(claim=work.claim, perform=work.perform, tick=lambda: None, workers=3)
    with at_work(loop):
        wait_until(lambda: work.done == 40, 20, 0.01)
    assert work.done == 40
    assert work.most <= 3


def test_the_next_photo_is_computed_while_the_one_before_is_written_and_no_more_than_that():
    """One slot: of three photos two wait for the disk, the third is not begun meanwhile."""
    work, begun, written = Work(3), threading.Semaphore(0), threading.Event()

    def perform(claim: Claim, computed: Computed) -> None:
        begun.release()
        computed()
        computed()  # told twice, it frees nobody else's slot
        assert written.wait(10)
        work.perform(claim, computed)

    loop = WorkLoop(claim=work.claim, perform=perform, tick=lambda: None, workers=1)
    with at_work(loop):
        assert begun.acquire(timeout=10)
        assert begun.acquire(timeout=10)
        assert not begun.acquire(timeout=0.2)
        assert not loop.idle
        written.set()
        assert begun.acquire(timeout=10)
    assert (work.done, loop.idle) == (3, True)


def test_a_photo_that_computes_keeps_its_slot():
    work = Work(2)
    begun, made = threading.Semaphore(0), threading.Event()

    def perform(claim: Claim, computed: Computed) -> None:
        begun.release()
        assert made.wait(10)
        work.perform(claim, computed)

    loop = WorkLoop(claim=work.claim, perform=perform, tick=lambda: None, workers=1)
    with at_work(loop):
        assert begun.acquire(timeout=10)
        assert not begun.acquire(timeout=0.2)
        made.set()
        assert begun.acquire(timeout=10)
    assert work.done == 2


def test_a_paused_loop_claims_nothing_until_it_is_resumed():
    work = Work(3)
    loop = WorkLoop(claim=work.claim, perform=work.perform, tick=lambda: None, workers=2)
    loop.pause()
    with at_work(loop):
        loop.wake()
        time.sleep(0.1)
        assert work.left == 3
        loop.resume()
        wait_until(lambda: work.done == 3, 10, 0.01)
    assert work.done == 3


def test_a_worker_that_breaks_is_told_and_frees_its_slot(caplog):
    work = Work(2)

    def broken(claim: Claim, computed: Computed) -> None:
        work.perform(claim, computed)
        computed()
        raise RuntimeError("a mistake")

    loop = WorkLoop(claim=work.claim, perform=broken, tick=lambda: None, workers=1)
    with at_work(loop):
        wait_until(lambda: work.done == 2, 10, 0.01)
    assert work.done == 2
    assert "a worker thread failed" in caplog.text


def test_sessions_stay_loaded_and_the_least_recent_falls_out():
    loaded: list[str] = []

    def load(model_id: str):
        loaded.append(model_id)
        return model_id

    pool = ModelPool(load)
    for model_id in ("default", "a", "default", "b", "default"):
        assert pool.tools(model_id) == model_id
    assert loaded == ["default", "a", "b"]
    pool.tools("a")
    assert loaded == ["default", "a", "b", "a"]
    assert KEPT == 2


@pytest.mark.parametrize(
    ("originals", "state", "place", "target"),
    [
        ("archive", JobState.SUCCEEDED, Place.IN, Place.DONE),
        ("archive", JobState.REVIEW, Place.IN, Place.DONE),
        ("archive", JobState.FAILED, Place.IN, Place.FAILED),
        ("keep", JobState.SUCCEEDED, Place.IN, Place.IN),
        ("keep", JobState.SUCCEEDED, Place.FAILED, Place.DONE),
        ("keep", JobState.FAILED, Place.IN, Place.FAILED),
        ("delete", JobState.SUCCEEDED, Place.IN, Place.GONE),
        ("delete", JobState.REVIEW, Place.IN, Place.DONE),
        ("delete", JobState.SUCCEEDED, Place.DONE, Place.GONE),
    ],
)
def test_where_an_original_belongs(originals, state, place, target):
    job = replace(JOB, state=state, original=Original(place, "a.jpg"))
    assert target_of(job, HotFolder(path=Path("/hot"), originals=originals)) is target


class Box:
    """A worker on a real ledger and real folders; the model is never reached."""

    def __init__(self, root: Path, load) -> None:
        self.settings = parse_settings(
            {"state_dir": str(root / "state"), "hot_folders": [{"path": str(root / "hot")}]}, root
        )
        (root / "state").mkdir()
        self.folder = self.settings.hot_folders[0]
        prepare(self.folder)
        self.ledger = Ledger.open(self.settings.ledger_path, clock=SystemClock(), max_attempts=3)
        source = HotFolderSource(self.ledger, self.settings, SystemClock())
        self.stopping = False
        self.lost: list[DeviceLost] = []
        self.starved: list[str] = []
        hooks = EngineHooks(lambda: self.stopping, self.lost.append, self.starved.append)
        supply = Supply(source, source, ModelPool(load), "default")
        self.worker = Worker(supply, QuietReporter(), hooks)

    def perform(self, claim: Claim) -> None:
        self.worker.perform(claim, lambda: None)

    def drop(self, name: str) -> Claim:
        path = self.folder.inbox / name
        path.write_bytes(PHOTO.read_bytes())
        source = Source(str(self.folder.path), name, Signature.of(path.lstat()), "cutout")
        assert self.ledger.enqueue([source]).added == 1
        (claim,) = self.ledger.claim(1)
        return claim


@pytest.fixture
def box(tmp_path):
    made = []

    def make(load) -> Box:
        made.append(Box(tmp_path, load))
        return made[-1]

    yield make
    for each in made:
        each.ledger.close()


def raising(error: BaseException):
    def load(_model_id: str):
        raise error

    return load


@pytest.mark.parametrize(
    ("error", "code", "state"),
    [
        (Truncated("too short"), "truncated", JobState.PENDING),
        (MemoryError(), "out_of_memory", JobState.PENDING),
        (SessionError("no model"), "internal", JobState.PENDING),
        (RuntimeError("a mistake of ours"), "internal", JobState.PENDING),
    ],
)
def test_every_error_ends_as_the_jobs_outcome(box, error, code, state):
    made = box(raising(error))
    claim = made.drop("a.jpg")
    made.perform(claim)
    job = made.ledger.get(claim.job.id)
    assert (job.state, job.code, job.attempts) == (state, code, 1)
    assert (made.folder.inbox / "a.jpg").exists()


@pytest.mark.parametrize("error", [MemoryError(), OutOfMemory("the arena is full")])
def test_a_photo_without_memory_is_told_so_that_the_plan_can_follow(box, error):
    made = box(raising(error))
    made.perform(made.drop("a.jpg"))
    assert len(made.starved) == 1


def test_fewer_photos_at_once_are_taken_from_the_next_claim_on():
    asked: list[int] = []

    def claim(limit: int) -> list[Claim]:
        asked.append(limit)
        loop.use_workers(1)
        if len(asked) > 2:
            loop.stop()
        return []

    loop = WorkLoop(claim=claim, perform=lambda _claim, _computed: None, tick=loop_tick, workers=4)
    loop.wake()
    assert loop.woken
    loop.run()
    assert asked == [4, 1, 1]


def loop_tick() -> None: ...


def test_a_lost_device_is_told_and_costs_the_photo_nothing(box):
    error = DeviceLost("CUDA failure 700")
    made = box(raising(error))
    claim = made.drop("a.jpg")
    made.perform(claim)
    job = made.ledger.get(claim.job.id)
    assert (job.state, job.code, job.attempts) == (JobState.PENDING, "device_lost", 0)
    assert made.lost == [error]


def test_a_stale_worker_changes_nothing(box):
    """CASES 18, at the worker."""
    made = box(raising(Truncated("late")))
    claim = made.drop("a.jpg")
    made.ledger.recover_after_engine_death(guilty=False)
    (second,) = made.ledger.claim(1)
    made.perform(claim)
    job = made.ledger.get(claim.job.id)
    assert (job.state, job.attempts) == (JobState.RUNNING, 1)
    assert made.ledger.holds(second)


def test_a_folder_that_left_the_configuration_costs_no_attempt(box):
    tools = Tools(FakeSession(np.zeros((32, 32))), MANIFEST, PixelBudget(1), lambda _stage: None)
    made = box(lambda _model_id: tools)
    claim = made.drop("a.jpg")
    stranger = replace(claim, job=replace(claim.job, folder="/elsewhere"))
    made.perform(stranger)
    job = made.ledger.get(claim.job.id)
    assert (job.state, job.code, job.attempts) == (JobState.PENDING, "folder_unavailable", 0)


def test_an_outcome_that_cannot_be_recorded_is_left_to_recovery_when_stopping(box):
    made = box(raising(Truncated("short")))
    claim = made.drop("a.jpg")
    made.stopping = True
    made.ledger.close()
    made.perform(claim)
    assert (made.folder.inbox / "a.jpg").exists()
