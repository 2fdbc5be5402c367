"""Photos that wait for the model at the same time share an inference; a lone one never waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest

from edge_matting.cli.sample import sample_photo
from edge_matting.config import Settings
from edge_matting.core.errors import InferenceFailed, OutOfMemory
from edge_matting.engine.factory import load_tools, plan_for
from edge_matting.matting import to_tensor
from edge_matting.pipeline.batching import BatchedSession, batched, joined, on_its_way
from tools.waiting import wait_for

LONG = 30.0


class Model:
    """A session that doubles its input, remembers the sizes of its batches, and can be held."""

    def __init__(self, fault: Callable[[np.ndarray], None] = lambda _batch: None) -> None:
        self.sizes: list[int] = []
        self.free = threading.Event()
        self.free.set()
        self.fault = fault

    def run(self, batch: np.ndarray) -> np.ndarray:
        assert self.free.wait(LONG)
        self.sizes.append(len(batch))
        self.fault(batch)
        return batch * 2

    def warm(self) -> None: ...

    def describe(self): ...

    def close(self) -> None: ...


def picture(value: float) -> np.ndarray:
    return np.full((1, 3, 4, 4), value, np.float32)


@contextmanager
def behind_a_busy_model(session: BatchedSession, model: Model, count: int) -> Iterator[list]:
    """``count`` pictures that came while another one was computed; their futures."""
    model.free.clear()
    with ThreadPoolExecutor(count + 1) as pool:
        first = pool.submit(session.run, picture(100))
        wait_for(lambda: session._computing, "a first inference", LONG, 0.001)
        waiting = [pool.submit(_run, session, n) for n in range(count)]
        wait_for(lambda: len(session._waiting) == count, "all who wait", LONG, 0.001)
        model.free.set()
        assert first.result(LONG)[0, 0, 0, 0] == 200
        yield waiting


def _run(session: BatchedSession, value: float) -> tuple[float, int]:
    output = session.run(picture(value))
    return float(output[0, 0, 0, 0]), joined(session)


def test_what_came_meanwhile_runs_together_and_each_gets_its_own_answer() -> None:
    model = Model()
    session = BatchedSession(model, 4)
    with behind_a_busy_model(session, model, 6) as waiting:
        answers = [each.result(LONG) for each in waiting]
    assert [value for value, _ in answers] == [0, 2, 4, 6, 8, 10]
    assert sorted(size for _, size in answers) == [2, 2, 4, 4, 4, 4]
    assert sorted(model.sizes) == [1, 2, 4]


def test_a_lone_photo_does_not_wait_for_a_batch_to_fill() -> None:
    session = BatchedSession(Model(), 8, window=LONG)
    begin = time.monotonic()
    with session.coming():
        session.run(picture(1))
    assert time.monotonic() - begin < LONG / 10
    assert joined(session) == 1


def test_a_photo_on_its_way_is_waited_for_within_the_window() -> None:
    model = Model()
    session = BatchedSession(model, 8, window=LONG)
    announced = threading.Event()

    def second() -> None:
        with on_its_way(session):
            announced.set()
            wait_for(lambda: len(session._waiting) == 1, "one who waits", LONG, 0.001)
            session.run(picture(2))

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(second)
        assert announced.wait(LONG)
        session.run(picture(1))
        other.result(LONG)
    assert model.sizes == [2]


def test_a_photo_that_never_comes_costs_the_window_and_no_more() -> None:
    session = BatchedSession(Model(), 8, window=0.05)
    release = threading.Event()

    def decoding() -> None:
        with on_its_way(session):
            release.wait(LONG)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(decoding)
        wait_for(lambda: bool(session._coming), "one on its way", LONG, 0.001)
        session.run(picture(1))  # would hang for LONG if it waited for the other
        release.set()


def test_a_batch_that_fails_is_tried_one_by_one_so_that_neighbours_are_done() -> None:
    def fault(batch: np.ndarray) -> None:
        if (batch == 2).any():
            raise InferenceFailed("not a number")

    model = Model(fault)
    session = BatchedSession(model, 4)
    with behind_a_busy_model(session, model, 4) as waiting:
        for number, each in enumerate(waiting):
            if number == 2:
                with pytest.raises(InferenceFailed):
                    each.result(LONG)
            else:
                assert each.result(LONG) == (2 * number, 1)


def test_a_full_card_is_told_to_every_photo_of_the_batch() -> None:
    def fault(batch: np.ndarray) -> None:
        if len(batch) > 1:
            raise OutOfMemory("the card is full")

    model = Model(fault)
    session = BatchedSession(model, 4)
    with behind_a_busy_model(session, model, 3) as waiting:
        for each in waiting:
            with pytest.raises(OutOfMemory):
                each.result(LONG)
    assert _run(session, 5) == (10, 1)  # and the next one is served


def test_a_model_that_answers_with_another_number_of_mattes_is_a_fault() -> None:
    class Merging(Model):
        def run(self, batch: np.ndarray) -> np.ndarray:
            return super().run(batch)[:1]

    model = Merging()
    session = BatchedSession(model, 4)
    with behind_a_busy_model(session, model, 3) as waiting:
        assert [each.result(LONG) for each in waiting] == [(0, 1), (2, 1), (4, 1)]


def test_a_graph_of_fixed_batch_and_a_plan_of_one_are_left_alone() -> None:
    model = Model()
    free, fixed = (
        SimpleNamespace(task="matting", input=SimpleNamespace(batch=batch)) for batch in (None, 1)
    )
    assert batched(model, free, 1) is model
    assert batched(model, fixed, 4) is model
    assert isinstance(batched(model, free, 4), BatchedSession)


def test_the_default_model_gives_in_a_batch_what_it_gives_alone() -> None:
    settings = Settings.model_validate({"device": {"batch": 3}})
    plan = plan_for(settings)
    assert (plan.batch, plan.fallbacks.batches) == (3, (3, 1))
    model, manifest = load_tools(settings, plan, settings.model)
    photo = sample_photo()
    views = (photo, photo[:, ::-1], photo[::-1])
    tensors = [to_tensor(view.copy(), manifest.input, plan.resolution)[0] for view in views]
    alone = [model.run(tensor) for tensor in tensors]
    together = model.run(np.concatenate(tensors))
    for number, output in enumerate(alone):
        assert np.abs(together[number : number + 1] - output).max() < 1e-4
