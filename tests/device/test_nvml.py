"""NVML that supports little, breaks in the middle, or is not there."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import pynvml
import pytest

from edge_matting.device import VitalsReader, probe_device
from edge_matting.device.nvml import FIRST_PAUSE, LONGEST_PAUSE, Nvml, NvmlGone
from tests.fixtures import devices
from tests.fixtures.devices import FakeCard, FakeNvml


def test_a_desktop_card_tells_what_it_is(tmp_path):
    device = devices.gtx_1650(tmp_path)
    profile = probe_device(device.system())
    (gpu,) = profile.usable_gpus
    assert (gpu.name, gpu.memory_bytes) == ("NVIDIA GeForce GTX 1650", 4 << 30)
    assert (gpu.compute_capability, gpu.integrated, gpu.mig) == ((7, 5), False, None)
    assert (gpu.clock_max_hz, gpu.power_limit_milliwatts) == (1_800_000_000, 75000)
    assert gpu.uuid == "GPU-NVIDIA GeForce GTX 1650"
    assert (profile.driver, profile.cuda_driver) == ("580.95.05", (13, 0))
    assert profile.notes == ()
    assert not profile.gpus[0].integrated
    assert device.nvml.opened == device.nvml.closed == 1


def test_a_desktop_card_tells_how_it_feels(tmp_path):
    now = VitalsReader(devices.gtx_1650(tmp_path).system()).read()
    assert (now.gpu_percent, now.gpu_memory_used_bytes, now.gpu_celsius) == (33.0, 1 << 30, 61.0)
    assert (now.gpu_power_milliwatts, now.gpu_clock_hz) == (70500.0, 1_200_000_000)
    assert (now.heat_headroom_celsius, now.slowdowns, now.throttled) == (22.0, (), False)
    assert now.gpu_problem is None


@pytest.mark.parametrize(
    ("bits", "words", "throttled"),
    [
        (0x001, (), False),  # idle
        (0x102, (), False),  # clocks that somebody set
        (0x004, ("power_cap",), False),  # normal on small cards under full load
        (0x020, ("thermal",), True),
        (0x060, ("thermal",), True),
        (0x088, ("hardware", "power_brake"), True),
    ],
)
def test_heat_and_power_brake_slow_a_card_down_and_idling_does_not(
    tmp_path, bits, words, throttled
):
    hot = devices.card("RTX", 8192, (8, 6), nvmlDeviceGetCurrentClocksEventReasons=bits)
    device = devices.with_card(devices.pc(tmp_path), hot)
    now = VitalsReader(device.system()).read()
    assert (now.slowdowns, now.throttled) == (words, throttled)


def test_an_old_driver_knows_the_old_names(tmp_path):
    old = devices.card(
        "RTX", 8192, (8, 6),
        nvmlDeviceGetTemperature=55,
        nvmlDeviceGetCurrentClocksThrottleReasons=0x40,
    )  # fmt: skip
    new_names = ("nvmlDeviceGetTemperatureV", "nvmlDeviceGetCurrentClocksEventReasons")
    newer = (*new_names, "nvmlDeviceGetMarginTemperature")
    for more in ({"unknown": newer}, {"absent": newer}):
        device = devices.with_card(devices.pc(tmp_path), old, **more)
        now = VitalsReader(device.system()).read()
        assert (now.gpu_celsius, now.slowdowns) == (55.0, ("thermal",))
        assert now.heat_headroom_celsius is None


def test_what_is_not_supported_is_not_asked_by_its_other_name(tmp_path):
    device = devices.with_card(devices.pc(tmp_path), FakeCard({"nvmlDeviceGetTemperature": 55}))
    assert VitalsReader(device.system()).read().gpu_celsius is None


def test_orin_tells_only_its_name_and_every_reading_is_none(tmp_path):
    device = devices.orin_nano(tmp_path)
    devices.remove_gpu_node(device)  # so that NVML is asked at all
    now = VitalsReader(device.system()).read()
    assert device.nvml.opened == 1
    assert (now.gpu_percent, now.gpu_power_milliwatts, now.gpu_clock_hz) == (None, None, None)
    assert now.gpu_memory_used_bytes == 52000 * 1024  # from /proc/meminfo
    assert now.gpu_problem is None
    (gpu,) = probe_device(device.system()).gpus
    assert (gpu.name, gpu.memory_bytes, gpu.uuid) == ("Orin (tegra234)", None, None)


def test_thor_has_no_load_file_and_nvml_tells_its_load(tmp_path):
    thor = FakeCard(
        {
            "nvmlDeviceGetName": "NVIDIA Thor",
            "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=41, memory=0),
        }
    )
    device = devices.Device(tmp_path, "aarch64", nvml=FakeNvml(thor))
    device.write("sys/firmware/devicetree/base/compatible", "nvidia,p3834-0008\0nvidia,tegra264\0")
    device.files("sys/class/devfreq/gpu-gpc-0", cur_freq=315000000, max_freq=1575000000)
    device.touch("dev/nvmap")
    now = VitalsReader(device.system()).read()
    assert (now.gpu_percent, now.gpu_clock_limit_hz) == (41.0, 1_575_000_000)
    (gpu,) = probe_device(device.system()).gpus
    assert (gpu.compute_capability, gpu.memory_bytes, gpu.integrated) == ((11, 0), None, True)


def test_a_card_in_a_jetsons_slot_is_listed_beside_its_own_gpu(tmp_path):
    device = devices.orin_nano(tmp_path)
    device.nvml.cards.append(devices.card("RTX A6000", 49140, (8, 6)))
    names = [gpu.name for gpu in probe_device(device.system()).gpus]
    assert names == ["Orin (tegra234)", "RTX A6000"]


def test_a_split_card_tells_the_memory_of_its_first_instance(tmp_path):
    instance = FakeCard({"nvmlDeviceGetMemoryInfo": SimpleNamespace(total=10 << 30, used=1 << 30)})
    whole = devices.card(
        "NVIDIA H200", 143771, (9, 0),
        nvmlDeviceGetMigMode=[1, 1],
        nvmlDeviceGetMaxMigDeviceCount=7,
        nvmlDeviceGetMigDeviceHandleByIndex=instance,
    )  # fmt: skip
    del whole.answers["nvmlDeviceGetUtilizationRates"]
    device = devices.with_card(devices.pc(tmp_path), whole)
    profile = probe_device(device.system())
    assert (profile.gpus[0].memory_bytes, profile.gpus[0].mig) == (10 << 30, True)
    assert "only its first instance is used" in profile.notes[0]
    now = VitalsReader(device.system()).read()
    assert (now.gpu_memory_used_bytes, now.gpu_percent) == (1 << 30, None)


def test_a_split_card_without_an_instance_we_may_use_tells_its_own_memory(tmp_path):
    whole = devices.card("NVIDIA H200", 143771, (9, 0), nvmlDeviceGetMigMode=[1, 0])
    for count in ({}, {"nvmlDeviceGetMaxMigDeviceCount": 2}):
        split = FakeCard({**whole.answers, **count})
        device = devices.with_card(devices.pc(tmp_path), split)
        assert probe_device(device.system()).gpus[0].memory_bytes == 143771 << 20


def test_a_card_that_gives_no_handle_has_no_readings(tmp_path):
    class NoHandle(FakeNvml):
        def nvmlDeviceGetHandleByIndex(self, _index: int) -> object:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NO_PERMISSION)

    device = devices.pc(tmp_path, nvml=NoHandle(devices.card("RTX", 8192, (8, 6))))
    device.touch("dev/nvidiactl")
    assert probe_device(device.system()).gpus == ()
    assert VitalsReader(device.system()).read().gpu_percent is None


def test_a_library_that_will_not_close_is_given_up(tmp_path):
    class Stubborn(FakeNvml):
        def nvmlShutdown(self) -> None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_UNKNOWN)

    device = devices.pc(tmp_path, nvml=Stubborn(devices.card("RTX", 8192, (8, 6))))
    device.touch("dev/nvidiactl")
    assert len(probe_device(device.system()).gpus) == 1


def test_nvml_stays_open_between_readings_and_closes_when_told(tmp_path):
    device = devices.gtx_1650(tmp_path)
    reader = VitalsReader(device.system())
    for _ in range(3):
        reader.read()
    assert (device.nvml.opened, device.nvml.closed) == (1, 0)
    reader.close()
    assert (device.nvml.opened, device.nvml.closed) == (1, 1)
    reader.close()
    assert device.nvml.closed == 1


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (pynvml.NVML_ERROR_GPU_IS_LOST, "GPU is lost: it fell off the bus: restart the machine"),
        (pynvml.NVML_ERROR_RESET_REQUIRED, "GPU requires restart"),
        (pynvml.NVML_ERROR_UNINITIALIZED, "Uninitialized"),
    ],
)
def test_a_gpu_lost_in_the_middle_is_told_and_comes_back_when_it_does(tmp_path, code, why):
    device = devices.gtx_1650(tmp_path)
    reader = VitalsReader(device.system())
    assert reader.read().gpu_percent == 33.0
    device.nvml.cards[0].error = code
    lost = reader.read()
    assert lost.gpu_percent is lost.gpu_celsius is lost.throttled is None
    assert why in (lost.gpu_problem or "")
    assert lost.memory_available_bytes is not None  # the rest goes on
    device.nvml.cards[0].error = None
    device.clock.seconds += FIRST_PAUSE
    assert reader.read().gpu_percent == 33.0


def test_a_lost_gpu_is_asked_again_with_growing_pauses(tmp_path):
    device = devices.gtx_1650(tmp_path)
    device.nvml.cards[0].error = pynvml.NVML_ERROR_GPU_IS_LOST
    reader = VitalsReader(device.system())
    opened = []
    for second in range(1, 2001):
        device.clock.seconds += 1
        before = device.nvml.opened
        assert "GPU is lost" in (reader.read().gpu_problem or "")
        if device.nvml.opened > before:
            opened.append(second)
    pauses = [later - earlier for earlier, later in pairwise(opened)]
    assert pauses[:3] == [5, 10, 20]
    assert max(pauses) == LONGEST_PAUSE


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, "NVML: NVML Shared Library Not Found"),
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "Driver Not Loaded: load the NVIDIA driver"),
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, "the driver was updated: restart the machine"),
        (pynvml.NVML_ERROR_UNKNOWN, "NVML: Unknown Error"),
    ],
)
def test_a_card_on_the_bus_without_a_working_driver_is_told(tmp_path, code, why):
    device = devices.pc(tmp_path, nvml=FakeNvml(init_error=code))
    device.files("sys/bus/pci/devices/0000:01:00.0", vendor="0x10de")
    device.write("sys/bus/pci/devices/0000:01:00.0/class", "0x030000")
    profile = probe_device(device.system())
    assert profile.gpus == ()
    assert profile.notes[0].startswith("an NVIDIA card is built in; NVML: ")
    assert why in profile.notes[0]
    assert why in (VitalsReader(device.system()).read().gpu_problem or "")


def test_without_a_hint_of_nvidia_its_library_is_not_even_imported(tmp_path):
    device = devices.pc(tmp_path)
    device.files("sys/bus/pci/devices/0000:01:00.1", vendor="0x10de")  # the card's sound device
    device.write("sys/bus/pci/devices/0000:01:00.1/class", "0x040300")
    device.nvml.init_error = None
    assert probe_device(device.system()).notes == ("no NVIDIA GPU found",)
    assert VitalsReader(device.system()).read().gpu_problem is None
    assert device.nvml.opened == 0


def test_a_missing_module_is_a_reason_and_no_crash(tmp_path):
    def missing():
        raise ImportError("No module named 'pynvml'")

    system = devices.gtx_1650(tmp_path).system()
    broken = type(system)(root=system.root, nvml=missing)
    assert "install nvidia-ml-py" in probe_device(broken).notes[0]


def test_a_session_does_not_survive_a_fork(tmp_path):
    device = devices.gtx_1650(tmp_path)
    process = [100]
    nvml = Nvml(device.system(), process=lambda: process[0])
    assert nvml.call("nvmlDeviceGetCount") == 1
    process[0] = 101
    assert nvml.call("nvmlDeviceGetCount") == 1
    assert (device.nvml.opened, device.nvml.closed) == (2, 0)  # the parent's is left alone
    process[0] = 100
    nvml.close()
    assert device.nvml.closed == 0


def test_the_real_library_answers_or_says_why_not(tmp_path):
    nvml = Nvml(devices.System(root=tmp_path))
    try:
        told = f"NVML: {nvml.call('nvmlDeviceGetCount')} GPU(s)"
    except NvmlGone as gone:
        told = str(gone)
    finally:
        nvml.close()
    assert told.startswith("NVML: ")


def test_a_name_that_is_no_text_and_a_machine_without_cards_are_survived(tmp_path):
    def undecodable(*_given: object) -> str:
        return b"\xff".decode()

    fake = devices.card_nvml(FakeCard({"nvmlDeviceGetName": b"Old \xff card"}))
    fake.nvmlDeviceGetUUID = undecodable
    device = devices.pc(tmp_path, nvml=fake)
    device.touch("dev/nvidiactl")
    (gpu,) = probe_device(device.system()).gpus
    assert (gpu.name, gpu.uuid, gpu.memory_bytes) == ("Old \ufffd card", None, None)
    fake.cards.clear()
    assert VitalsReader(device.system()).read().gpu_problem is None
    assert probe_device(device.system()).gpus == ()
