"""The GPU of a Jetson in sysfs: NVML gives only its name."""

from __future__ import annotations

from dataclasses import dataclass

from edge_matting.device.system import System

NODE_NAMES = frozenset({"gpu", "ga10b", "gv11b", "gp10b", "gb10b"})
"""``of_node/name`` by release and chip: ``ga10b`` up to JetPack 5, ``gpu`` from JetPack 6."""

THOR_NODE = "gpu-gpc-0"
LOAD_ALIASES = ("sys/devices/platform/gpu.0/load", "sys/devices/gpu.0/load")


@dataclass(frozen=True, slots=True)
class GpuNode:
    """Where load (per mille) and clocks (Hz) are read; a file may still be missing."""

    devfreq: str
    load: str | None


@dataclass(frozen=True, slots=True)
class GpuState:
    percent: float | None = None
    clock_hz: int | None = None
    clock_limit_hz: int | None = None
    clock_locked: bool | None = None


def find_gpu_node(system: System) -> str | None:
    """The GPU's devfreq folder. It appears late at boot: look again while it is missing."""
    for node in system.find("sys/class/devfreq/*"):
        name = system.text(f"{node}/device/of_node/name") or ""
        if name in NODE_NAMES or "gpu" in name or node.endswith(f"/{THOR_NODE}"):
            return node
    return None


def find_gpu(system: System) -> GpuNode | None:
    node = find_gpu_node(system)
    if node is None:
        return None
    paths = (f"{node}/device/load", *LOAD_ALIASES)
    return GpuNode(node, next((path for path in paths if system.exists(path)), None))


def read_state(system: System, node: GpuNode | None) -> GpuState:
    if node is None:
        return GpuState()
    lowest = system.integer(f"{node.devfreq}/min_freq")
    highest = system.integer(f"{node.devfreq}/max_freq")
    return GpuState(
        percent=_load(system, node.load),
        clock_hz=system.integer(f"{node.devfreq}/cur_freq"),
        clock_limit_hz=highest,
        # The governor's name does not change when jetson_clocks locks the clock; the range does.
        clock_locked=None if lowest is None or highest is None else lowest == highest,
    )


def _load(system: System, path: str | None) -> float | None:
    per_mille = None if path is None else system.integer(path)
    return per_mille / 10 if per_mille is not None and 0 <= per_mille <= 1000 else None
