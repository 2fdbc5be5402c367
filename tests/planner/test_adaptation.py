"""Stepping down for heat, power and memory, and coming back."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from vitals import READINGS

from edge_matting.core.device_values import DeviceProfile, Vitals
from edge_matting.core.plan import Fallbacks, Plan
from edge_matting.planner.adaptation import (
    SAME_CAUSE_SECONDS,
    UP_SECONDS,
    Adaptation,
    deepest,
    happened,
    observe,
    power_seen,
)
from edge_matting.planner.ladder import Cause, derated
from edge_matting.planner.signals import Level, signals

GOLDEN = Path(__file__).parent / "golden" / "adaptation_hour.txt"
NANO = DeviceProfile("aarch64", None, "jetson", "a cpu", 6, 6.0, 7 << 30, 4096, (), ())
FULL = Plan(
    backend="ort",
    provider="cuda",
    precision="fp16",
    resolution=(320, 320),
    batch=1,
    workers=6,
    pixels_in_flight=72_000_000,
    session_threads=1,
    memory_bytes=3 << 30,
    reasons=("as planned",),
    fallbacks=Fallbacks(("cuda", "cpu"), ("fp32", "fp16"), ((320, 320), (256, 256)), (1,)),
)
CALM = replace(
    READINGS, passive_headroom_celsius=40.0, slowdowns=(), memory_available_bytes=4 << 30
)


class Machine:
    """The state machine over time, as the engine drives it, with a diary."""

    def __init__(self, plan: Plan = FULL) -> None:
        self.plan = plan
        self.state = Adaptation()
        self.limits = deepest(plan)
        self.now = 0.0
        self.changes: list[tuple[float, Cause, str]] = []
        self.diary: list[str] = []

    @property
    def current(self) -> Plan:
        return derated(self.plan, self.state.depths)[0]

    def read(self, vitals: Vitals, seconds: float = 2.0) -> None:
        seen = signals(vitals, NANO, self.plan.provider)
        self._apply(*observe(self.state, seen, self.now, self.limits))
        self.now += seconds

    def out_of_memory(self) -> None:
        why, limit = "a photo of 48 megapixels", self.limits[Cause.OUT_OF_MEMORY]
        self._apply(*happened(self.state, Cause.OUT_OF_MEMORY, why, self.now, limit))

    def _apply(self, state: Adaptation, changes: Any) -> None:
        self.state = state
        for change in changes:
            self.changes.append((self.now, change.cause, change.direction))
            minutes, seconds = divmod(self.now, 60)
            plan = self.current
            width, height = plan.resolution
            self.diary.append(
                f"{minutes:02.0f}:{seconds:02.0f}  {change.cause.value:15} {change.direction:4}  "
                f"{plan.workers} photos in flight, {plan.precision}, {width} x {height}, "
                f"{plan.provider}  ({change.why})"
            )


def hot(headroom: float) -> Vitals:
    return replace(CALM, passive_headroom_celsius=headroom)


def test_heat_steps_down_at_once_and_again_only_after_it_could_have_helped():
    box = Machine()
    box.read(hot(9.9))
    assert box.current.workers == 3
    while box.now < SAME_CAUSE_SECONDS:
        box.read(hot(8.0))
    assert box.current.workers == 3
    box.read(hot(8.0))
    assert box.current.workers == 1


def test_a_reading_between_the_two_points_changes_nothing():
    box = Machine()
    for _ in range(200):
        box.read(hot(12.0))
    assert box.changes == []
    box.read(hot(10.0))
    for _ in range(200):
        box.read(hot(14.9))
    assert [direction for _, _, direction in box.changes] == ["down"]


def test_it_comes_back_one_step_a_minute_over_all_causes():
    box = Machine()
    starved = replace(CALM, memory_available_bytes=200 << 20, passive_headroom_celsius=5.0)
    for _ in range(15):
        box.read(starved)
    assert box.current.workers == 1
    while box.current != FULL:
        box.read(CALM)
        assert box.now < 3600
    ups = [at for at, _, direction in box.changes if direction == "up"]
    assert len(ups) >= 2
    assert all(later - earlier >= UP_SECONDS for earlier, later in pairwise(ups))


def test_nothing_comes_back_while_another_cause_is_acute():
    box = Machine()
    box.out_of_memory()
    for _ in range(300):
        box.read(hot(5.0))
    assert box.state.depths[Cause.OUT_OF_MEMORY] == 1


def test_what_fails_again_soon_after_it_came_back_waits_twice_as_long():
    box = Machine()
    waits = []
    for _ in range(4):
        box.out_of_memory()
        begin = box.now
        while box.state.depths:
            box.read(CALM)
        waits.append(box.now - begin)
    assert [round(later / earlier) for earlier, later in pairwise(waits)] == [
        2,
        2,
        2,
    ]


def test_several_photos_that_run_out_of_memory_together_are_one_event():
    box = Machine()
    for _ in range(5):
        box.out_of_memory()
    assert box.state.depths == {Cause.OUT_OF_MEMORY: 1}


def test_a_step_that_the_ladder_does_not_have_is_not_taken():
    fixed = replace(FULL, workers=1, fallbacks=Fallbacks(("cuda",), ("fp16",), ((320, 320),), (1,)))
    box = Machine(fixed)
    box.out_of_memory()
    box.read(hot(1.0))
    assert box.state.depths == {}
    assert box.changes == []


def test_a_lost_gpu_leaves_the_processor_until_it_has_answered_for_ten_minutes():
    box = Machine()
    box.read(replace(CALM, gpu_problem="GPU is lost: restart the machine"))
    assert box.current.provider == "cpu"
    while box.now < 590:
        box.read(CALM)
    assert box.current.provider == "cpu"
    while box.now < 620:
        box.read(CALM)
    assert box.current.provider == "cuda"


@pytest.mark.parametrize(
    ("changes", "cause", "level"),
    [
        ({"slowdowns": ("thermal",)}, Cause.HEAT, Level.TOO_MUCH),
        ({"slowdowns": ("soft_temperature",)}, Cause.HEAT, Level.TOO_MUCH),
        ({"slowdowns": ("power_brake",)}, Cause.POWER, Level.TOO_MUCH),
        ({"slowdowns": ("power_cap",)}, Cause.POWER, Level.AT_EASE),
        ({"slowdowns": ("under_voltage",)}, Cause.POWER, Level.AT_EASE),
        ({"slowdowns": None}, Cause.POWER, None),
        ({"slowdowns": None, "passive_headroom_celsius": None}, Cause.HEAT, None),
        ({"passive_headroom_celsius": None}, Cause.HEAT, Level.AT_EASE),
        # A card under load, a few degrees below its slowdown, as its maker wants it.
        (
            {"passive_headroom_celsius": None, "heat_headroom_celsius": 4.0},
            Cause.HEAT,
            Level.AT_EASE,
        ),
        ({"memory_available_bytes": 100 << 20}, Cause.MEMORY_PRESSURE, Level.TOO_MUCH),
        ({"memory_available_bytes": 600 << 20}, Cause.MEMORY_PRESSURE, Level.BETWEEN),
        ({"memory_full_stall_percent": 10.0}, Cause.MEMORY_PRESSURE, Level.TOO_MUCH),
        ({"memory_full_stall_percent": 5.0}, Cause.MEMORY_PRESSURE, Level.BETWEEN),
        (
            {"memory_available_bytes": None, "memory_full_stall_percent": 0.0},
            Cause.MEMORY_PRESSURE,
            Level.AT_EASE,
        ),
        ({"memory_available_bytes": None}, Cause.MEMORY_PRESSURE, None),
        ({}, Cause.PROVIDER_LOST, Level.AT_EASE),
    ],
)
def test_what_readings_say(changes, cause, level):
    signal = signals(replace(CALM, **changes), NANO, "cuda").get(cause)
    assert (None if signal is None else signal.level) is level


def test_a_processor_alone_has_no_accelerator_to_lose():
    assert Cause.PROVIDER_LOST not in signals(CALM, NANO, "cpu")


def test_a_power_mode_that_holds_asks_for_new_measurements_once():
    state, anew = power_seen(Adaptation(), "15W", 0.0)
    assert not anew
    looks = [(2.0, "25W"), (4.0, "7W"), (13.0, "7W"), (15.0, "7W"), (17.0, "7W"), (19.0, "7W")]
    asked = []
    for now, power in looks:
        state, anew = power_seen(state, power, now)
        asked.append(anew)
    assert asked == [False, False, False, True, False, False]
    assert state.power == "7W"


def test_a_power_mode_that_only_flickers_asks_for_nothing():
    state = power_seen(Adaptation(), "15W", 0.0)[0]
    for second in range(2, 60, 4):
        state, anew = power_seen(state, "25W", float(second))
        assert not anew
        state, anew = power_seen(state, "15W", second + 2.0)
        assert not anew


noise = st.lists(st.floats(-4.0, 4.0), min_size=300, max_size=300)


@hypothesis_settings(max_examples=60, deadline=None)
@given(noise, st.floats(11.0, 14.5))
def test_a_noisy_sensor_between_the_points_cannot_make_it_flap(errors, headroom):
    box = Machine()
    for error in errors:
        box.read(hot(headroom + error))
    directions = [direction for _, _, direction in box.changes]
    assert directions.count("up") <= 1 + box.now // UP_SECONDS
    flips = [at for at, _, direction in box.changes if direction == "up"]
    assert all(later - earlier >= UP_SECONDS for earlier, later in pairwise(flips))


readings = st.builds(
    lambda headroom, free, stall, slow, problem: replace(
        CALM,
        passive_headroom_celsius=headroom,
        memory_available_bytes=free,
        memory_full_stall_percent=stall,
        slowdowns=slow,
        gpu_problem=problem,
    ),
    st.none() | st.floats(-20, 60),
    st.none() | st.integers(0, 8 << 30),
    st.none() | st.floats(0, 100),
    st.sampled_from([None, (), ("thermal",), ("power_brake",), ("power_cap",)]),
    st.sampled_from([None, None, None, "GPU is lost"]),
)


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(readings, st.booleans()), max_size=40))
def test_any_hour_ends_at_full_speed_after_quiet(hour):
    box = Machine()
    for vitals, fails in hour:
        if fails:
            box.out_of_memory()
        box.read(vitals)
        assert all(0 <= depth <= box.limits[cause] for cause, depth in box.state.depths.items())
    calm_at = box.now
    while box.state.depths:
        box.read(CALM, seconds=10.0)
        assert box.now - calm_at < 4 * 3600
    assert box.current == FULL


def weather(second: float) -> Vitals:
    """An hour in a cabinet: the sun comes, a neighbour takes memory, both go again."""
    ripple = 1.5 if int(second / 2) % 2 else -1.5  # a sensor that never agrees with itself
    headroom = 22.0
    if 300 <= second < 900:
        headroom = 22.0 - (second - 300) / 600 * 15.0
    elif 900 <= second < 1200:
        headroom = 7.0 + (second - 900) / 300 * 13.0
    free = 400 << 20 if 1800 <= second < 1830 else 3 << 30
    slow = ("thermal",) if 860 <= second < 880 else ()
    return replace(
        CALM,
        passive_headroom_celsius=headroom + ripple,
        memory_available_bytes=free,
        memory_full_stall_percent=14.0 if 1810 <= second < 1820 else 0.0,
        slowdowns=slow,
    )


def test_an_hour_of_heat_pressure_and_two_out_of_memory_ends_at_full_speed():
    box = Machine()
    while box.now < 3600:
        if box.now in {2000.0, 2600.0}:
            box.out_of_memory()
        box.read(weather(box.now))
    assert box.current == FULL
    ups = [at for at, _, direction in box.changes if direction == "up"]
    downs = [at for at, _, direction in box.changes if direction == "down"]
    assert len(ups) == len(downs) >= 5
    assert all(later - earlier >= UP_SECONDS for earlier, later in pairwise(ups))
    assert {cause for _, cause, _ in box.changes} == {
        Cause.HEAT,
        Cause.MEMORY_PRESSURE,
        Cause.OUT_OF_MEMORY,
    }
    assert "\n".join(box.diary) + "\n" == GOLDEN.read_text("utf-8"), (
        f"the hour went otherwise; if that is right, {GOLDEN.name} should read:\n"
        + "\n".join(box.diary)
    )
