"""The plan: a pure function with reasons."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_matting.config import parse_settings
from edge_matting.core.plan import DeviceProfile, Gpu
from edge_matting.planner import (
    BYTES_PER_PIXEL,
    ENGINE_BASE_BYTES,
    MAX_WORKERS,
    ModelNeeds,
    make_plan,
)

PC = DeviceProfile("x86_64", None, "pc", "a cpu", 2, 2.0, 8 << 30, 4096, (), ())
CARD = Gpu("RTX A2000", 4 << 30, (8, 6), integrated=False)
FREE, FIXED = ModelNeeds((320, 320), 32), ModelNeeds((256, 144), None)


def settings(**device: Any) -> Any:
    return parse_settings({"device": device}, Path("/"))


def test_a_pc_without_a_gpu_gets_the_cpu_and_a_worker_for_each_processor():
    plan = make_plan(PC, FREE, settings(), ("cpu",))
    assert (plan.provider, plan.workers, plan.session_threads) == ("cpu", 2, 1)
    assert plan.resolution == (320, 320)
    assert "cpu: no usable GPU found" in plan.reasons


def test_a_gpu_is_used_when_the_runtime_can_and_named_when_it_cannot():
    box = replace(PC, gpus=(CARD,))
    assert make_plan(box, FREE, settings(), ("cpu", "cuda")).provider == "cuda"
    plan = make_plan(box, FREE, settings(), ("cpu",))
    assert plan.provider == "cpu"
    assert any("RTX A2000 found, but the installed runtime has no CUDA" in r for r in plan.reasons)


def test_a_gpu_that_does_not_answer_is_named_and_not_used():
    box = replace(PC, gpus=(replace(CARD, problem="it fell off the bus"),))
    plan = make_plan(box, FREE, settings(), ("cpu", "cuda"))
    assert plan.provider == "cpu"
    assert "RTX A2000 is not used: it fell off the bus" in plan.reasons


def test_what_the_user_fixed_is_respected():
    plan = make_plan(PC, FREE, settings(accelerator="cuda", resolution=500), ("cpu",))
    assert plan.provider == "cuda"
    assert plan.resolution == (512, 512)


def test_a_fixed_size_model_keeps_its_size_and_says_so():
    plan = make_plan(PC, FIXED, settings(resolution=512), ("cpu",))
    assert plan.resolution == (256, 144)
    assert any("device.resolution is not used" in reason for reason in plan.reasons)


@pytest.mark.parametrize(
    ("device", "word"),
    [({"precision": "fp16"}, "fp16"), ({"batch": 4}, "batch 4"), ({"backend": "torch"}, "torch")],
)
def test_a_setting_that_is_not_built_yet_is_named(device, word):
    plan = make_plan(PC, FREE, settings(**device), ("cpu",))
    assert any(word in reason and "not built yet" in reason for reason in plan.reasons)


@given(
    cpus=st.floats(0.1, 256),
    memory=st.integers(256 << 20, 1 << 40),
    resolution=st.integers(32, 4096),
)
def test_any_device_gets_a_plan_that_keeps_to_its_memory(cpus, memory, resolution):
    device = replace(PC, usable_cpus=cpus, memory_bytes=memory)
    plan = make_plan(device, FREE, settings(resolution=resolution), ("cpu",))
    assert 1 <= plan.workers <= MAX_WORKERS
    assert plan.session_threads >= 1
    room = memory // 2 - ENGINE_BASE_BYTES
    assert plan.pixels_in_flight == 1_000_000 or plan.pixels_in_flight * BYTES_PER_PIXEL <= room
    assert plan.resolution[0] % 32 == 0
    assert plan.reasons
