"""The device under an injected root, and NVML that supports little."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from edge_matting.core.plan import Gpu
from edge_matting.device import host, nvml, probe_device, read_vitals
from edge_matting.device.files import read_int, read_text


def write(root: Path, path: str, text: str) -> None:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(text.encode())


class FakeNvml:
    """Answers like NVML on a Jetson (only the name works) or on a desktop card."""

    class NVMLError(Exception):
        pass

    def __init__(self, *, name: str | bytes = "Orin (nvgpu)", supported: bool = False) -> None:
        self._name = name
        self._supported = supported
        self.running = False

    def nvmlInit(self) -> None:
        self.running = True

    def nvmlShutdown(self) -> None:
        self.running = False

    def nvmlDeviceGetCount(self) -> int:
        return 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, _handle: int) -> str | bytes:
        return self._name

    def _answer(self, value: object) -> object:
        if not self._supported:
            raise self.NVMLError("Not Supported")
        return value

    def nvmlDeviceGetMemoryInfo(self, _handle: int) -> object:
        return self._answer(SimpleNamespace(total=4 << 30, used=1 << 30))

    def nvmlDeviceGetCudaComputeCapability(self, _handle: int) -> object:
        return self._answer((8, 6))

    def nvmlDeviceGetUtilizationRates(self, _handle: int) -> object:
        return self._answer(SimpleNamespace(gpu=33))

    def nvmlDeviceGetTemperature(self, _handle: int, _sensor: int) -> object:
        return self._answer(61)


def test_a_jetson_that_answers_not_supported_still_has_a_name():
    fake = FakeNvml()
    assert nvml.list_gpus(fake) == ((Gpu("Orin (nvgpu)", None, None, integrated=True),), None)
    assert nvml.read_gpu(fake) == nvml.GpuReadings()
    assert not fake.running


def test_a_desktop_card_tells_all():
    fake = FakeNvml(name=b"RTX A2000", supported=True)
    gpus, missing = nvml.list_gpus(fake)
    assert gpus == (Gpu("RTX A2000", 4 << 30, (8, 6), integrated=False),)
    assert missing is None
    assert nvml.read_gpu(fake) == nvml.GpuReadings(33.0, 1 << 30, 61.0)


def test_without_a_driver_the_reason_is_told():
    fake = FakeNvml()
    fake.nvmlInit = lambda: fake._answer(None)
    assert nvml.list_gpus(fake) == ((), "no NVIDIA GPU through NVML: Not Supported")
    assert nvml.read_gpu(fake) == nvml.GpuReadings()


@pytest.mark.parametrize(
    ("compatible", "family"),
    [
        (None, "pc"),
        ("nvidia,p3768-0000+p3767-0005-super\0nvidia,p3767-0005\0nvidia,tegra234\0", "jetson"),
        ("raspberrypi,5-model-b\0brcm,bcm2712\0", "raspberry"),
        ("radxa,rock-5b\0rockchip,rk3588\0", "other"),
    ],
)
def test_the_family_is_known_by_tokens_of_the_device_tree(tmp_path, compatible, family):
    if compatible:
        write(tmp_path, "sys/firmware/devicetree/base/compatible", compatible)
        write(tmp_path, "sys/firmware/devicetree/base/model", "A Board Rev 1.0\0")
        assert host.board_model(tmp_path) == "A Board Rev 1.0"
    assert host.family(tmp_path) == family


def test_quota_and_memory_limits_of_both_cgroup_versions_are_respected(tmp_path):
    assert host.usable_cpus(tmp_path) >= 1
    write(tmp_path, "sys/fs/cgroup/cpu.max", "50000 100000\n")
    assert host.usable_cpus(tmp_path) == 0.5
    write(tmp_path, "sys/fs/cgroup/cpu.max", "max 100000\n")
    write(tmp_path, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "25000\n")
    write(tmp_path, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    assert host.usable_cpus(tmp_path) == 0.25
    write(tmp_path, "sys/fs/cgroup/memory.max", "max\n")
    whole = host.memory_bytes(tmp_path)
    write(tmp_path, "sys/fs/cgroup/memory.max", "104857600\n")
    assert host.memory_bytes(tmp_path) == 104857600 < whole


@pytest.mark.parametrize(("reading", "celsius"), [("43531\n", 43.531), ("-256000\n", None)])
def test_a_zone_is_found_by_type_and_a_dead_sensor_is_no_reading(tmp_path, reading, celsius):
    write(tmp_path, "sys/class/thermal/thermal_zone0/type", "gpu-thermal\n")
    write(tmp_path, "sys/class/thermal/thermal_zone1/type", "CPU-therm\n")
    write(tmp_path, "sys/class/thermal/thermal_zone1/temp", reading)
    assert host.cpu_celsius(tmp_path) == celsius


def test_what_cannot_be_read_is_none(tmp_path):
    assert read_text(tmp_path / "none") is None
    assert read_text(tmp_path) is None  # a folder opens and does not read
    write(tmp_path, "word", "many\n")
    assert read_int(tmp_path / "word") is None
    write(tmp_path, "empty", "")
    assert read_int(tmp_path / "empty") is None


def test_this_very_machine_can_be_probed():
    profile = probe_device()
    assert profile.memory_bytes > 0
    assert profile.usable_cpus > 0
    assert profile.page_size in {4096, 16384, 65536}
    assert read_vitals().memory_available_bytes


def test_a_jetson_is_told_what_is_not_read_yet(tmp_path):
    write(tmp_path, "sys/firmware/devicetree/base/compatible", "nvidia,tegra234\0")
    notes = probe_device(tmp_path).notes
    assert any("not read yet" in note for note in notes)
