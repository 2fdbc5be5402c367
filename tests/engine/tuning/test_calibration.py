"""CalibrationSchedule the device: what is timed, when, and where it is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vitals import READINGS

from edge_matting.config import Settings, parse_settings
from edge_matting.core.device_values import DeviceProfile, Gpu
from edge_matting.core.errors import OutOfMemory, SessionError
from edge_matting.core.model_io import InputSize, ModelInput
from edge_matting.core.plan import Plan
from edge_matting.engine.factory import open_catalog
from edge_matting.engine.tuning.calibration import Calibration
from edge_matting.engine.tuning.calibration_schedule import (
    ATTEMPTS,
    BUSY_SECONDS,
    QUIET_SECONDS,
    CalibrationSchedule,
)
from edge_matting.engine.tuning.cpu_timer import CpuTimer, busy_seconds
from edge_matting.engine.tuning.planning import Planning
from edge_matting.engine.tuning.store import KEPT, MeasurementStore
from edge_matting.planner.measurements import (
    MeasuredOn,
    Measurements,
    Timing,
    as_text,
    fit,
    from_text,
    measured_on,
    power_state,
)
from edge_matting.runtimes.session import SessionInfo

PC = DeviceProfile(
    "x86_64", None, "pc", "a cpu", 2, 2.0, 8 << 30, 4096, (), (), cpu_features=("avx512_vnni",)
)
ORIN = Gpu("Orin", None, (8, 7), integrated=True, clock_max_hz=612_000_000)
ON = MeasuredOn("a" * 64, "a cpu", "15W", "onnxruntime 1.32.0")
TIMING = Timing("cpu", "fp32", (256, 256), 1, 2, 1, 0.02, 0.01)
SPEC = ModelInput("image", InputSize(320, 320, "multiple_of", multiple=32))
PLAN = Plan("ort", "cpu", "fp32", (256, 256), 1, 2, 10**7, 1, 1 << 30, ())


def measurements(**changes: Any) -> Measurements:
    values: dict[str, Any] = {"on": ON, "taken_at": 1.5, "took_seconds": 2.0, "ended": "complete"}
    return Measurements(**{**values, "timings": (TIMING,), **changes})


def settings_in(root: Path, **device: object) -> Settings:
    return parse_settings({"state_dir": str(root / "state"), "device": device}, root)


# -- the line of a batch --------------------------------------------------------------------


@given(st.floats(1e-4, 10), st.floats(0, 10))
def test_a_line_through_exact_points_is_found_again(a, b):
    line = fit((n, a * n + b) for n in (1, 2, 4, 8))
    assert line is not None
    assert line.a == pytest.approx(a, rel=1e-6, abs=1e-9)
    assert line.seconds(16) == pytest.approx(16 * a + b, rel=1e-6, abs=1e-6)


@given(st.lists(st.tuples(st.integers(1, 64), st.floats(1e-6, 100)), max_size=8))
def test_any_line_has_neither_a_negative_slope_nor_a_negative_offset(points):
    line = fit(points)
    assert (line is None) == (not points)
    assert line is None or (line.a >= 0.0 and line.b >= 0.0)


def test_one_batch_size_says_nothing_of_the_offset():
    line = fit([(2, 0.2), (2, 0.4)])
    assert line is not None
    assert (line.a, line.b) == (pytest.approx(0.15), 0.0)


# -- what they hold for ---------------------------------------------------------------------


def test_measurements_survive_their_file():
    assert from_text(as_text(measurements())) == measurements()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"version": 1}', '{"version": 2, "on": {}}', "\x00"]
)
def test_a_file_that_is_not_understood_counts_as_missing(text):
    assert from_text(text) is None


def test_a_power_mode_or_a_clock_cap_makes_another_device():
    jetson = replace(PC, power_mode="15W", gpus=(ORIN,))
    here = measured_on("a", jetson, None, "r")
    assert here == measured_on("a", jetson, replace(READINGS, power_mode="15W"), "r")
    assert here != measured_on("a", jetson, replace(READINGS, power_mode="25W"), "r")
    capped = replace(READINGS, power_mode="15W", gpu_clock_limit_hz=408_000_000)
    assert power_state(jetson, capped) == "15W, GPU up to 408 MHz"
    assert power_state(PC, replace(capped, power_mode=None)) == "no modes"


# -- the store ------------------------------------------------------------------------------


def test_measurements_are_found_again_and_only_for_what_they_hold_for(tmp_path):
    store = MeasurementStore(tmp_path / "m")
    assert store.load(ON) is None
    assert store.save(measurements())
    assert MeasurementStore(tmp_path / "m").load(ON) == measurements()
    assert store.load(replace(ON, power="25W")) is None


def test_a_damaged_file_is_measured_anew(tmp_path):
    store = MeasurementStore(tmp_path)
    store.save(measurements())
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:40] + b"\xff")
    assert store.load(ON) is None
    assert store.save(measurements())
    assert store.load(ON) is not None


def test_only_the_newest_are_kept(tmp_path):
    store = MeasurementStore(tmp_path)
    for number in range(KEPT + 5):
        store.save(measurements(on=replace(ON, power=str(number))))
    assert len(list(tmp_path.iterdir())) == KEPT
    assert store.load(replace(ON, power=str(KEPT + 4))) is not None


def test_where_nothing_can_be_written_the_measurements_serve_this_once(tmp_path, caplog):
    (tmp_path / "state").write_text("a file, no folder")
    store = MeasurementStore(tmp_path / "state" / "m")
    assert not store.save(measurements())
    assert "cannot be stored" in caplog.text


# -- measuring ------------------------------------------------------------------------------


class FakeSession:
    """Takes its time by the clock it is given."""

    def __init__(self, lab: Lab, plan: Plan) -> None:
        self.lab, self.plan = lab, plan

    def run(self, batch: Any) -> Any:
        self.lab.runs.append((self.plan.precision, self.plan.session_threads, batch.shape))
        if len(batch) > self.lab.largest_batch:
            raise OutOfMemory("no memory left")
        self.lab.seconds += batch.size / 3e7 / self.plan.session_threads
        return batch[:, :1]

    def warm(self) -> None:
        raise AssertionError("a look warms up by itself")

    def describe(self) -> SessionInfo:
        return SessionInfo("ort", "cpu", self.lab.actual, "fp32", self.plan.resolution, None)

    def close(self) -> None:
        self.lab.closed += 1


class Lab:
    """Sessions, and a clock that their runs move."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.actual = "cpu"
        self.largest_batch = 8
        self.runs: list[Any] = []
        self.made = self.closed = 0
        self.broken: set[str] = set()
        self.meter = CpuTimer(2.0, wall=lambda: self.seconds, own=lambda: 0.0, busy=lambda: 0.0)

    def make(self, plan: Plan) -> FakeSession:
        if plan.precision in self.broken:
            raise SessionError("no such kernel")
        self.made += 1
        return FakeSession(self, plan)

    def calibrate(
        self,
        ways: Any = (("fp32", (256, 256)), ("fp32", (320, 320)), ("int8", (320, 320))),
        *,
        spec: ModelInput = SPEC,
        workers: int = 1,
        seconds: float = 100.0,
        stop: Callable[[], bool] = lambda: False,
    ) -> Any:
        plan = replace(PLAN, workers=workers)
        calibration = Calibration(
            self.make, spec, plan, seconds=seconds, stop=stop, meter=self.meter
        )
        return calibration.run(ways, (1, 2))


def test_each_way_is_timed_alone_and_together_and_batches_for_the_line():
    lab = Lab()
    found = lab.calibrate()
    assert found.ended == "complete"
    assert (lab.made, lab.closed) == (5, 5)  # the last for batches
    single = [t for t in found.timings if t.batch == 1]
    assert [(t.precision, t.resolution[0], t.threads) for t in single] == [
        ("fp32", 256, 1),
        ("fp32", 320, 1),
        ("int8", 320, 1),
        ("fp32", 256, 2),
        ("fp32", 320, 2),
        ("int8", 320, 2),
    ]
    by_size = {(t.resolution[0], t.threads): t.alone_seconds for t in single}
    assert by_size[320, 1] == pytest.approx(by_size[256, 1] * (320 / 256) ** 2, rel=0.01)
    assert by_size[256, 2] == pytest.approx(by_size[256, 1] / 2, rel=0.01)
    best = [
        t for t in found.timings if (t.precision, t.resolution[0], t.threads) == ("fp32", 256, 2)
    ]
    line = fit((t.batch, t.alone_seconds) for t in best)
    assert [t.batch for t in best] == [1, 2, 4]
    assert line is not None
    assert line.b == pytest.approx(0.0, abs=1e-6)


def test_a_model_that_cannot_be_opened_for_batches_is_measured_without():
    lab = Lab()
    make = lab.make

    def only_singles(plan: Plan) -> FakeSession:
        if plan.batch > 1:
            raise SessionError("fixed to one")
        return make(plan)

    lab.make = only_singles  # type: ignore[method-assign]
    assert {t.batch for t in lab.calibrate().timings} == {1}


def test_several_callers_share_the_session_as_in_the_engine():
    found = Lab().calibrate(workers=3)
    assert {t.callers for t in found.timings} == {3}
    assert all(t.photo_seconds > 0 for t in found.timings)


def test_it_leaves_off_when_work_comes_or_the_time_is_up():
    lab = Lab()
    assert lab.calibrate(seconds=0.3).ended == "time"
    assert lab.closed == lab.made
    lab = Lab()
    found = lab.calibrate(stop=lambda: len(lab.runs) > 20)
    assert found.ended == "work"
    assert 0 < len(found.timings) < 6
    assert len(lab.runs) < 40


def test_a_way_that_fails_is_left_out_and_the_others_are_measured():
    lab = Lab()
    lab.broken.add("int8")
    lab.largest_batch = 2
    found = lab.calibrate()
    assert {t.precision for t in found.timings} == {"fp32"}
    assert max(t.batch for t in found.timings) == 2
    assert found.ended == "complete"


def test_a_provider_that_fell_back_is_not_measured_under_its_name():
    lab = Lab()
    lab.actual = "other"
    assert lab.calibrate().timings == ()
    assert lab.closed == lab.made


@pytest.mark.parametrize(("layout", "dtype"), [("nhwc", "uint8"), ("nchw", "float16")])
def test_the_tensors_are_what_the_model_takes(layout, dtype):
    lab = Lab()
    seen = []
    run = FakeSession.run
    lab.make = lambda plan: _watched(FakeSession(lab, plan), seen, run)  # type: ignore[method-assign]
    lab.calibrate(spec=replace(SPEC, layout=layout, dtype=dtype))
    assert {array.dtype for array in seen} == {np.dtype(dtype)}
    assert seen[0].shape == ((1, 3, 256, 256) if layout == "nchw" else (1, 256, 256, 3))


def _watched(session: Any, seen: list[Any], run: Any) -> Any:
    session.run = lambda batch: (seen.append(batch), run(session, batch))[1]
    return session


def test_the_shipped_model_is_measured_on_this_machine_and_planned_by(tmp_path):
    settings = settings_in(tmp_path)
    planning = Planning(settings, open_catalog(settings), PC)
    before = planning.plan()
    assert any("not measured on this device" in reason for reason in before.reasons)
    assert planning.worth_measuring(before)
    found = planning.measure(before, seconds=60.0)
    assert found.ended == "complete"
    assert {t.threads for t in found.timings} == {1, 2}
    after = Planning(settings, open_catalog(settings), PC).plan()
    assert any("measured here at" in reason for reason in after.reasons)
    best = min(t.photo_seconds for t in found.timings if t.batch == 1)
    mine = [
        t.photo_seconds
        for t in found.timings
        if (t.precision, t.resolution, t.threads, t.batch)
        == (after.precision, after.resolution, after.session_threads, 1)
    ]
    assert mine[0] <= best * 1.05


@pytest.mark.parametrize(
    "device", [{"measure": "never"}, {"accelerator": "tensorrt"}], ids=["forbidden", "minutes"]
)
def test_what_is_forbidden_or_takes_minutes_is_not_measured(tmp_path, device):
    settings = settings_in(tmp_path, **device)
    planning = Planning(settings, open_catalog(settings), PC)
    assert not planning.worth_measuring(planning.plan())


def test_an_accelerators_threads_are_not_measured(tmp_path):
    settings = settings_in(tmp_path, accelerator="cuda", resolution=320)
    planning = Planning(settings, open_catalog(settings), PC)
    assert not planning.worth_measuring(planning.plan())


def test_on_a_busy_machine_the_processors_time_counts_and_on_a_quiet_one_the_clock():
    wall, own, busy = 0.0, 0.0, 0.0
    meter = CpuTimer(2.0, wall=lambda: wall, own=lambda: own, busy=lambda: busy)
    begin = meter.read()
    wall, own, busy = 1.0, 0.8, 0.9  # alone: imperfectly parallel
    assert meter.seconds(begin, 2, on_processor=True) == 1.0
    busy = 2.0  # others had the rest
    assert meter.seconds(begin, 2, on_processor=True) == pytest.approx(0.4)
    assert meter.seconds(begin, 1, on_processor=True) == pytest.approx(0.8)
    assert meter.seconds(begin, 1, on_processor=False) == 1.0
    own = 0.0
    assert busy_seconds() > 0.0


# -- when -----------------------------------------------------------------------------------


class FakeMeasurer:
    def __init__(self) -> None:
        self.known: Measurements | None = None
        self.worth = True
        self.ends: list[Any] = []
        self.stops: list[bool] = []

    def worth_measuring(self, _plan: Plan) -> bool:
        return self.worth

    def measurements(self, _vitals: Any = None) -> Measurements | None:
        return self.known

    def measure(self, _plan: Plan, *, vitals: Any = None, stop: Callable[[], bool]) -> Any:
        self.stops.append(stop())
        ended = self.ends.pop(0) if self.ends else "complete"
        self.known = measurements(ended=ended) if ended != "work" else self.known
        return measurements(ended=ended)


class Box:
    def __init__(self) -> None:
        self.measurer = FakeMeasurer()
        self.planned = 0
        self.now = 0.0
        self.measuring = CalibrationSchedule(
            self.measurer, lambda: PLAN, now=0.0, stop=lambda: True, measured=self._measured
        )

    def _measured(self) -> None:
        self.planned += 1

    def run(self, seconds: float, *, idle: bool) -> None:
        for _ in range(int(seconds)):
            self.measuring.step(self.now, None, idle=idle)
            self.now += 1.0


def test_it_measures_in_the_first_quiet_moment_and_only_once():
    box = Box()
    box.run(QUIET_SECONDS - 1, idle=True)
    assert box.measurer.stops == []
    box.run(3, idle=True)
    assert box.measurer.stops == [True]
    assert box.planned == 1
    box.run(600, idle=True)
    assert len(box.measurer.stops) == 1


def test_under_steady_work_it_makes_a_pause_once():
    box = Box()
    box.run(BUSY_SECONDS - 2, idle=False)
    assert not box.measuring.wants_quiet
    box.run(5, idle=False)
    assert box.measuring.wants_quiet
    box.run(1, idle=True)
    assert box.measurer.stops == [False]  # nothing is claimed meanwhile, so nothing breaks it off
    assert not box.measuring.wants_quiet
    assert box.planned == 1


def test_broken_off_by_work_it_tries_again_and_in_the_end_makes_a_pause():
    box = Box()
    box.measurer.ends = ["work"] * ATTEMPTS
    box.run(ATTEMPTS * (QUIET_SECONDS + 2), idle=True)
    assert box.measurer.stops == [True] * ATTEMPTS + [False]
    assert box.planned == 1


def test_what_is_known_or_not_worth_it_is_not_measured():
    box = Box()
    box.measurer.known = measurements()
    box.run(20, idle=True)
    assert (box.measurer.stops, box.planned) == ([], 1)
    box = Box()
    box.measurer.worth = False
    box.run(20, idle=True)
    assert (box.measurer.stops, box.planned) == ([], 0)


def test_measurements_for_which_there_was_no_time_are_completed_at_the_next_start():
    box = Box()
    box.measurer.known = measurements(ended="time")
    box.run(20, idle=True)
    assert len(box.measurer.stops) == 1


def test_another_power_mode_is_measured_too():
    box = Box()
    box.run(20, idle=True)
    box.measurer.known = None
    box.measuring.ask(box.now)
    box.run(20, idle=True)
    assert len(box.measurer.stops) == 2
