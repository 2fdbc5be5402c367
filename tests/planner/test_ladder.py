"""Stepping a plan down and back up."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_matting.core.plan import Fallbacks, Plan
from edge_matting.planner import Cause, derated, next_step

FULL = Plan(
    backend="ort",
    provider="cuda",
    precision="fp16",
    resolution=(320, 320),
    batch=4,
    workers=8,
    pixels_in_flight=80_000_000,
    session_threads=1,
    memory_bytes=2 << 30,
    reasons=("as planned",),
    fallbacks=Fallbacks(
        providers=("cuda", "cpu"),
        precisions=("fp32", "fp16", "int8"),
        resolutions=((320, 320), (224, 224)),
        batches=(4, 2, 1),
    ),
)


def all_steps(plan, cause):
    steps = []
    while (step := next_step(plan, cause)) is not None:
        steps.append(step)
        plan = step.plan
    return steps


def test_out_of_memory_goes_down_by_batch_then_resolution_then_precision_then_provider():
    assert [step.reason for step in all_steps(FULL, Cause.OUT_OF_MEMORY)] == [
        "batch 4 -> 2: out of memory",
        "batch 2 -> 1: out of memory",
        "workers 8 -> 1: out of memory",
        "resolution 320 x 320 -> 224 x 224: out of memory",
        "precision fp16 -> int8: out of memory",
        "provider cuda -> cpu: out of memory",
    ]


@pytest.mark.parametrize("cause", [Cause.HEAT, Cause.POWER, Cause.MEMORY_PRESSURE])
def test_heat_power_and_pressure_ask_for_less_work_before_worse_work(cause):
    whats = [(step.what, step.after) for step in all_steps(FULL, cause)]
    assert whats == [
        ("workers", "4"),
        ("workers", "2"),
        ("workers", "1"),
        ("batch", "2"),
        ("batch", "1"),
        ("resolution", "224 x 224"),
    ]


def test_a_wrong_result_asks_for_more_exactness_and_then_for_the_processor():
    steps = all_steps(FULL, Cause.WRONG_RESULT)
    assert [(step.what, step.after) for step in steps] == [
        ("precision", "fp32"),
        ("provider", "cpu"),
    ]


def test_a_lost_accelerator_leaves_the_processor_which_computes_halves_as_fp32():
    (step,) = all_steps(FULL, Cause.PROVIDER_LOST)
    assert (step.plan.provider, step.plan.precision) == ("cpu", "fp32")
    eight_bits = replace(FULL, precision="int8")
    (step,) = all_steps(eight_bits, Cause.PROVIDER_LOST)
    assert (step.plan.provider, step.plan.precision) == ("cpu", "int8")


def test_fewer_photos_in_flight_hold_fewer_pixels():
    step = next_step(replace(FULL, workers=3), Cause.HEAT)
    assert step is not None
    assert step.plan.workers == 1
    assert step.plan.pixels_in_flight == 80_000_000 // 3


@pytest.mark.parametrize("cause", list(Cause))
def test_what_is_fixed_is_never_stepped(cause):
    fixed = replace(FULL, workers=1, fallbacks=Fallbacks(("cuda",), ("fp16",), ((320, 320),), (4,)))
    assert next_step(fixed, cause) is None
    off_every_rung = replace(FULL, workers=1, fallbacks=Fallbacks())
    assert next_step(off_every_rung, cause) is None


def test_each_step_says_why_in_the_plan_that_follows():
    step = next_step(FULL, Cause.OUT_OF_MEMORY)
    assert step is not None
    assert step.plan.reasons == ("as planned", "batch 4 -> 2: out of memory")


def test_causes_come_and_go_in_any_order_and_the_plan_is_back_when_all_are_gone():
    both, steps = derated(FULL, {Cause.HEAT: 1, Cause.OUT_OF_MEMORY: 2})
    assert (both.batch, both.workers, len(steps)) == (1, 4, 3)
    only_heat, _ = derated(FULL, {Cause.HEAT: 1, Cause.OUT_OF_MEMORY: 0})
    assert (only_heat.batch, only_heat.workers) == (4, 4)
    assert derated(FULL, {}) == (FULL, ())


@given(st.dictionaries(st.sampled_from(Cause), st.integers(0, 9)))
def test_any_depths_give_a_plan_on_its_own_rungs_that_asks_for_no_more(depths):
    plan, steps = derated(FULL, depths)
    assert plan.provider in FULL.fallbacks.providers
    assert plan.precision in FULL.fallbacks.precisions
    assert plan.resolution in FULL.fallbacks.resolutions
    assert plan.batch in FULL.fallbacks.batches
    assert 1 <= plan.workers <= FULL.workers
    assert plan.pixels_in_flight <= FULL.pixels_in_flight
    assert len(steps) <= sum(depths.values())
    assert len(plan.reasons) == 1 + len(steps)


def test_a_plan_survives_json():
    assert Plan.from_json(json.loads(json.dumps(asdict(FULL)))) == FULL
