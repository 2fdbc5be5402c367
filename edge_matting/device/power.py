"""Power rails (INA3221) and over-current counters of a Jetson, found by the name of the chip.

hwmon numbers change between boots, and there is no file with a power: it is volts times amperes.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_matting.core.device_values import Rail
from edge_matting.device.system import System

INPUT_RAIL = "VDD_IN"
"""Whole module, on Nano and NX; an AGX has no such rail, and the sum of its rails misses some."""

NO_RAIL = frozenset({"NC", "sum of shunt voltages"})
CHANNELS = range(1, 9)

OVER_CURRENT = {1: "under_voltage", 2: "over_current", 3: "over_current"}
"""What the counters ``oc1`` to ``oc3`` count."""


@dataclass(frozen=True, slots=True)
class RailFiles:
    name: str
    millivolts: str
    milliamperes: str


@dataclass(frozen=True, slots=True)
class Counter:
    word: str
    path: str
    armed: bool  # the event slows the chip down


def find_rails(system: System) -> tuple[RailFiles, ...]:
    monitors = _named(system, "ina3221") or _monitors_on_i2c(system)
    return tuple(
        RailFiles(label, f"{folder}/in{channel}_input", f"{folder}/curr{channel}_input")
        for folder in monitors
        for channel in CHANNELS
        if (label := system.text(f"{folder}/in{channel}_label")) is not None
        and label not in NO_RAIL
    )


def read_rails(system: System, rails: tuple[RailFiles, ...]) -> tuple[Rail, ...]:
    readings = []
    for rail in rails:
        volts, amperes = system.integer(rail.millivolts), system.integer(rail.milliamperes)
        if volts is not None and amperes is not None:
            readings.append(Rail(rail.name, volts * amperes / 1000))
    return tuple(readings)


def input_power(rails: tuple[Rail, ...]) -> float | None:
    return next((rail.milliwatts for rail in rails if rail.name == INPUT_RAIL), None)


def find_counters(system: System) -> tuple[Counter, ...]:
    return tuple(
        Counter(word, f"{folder}/oc{number}_event_cnt", _armed(system, folder, number))
        for folder in _named(system, "soctherm_oc")
        for number, word in OVER_CURRENT.items()
        if system.exists(f"{folder}/oc{number}_event_cnt")
    )


def _armed(system: System, folder: str, number: int) -> bool:
    return system.integer(f"{folder}/oc{number}_throt_en") != 0


def _named(system: System, name: str) -> tuple[str, ...]:
    """hwmon folders whose chip is called so (``ina3221x`` on JetPack 5)."""
    return tuple(
        path.removesuffix("/name")
        for path in system.find("sys/class/hwmon/hwmon*/name")
        if (system.text(path) or "").startswith(name)
    )


def _monitors_on_i2c(system: System) -> tuple[str, ...]:
    return tuple(
        folder
        for path in system.find("sys/bus/i2c/devices/*/name")
        if "ina3221" in (system.text(path) or "")
        for folder in system.find(f"{path.removesuffix('name')}hwmon/hwmon*")
    )


@dataclass(frozen=True, slots=True)
class Events:
    """Over-current events since the first reading, and what happened since the last one."""

    total: int | None
    words: tuple[str, ...]  # of armed counters that moved


class EventCounts:
    """The counters run since boot: the first reading is the baseline.

    Another boot, or a counter that fell, makes a new one.
    """

    def __init__(self) -> None:
        self._boot: str | None = None
        self._last: dict[str, int] = {}
        self._total = 0

    def read(self, system: System, counters: tuple[Counter, ...]) -> Events:
        boot = system.text("proc/sys/kernel/random/boot_id")
        if boot != self._boot:
            self._boot, self._last, self._total = boot, {}, 0
        moved = []
        known = False
        for counter in counters:
            count = system.integer(counter.path)
            if count is None:
                continue
            known = True
            new = max(0, count - self._last.get(counter.path, count))
            self._last[counter.path] = count
            self._total += new
            if new and counter.armed:
                moved.append(counter.word)
        return Events(self._total if known else None, tuple(dict.fromkeys(moved)))
