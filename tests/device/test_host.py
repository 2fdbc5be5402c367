"""Processors, memory and pressure, as a machine, a unit or a container leaves them."""

from __future__ import annotations

import pytest

from edge_matting.device import VitalsReader, probe_device
from tests.fixtures import devices

NEAR_ENDLESS = 9223372036854771712  # what version 1 writes for "no limit"


def test_a_container_has_what_its_own_nested_group_leaves(tmp_path):
    device = devices.container(tmp_path)
    profile = probe_device(device.system())
    assert (profile.logical_cpus, profile.usable_cpus, profile.memory_bytes) == (32, 1.0, 10**9)
    now = VitalsReader(device.system()).read()
    assert now.memory_available_bytes == 10**9 - (6 * 10**8 - 10**8)  # file pages come back


def test_the_tightest_group_on_the_way_up_counts(tmp_path):
    device = devices.container(tmp_path)
    device.write("sys/fs/cgroup/system.slice/cpu.max", "50000 100000")
    device.write("sys/fs/cgroup/system.slice/memory.max", 5 * 10**8)
    device.write("sys/fs/cgroup/system.slice/memory.current", 6 * 10**8)
    profile = probe_device(device.system())
    assert (profile.usable_cpus, profile.memory_bytes) == (0.5, 5 * 10**8)
    assert VitalsReader(device.system()).read().memory_available_bytes == 0


@pytest.mark.parametrize("path", ["/", "/../../docker/abc", "/host/only/path"])
def test_a_container_whose_path_is_the_hosts_asks_the_mounts_root(tmp_path, path):
    device = devices.pc(tmp_path, 8, 8)
    device.write("proc/self/cgroup", f"0::{path}")
    device.write("sys/fs/cgroup/cpu.max", "150000 100000")
    device.write("sys/fs/cgroup/memory.max", 2 << 30)
    profile = probe_device(device.system())
    assert (profile.usable_cpus, profile.memory_bytes) == (1.5, 2 << 30)


def test_version_1_limits_of_the_own_group_are_found(tmp_path):
    device = devices.pc(tmp_path, 8, 8)
    device.write("proc/self/cgroup", "4:memory:/box\n2:cpu,cpuacct:/box\n0::/")
    device.write("sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", 25000)
    device.write("sys/fs/cgroup/cpu/box/cpu.cfs_period_us", 100000)
    device.write("sys/fs/cgroup/memory/box/memory.limit_in_bytes", 1 << 30)
    device.write("sys/fs/cgroup/memory/box/memory.usage_in_bytes", 300 << 20)
    device.write("sys/fs/cgroup/memory/box/memory.stat", f"total_inactive_file {100 << 20}")
    device.write("sys/fs/cgroup/memory/memory.limit_in_bytes", NEAR_ENDLESS)
    profile = probe_device(device.system())
    assert (profile.usable_cpus, profile.memory_bytes) == (0.25, 1 << 30)
    assert VitalsReader(device.system()).read().memory_available_bytes == (1024 - 200) << 20


def test_no_limit_is_no_limit(tmp_path):
    device = devices.pc(tmp_path, 8, 8)
    device.write("sys/fs/cgroup/cpu.max", "max 100000")
    device.write("sys/fs/cgroup/memory.max", "max")
    device.write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", -1)
    device.write("sys/fs/cgroup/cpu/cpu.cfs_period_us", 100000)
    device.write("sys/fs/cgroup/memory/memory.limit_in_bytes", NEAR_ENDLESS)
    profile = probe_device(device.system())
    assert (profile.usable_cpus, profile.memory_bytes) == (8.0, 8 << 30)
    assert VitalsReader(device.system()).read().memory_available_bytes == 6 << 30


def test_a_limit_set_while_running_is_seen(tmp_path):
    device = devices.pc(tmp_path)
    reader = VitalsReader(device.system())
    assert reader.read().memory_available_bytes == 6 << 30
    device.write("sys/fs/cgroup/memory.max", 1 << 30)
    device.write("sys/fs/cgroup/memory.current", 0)
    device.clock.seconds += 60
    assert reader.read().memory_available_bytes == 1 << 30


@pytest.mark.parametrize(
    ("mask", "usable"), [("0-1", 2.0), ("1,3,5-6", 4.0), ("0-255", 8.0), ("garbage", 8.0)]
)
def test_the_affinity_mask_limits_and_may_name_processors_that_are_not_there(
    tmp_path, mask, usable
):
    device = devices.pc(tmp_path, 8)
    device.write("proc/self/status", f"Name:\tx\nCpus_allowed_list:\t{mask}")
    assert probe_device(device.system()).usable_cpus == usable


def test_the_features_that_decide_speed_are_told_and_no_others(tmp_path):
    device = devices.pc(tmp_path)
    flags = "fpu vme sse4_2 avx avx2 avx512f avx512_vnni"
    device.write("proc/cpuinfo", f"model name\t: A\nflags\t\t: {flags}\n\nmodel name\t: B\n")
    profile = probe_device(device.system())
    assert profile.cpu_features == ("avx", "avx2", "avx512_vnni", "avx512f", "sse4_2")
    assert profile.cpu_model == "A"


def test_cpu_load_is_that_since_the_reading_before(tmp_path):
    device = devices.pc(tmp_path)
    reader = VitalsReader(device.system())
    assert reader.read().cpu_percent is None
    device.write("proc/stat", "cpu  130 0 110 820 40 0 0 0 0 0\n")  # 40 busy of 100
    assert reader.read().cpu_percent == 40
    assert reader.read().cpu_percent is None  # no time has passed
    device.write("proc/stat", "intr 1 2 3\n")
    assert reader.read().cpu_percent is None


def test_memory_pressure_is_the_worse_of_machine_and_group(tmp_path):
    device = devices.container(tmp_path)
    now = VitalsReader(device.system()).read()
    assert now.memory_some_stall_percent is now.memory_full_stall_percent is None
    line = "{} avg10={} avg60=0.00 avg300=0.00 total=0"
    device.write("proc/pressure/memory", line.format("some", "1.50"))
    group = "\n".join([line.format("some", "12.25"), line.format("full", "3.00")])
    device.write("sys/fs/cgroup/system.slice/box.scope/memory.pressure", group)
    now = VitalsReader(device.system()).read()
    assert (now.memory_some_stall_percent, now.memory_full_stall_percent) == (12.25, 3.0)


@pytest.mark.parametrize(("reading", "celsius"), [(43531, 43.531), (-256000, None)])
def test_a_zone_is_found_by_type_and_a_dead_sensor_is_no_reading(tmp_path, reading, celsius):
    device = devices.pc(tmp_path)
    devices.zones(device, {"acpitz": 20000, "gpu-thermal": 1000, "x86_pkg_temp": reading})
    devices.trips(device, 2, passive=0)  # writable, not set
    now = VitalsReader(device.system()).read()
    assert (now.cpu_celsius, now.heat_headroom_celsius) == (celsius, None)
    assert probe_device(device.system()).passive_celsius is None


def test_a_pc_without_zones_has_its_processors_own_sensor(tmp_path):
    device = devices.pc(tmp_path)
    device.files("sys/class/hwmon/hwmon0", name="nvme", temp1_input=30000)
    device.files("sys/class/hwmon/hwmon10", name="k10temp", temp1_input=61250)
    assert VitalsReader(device.system()).read().cpu_celsius == 61.25


def test_cores_of_two_kinds_tell_the_clock_of_the_faster(tmp_path):
    device = devices.pc(tmp_path, 4)
    device.files(
        "sys/devices/system/cpu/cpufreq/policy0",
        cpuinfo_max_freq=1800000,
        scaling_max_freq=1800000,
    )
    device.files(
        "sys/devices/system/cpu/cpufreq/policy2",
        cpuinfo_max_freq=2400000,
        scaling_max_freq=2000000,
    )
    assert probe_device(device.system()).cpu_clock_max_hz == 2_400_000_000
    assert VitalsReader(device.system()).read().cpu_clock_limit_hz == 2_000_000_000
