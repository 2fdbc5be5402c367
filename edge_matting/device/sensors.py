"""Which sensors there are: found once in a while, read every time."""

from __future__ import annotations

from dataclasses import dataclass

from edge_matting.device import cgroups, host, power, raspberry, thermal
from edge_matting.device.cgroups import MemoryGroup
from edge_matting.device.nvml import worth_asking
from edge_matting.device.power import Counter, RailFiles
from edge_matting.device.system import System
from edge_matting.device.tegra_gpu import GpuNode, find_gpu
from edge_matting.device.thermal import Zone

FIRST_PAUSE = 2.0
LONGEST_PAUSE = 60.0


@dataclass(frozen=True, slots=True)
class Sensors:
    """Paths of what can be read here; what is missing may still appear."""

    family: str
    zones: tuple[Zone, ...]
    policies: tuple[str, ...]
    group: MemoryGroup | None
    pressure: tuple[str, ...]
    gpu: GpuNode | None
    rails: tuple[RailFiles, ...]
    counters: tuple[Counter, ...]
    flags: str | None
    nvml: bool  # worth asking


def find_sensors(system: System) -> Sensors:
    family = host.family(system)
    jetson = family == "jetson"
    gpu = find_gpu(system) if jetson else None
    return Sensors(
        family=family,
        zones=thermal.find_zones(system),
        policies=host.clock_policies(system),
        group=cgroups.memory_group(system),
        pressure=cgroups.pressure_paths(system),
        gpu=gpu,
        rails=power.find_rails(system) if jetson else (),
        counters=power.find_counters(system) if jetson else (),
        flags=raspberry.find_flags(system) if family == "raspberry" else None,
        # NVML adds nothing where sysfs has the load.
        nvml=(gpu is None or gpu.load is None) and worth_asking(system),
    )


class Finder:
    """Sensors, looked for again after 2, 4, 8 s and so on, in the end once a minute.

    Nodes appear late at boot, vanish with their driver and come back under another number; a
    limit of the cgroup may change.
    """

    def __init__(self, system: System) -> None:
        self._system = system
        self._sensors: Sensors | None = None
        self._next = 0.0
        self._pause = FIRST_PAUSE

    def sensors(self) -> Sensors:
        now = self._system.clock.monotonic()
        if self._sensors is None or now >= self._next:
            self._sensors = find_sensors(self._system)
            self._next = now + self._pause
            self._pause = min(LONGEST_PAUSE, self._pause * 2)
        return self._sensors
