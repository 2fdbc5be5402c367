"""The host: board, processor, memory, and what a container leaves of them."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from edge_matting.device.files import read_int, read_text

NO_READING_BELOW = -100_000  # a switched-off Tegra zone says -256000 millidegrees


def board_model(root: Path) -> str | None:
    return read_text(root / "sys/firmware/devicetree/base/model")


def family(root: Path) -> str:
    """pc, jetson, raspberry or other, by tokens of the device tree's ``compatible``."""
    compatible = read_text(root / "sys/firmware/devicetree/base/compatible")
    if compatible is None:
        return "pc"
    if "nvidia,tegra" in compatible:
        return "jetson"
    return "raspberry" if "raspberrypi," in compatible else "other"


def cpu_model(root: Path) -> str:
    for line in (read_text(root / "proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in {"model name", "Model"}:
            return value.strip()
    return "unknown"


def usable_cpus(root: Path) -> float:
    """Processors left by affinity and by the cgroup's CPU quota (v2, then v1)."""
    allowed = float(len(os.sched_getaffinity(0)))
    quota = _quota_v2(root) or _quota_v1(root)
    return min(allowed, quota) if quota else allowed


def _quota_v2(root: Path) -> float | None:
    words = (read_text(root / "sys/fs/cgroup/cpu.max") or "").split()
    if len(words) == 2 and words[0].isdigit() and int(words[1]) > 0:
        return int(words[0]) / int(words[1])
    return None


def _quota_v1(root: Path) -> float | None:
    quota = read_int(root / "sys/fs/cgroup/cpu/cpu.cfs_quota_us")
    period = read_int(root / "sys/fs/cgroup/cpu/cpu.cfs_period_us")
    return quota / period if quota and period and quota > 0 else None


def memory_bytes(root: Path) -> int:
    """Physical memory, or the cgroup's limit where that is smaller."""
    total = psutil.virtual_memory().total
    for name in ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"):
        limit = read_int(root / name)
        if limit is not None and 0 < limit < total:
            return limit
    return total


def cpu_celsius(root: Path) -> float | None:
    """Temperature of the processor's thermal zone, found by type (numbers are no interface)."""
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        kind = (read_text(zone / "type") or "").lower()
        if kind.startswith(("cpu", "x86_pkg_temp")):
            reading = read_int(zone / "temp")
            return reading / 1000 if reading is not None and reading > NO_READING_BELOW else None
    return None
