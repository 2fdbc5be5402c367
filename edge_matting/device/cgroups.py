"""What a container or a systemd unit leaves of the machine: cgroup version 1 and 2.

Limits sit on the process's own group and on each group above it; the tightest counts. In a
container without a cgroup namespace the path in ``/proc/self/cgroup`` is the host's and does
not exist below the mount: then only the mount's own root is left to ask.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edge_matting.device.files import as_int
from edge_matting.device.system import System

MOUNT = "sys/fs/cgroup"
UNLIMITED = 2**60
"""Version 1 writes "no limit" as a number close to 2**63."""


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    """A group with a memory limit, and where its use is read."""

    limit_bytes: int
    used_path: str
    stat_path: str
    cache_key: str  # file pages in stat_path that the kernel gives back when asked


def cpu_quota(system: System) -> float | None:
    """Processors that the tightest CPU quota allows; None without one."""
    quotas = [_quota_v2(system, folder) for folder in _unified(system)]
    quotas += [_quota_v1(system, folder) for folder in _folders(system, "cpu")]
    return min((quota for quota in quotas if quota), default=None)


def memory_group(system: System) -> MemoryGroup | None:
    """The group with the least memory limit; None without one."""
    groups = [
        MemoryGroup(limit, f"{folder}/memory.current", f"{folder}/memory.stat", "inactive_file")
        for folder in _unified(system)
        if (limit := _limit(system, f"{folder}/memory.max")) is not None
    ]
    groups += [
        MemoryGroup(
            limit,
            f"{folder}/memory.usage_in_bytes",
            f"{folder}/memory.stat",
            "total_inactive_file",
        )
        for folder in _folders(system, "memory")
        if (limit := _limit(system, f"{folder}/memory.limit_in_bytes")) is not None
    ]
    return min(groups, key=lambda group: group.limit_bytes, default=None)


def available_bytes(system: System, group: MemoryGroup) -> int | None:
    """What the group may still take: its limit less what it uses and cannot give back."""
    used = system.integer(group.used_path)
    if used is None:
        return None
    given_back = 0
    for line in (system.text(group.stat_path) or "").splitlines():
        key, _, value = line.partition(" ")
        if key == group.cache_key:
            given_back = as_int(value) or 0
    return max(0, group.limit_bytes - max(0, used - given_back))


def pressure_paths(system: System) -> tuple[str, ...]:
    """The machine's memory pressure, and that of our own group where it has one."""
    own = [f"{folder}/memory.pressure" for folder in _unified(system)]
    readable = [path for path in own if system.text(path) is not None]
    return ("proc/pressure/memory", *readable[:1])


def _limit(system: System, path: str) -> int | None:
    limit = system.integer(path)  # "max" is no number
    return limit if limit is not None and 0 < limit < UNLIMITED else None


def _quota_v2(system: System, folder: str) -> float | None:
    quota, _, period = (system.text(f"{folder}/cpu.max") or "").partition(" ")
    return _ratio(as_int(quota), as_int(period))  # "max" is no number


def _quota_v1(system: System, folder: str) -> float | None:
    quota = system.integer(f"{folder}/cpu.cfs_quota_us")  # -1 without a limit
    return _ratio(quota, system.integer(f"{folder}/cpu.cfs_period_us"))


def _ratio(quota: int | None, period: int | None) -> float | None:
    return quota / period if quota and period and quota > 0 and period > 0 else None


def _unified(system: System) -> Iterator[str]:
    """Our group of version 2 and those above it; ``unified`` is where the hybrid mounts it."""
    for mount in (MOUNT, f"{MOUNT}/unified"):
        yield from _upwards(mount, _own_path(system, ""))


def _folders(system: System, controller: str) -> Iterator[str]:
    """Our group of a version 1 controller and those above it."""
    yield from _upwards(f"{MOUNT}/{controller}", _own_path(system, controller))


def _own_path(system: System, controller: str) -> str:
    """Our path in ``/proc/self/cgroup``; version 2 is the line without controllers."""
    for line in (system.text("proc/self/cgroup") or "").splitlines():
        _number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller in controllers.split(","):
            return path
    return "/"


def _upwards(mount: str, path: str) -> Iterator[str]:
    # ".." stands in the path of a process outside its own cgroup namespace.
    parts = [part for part in path.split("/") if part not in {"", ".", ".."}]
    for length in range(len(parts), -1, -1):
        yield "/".join([mount, *parts[:length]])
