"""Ten thousand random devices: none over its budget, none outside the model's size rule."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from vitals import READINGS

from edge_matting.config import Settings
from edge_matting.config.settings import DeviceSettings
from edge_matting.core.device_values import DeviceProfile, Gpu, Vitals
from edge_matting.core.plan import Plan
from edge_matting.planner import (
    MAX_WORKERS,
    Cause,
    Evaluated,
    ModelNeeds,
    derated,
    footprint_of,
    make_plan,
)
from edge_matting.planner.measurements import MeasuredOn, Measurements, Timing
from edge_matting.planner.memory import LEAST_PIXELS

PRECISIONS = ("fp32", "fp16", "bf16", "int8")
PROVIDERS = ("cpu", "cuda", "tensorrt")
SIDES = st.integers(1, 40).map(lambda n: 32 * n)
SIZES = st.tuples(SIDES, SIDES)

gpus = st.builds(
    Gpu,
    name=st.just("a GPU"),
    memory_bytes=st.none() | st.integers(1 << 30, 150 << 30),
    compute_capability=st.sampled_from([None, (5, 3), (7, 5), (8, 7), (9, 0)]),
    integrated=st.booleans(),
    problem=st.sampled_from([None, None, "JetPack 5 is not supported"]),
).map(lambda gpu: replace(gpu, integrated=gpu.memory_bytes is None))
profiles = st.builds(
    DeviceProfile,
    machine=st.sampled_from(["x86_64", "aarch64"]),
    board=st.none(),
    family=st.sampled_from(["pc", "jetson", "raspberry", "other"]),
    cpu_model=st.just("a cpu"),
    logical_cpus=st.integers(1, 256),
    usable_cpus=st.floats(0.05, 256),
    memory_bytes=st.integers(16 << 20, 1 << 40),
    page_size=st.sampled_from([4096, 16384, 65536]),
    gpus=st.lists(gpus, max_size=2).map(tuple),
    notes=st.just(()),
)
evaluated = st.builds(
    Evaluated,
    precision=st.sampled_from(PRECISIONS),
    resolution=SIZES | st.tuples(st.integers(1, 999), st.integers(1, 999)),
    iou=st.floats(0, 1),
)
files = st.lists(
    st.tuples(st.sampled_from(["ort", "torch"]), st.sampled_from(PRECISIONS)),
    min_size=1,
    max_size=6,
    unique=True,
).map(tuple)
models = st.builds(
    ModelNeeds,
    resolution=SIZES,
    multiple=st.sampled_from([None, 1, 8, 16, 32]),
    files=files,
    quality=st.lists(evaluated, max_size=3).map(tuple),
    quality_floor=st.none() | st.floats(0, 1),
    file_bytes=st.integers(1 << 10, 1 << 30),
)
devices = st.fixed_dictionaries(
    {},
    optional={
        "accelerator": st.sampled_from(["auto", *PROVIDERS]),
        "backend": st.sampled_from(["auto", "ort", "torch"]),
        "missing_accelerator": st.sampled_from(["warn", "degrade", "fail"]),
        "precision": st.sampled_from(["auto", "fp32", "fp16", "int8"]),
        "resolution": st.just("auto") | st.integers(32, 4096),
        "batch": st.just("auto") | st.integers(1, 256),
    },
)
timings = st.builds(
    Timing,
    provider=st.sampled_from(PROVIDERS),
    precision=st.sampled_from(PRECISIONS),
    resolution=SIZES,
    threads=st.integers(1, 32),
    callers=st.integers(1, 8),
    batch=st.sampled_from([1, 2, 4]),
    alone_seconds=st.floats(1e-5, 100),
    photo_seconds=st.floats(1e-5, 100),
)
measurements = st.none() | st.builds(
    Measurements,
    on=st.just(MeasuredOn("a", "b", "c", "d")),
    taken_at=st.just(0.0),
    took_seconds=st.just(1.0),
    ended=st.sampled_from(["complete", "time"]),
    timings=st.lists(timings, max_size=3).map(tuple),
)
vitals = st.none() | st.builds(
    lambda free: replace(READINGS, memory_available_bytes=free),
    st.none() | st.integers(0, 1 << 40),
)


@st.composite
def cases(draw: Any) -> tuple[DeviceProfile, ModelNeeds, Settings, Any, Vitals | None]:
    model = draw(models)
    if model.multiple is not None:  # as the manifest asks for
        multiple = model.multiple
        side = tuple(max(multiple, each // multiple * multiple) for each in model.resolution)
        model = replace(model, resolution=side)
    settings = Settings(device=DeviceSettings(**draw(devices)))
    return draw(profiles), model, settings, draw(measurements), draw(vitals)


AVAILABLE = (("cpu",), ("cpu", "cuda"), ("cpu", "cuda", "tensorrt"))


def check(case: Any, available: tuple[str, ...], depths: dict[Cause, int]) -> None:
    profile, model, settings, known, readings = case

    def make() -> Plan:
        return make_plan(profile, model, settings, available, measurements=known, vitals=readings)

    plan = make()
    assert plan == make()
    lowered, _ = derated(plan, depths)
    for each in (plan, lowered):
        fits_the_device(each, profile, model, settings)
    follows_the_user(plan, model, settings)
    assert plan.reasons
    assert all(plan.reasons)


def fits_the_device(
    plan: Plan, profile: DeviceProfile, model: ModelNeeds, settings: Settings
) -> None:
    gpu = None if plan.provider == "cpu" else next(iter(profile.usable_gpus), None)
    footprint = footprint_of(model, settings, gpu)
    assert plan.memory_bytes <= profile.memory_bytes
    needed = footprint.needed(plan.resolution, plan.workers, plan.pixels_in_flight)
    least = footprint.needed(plan.resolution, 1, LEAST_PIXELS)
    if needed > plan.memory_bytes:  # only where even the least is too much, and that is said
        assert (plan.workers, plan.pixels_in_flight) == (1, 1)
        assert least > profile.memory_bytes
        assert any("are needed" in reason for reason in plan.reasons)
    assert 1 <= plan.workers <= MAX_WORKERS
    assert plan.session_threads >= 1
    assert plan.batch >= 1
    fixed_by_user = model.multiple is not None and settings.device.resolution != "auto"
    assert fixed_by_user or model.fits(plan.resolution)
    assert all(side % (model.multiple or 1) == 0 for side in plan.resolution)
    assert plan.resolution in plan.fallbacks.resolutions
    assert plan.provider in plan.fallbacks.providers


def follows_the_user(plan: Plan, model: ModelNeeds, settings: Settings) -> None:
    device = settings.device
    if device.accelerator != "auto":
        assert plan.provider == device.accelerator
    if device.precision != "auto" and device.precision in model.precisions(plan.backend):
        assert plan.precision == device.precision
    if device.backend in {backend for backend, _ in model.files}:
        assert plan.backend == device.backend
    if device.resolution != "auto" and model.multiple is not None:
        assert abs(plan.resolution[0] - device.resolution) <= max(model.multiple, 1)


DEPTHS = st.dictionaries(st.sampled_from(Cause), st.integers(0, 6), max_size=2)
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]


@hypothesis_settings(max_examples=300, deadline=None, suppress_health_check=QUIET)
@given(cases(), st.sampled_from(AVAILABLE), DEPTHS)
def test_any_device_gets_a_plan_within_its_memory_and_the_models_sizes(case, available, depths):
    check(case, available, depths)


def test_ten_thousand_devices_get_a_plan_within_memory_and_sizes():
    for number in range(10_000):
        dice = random.Random(number)
        case = thrown(dice)
        depths = {dice.choice(list(Cause)): dice.randrange(7) for _ in range(dice.randrange(3))}
        try:
            check(case, dice.choice(AVAILABLE), depths)
        except AssertionError as error:
            raise AssertionError(f"device {number}: {case}") from error


def thrown(dice: random.Random) -> Any:
    """A device and all that goes with it, without the cost of a strategy."""
    multiple = dice.choice([None, 1, 8, 16, 32])
    model = ModelNeeds(
        resolution=(32 * dice.randint(1, 40), 32 * dice.randint(1, 40)),
        multiple=multiple,
        files=tuple(
            {
                (dice.choice(["ort", "torch"]), dice.choice(PRECISIONS))
                for _ in range(dice.randint(1, 6))
            }
        ),
        quality=tuple(
            Evaluated(dice.choice(PRECISIONS), thrown_size(dice), dice.random())
            for _ in range(dice.randrange(7))
        ),
        quality_floor=dice.choice([None, dice.random()]),
        file_bytes=dice.randint(1 << 10, 1 << 30),
    )
    known = Measurements(
        MeasuredOn("a", "b", "c", "d"), 0.0, 1.0, "complete", tuple(thrown_timings(dice, model))
    )
    readings = replace(READINGS, memory_available_bytes=int(2 ** dice.uniform(0, 40)))
    return (
        thrown_profile(dice),
        model,
        Settings(device=thrown_wishes(dice)),
        dice.choice([None, known]),
        dice.choice([None, readings]),
    )


def thrown_size(dice: random.Random) -> tuple[int, int]:
    step = dice.choice([1, 32])
    return step * dice.randint(1, 40), step * dice.randint(1, 40)


def thrown_timings(dice: random.Random, model: ModelNeeds) -> Iterator[Timing]:
    for row in model.quality:
        yield Timing(
            provider=dice.choice(PROVIDERS),
            precision=row.precision,
            resolution=row.resolution,
            threads=dice.randint(1, 32),
            callers=dice.randint(1, 8),
            batch=dice.choice([1, 1, 2, 4]),
            alone_seconds=10 ** dice.uniform(-5, 2),
            photo_seconds=10 ** dice.uniform(-5, 2),
        )


def thrown_profile(dice: random.Random) -> DeviceProfile:
    found = []
    for _ in range(dice.randrange(3)):
        own = dice.choice([None, dice.randint(1 << 30, 150 << 30)])
        problem = dice.choice([None, None, "JetPack 5 is not supported"])
        found.append(Gpu("a GPU", own, (8, 7), integrated=own is None, problem=problem))
    return DeviceProfile(
        machine=dice.choice(["x86_64", "aarch64"]),
        board=None,
        family=dice.choice(["pc", "jetson", "raspberry", "other"]),
        cpu_model="a cpu",
        logical_cpus=256,
        usable_cpus=2 ** dice.uniform(-4, 8),
        memory_bytes=int(2 ** dice.uniform(24, 40)),
        page_size=dice.choice([4096, 16384, 65536]),
        gpus=tuple(found),
        notes=(),
    )


def thrown_wishes(dice: random.Random) -> DeviceSettings:
    """What a user may fix, each with even chances."""
    wishes: dict[str, Any] = {
        "accelerator": dice.choice(PROVIDERS),
        "backend": dice.choice(["ort", "torch"]),
        "missing_accelerator": dice.choice(["warn", "degrade", "fail"]),
        "precision": dice.choice(["fp32", "fp16", "int8"]),
        "resolution": dice.randint(32, 4096),
        "batch": dice.randint(1, 256),
    }
    return DeviceSettings(**{name: wish for name, wish in wishes.items() if dice.random() < 0.5})
