"""The readings of one moment, from whatever sensors this device has."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TypeVar

from edge_matting.core.device_values import Vitals
from edge_matting.core.reasons import Reason
from edge_matting.device import cgroups, host, power, raspberry, tegra, tegra_gpu, thermal
from edge_matting.device.files import as_int
from edge_matting.device.gpus import FAULTS, CardState, read_card
from edge_matting.device.nvml import Nvml, NvmlGone
from edge_matting.device.power import Events
from edge_matting.device.raspberry import Flags
from edge_matting.device.sensors import Finder, Sensors
from edge_matting.device.system import System
from edge_matting.device.tegra_gpu import GpuState

Number = TypeVar("Number", int, float)

LOAD_SAMPLES = 5
"""A Jetson's load is that of an instant and jumps: the mean of as many readings is reported."""


@dataclass(frozen=True, slots=True)
class Heat:
    cpu_celsius: float | None
    gpu_celsius: float | None
    junction_celsius: float | None
    headroom_celsius: float | None  # to the nearest passive trip point


@dataclass(frozen=True, slots=True)
class Slowdowns:
    words: tuple[str, ...] | None
    throttled: bool | None


class VitalsReader:
    """Reads the device; keep one for the process, for some readings need the one before.

    No reading raises. One thread at a time. Without ``nvml`` NVIDIA's library is never asked.
    """

    def __init__(self, system: System | None = None, *, nvml: bool = True) -> None:
        self._system = system or System()
        self._finder = Finder(self._system)
        self._nvml = Nvml(self._system)
        self._may_ask = nvml
        self._events = power.EventCounts()
        self._loads: deque[float] = deque(maxlen=LOAD_SAMPLES)
        self._times: tuple[int, int] | None = None

    def read(self) -> Vitals:
        system, sensors = self._system, self._finder.sensors()
        heat = read_heat(system, sensors)
        card, gpu_problem = self._card(sensors)
        node = tegra_gpu.read_state(system, sensors.gpu)
        rails = power.read_rails(system, sensors.rails)
        events = self._events.read(system, sensors.counters)
        flags = raspberry.read_flags(system, sensors.flags)
        slow = _slowdowns(heat, card, events, flags)
        memory = host.meminfo(system)
        some, full = read_pressure(system, sensors.pressure)
        return Vitals(
            cpu_percent=self._cpu_percent(),
            memory_available_bytes=_available(system, sensors, memory),
            cpu_celsius=heat.cpu_celsius,
            gpu_percent=self._gpu_percent(node, card),
            gpu_memory_used_bytes=_first(card.memory_used_bytes, memory.get("NvMapMemUsed")),
            gpu_celsius=_first(heat.gpu_celsius, card.celsius),
            throttled=slow.throttled,
            taken_at=system.clock.now(),
            taken_monotonic_seconds=system.clock.monotonic(),
            junction_celsius=heat.junction_celsius,
            heat_headroom_celsius=_least(heat.headroom_celsius, card.headroom_celsius),
            passive_headroom_celsius=heat.headroom_celsius,
            cpu_clock_limit_hz=host.clock_hz(system, sensors.policies, "scaling_max_freq"),
            gpu_clock_hz=_first(node.clock_hz, card.clock_hz),
            gpu_clock_limit_hz=node.clock_limit_hz,
            gpu_clock_locked=node.clock_locked,
            gpu_power_milliwatts=card.power_milliwatts,
            input_power_milliwatts=power.input_power(rails),
            rails=rails,
            over_current_events=events.total,
            slowdowns=slow.words,
            slowdowns_since_boot=None if flags is None else flags.since_boot,
            memory_some_stall_percent=some,
            memory_full_stall_percent=full,
            power_mode=tegra.power_mode(system) if sensors.family == "jetson" else None,
            gpu_problem=gpu_problem,
        )

    def close(self) -> None:
        """Let go of NVML; the next reading opens it again."""
        self._nvml.close()

    def _card(self, sensors: Sensors) -> tuple[CardState, Reason | None]:
        if sensors.family == "jetson":
            state, _why = self._asked(sensors)
            return state, tegra.dead(self._system)
        return self._asked(sensors)

    def _asked(self, sensors: Sensors) -> tuple[CardState, Reason | None]:
        if not (self._may_ask and sensors.nvml):
            return CardState(), None
        try:
            return read_card(self._nvml), None
        except NvmlGone as gone:
            return CardState(), Reason.of(str(gone))

    def _gpu_percent(self, node: GpuState, card: CardState) -> float | None:
        if node.percent is None:
            self._loads.clear()
            return card.percent
        self._loads.append(node.percent)
        return sum(self._loads) / len(self._loads)

    def _cpu_percent(self) -> float | None:
        """Busy time of all processors since the reading before; None at the first."""
        before, self._times = self._times, cpu_times(self._system)
        if before is None or self._times is None:
            return None
        busy, total = (new - old for new, old in zip(self._times, before, strict=True))
        return min(100.0, max(0.0, 100.0 * busy / total)) if total > 0 else None


def cpu_times(system: System) -> tuple[int, int] | None:
    """Busy and total ticks of all processors together, from the first line of ``/proc/stat``."""
    words = (system.text("proc/stat") or "").partition("\n")[0].split()
    ticks = [tick for word in words[1:9] if (tick := as_int(word)) is not None]
    if len(ticks) < 8 or words[0] != "cpu":
        return None
    total = sum(ticks)  # guest time is counted in user time already
    return total - ticks[3] - ticks[4], total


def read_heat(system: System, sensors: Sensors) -> Heat:
    hottest: dict[str, float] = {}
    headroom: float | None = None
    for zone in sensors.zones:
        reading = thermal.celsius(system, zone)
        if reading is None:
            continue
        hottest[zone.unit] = max(reading, hottest.get(zone.unit, reading))
        if zone.passive_celsius is not None:
            headroom = _least(headroom, zone.passive_celsius - reading)
    return Heat(hottest.get("cpu"), hottest.get("gpu"), hottest.get("tj"), headroom)


def read_pressure(system: System, paths: tuple[str, ...]) -> tuple[float | None, float | None]:
    """The share of the last 10 s in which some tasks, and all, waited for memory (PSI).

    The worse of the machine's and our own group's.
    """
    worst: dict[str, float] = {}
    for path in paths:
        for line in (system.text(path) or "").splitlines():
            kind, _, rest = line.partition(" avg10=")
            percent = _decimal(rest.partition(" ")[0])
            if percent is not None:
                worst[kind] = max(percent, worst.get(kind, 0.0))
    return worst.get("some"), worst.get("full")


def _available(system: System, sensors: Sensors, memory: dict[str, int]) -> int | None:
    own = None if sensors.group is None else cgroups.available_bytes(system, sensors.group)
    machine = memory.get("MemAvailable")
    return min((size for size in (own, machine) if size is not None), default=None)


def _slowdowns(heat: Heat, card: CardState, events: Events, flags: Flags | None) -> Slowdowns:
    """What slows the device down now; None where no source of it answers."""
    words: list[str] = []
    throttled = False
    if flags is not None:
        words += flags.now
        throttled |= bool(raspberry.SLOWED & set(flags.now))
    if card.slowdowns is not None:
        words += card.slowdowns
        throttled |= bool(FAULTS & set(card.slowdowns))
    too_hot = heat.headroom_celsius is not None and heat.headroom_celsius <= 0
    if too_hot or events.words:
        words += [*(["thermal"] if too_hot else []), *events.words]
        throttled = True
    sources = (flags, card.slowdowns, heat.headroom_celsius, events.total)
    if all(source is None for source in sources):
        return Slowdowns(None, None)
    return Slowdowns(tuple(dict.fromkeys(words)), throttled)


def _decimal(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _first(*values: Number | None) -> Number | None:
    return next((value for value in values if value is not None), None)


def _least(*values: float | None) -> float | None:
    return min((value for value in values if value is not None), default=None)
