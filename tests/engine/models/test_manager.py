"""Models at work: announced, exchanged beside the work, tested again; and patience with them."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_matting.config import parse_settings
from edge_matting.core.device_values import DeviceProfile, Gpu
from edge_matting.core.engine_identity import EngineIdentity
from edge_matting.core.errors import DeviceLost, ModelError, SelfTestFailed
from edge_matting.core.locks import SharedLock
from edge_matting.core.plan import Fallbacks, Plan
from edge_matting.core.reasons import Reason
from edge_matting.engine.channel import Reporter
from edge_matting.engine.factory import open_catalog, plan_for
from edge_matting.engine.keepalive import preparing
from edge_matting.engine.models.loader import LoadedModel
from edge_matting.engine.models.manager import ModelManager
from edge_matting.engine.models.pool import ModelPool
from edge_matting.engine.models.self_test_schedule import (
    AGAIN_SECONDS,
    PERIOD_SECONDS,
    SelfTestSchedule,
)
from edge_matting.pipeline.self_test import SelfTest
from edge_matting.runtimes import SessionInfo
from edge_matting.runtimes.verification import Proof
from tools.waiting import wait_for

PROFILE = DeviceProfile("x86_64", None, "pc", "CPU", 8, 8.0, 8 << 30, 4096, (), ())
SETTINGS = parse_settings({"state_dir": "/nonexistent"}, Path("/"))
MANIFEST = open_catalog(SETTINGS).get("default")
PLAN = plan_for(SETTINGS, PROFILE)

OTHERS = {
    "wide": replace(PLAN, resolution=(512, 512), precision="fp32"),
    "half": replace(
        PLAN,
        provider="cuda",
        precision="fp16",
        resolution=(512, 512),
        fallbacks=Fallbacks(("cuda", "cpu"), ("fp32", "fp16"), ((512, 512),), (1,)),
    ),
}


class EventSender:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.waited: list[int] = []

    def send(self, event: str, **facts: Any) -> None:
        self.said.append((event, facts))

    def progress(self, stage: str) -> None:
        """Not asked here."""

    def progress_of(self, thread: int) -> None:
        self.waited.append(thread)

    def ready(self) -> list[dict[str, Any]]:
        return [facts["session"] for event, facts in self.said if event == "ready"]


class Session:
    def __init__(self, provider: str) -> None:
        self.provider = provider
        self.closed = False

    def describe(self) -> SessionInfo:
        return SessionInfo("ort", self.provider, self.provider, "fp32", (320, 320), None)

    def close(self) -> None:
        self.closed = True


class FakeOpener:
    """Opens at once, or after ``gate``; ``answers`` holds what a provider gives instead."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.gate = threading.Event()
        self.gate.set()
        self.sessions: list[Session] = []
        self.asked: list[tuple[str, str | None]] = []
        self.plans: list[Plan] = []
        self.wrong: SelfTestFailed | None = None

    def open(self, plan: Any, model_id: str, gpu_lost: str | None = None) -> LoadedModel:
        self.asked.append((plan.provider, gpu_lost))
        self.plans.append(plan)
        if plan.provider == "tensorrt":
            assert self.gate.wait(10)
        answer = self.answers.get(plan.provider, plan.provider)
        if isinstance(answer, Exception):
            raise answer
        session = Session(answer)
        self.sessions.append(session)
        reason = None if answer == plan.provider else "it does not work"
        proof = Proof(plan.provider, answer, reason, ((answer, 9),), 0.01, 0.1)
        return LoadedModel(session, MANIFEST, replace(plan, provider=answer), proof, SelfTest(0, 1))

    def test(self, _opened: LoadedModel) -> None:
        if self.wrong is not None:
            raise self.wrong


def at_work(
    opener: FakeOpener, provider: str, **changes: Any
) -> tuple[ModelManager, EventSender, list]:
    events, lost = EventSender(), []
    plan = replace(PLAN, provider=provider)
    models = ModelManager(
        opener,
        plan,
        "default",
        events,
        plan_of=lambda model: OTHERS[model],
        cache=None,
        device_lost=lost.append,
        **changes,
    )
    return models, events, lost


def wait_built(models: ModelManager) -> None:
    wait_for(lambda: not models.is_building, "end of the building", 10, 0.01)


def test_the_processor_is_announced_at_once() -> None:
    models, events, _ = at_work(FakeOpener(), "cpu")
    models.start()
    (session,) = events.ready()
    assert session["actual_provider"] == "cpu"
    assert not models.is_building


def test_another_model_is_run_in_its_own_size_where_the_default_one_runs() -> None:
    opener = FakeOpener()
    models, _, _ = at_work(opener, "cpu")
    models.start()
    models.pool.tools("wide")
    assert opener.plans[-1].resolution == (512, 512)
    models.pool.tools("half")  # planned for the GPU, but the GPU was given up
    last = opener.plans[-1]
    assert (last.provider, last.precision, last.resolution) == ("cpu", "fp32", (512, 512))
    assert models.plan.resolution == PLAN.resolution


def test_cuda_serves_while_tensorrt_is_built_and_then_gives_way() -> None:
    opener = FakeOpener()
    opener.gate.clear()
    models, events, _ = at_work(opener, "tensorrt")
    models.start()
    assert [facts["actual_provider"] for facts in events.ready()] == ["cuda"]
    assert models.is_building
    assert models.pool.tools("default").session.describe().actual_provider == "cuda"
    opener.gate.set()
    wait_built(models)
    assert [facts["actual_provider"] for facts in events.ready()] == ["cuda", "tensorrt"]
    assert models.pool.tools("default").session.describe().actual_provider == "tensorrt"
    assert models.plan.provider == "tensorrt"
    assert not opener.sessions[0].closed  # photos may still be in it


@pytest.mark.parametrize("answer", ["cuda", SelfTestFailed("wrong")])
def test_cuda_stays_where_tensorrt_cannot_be_had_and_that_is_told(answer) -> None:
    opener = FakeOpener(tensorrt=answer)
    models, events, lost = at_work(opener, "tensorrt")
    models.start()
    wait_built(models)
    last = events.ready()[-1]
    assert (last["requested_provider"], last["actual_provider"]) == ("tensorrt", "cuda")
    assert last["reason"]
    assert models.plan.provider == "cuda"
    assert lost == []
    assert [session.closed for session in opener.sessions[1:]] in ([], [True])


def test_a_device_lost_by_the_build_ends_the_process() -> None:
    models, _, lost = at_work(FakeOpener(tensorrt=DeviceLost("700")), "tensorrt")
    models.start()
    wait_built(models)
    assert [str(error) for error in lost] == [str(DeviceLost("700"))]


def test_nothing_is_built_where_even_cuda_is_missing() -> None:
    opener = FakeOpener(cuda="cpu")
    models, events, _ = at_work(opener, "tensorrt")
    models.start()
    (facts,) = events.ready()
    assert (facts["requested_provider"], facts["actual_provider"]) == ("tensorrt", "cpu")
    assert not models.is_building


def test_who_wants_the_accelerator_or_nothing_waits_for_the_build() -> None:
    opener = FakeOpener()
    models, events, _ = at_work(opener, "tensorrt", serves_meanwhile=False)
    models.start()
    assert [facts["actual_provider"] for facts in events.ready()] == ["tensorrt"]


def test_the_reason_why_the_gpu_is_not_to_be_used_goes_to_the_opener() -> None:
    opener = FakeOpener()
    models, _, _ = at_work(opener, "cuda", gpu_lost="lost thrice")
    models.start()
    assert opener.asked == [("cuda", "lost thrice")]


def test_a_reopened_model_takes_the_place_of_the_one_before() -> None:
    opener = FakeOpener()
    models, events, _ = at_work(opener, "cpu")
    models.start()
    before = models.pool.tools("default")
    models.test()
    opener.wrong = SelfTestFailed("off by 0.2")
    with pytest.raises(SelfTestFailed):
        models.test()
    models.reopen()
    assert models.pool.tools("default") is not before
    assert len(events.ready()) == 2


class Model:
    """A model whose tests and re-openings a test decides."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.repair: Exception | None = None
        self.tested = self.reopened = 0
        self.told: list[str | None] = []
        self.check_up = SelfTestSchedule(
            now=0.0, test=self.test, reopen=self.reopen, report=self.told.append
        )

    def test(self) -> None:
        self.tested += 1
        if self.fault is not None:
            raise self.fault

    def reopen(self) -> None:
        self.reopened += 1
        if self.repair is not None:
            raise self.repair


def test_the_check_up_comes_once_an_hour_and_only_when_idle() -> None:
    model = Model()
    model.check_up.step(PERIOD_SECONDS - 1, idle=True)
    model.check_up.step(PERIOD_SECONDS, idle=False)
    assert model.tested == 0
    model.check_up.step(PERIOD_SECONDS + 1, idle=True)
    model.check_up.step(PERIOD_SECONDS + 2, idle=True)
    assert (model.tested, model.reopened, model.told) == (1, 0, [])


def test_a_model_that_fails_is_opened_anew_without_a_word_when_that_helps() -> None:
    model = Model()
    model.fault = SelfTestFailed("off by 0.2")
    model.check_up.step(PERIOD_SECONDS, idle=True)
    assert (model.reopened, model.told, model.check_up.problem) == (1, [], None)


def test_what_cannot_be_repaired_is_told_tried_again_each_minute_and_told_when_it_is_over() -> None:
    model = Model()
    model.fault = SelfTestFailed("off by 0.2")
    model.repair = ModelError("the model is gone")
    now = PERIOD_SECONDS
    model.check_up.step(now, idle=True)
    assert model.told == ["the model cannot be used: the model is gone"]
    model.check_up.step(now + AGAIN_SECONDS - 1, idle=True)
    assert model.tested == 1
    model.check_up.step(now + AGAIN_SECONDS, idle=False)  # nothing is claimed while it holds
    assert (model.tested, len(model.told)) == (2, 1)
    model.fault = None
    model.check_up.step(now + 2 * AGAIN_SECONDS, idle=True)
    assert model.told[-1] is None
    assert model.check_up.problem is None


def test_a_lost_device_is_no_failed_test() -> None:
    model = Model()
    model.fault = DeviceLost("700")
    with pytest.raises(DeviceLost):
        model.check_up.step(PERIOD_SECONDS, idle=True)


def test_the_least_recent_model_is_let_go_under_pressure_but_never_the_last() -> None:
    pool = ModelPool(lambda model_id: model_id)
    pool.tools("default")
    assert not pool.unload_one()
    pool.tools("other")
    pool.tools("default")
    assert pool.unload_one()
    assert not pool.unload_one()
    pool.put("default", "exchanged")
    assert pool.tools("default") == "exchanged"


def test_two_workers_load_a_model_once_and_others_go_on_meanwhile() -> None:
    loading, go_on = threading.Event(), threading.Event()
    loaded: list[str] = []

    def load(model_id: str) -> str:
        if model_id == "slow":
            loading.set()
            assert go_on.wait(10)
        loaded.append(model_id)
        return model_id

    pool = ModelPool(load)
    waiting = [threading.Thread(target=pool.tools, args=("slow",)) for _ in range(2)]
    for thread in waiting:
        thread.start()
    assert loading.wait(10)
    assert pool.tools("quick") == "quick"
    go_on.set()
    for thread in waiting:
        thread.join(10)
    assert loaded == ["quick", "slow"]


def test_long_work_is_told_until_its_limit_and_short_work_is_not() -> None:
    events = EventSender()
    progress: list[int] = []
    with preparing(events, "a thing", lambda: progress.append(1), say_every=0.01, quick=0.5):
        wait_for(lambda: any(facts["what"] for _, facts in events.said), "a report")
    told = [facts for _, facts in events.said]
    assert told[0] == {"what": None}  # not worth reporting yet, and yet a sign of life
    assert any(facts["what"] == "a thing" and "s" in facts["detail"] for facts in told)
    assert told[-1] == {"what": None}
    assert progress
    events.said.clear()
    with preparing(events, "a hang", say_every=0.01, quick=0.0, longest=0.05):
        time.sleep(0.3)
    assert len(events.said) < 12


def test_a_waiting_worker_makes_progress_and_an_idle_thread_does_not(tmp_path) -> None:
    import json
    import os

    read_end, write_end = os.pipe()
    reporter = Reporter(write_end)
    thread = threading.get_ident()
    reporter.progress_of(thread)
    reporter.alive()
    reporter.progress("infer")
    time.sleep(0.12)
    reporter.progress_of(thread)
    reporter.alive()
    said = [json.loads(line)["oldest"] for line in os.read(read_end, 65536).splitlines()]
    assert said[0] == 0.0
    assert said[1] < 0.1
    os.close(read_end)
    os.close(write_end)


CARDS = tuple(
    Gpu("Fake GPU", 24 << 30, (8, 9), integrated=False, uuid=f"GPU-{number}") for number in (0, 1)
)


def test_an_engine_keeps_to_its_seat() -> None:
    profile = replace(PROFILE, gpus=CARDS)
    identity = EngineIdentity(1, 2, "GPU-1")
    share = identity.share_of(profile)
    assert [gpu.uuid for gpu in share.gpus] == ["GPU-1"]
    assert (share.usable_cpus, share.memory_bytes) == (4.0, 4 << 30)
    assert EngineIdentity().share_of(profile) == profile
    assert (EngineIdentity().lock_name, identity.lock_name, identity.owner) == (
        "engine.lock",
        "engine-1.lock",
        "1",
    )
    assert EngineIdentity.from_argument(identity.as_argument()) == identity


def test_a_shared_lock_keeps_out_threads_and_processes(tmp_path) -> None:
    import fcntl

    path = tmp_path / "originals.lock"
    lock = SharedLock(path)
    order: list[str] = []

    def second() -> None:
        with lock:
            order.append("second")

    with lock:
        thread = threading.Thread(target=second)
        thread.start()
        with path.open("w") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)  # as another process would
        time.sleep(0.05)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    missing = SharedLock(tmp_path / "no" / "lock")
    for _ in range(2):  # a failure leaves nothing held
        with pytest.raises(FileNotFoundError), missing:
            raise AssertionError("never reached")


def test_a_plan_lowered_to_another_provider_still_says_what_is_missing() -> None:
    models, events, _ = at_work(FakeOpener(), "cuda")
    models.start()
    step, later = (
        Reason(
            "lowered", what=Reason(f"knob_{what}"), before=before, after=after, cause=Reason(cause)
        )
        for what, before, after, cause in (
            ("provider", "cuda", "cpu", "cause_out_of_memory"),
            ("workers", "8", "4", "cause_heat"),
        )
    )
    assert step == "provider cuda -> cpu: out of memory"
    lower = replace(models.plan, provider="cpu", reasons=(Reason("no_gpu"), step, later))
    models.work_by(lower)
    facts = events.ready()[-1]
    assert (facts["requested_provider"], facts["actual_provider"]) == ("cuda", "cpu")
    assert facts["reason"] == step
    models.work_by(replace(lower, resolution=(224, 224)))
    assert events.ready()[-1]["requested_provider"] == "cuda"
    models.want("cpu")  # measured: the processor is the better choice here
    models.announce()
    assert events.ready()[-1]["requested_provider"] == "cpu"
    assert events.ready()[-1]["reason"] is None


def test_want_before_the_start_is_remembered() -> None:
    models, events, _ = at_work(FakeOpener(), "cpu")
    models.want("cpu")
    models.start()
    assert events.ready()[-1]["reason"] is None
