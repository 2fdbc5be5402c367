"""A decoder that does not end costs its own photo, and nobody else's."""

from __future__ import annotations

import threading
import time
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from edge_matting.core.errors import TooSlow
from edge_matting.core.jobs import Failed
from edge_matting.core.states import JobState
from edge_matting.engine import worker as worker_module
from edge_matting.engine.decode_watch import DecodeWatch
from edge_matting.engine.worker import EngineHooks, Supply, Worker
from edge_matting.pipeline import PixelBudget
from tools.waiting import wait_until


class Source:
    """`JobSource` and `PhotoStore` as far as they are asked here."""

    def __init__(self) -> None:
        self.outcomes: dict[int, Any] = {}
        self.released: list[int] = []
        self.put_away_jobs: list[int] = []

    def open(self, claim: Any) -> Any:
        return SimpleNamespace(
            task=SimpleNamespace(name=claim.job.source, recipe=None), results=None
        )

    def finish(self, claim: Any, outcome: Any) -> Any:
        self.outcomes[claim.job.id] = outcome
        return SimpleNamespace(
            **vars(claim.job), state=JobState.FAILED, folder="in", code="too_slow"
        )

    def release(self, claim: Any) -> bool:
        self.released.append(claim.job.id)
        return True

    def put_away(self, job: Any) -> None:
        self.put_away_jobs.append(job.id)


def busy(stop: threading.Event) -> None:
    while not stop.is_set():
        sum(range(1000))


def test_processor_seconds_count_and_waiting_does_not() -> None:
    found: list[int] = []
    watch = DecodeWatch(lambda thread, _seconds: found.append(thread), least=0.05, every=0.02)
    stop = threading.Event()

    def work(body: Any) -> None:
        with watch.decoding(0):
            body()

    idle = threading.Thread(target=work, args=(stop.wait,))
    working = threading.Thread(target=work, args=(partial(busy, stop),))
    for thread in (idle, working):
        thread.start()
    wait_until(lambda: bool(found), 20)
    stop.set()
    for thread in (idle, working):
        thread.join()
    assert set(found) == {working.ident}


def test_the_budget_grows_with_the_picture() -> None:
    found: list[int] = []
    watch = DecodeWatch(
        lambda thread, _seconds: found.append(thread), least=0.02, per_megapixel=100.0, every=0.02
    )
    with watch.decoding(1_000_000):
        end = time.thread_time() + 0.2
        while time.thread_time() < end:
            sum(range(1000))
    assert not found


def test_a_photo_that_is_too_slow_is_given_up_and_the_others_go_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop = threading.Event()
    impatient = partial(DecodeWatch, least=0.05, per_megapixel=0.0, every=0.02)
    monkeypatch.setattr(worker_module, "DecodeWatch", impatient)

    def deliver(task: Any, tools: Any, _results: Any, _computed: Any) -> None:
        if task.name == slow.job.source:
            with tools.decoding(10):
                busy(stop)
        stop.wait()
        raise worker_module.ClaimLost

    monkeypatch.setattr(worker_module, "deliver", deliver)
    monkeypatch.setattr(worker_module, "for_recipe", lambda _recipe, tools, _other: tools)
    source: Any = Source()
    slow, other = (
        SimpleNamespace(
            job=SimpleNamespace(
                id=n, source=f"{n}.jpg", model=None, signature=SimpleNamespace(size=1)
            )
        )
        for n in (1, 2)
    )
    reporter: Any = SimpleNamespace(
        progress=lambda _stage: None, rest=lambda: None, obstacle=lambda _place, _what: None
    )
    pool: Any = SimpleNamespace(tools=lambda _model: TOOLS)
    abandoned = threading.Event()
    hooks = EngineHooks(
        stopping=lambda: False,
        device_lost=lambda _error: None,
        out_of_memory=lambda _what: None,
        abandon=lambda: (abandoned.set(), stop.set()),
    )
    worker = Worker(Supply(source, source, pool, "default"), reporter, hooks)
    threads = [
        threading.Thread(target=worker.perform, args=(claim, lambda: None))
        for claim in (other, slow)
    ]
    for thread in threads:
        thread.start()
    assert abandoned.wait(20)
    for thread in threads:
        thread.join()
    outcome = source.outcomes[slow.job.id]
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, TooSlow)
    assert list(source.outcomes) == [slow.job.id]
    assert source.put_away_jobs == [slow.job.id]
    assert source.released == [other.job.id]


NOTHING: Any = SimpleNamespace()
TOOLS = worker_module.Tools(NOTHING, NOTHING, PixelBudget(10**9), lambda _stage: None)
