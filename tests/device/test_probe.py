"""Devices A to G of the device facts, as file trees under an injected root."""

from __future__ import annotations

import errno
import json
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_matting.core.device_values import Rail
from edge_matting.device import System, VitalsReader, probe_device
from edge_matting.device.files import as_int, read_bytes, read_int, read_text
from tests.fixtures import devices
from tests.fixtures.devices import DEVICES, Device


def vitals(device: Device):
    return VitalsReader(device.system()).read()


def test_a_an_orin_nano_is_known_by_tokens_and_its_mode_by_name(tmp_path):
    profile = probe_device(devices.orin_nano(tmp_path).system())
    assert (profile.family, profile.soc, profile.module) == ("jetson", "tegra234", "Orin Nano 8GB")
    assert profile.board == "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super"
    assert (profile.release, profile.jetpack, profile.power_mode) == ("36.5.0", "6.2.2", "15W")
    assert (profile.logical_cpus, profile.usable_cpus) == (6, 6.0)
    assert (profile.cpu_model, profile.cpu_clock_max_hz) == ("Cortex-A78AE", 1_728_000_000)
    assert "asimddp" in profile.cpu_features
    assert profile.memory_bytes == 7789952 * 1024
    assert profile.passive_celsius == 95.0  # active trips are steps of the fan
    (gpu,) = profile.usable_gpus
    assert (gpu.compute_capability, gpu.memory_bytes, gpu.integrated) == ((8, 7), None, True)
    assert gpu.clock_max_hz == 612_000_000
    assert profile.gpus[0].integrated
    assert profile.notes == ()


def test_a_an_orin_nano_is_read_from_sysfs_and_nvml_is_left_alone(tmp_path):
    device = devices.orin_nano(tmp_path)
    now = vitals(device)
    assert (now.cpu_celsius, now.gpu_celsius, now.junction_celsius) == (43.531, 45.75, 50.937)
    assert now.heat_headroom_celsius == pytest.approx(95 - 43.531)
    assert now.rails == (
        Rail("VDD_IN", pytest.approx(5253.136)),
        Rail("VDD_CPU_GPU_CV", pytest.approx(513.352)),
        Rail("VDD_SOC", pytest.approx(2721.264)),
    )
    assert now.input_power_milliwatts == pytest.approx(5253.136)
    assert (now.gpu_percent, now.gpu_clock_hz, now.gpu_clock_limit_hz) == (0, 306e6, 612e6)
    assert (now.gpu_clock_locked, now.power_mode) == (False, "15W")
    assert now.memory_available_bytes == 5600000 * 1024
    assert now.gpu_memory_used_bytes == 52000 * 1024
    assert (now.over_current_events, now.slowdowns, now.throttled) == (0, (), False)
    assert now.gpu_problem is None
    assert device.nvml.opened == 0


def test_a_locked_clocks_show_in_the_range_and_not_in_the_governor(tmp_path):
    device = devices.orin_nano_locked(tmp_path)
    now = vitals(device)
    assert (now.gpu_clock_locked, now.gpu_clock_limit_hz) == (True, 1_020_000_000)
    assert now.power_mode == probe_device(device.system()).power_mode == "MAXN_SUPER"


def test_b_an_orin_nx_under_load_reports_per_mille_and_the_cap_of_its_mode(tmp_path):
    device = devices.orin_nx(tmp_path)
    profile, now = probe_device(device.system()), vitals(device)
    assert (profile.module, profile.power_mode) == ("Orin NX 16GB", "40W")
    assert now.gpu_percent == 98.6
    assert (now.junction_celsius, now.throttled) == (86.0, False)
    assert (profile.cpu_clock_max_hz, now.cpu_clock_limit_hz) == (1_984_000_000, 1_497_600_000)
    assert now.input_power_milliwatts == pytest.approx(28224)


def test_c_a_gated_gpu_answers_eagain_and_that_is_no_reading(tmp_path):
    device = devices.agx_orin(tmp_path)
    now = vitals(device)
    assert now.gpu_celsius is None
    assert (now.cpu_celsius, now.junction_celsius) == (52.562, 52.562)
    assert now.input_power_milliwatts is None  # an AGX has no such rail
    assert [rail.name for rail in now.rails] == [
        "VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO",
    ]  # fmt: skip
    assert [round(rail.milliwatts, -1) for rail in now.rails][:3] == [2410, 1610, 4710]
    profile = probe_device(device.system())
    assert (profile.module, profile.power_mode) == ("AGX Orin 64GB", "MAXN")


def test_d_jetpack_5_is_recognised_and_told_plainly_what_is_not_supported(tmp_path):
    device = devices.agx_orin_jetpack5(tmp_path)
    profile, now = probe_device(device.system()), vitals(device)
    assert (profile.release, profile.jetpack) == ("35.4.1", "5.1.2")
    assert len(profile.gpus) == 1
    assert profile.usable_gpus == ()
    assert profile.gpus[0].clock_max_hz == 1_300_500_000
    (note,) = profile.notes
    assert "JetPack 5.1.2 (R35.4.1): its GPU is not supported" in note
    assert "install JetPack 6 or newer" in note
    assert now.gpu_celsius is None  # -256000
    assert (now.cpu_celsius, now.junction_celsius, now.gpu_percent) == (43.531, 50.937, 0)


def test_e_orin_on_jetpack_7_keeps_the_sysfs_interface_and_is_no_thor(tmp_path):
    device = devices.orin_nano_jetpack7(tmp_path)
    profile, now = probe_device(device.system()), vitals(device)
    assert (profile.soc, profile.release, profile.jetpack) == ("tegra234", "39.2.0", "7.2")
    assert profile.usable_gpus[0].compute_capability == (8, 7)
    assert (now.gpu_clock_limit_hz, now.throttled) == (624_750_000, False)


def test_f_a_raspberry_tells_by_its_flags_what_slows_it_down(tmp_path):
    device = devices.raspberry_pi_5(tmp_path)
    profile, now = probe_device(device.system()), vitals(device)
    assert (profile.family, profile.soc, profile.gpus) == ("raspberry", None, ())
    assert (profile.page_size, profile.cpu_model) == (16384, "Cortex-A76")
    assert now.slowdowns == now.slowdowns_since_boot == ("under_voltage", "throttled")
    assert (now.throttled, now.cpu_celsius) == (True, 52.3)
    assert now.over_current_events is None


@pytest.mark.parametrize(
    ("text", "now", "throttled"),
    [("1", ("under_voltage",), False), ("0x8", ("soft_temperature",), True), ("0", (), False)],
)
def test_f_voltage_alone_is_a_word_and_no_slowdown(tmp_path, text, now, throttled):
    device = devices.raspberry_pi_zero(tmp_path)
    device.write("sys/devices/platform/soc/soc:firmware/get_throttled", text)
    assert (vitals(device).slowdowns, vitals(device).throttled) == (now, throttled)


@pytest.mark.parametrize("text", ["error", "-1", "fffffffffff", "\0"])
def test_f_flags_that_are_none_are_no_reading(tmp_path, text):
    device = devices.raspberry_pi_zero(tmp_path)
    device.write("sys/devices/platform/soc/soc:firmware/get_throttled", text)
    assert vitals(device).throttled is vitals(device).slowdowns is None


def test_g_a_gpu_node_that_appears_late_is_found(tmp_path):
    device = devices.orin_nano(tmp_path)
    devices.remove_gpu_node(device)
    profile = probe_device(device.system())
    assert profile.gpus[0].compute_capability == (8, 7)
    assert any("not there yet" in note for note in profile.notes)
    reader = VitalsReader(device.system())
    assert reader.read().gpu_percent is None
    devices.restore_gpu_node(device)
    assert reader.read().gpu_percent is None  # not looked for at every reading
    device.clock.seconds += 2
    assert reader.read().gpu_percent == 0


def test_g_a_dead_gpu_is_told_from_one_that_a_sandbox_hides(tmp_path):
    device = devices.orin_nano(tmp_path)
    device.remove("dev/nvgpu/igpu0/ctrl")
    profile = probe_device(device.system())
    assert profile.usable_gpus == ()
    assert "igpu0/ctrl is missing): restart the board" in profile.notes[0]
    assert "restart the board" in (vitals(device).gpu_problem or "")
    device.remove("dev/nvgpu/igpu0/power")
    (device.root / "dev/nvgpu/igpu0").rmdir()
    assert len(probe_device(device.system()).usable_gpus) == 1
    assert vitals(device).gpu_problem is None


def test_g_a_container_without_the_release_file_asks_dpkg_or_says_so(tmp_path):
    device = devices.orin_nano(tmp_path)
    device.remove("etc/nv_tegra_release")
    profile = probe_device(device.system())
    assert (profile.soc, profile.release, profile.jetpack) == ("tegra234", None, None)
    assert len(profile.usable_gpus) == 1
    assert any("release is not known" in note for note in profile.notes)
    device.write(
        "var/lib/dpkg/status",
        "Package: nvidia-l4t-bsp\nVersion: 1.0\n\nPackage: nvidia-l4t-core\n"
        "Status: install ok installed\nVersion: 35.6.0-20240829\n\nPackage: other\nVersion: 9\n",
    )
    profile = probe_device(device.system())
    assert (profile.release, profile.jetpack) == ("35.6.0", "5.1.4")
    assert profile.usable_gpus == ()


@pytest.mark.parametrize("content", ["", "many", "-1", "1001", "\0"])
def test_g_a_load_that_is_none_is_no_number(tmp_path, content):
    device = devices.orin_nx(tmp_path)
    device.write(f"{devices.GPU_R36}/load", content)
    assert vitals(device).gpu_percent is None


def test_g_an_empty_machine_still_has_a_profile_and_no_readings(tmp_path):
    device = Device(tmp_path)
    profile = probe_device(device.system())
    assert (profile.family, profile.cpu_model, profile.gpus) == ("pc", "unknown", ())
    assert profile.notes == ("no NVIDIA GPU found",)
    now = asdict(vitals(device))
    known = {key for key, value in now.items() if value not in (None, ())}
    assert known == {"taken_at", "taken_monotonic_seconds"}


@pytest.mark.parametrize(
    ("text", "release", "name"),
    [
        ("# R36 (release), REVISION: 5.2, GCID: 1\n", "36.5.2", "6"),  # newer than our table
        ("VENDOR=x\n# R38 (release), REVISION: 2.0, GCID: 1\nINSTALL_TYPE=y\n", "38.2.0", "7.0"),
        ("# R99 (release), REVISION: 1.0\n", "99.1.0", None),
        ("R36\n", None, None),
    ],
)
def test_the_release_is_the_fact_and_the_jetpack_its_decoration(tmp_path, text, release, name):
    device = devices.orin_nano(tmp_path)
    device.write("etc/nv_tegra_release", text)
    profile = probe_device(device.system())
    assert (profile.release, profile.jetpack) == (release, name)
    assert len(profile.usable_gpus) == 1


@pytest.mark.parametrize(
    ("compatible", "family", "soc", "module"),
    [
        ("acme,carrier\0nvidia,p3767-0001\0nvidia,tegra234\0", "jetson", "tegra234", "Orin NX 8GB"),
        ("nvidia,p3971-0089+p3834-0008\0nvidia,tegra264\0", "jetson", "tegra264", "Thor"),
        ("nvidia,p2972-0000\0nvidia,tegra194\0", "jetson", "tegra194", None),
        ("nvidia,tegra999\0", "jetson", None, None),
        ("radxa,rock-5b\0rockchip,rk3588\0", "other", None, None),
    ],
)
def test_a_board_is_known_by_tokens_whatever_stands_around_them(
    tmp_path, compatible, family, soc, module
):
    device = Device(tmp_path, "aarch64")
    device.write("sys/firmware/devicetree/base/compatible", compatible)
    profile = probe_device(device.system())
    assert (profile.family, profile.soc, profile.module) == (family, soc, module)


@pytest.mark.parametrize(
    ("status", "mode"),
    [
        ("pmode:0002 fmode:fan_mode_quiet", "MAXN_SUPER"),
        ("pmode:0009 fmode:quiet", None),  # no such mode: never its number
        ("fmode:quiet", None),
        ("", None),
    ],
)
def test_a_power_mode_without_a_name_is_none(tmp_path, status, mode):
    device = devices.orin_nano(tmp_path)
    device.write("var/lib/nvpmodel/status", status)
    assert vitals(device).power_mode == mode


def test_a_changed_power_mode_shows_in_the_next_reading(tmp_path):
    device = devices.orin_nano(tmp_path)
    reader = VitalsReader(device.system())
    assert reader.read().power_mode == "15W"
    devices.set_mode(device, 1)
    assert reader.read().power_mode == "25W"


def test_over_current_counts_from_a_baseline_and_anew_after_a_boot(tmp_path):
    device = devices.orin_nano(tmp_path)
    counter = "sys/class/hwmon/hwmon3/oc2_event_cnt"
    device.write(counter, 7)
    reader = VitalsReader(device.system())
    assert reader.read().over_current_events == 0
    device.write(counter, 9)
    now = reader.read()
    assert (now.over_current_events, now.slowdowns, now.throttled) == (2, ("over_current",), True)
    now = reader.read()
    assert (now.over_current_events, now.slowdowns, now.throttled) == (2, (), False)
    device.write("sys/class/hwmon/hwmon3/oc1_throt_en", 0)
    device.clock.seconds += 60
    reader.read()
    device.write("sys/class/hwmon/hwmon3/oc1_event_cnt", 1)
    now = reader.read()
    assert (now.over_current_events, now.throttled) == (3, False)  # counted, and not armed
    device.write("proc/sys/kernel/random/boot_id", "second-boot")
    device.write(counter, 1)
    assert reader.read().over_current_events == 0
    device.write(counter, 0)  # its driver was loaded again
    assert reader.read().over_current_events == 0


def test_heat_at_the_passive_trip_is_a_slowdown(tmp_path):
    device = devices.orin_nano(tmp_path)
    device.write("sys/class/thermal/thermal_zone0/temp", 95000)
    now = vitals(device)
    assert (now.heat_headroom_celsius, now.slowdowns, now.throttled) == (0, ("thermal",), True)


def test_rails_are_found_on_the_bus_when_hwmon_has_no_names(tmp_path):
    device = devices.orin_nano(tmp_path)
    device.remove("sys/class/hwmon/hwmon1/name")
    assert [rail.name for rail in vitals(device).rails] == ["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"]
    device.remove("sys/class/hwmon/hwmon1/curr1_input")
    assert vitals(device).input_power_milliwatts is None


def test_the_load_of_an_instant_is_averaged_over_the_last_readings(tmp_path):
    device = devices.orin_nx(tmp_path)
    reader = VitalsReader(device.system())
    told = []
    for load in (0, 1000, 500, 500, 500, 1000):
        device.write(f"{devices.GPU_R36}/load", load)
        told.append(reader.read().gpu_percent)
    assert told == [0, 50, 50, 50, 50, 70]


@pytest.mark.parametrize("name", DEVICES)
def test_every_device_is_plain_json_and_the_same_twice(tmp_path, name):
    device = DEVICES[name](tmp_path)
    profile = probe_device(device.system())
    assert probe_device(device.system()) == profile
    assert json.loads(json.dumps(asdict(profile)))["memory_bytes"] == profile.memory_bytes
    assert json.dumps(asdict(vitals(device)))


def test_readings_carry_their_moment(tmp_path):
    device = devices.pc(tmp_path)
    now = vitals(device)
    assert now.taken_at == device.clock.now()
    assert now.taken_monotonic_seconds == device.clock.monotonic()


CONTENTS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"", b"\0", b"9" * 5000, b"max", b"nan", b"0-99999999", b"1e999", b"-1"]),
    st.sampled_from([errno.EAGAIN, errno.ENODEV, errno.EIO, errno.EACCES, errno.ENOENT]),
)


@given(data=st.data())
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@pytest.mark.parametrize(
    "name", ["Orin Nano 8GB, 15W", "Raspberry Pi 5", "container, 1 CPU and 1 GB of 32"]
)
def test_no_content_of_any_file_makes_a_reading_raise(tmp_path_factory, name, data):
    device = DEVICES[name](tmp_path_factory.mktemp("root"))
    share = data.draw(st.integers(1, 4))

    def read(path: Path) -> bytes:
        if data.draw(st.integers(0, share)) > 0:
            return read_bytes(path)
        content = data.draw(CONTENTS)
        if isinstance(content, int):
            raise OSError(content, "broken", str(path))
        return content

    system = replace(device.system(), read=read)
    probe_device(system)
    reader = VitalsReader(system)
    for _ in range(2):
        now = reader.read()
        device.clock.seconds += 100
        assert now.cpu_percent is None or 0 <= now.cpu_percent <= 100
        assert now.gpu_percent is None or 0 <= now.gpu_percent <= 100


def test_what_cannot_be_read_is_none(tmp_path):
    assert read_text(tmp_path / "none") is None
    assert read_text(tmp_path) is None  # a folder opens and does not read
    (tmp_path / "word").write_text("many\n")
    assert read_int(tmp_path / "word") is None
    (tmp_path / "empty").write_bytes(b"")
    assert read_int(tmp_path / "empty") is None
    assert as_int("32760 ma") == 32760
    assert as_int(None) is None


def test_f_a_raspberry_without_flags_does_not_claim_to_be_well(tmp_path):
    device = devices.raspberry_pi_zero(tmp_path)
    device.remove("sys/devices/platform/soc/soc:firmware/get_throttled")
    assert vitals(device).throttled is vitals(device).slowdowns_since_boot is None


def test_a_folder_that_cannot_be_listed_holds_nothing(tmp_path):
    assert System(tmp_path).find("x" * 300 + "/*") == ()


def test_files_longer_than_one_read_are_whole(tmp_path):
    (tmp_path / "long").write_bytes(b"x" * 200_000)
    assert len(read_bytes(tmp_path / "long")) == 200_000


def test_this_very_machine_can_be_probed():
    profile = probe_device()
    assert profile.memory_bytes > 0
    assert profile.usable_cpus > 0
    assert profile.page_size in {4096, 16384, 65536}
    with closing(VitalsReader()) as reader:
        assert reader.read().memory_available_bytes
    assert System().exists("proc/meminfo")
