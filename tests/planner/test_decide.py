"""The plan: a pure function with reasons."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from vitals import READINGS

from edge_matting.config import parse_settings
from edge_matting.core.device_values import DeviceProfile, Gpu
from edge_matting.planner import Evaluated, ModelNeeds, make_plan
from edge_matting.planner.measurements import MeasuredOn, Measurements, Timing

PC = DeviceProfile(
    "x86_64", None, "pc", "a cpu", 2, 2.0, 8 << 30, 4096, (), (), cpu_features=("avx512_vnni",)
)
CARD = Gpu("RTX A2000", 4 << 30, (8, 6), integrated=False)
ORIN = Gpu("Orin", None, (8, 7), integrated=True)
FREE, FIXED = ModelNeeds((320, 320), 32), ModelNeeds((256, 144), None)
KNOWN = ModelNeeds(
    (320, 320),
    32,
    files=(("ort", "fp32"), ("ort", "int8"), ("ort", "fp16"), ("torch", "fp32")),
    quality=(
        Evaluated("fp32", (192, 192), 0.90),
        Evaluated("fp32", (256, 256), 0.93),
        Evaluated("fp32", (320, 320), 0.94),
        Evaluated("int8", (256, 256), 0.91),
        Evaluated("int8", (320, 320), 0.93),
    ),
    quality_floor=0.92,
)
ON = MeasuredOn("a" * 64, "a cpu", "no modes", "onnxruntime 1.32.0")


def settings(**device: Any) -> Any:
    return parse_settings({"device": device}, Path("/"))


def timing(precision: str, side: int, ms: float, threads: int = 1, **more: Any) -> Timing:
    values = {"provider": "cpu", "callers": 2, "batch": 1, "alone_seconds": 2 * ms / 1000, **more}
    return Timing(
        precision=precision,
        resolution=(side, side),
        threads=threads,
        photo_seconds=ms / 1000,
        **values,
    )


def measured(*timings: Timing) -> Measurements:
    return Measurements(ON, 0.0, 1.0, ended="complete", timings=timings)


def said(plan: Any, words: str) -> bool:
    return any(words in reason for reason in plan.reasons)


def test_a_pc_without_a_gpu_gets_the_cpu_and_a_worker_for_each_processor():
    plan = make_plan(PC, FREE, settings(), ("cpu",))
    assert (plan.provider, plan.workers, plan.session_threads) == ("cpu", 2, 1)
    assert plan.resolution == (320, 320)
    assert "cpu: no usable GPU found" in plan.reasons


def test_a_gpu_is_used_when_the_runtime_can_and_named_when_it_cannot():
    box = replace(PC, usable_cpus=8.0, gpus=(CARD,))
    plan = make_plan(box, FREE, settings(), ("cpu", "cuda"))
    assert (plan.provider, plan.fallbacks.providers) == ("cuda", ("cuda", "cpu"))
    assert plan.workers == 8
    plan = make_plan(box, FREE, settings(), ("cpu",))
    assert plan.provider == "cpu"
    assert said(plan, "RTX A2000 found, but the installed runtime has no CUDA")


def test_without_leave_there_is_no_rung_from_the_accelerator_to_the_processor():
    box = replace(PC, gpus=(CARD,))
    plan = make_plan(box, FREE, settings(missing_accelerator="fail"), ("cpu", "cuda"))
    assert plan.fallbacks.providers == ("cuda",)


def test_a_gpu_that_does_not_answer_is_named_and_not_used():
    box = replace(PC, gpus=(replace(CARD, problem="it fell off the bus"),))
    plan = make_plan(box, FREE, settings(), ("cpu", "cuda"))
    assert plan.provider == "cpu"
    assert "RTX A2000 is not used: it fell off the bus" in plan.reasons


def test_what_the_user_fixed_is_respected():
    plan = make_plan(PC, KNOWN, settings(accelerator="cuda", resolution=500), ("cpu",))
    assert plan.provider == "cuda"
    assert plan.resolution == (512, 512)
    assert plan.fallbacks.resolutions == ((512, 512),)
    plan = make_plan(PC, KNOWN, settings(precision="int8"), ("cpu",))
    assert (plan.precision, plan.fallbacks.precisions) == ("int8", ("int8",))
    assert said(plan, "int8: set by device.precision")
    plan = make_plan(PC, KNOWN, settings(precision="int8", resolution=192), ("cpu",))
    assert (plan.precision, plan.resolution) == ("int8", (192, 192))
    plan = make_plan(PC, KNOWN, settings(backend="torch"), ("cpu",))
    assert (plan.backend, plan.precision) == ("torch", "fp32")


def test_what_the_model_cannot_do_is_said_and_not_done():
    plan = make_plan(PC, FREE, settings(precision="fp16"), ("cpu",))
    assert plan.precision == "fp32"
    assert said(plan, "the model has no fp16 file, device.precision is not used")
    plan = make_plan(PC, FREE, settings(backend="torch"), ("cpu",))
    assert plan.backend == "ort"
    assert said(plan, "the model has no file for device.backend torch")


def test_batches_are_for_who_asks_for_them():
    assert make_plan(PC, FREE, settings(), ("cpu",)).batch == 1
    plan = make_plan(PC, FREE, settings(batch=4), ("cpu",))
    assert (plan.batch, plan.fallbacks.batches) == (4, (4, 2, 1))
    assert said(plan, "batch at most 4, of photos that wait at the same time: device.batch")
    most = make_plan(PC, FREE, settings(batch=200), ("cpu",))
    assert said(most, f"{most.workers} photos in flight never fill it")


def test_tensorrt_computes_an_exact_file_in_halves_by_itself():
    plan = make_plan(PC, FREE, settings(accelerator="tensorrt", precision="fp16"), ("cpu",))
    assert (plan.provider, plan.precision) == ("tensorrt", "fp16")


def test_a_fixed_size_model_keeps_its_size_and_says_so():
    plan = make_plan(PC, FIXED, settings(resolution=512), ("cpu",))
    assert plan.resolution == (256, 144)
    assert plan.fallbacks.resolutions == ((256, 144),)
    assert said(plan, "device.resolution is not used")


def test_before_a_measurement_the_exact_file_runs_at_its_smallest_good_size():
    plan = make_plan(PC, KNOWN, settings(), ("cpu",))
    assert (plan.precision, plan.resolution) == ("fp32", (256, 256))
    assert said(plan, "IoU 0.930, floor 0.92, the least work; not measured on this device")


def test_a_measurement_decides_between_the_ways_that_reach_the_quality_floor():
    timings = measured(
        timing("fp32", 192, 1.0),  # fast, and below the floor
        timing("fp32", 256, 9.0),
        timing("fp32", 320, 14.0),
        timing("int8", 320, 6.0, threads=2),
        timing("int8", 256, 4.0),  # below the floor
        timing("fp16", 256, 2.0),  # its quality is not known
        timing("fp32", 256, 1.0, provider="cuda"),
        timing("int8", 320, 2.0, batch=4),
    )
    plan = make_plan(PC, KNOWN, settings(), ("cpu",), measurements=timings)
    assert (plan.precision, plan.resolution, plan.session_threads) == ("int8", (320, 320), 2)
    assert plan.fallbacks.resolutions == ((320, 320), (256, 256))
    assert said(plan, "measured here at 6.0 ms a photo")


def test_a_processor_whose_sums_of_8_bits_saturate_gets_int8_only_when_told_to():
    timings = measured(timing("fp32", 256, 9.0), timing("int8", 320, 6.0))
    old = replace(PC, cpu_features=("avx2", "fma"))
    plan = make_plan(old, KNOWN, settings(), ("cpu",), measurements=timings)
    assert (plan.precision, plan.fallbacks.precisions) == ("fp32", ("fp32",))
    assert said(plan, "int8 is not used: this processor has no VNNI")
    plan = make_plan(old, KNOWN, settings(precision="int8"), ("cpu",))
    assert plan.precision == "int8"
    assert said(plan, "int8 by device.precision costs quality here")
    only_int8 = ModelNeeds((320, 320), 32, files=(("ort", "int8"),))
    plan = make_plan(old, only_int8, settings(), ("cpu",))
    assert plan.precision == "int8"
    assert said(plan, "int8 by the model's only file costs quality here")
    board = replace(old, machine="aarch64", cpu_features=("asimd",))
    plan = make_plan(board, KNOWN, settings(), ("cpu",), measurements=timings)
    assert plan.precision == "int8"


def test_among_equal_speeds_the_better_picture_wins_and_then_the_shorter_wait():
    timings = measured(
        timing("fp32", 256, 10.0),
        timing("fp32", 320, 10.4),
        timing("fp32", 320, 10.45, threads=2, alone_seconds=0.012),
        timing("fp32", 320, 12.0, threads=4, alone_seconds=0.008),
    )
    plan = make_plan(PC, KNOWN, settings(), ("cpu",), measurements=timings)
    assert (plan.resolution, plan.session_threads) == ((320, 320), 2)


def test_the_batch_line_is_told_although_the_engine_cannot_use_it_yet():
    timings = measured(
        timing("fp32", 256, 10.0, alone_seconds=0.012),
        timing("fp32", 256, 10.0, alone_seconds=0.022, batch=2),
        timing("fp32", 256, 10.0, alone_seconds=0.042, batch=4),
    )
    plan = make_plan(PC, KNOWN, settings(), ("cpu",), measurements=timings)
    assert said(plan, "n photos take 10.0 n + 2.0 ms")


def test_a_model_without_figures_may_be_stepped_down_to_half_its_size():
    plan = make_plan(PC, FREE, settings(), ("cpu",))
    assert plan.fallbacks.resolutions == ((320, 320), (224, 224), (160, 160))


def test_where_nothing_reaches_the_floor_the_model_runs_at_its_own_size():
    poor = replace(KNOWN, quality_floor=0.99)
    plan = make_plan(PC, poor, settings(), ("cpu",))
    assert (plan.precision, plan.resolution) == ("fp32", (320, 320))
    only_int8 = ModelNeeds((320, 320), 32, files=(("ort", "int8"),))
    box = replace(PC, gpus=(CARD,))
    assert make_plan(box, only_int8, settings(), ("cpu", "cuda")).precision == "int8"


def test_a_small_machine_keeps_room_for_its_system_and_is_told_when_there_is_none():
    zero = replace(PC, usable_cpus=4.0, memory_bytes=426 << 20)
    plan = make_plan(zero, FREE, settings(), ("cpu",))
    assert plan.memory_bytes < 426 << 20
    tiny = make_plan(replace(zero, memory_bytes=128 << 20), FREE, settings(), ("cpu",))
    assert (tiny.workers, tiny.memory_bytes) == (1, 128 << 20)
    assert said(tiny, "this device has 128 MiB of memory")


def test_memory_that_other_programs_hold_is_not_planned():
    free = replace(READINGS, memory_available_bytes=1 << 30)
    plan = make_plan(PC, FREE, settings(), ("cpu",), vitals=free)
    assert plan.memory_bytes <= 0.8 * (1 << 30)
    assert said(plan, "four fifths of the memory that others leave")
    assert make_plan(PC, FREE, settings(), ("cpu",)).memory_bytes > 3 << 30


def test_a_jetson_has_one_budget_and_a_small_card_its_own():
    large = ModelNeeds((2048, 2048), 32, file_bytes=200 << 20)
    cpus = replace(PC, usable_cpus=8.0, memory_bytes=32 << 30)
    card = make_plan(replace(cpus, gpus=(CARD,)), large, settings(), ("cpu", "cuda"))
    assert card.workers == 2  # inferences at once that a card of 4 GB has room for
    small = replace(cpus, memory_bytes=8 << 30)
    alone = make_plan(small, large, settings(), ("cpu",))
    jetson = make_plan(replace(small, gpus=(ORIN,)), large, settings(), ("cpu", "cuda"))
    assert jetson.provider == "cuda"
    assert jetson.workers < alone.workers
