"""What the page, the metrics and ``profile`` make of the readings, and what readings cost."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edge_matting.cli import profile as command
from edge_matting.core.device_values import Vitals
from edge_matting.device import System, VitalsReader, gpus, power, probe_device, raspberry
from edge_matting.status import metrics
from edge_matting.status.render import plain, quiet
from edge_matting.status.texts import TEXTS
from tests.fixtures import devices
from tests.fixtures.devices import DEVICES

EVERY_SECONDS = 2.0
READINGS = 31  # a minute: one search for sensors among them
MOST_FILES = 40
MOST_RATIO = 10.0  # 2 to 4 was seen


def samples(vitals: Vitals) -> dict[tuple[str, ...], float]:
    return {
        (sample.name.removeprefix("edge_matting_device_"), *sample.labels.values()): sample.value
        for metric in metrics._device(vitals)
        for sample in metric.samples
    }


def test_the_metrics_of_a_jetson_have_base_units_and_no_sample_without_a_reading(tmp_path):
    device = devices.orin_nano(tmp_path)
    told = samples(VitalsReader(device.system()).read())
    assert told["temperature_celsius", "junction"] == 50.937
    assert told["rail_power_watts", "VDD_IN"] == pytest.approx(5.253136)
    assert told["power_mode_info", "15W"] == 1
    assert told["gpu_clock_limit_hertz",] == 612e6
    assert told["over_current_events_total",] == 0
    assert ("gpu_power_watts",) not in told
    assert ("memory_stall_ratio", "some") not in told


def test_the_metrics_of_an_empty_machine_have_no_samples_but_the_time(tmp_path):
    told = samples(VitalsReader(devices.Device(tmp_path).system()).read())
    assert set(told) == {("readings_time_seconds",)}


def test_the_metrics_name_each_cause_of_a_slowdown(tmp_path):
    told = samples(VitalsReader(devices.raspberry_pi_5(tmp_path).system()).read())
    assert told["throttled",] == told["slowdown", "under_voltage"] == 1
    assert told["slowdown", "throttled"] == 1


def test_a_page_that_sees_the_same_readings_later_has_nothing_new(tmp_path):
    device = devices.orin_nano(tmp_path)
    now = VitalsReader(device.system()).read()

    def told(vitals: Vitals):
        return quiet({"vitals": plain(vitals), "engine": {}, "folders": []})

    later = replace(now, taken_at=9.0, taken_monotonic_seconds=9.0, junction_celsius=50.2)
    assert told(later) == told(now)
    assert told(replace(now, slowdowns=("thermal",))) != told(now)
    assert told(replace(now, power_mode="25W")) != told(now)


def test_the_page_has_words_for_each_cause_of_a_slowdown():
    causes = {"thermal", *gpus.SLOWDOWNS.values(), *raspberry.FLAGS.values()}
    for cause in causes | set(power.OVER_CURRENT.values()):
        assert f"slow_{cause}" in TEXTS["en"]


def printed(device, capsys) -> str:
    command._print_profile(probe_device(device.system()))
    command._print_vitals(VitalsReader(device.system()).read())
    return capsys.readouterr().out


def test_profile_prints_facts_and_readings_with_their_units(tmp_path, capsys):
    told = printed(devices.orin_nx(tmp_path), capsys)
    assert "Orin NX 16GB, Jetson Linux 36.5.0, JetPack 6.2.2, power mode 40W" in told
    assert "Orin (tegra234), compute 8.7" in told
    assert "GPU 99 %, processors 44 °C, GPU 46 °C, heat headroom 51 °C" in told
    assert "GPU up to 1173 MHz, 28.2 W" in told


def test_profile_prints_what_is_wrong_and_nothing_for_what_is_unknown(tmp_path, capsys):
    device = devices.orin_nano(tmp_path / "jetson")
    device.remove("dev/nvgpu/igpu0/ctrl")
    assert "gpu problem the GPU driver did not start" in printed(device, capsys)
    told = printed(devices.raspberry_pi_5(tmp_path / "pi"), capsys)
    assert "slowed by   under_voltage, throttled" in told
    assert "now  " not in printed(devices.Device(tmp_path / "none"), capsys)


class Counted:
    """Passes file readings on and notes the paths."""

    def __init__(self, system: System) -> None:
        self.paths: list[Path] = []
        self._read = system.read
        self.system = replace(system, read=self.read)

    def read(self, path: Path) -> bytes:
        self.paths.append(path)
        return self._read(path)


def seconds_of(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


def costs(reader: VitalsReader, counted: Counted) -> tuple[int, float]:
    """Files of a reading, and its least cost over that of reading those files and no more."""
    reader.read()
    counted.paths.clear()
    reader.read()
    paths = tuple(counted.paths)

    def bare() -> None:
        for path in paths:
            with contextlib.suppress(OSError):
                counted.system.read(path)

    rounds = [(seconds_of(reader.read), seconds_of(bare)) for _ in range(READINGS)]
    readings, bares = zip(*rounds, strict=True)
    return len(paths), min(readings) / min(bares)


@pytest.mark.parametrize("name", DEVICES)
def test_a_reading_costs_little_more_than_its_files(tmp_path, name):
    device = DEVICES[name](tmp_path)
    counted = Counted(device.system())
    files, ratio = costs(VitalsReader(counted.system), counted)
    print(f"{name}: {files} files, {ratio:.1f} times their own cost")  # shown with -rP
    assert files <= MOST_FILES
    assert ratio < MOST_RATIO


@pytest.mark.parametrize("name", DEVICES)
def test_sensors_are_not_looked_for_at_each_reading(tmp_path, name, monkeypatch):
    device = DEVICES[name](tmp_path)
    searches: list[float] = []
    find = System.find
    monkeypatch.setattr(
        System, "find", lambda self, at: (searches.append(device.clock.seconds), find(self, at))[1]
    )
    reader = VitalsReader(device.system())
    for _ in range(READINGS):
        reader.read()
        device.clock.seconds += EVERY_SECONDS
    assert 1 <= len(set(searches)) <= READINGS // 5


def test_readings_of_this_machine_cost_little():
    counted = Counted(System())
    reader = VitalsReader(counted.system)
    files, ratio = costs(reader, counted)
    reader.close()
    print(f"this machine: {files} files, {ratio:.1f} times their own cost")
    assert ratio < MOST_RATIO
    assert probe_device().machine
