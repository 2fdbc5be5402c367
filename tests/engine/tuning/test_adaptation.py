"""The plan at work, stepped down and up by readings and failures."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest
from vitals import READINGS

from edge_matting.core.device_values import DeviceProfile
from edge_matting.core.errors import OutOfMemory, SessionError
from edge_matting.core.plan import Fallbacks, Plan
from edge_matting.daemon.engine_process import EngineStatus, hear
from edge_matting.device import VitalsReader, probe_device
from edge_matting.engine.models.manager import ModelManager, session_of, with_session_of
from edge_matting.engine.models.pool import ModelPool
from edge_matting.engine.tuning.adaptation import Adapter
from edge_matting.engine.tuning.controller import PlanController
from edge_matting.pipeline import PixelBudget
from edge_matting.runtimes.verification import Proof
from tests.fixtures.devices import Device, gtx_1650, orin_nano, pc

PC = DeviceProfile("x86_64", None, "pc", "a cpu", 4, 4.0, 8 << 30, 4096, (), ())
FULL = Plan(
    backend="ort",
    provider="cpu",
    precision="fp32",
    resolution=(320, 320),
    batch=1,
    workers=4,
    pixels_in_flight=80_000_000,
    session_threads=1,
    memory_bytes=4 << 30,
    reasons=("as planned",),
    fallbacks=Fallbacks(("cpu",), ("fp32",), ((320, 320), (256, 256)), (1,)),
)
CALM = replace(
    READINGS, passive_headroom_celsius=40.0, slowdowns=(), memory_available_bytes=4 << 30
)
HOT = replace(CALM, passive_headroom_celsius=4.0)


class EventSender:
    def __init__(self) -> None:
        self.said: list[tuple[str, dict[str, Any]]] = []

    def send(self, event: str, **facts: Any) -> None:
        self.said.append((event, facts))

    def progress(self, stage: str) -> None: ...

    def progress_of(self, thread: int) -> None: ...


class Box:
    def __init__(self) -> None:
        self.vitals = CALM
        self.plans: list[Plan] = []
        self.powers: list[str] = []
        self.events = EventSender()
        self.now = 0.0
        self.adapter = Adapter(
            profile=PC,
            plan=FULL,
            read=lambda: self.vitals,
            work_by=self.plans.append,
            measure_anew=self.powers.append,
            events=self.events,
        )

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.adapter.step(self.now)
            self.now += 1.0


def test_heat_puts_a_lower_plan_to_work_and_quiet_the_full_one_again(caplog):
    caplog.set_level(logging.INFO)
    box = Box()
    box.run(10)
    assert box.plans == []
    box.vitals = HOT
    box.run(10)
    assert [plan.workers for plan in box.plans] == [2]
    box.vitals = CALM
    box.run(200)
    assert box.plans[-1] == FULL
    assert "adapted down: workers 4 -> 2: heat: 4.0 °C below" in caplog.text
    assert "adapted up after heat (at full speed again): at ease for" in caplog.text


def test_every_step_is_told_with_its_cause_and_counted():
    box = Box()
    box.vitals = HOT
    box.run(25)
    box.adapter.ran_out_of_memory("a photo of 48 megapixels")
    box.run(2)
    event, facts = box.events.said[-1]
    assert event == "adapted"
    assert facts["active"] == [
        "workers 4 -> 1: out of memory",
        "resolution 320 x 320 -> 256 x 256: heat",
    ]
    assert facts["counts"] == [["heat", "down", 2], ["out_of_memory", "down", 1]]
    events = EngineStatus()
    hear(events, {"event": event, **facts})
    assert events.lowered == tuple(facts["active"])
    assert events.adapted == {("heat", "down"): 2, ("out_of_memory", "down"): 1}


def test_photos_that_run_out_of_memory_at_once_are_one_step():
    box = Box()
    for _ in range(4):
        box.adapter.ran_out_of_memory("no room")
    box.run(5)
    assert [plan.workers for plan in box.plans] == [1]


def test_another_power_mode_asks_for_new_measurements(caplog):
    caplog.set_level(logging.INFO)
    box = Box()
    box.vitals = replace(CALM, power_mode="15W")
    box.run(5)
    box.vitals = replace(CALM, power_mode="MAXN_SUPER")
    box.run(30)
    assert box.powers == ["MAXN_SUPER"]
    assert "the power mode changed: MAXN_SUPER" in caplog.text


def test_a_new_plan_is_stepped_down_as_far_as_the_old_one_was():
    box = Box()
    box.vitals = HOT
    box.run(5)
    box.adapter.rebase(replace(FULL, resolution=(256, 256)))
    assert (box.plans[-1].workers, box.plans[-1].resolution) == (2, (256, 256))


def test_readings_that_fail_half_way_leave_the_plan_alone():
    box = Box()
    nothing = replace(
        READINGS, throttled=None, slowdowns=None, cpu_percent=None, memory_available_bytes=None
    )
    box.vitals = nothing
    box.run(100)
    assert box.plans == []


# -- the parts that follow a plan -----------------------------------------------------------


def test_a_gate_that_opens_wider_lets_waiting_photos_in():
    gate = PixelBudget(10)
    waited = []
    with gate.admit(10, lambda: None):

        def wider() -> None:
            waited.append(True)
            gate.resize(30)

        with gate.admit(10, wider):
            assert waited == [True]


def test_a_dropped_model_is_loaded_anew():
    loaded: list[str] = []
    pool = ModelPool(lambda model: loaded.append(model) or object())  # type: ignore[arg-type,func-returns-value]
    pool.tools("a")
    pool.drop("a")
    pool.drop("never loaded")
    pool.tools("a")
    assert loaded == ["a", "a"]


@dataclass(frozen=True)
class FakeOpened:
    """What an opener gives, as far as it is looked at."""

    plan: Plan
    session: Any = None
    manifest: Any = field(
        default_factory=lambda: SimpleNamespace(
            id="default", task="matting", input=SimpleNamespace(batch=None)
        )
    )
    proof: Proof = field(default_factory=lambda: Proof("cpu", "cpu", None, (), 0.1, None))

    def session_facts(self) -> dict[str, Any]:
        return {}


class Shop:
    """Models at work over an opener that can be told to fail."""

    def __init__(self) -> None:
        self.opened: list[Plan] = []
        self.fails: list[Exception] = []
        self.events = EventSender()
        self.models = ModelManager(
            self,  # type: ignore[arg-type]
            FULL,
            "default",
            self.events,
            plan_of=lambda _model: FULL,
            cache=None,
            device_lost=lambda _error: None,
        )
        self.models.start()

    def open(self, plan: Plan, _model: str, _gpu_lost: str | None = None) -> Any:
        self.opened.append(plan)
        if self.fails:
            raise self.fails.pop(0)
        return FakeOpened(plan)


def test_numbers_of_photos_change_without_a_new_session():
    shop = Shop()
    shop.models.work_by(replace(FULL, workers=1, pixels_in_flight=10))
    assert len(shop.opened) == 1
    event, facts = shop.events.said[-1]
    assert (event, facts["plan"]["workers"]) == ("ready", 1)


def test_another_size_gets_a_new_session():
    shop = Shop()
    lower = replace(FULL, resolution=(256, 256))
    shop.models.work_by(lower)
    assert shop.opened == [FULL, lower]
    assert shop.models.plan == lower


@pytest.mark.parametrize("error", [SessionError("no kernel"), OutOfMemory("none left")])
def test_a_session_that_cannot_be_made_leaves_the_former_one(caplog, error):
    shop = Shop()
    shop.fails = [error]
    shop.models.work_by(replace(FULL, resolution=(256, 256), workers=2))
    assert (shop.models.plan.resolution, shop.models.plan.workers) == ((320, 320), 2)
    assert "the previous plan stays in use" in caplog.text


def test_a_plan_keeps_the_session_of_another():
    other = replace(FULL, provider="cuda", session_threads=3)
    mixed = with_session_of(replace(FULL, workers=1), other)
    assert session_of(mixed) == session_of(other)
    assert mixed.workers == 1


# -- steering -------------------------------------------------------------------------------


class FakeModels:
    def __init__(self) -> None:
        self.plan = FULL
        self.worked: list[Plan] = []

    def want(self, provider: str) -> None:
        self.wanted = provider

    def work_by(self, plan: Plan) -> None:
        self.plan = plan
        self.worked.append(plan)


class FakePlanning:
    def __init__(self) -> None:
        self.measured = False

    def worth_measuring(self, _plan: Plan) -> bool:
        return True

    def measurements(self, _vitals: Any = None) -> Any:
        return None

    def measure(self, _plan: Plan, **_more: Any) -> Any:
        self.measured = True

        class Found:
            ended = "complete"
            timings = ()
            took_seconds = 1.0

        return Found()

    def plan(self, _vitals: Any = None) -> Plan:
        return replace(FULL, resolution=(256, 256), workers=3)


def steering(models: FakeModels, slots: list[int], planning: Any = None) -> PlanController:
    return PlanController(
        planning=planning or FakePlanning(),
        profile=PC,
        models=models,  # type: ignore[arg-type]
        read=lambda: CALM,
        use_workers=slots.append,
        photos_wait=lambda: False,
        events=EventSender(),
        now=0.0,
    )


def test_after_the_first_quiet_seconds_the_measured_plan_is_put_to_work():
    models, slots = FakeModels(), []
    wheel = steering(models, slots)
    for second in range(12):
        wheel.step(float(second), idle=True)
    assert models.plan.resolution == (256, 256)
    assert slots == [3]
    assert not wheel.wants_quiet


def test_a_photo_without_memory_reaches_the_plan_and_the_number_of_photos():
    models, slots = FakeModels(), []
    wheel = steering(models, slots)
    wheel.ran_out_of_memory("no room")
    wheel.step(0.0, idle=False)
    assert slots == [1]
    assert models.plan.workers == 1


def test_models_that_went_another_way_are_what_further_steps_start_from():
    models, slots = FakeModels(), []
    wheel = steering(models, slots)
    wheel.step(0.0, idle=False)
    models.plan = replace(FULL, precision="int8")  # a self-test failed, say
    wheel.step(1.0, idle=False)
    assert models.worked[-1].precision == "int8"
    before = len(models.worked)
    wheel.step(2.0, idle=False)
    assert len(models.worked) == before


# -- NVML missing, half-working, or lost in the middle ---------------------------------------


def over(device: Device) -> tuple[Adapter, list[Plan], VitalsReader]:
    """An adapter over real readings of a made-up device, planned for its GPU."""
    reader = VitalsReader(device.system())
    plans: list[Plan] = []
    plan = replace(
        FULL, provider="cuda", fallbacks=replace(FULL.fallbacks, providers=("cuda", "cpu"))
    )
    adapter = Adapter(
        profile=probe_device(device.system()),
        plan=plan,
        read=reader.read,
        work_by=plans.append,
        measure_anew=lambda _power: None,
        events=EventSender(),
    )
    return adapter, plans, reader


def run_for(adapter: Adapter, device: Device, seconds: float) -> None:
    clock = device.clock
    until = clock.seconds + seconds
    while clock.seconds < until:
        adapter.step(clock.seconds)
        clock.seconds += 2.0


def test_a_gpu_lost_in_the_middle_is_left_for_the_processor_and_taken_again_later(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    device = gtx_1650(tmp_path)
    adapter, plans, reader = over(device)
    run_for(adapter, device, 60)
    assert plans == []
    (card,) = device.nvml.cards
    card.error = pynvml.NVML_ERROR_GPU_IS_LOST
    run_for(adapter, device, 60)
    assert [plan.provider for plan in plans] == ["cpu"]
    assert "adapted down: provider cuda -> cpu: provider lost" in caplog.text
    assert "lost" in caplog.text.casefold()
    card.error = None
    run_for(adapter, device, 1200)
    assert plans[-1].provider == "cuda"
    reader.close()


@pytest.mark.parametrize("build", [orin_nano, pc], ids=["nvml_knows_only_names", "no_driver"])
def test_an_nvml_that_tells_nothing_leaves_the_plan_alone(tmp_path, build):
    device = build(tmp_path)
    adapter, plans, reader = over(device)
    run_for(adapter, device, 120)
    assert plans == []
    reader.close()
