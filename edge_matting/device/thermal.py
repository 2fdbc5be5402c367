"""Temperatures: thermal zones by their type (zone numbers are no interface), or hwmon."""

from __future__ import annotations

from dataclasses import dataclass

from edge_matting.device.system import System

NO_READING_BELOW = -100_000
"""A switched-off Tegra zone reads -256000 millidegrees; a gated one answers EAGAIN."""

LIKELY_TRIPS = range(40_000, 150_001)
"""Millidegrees; some PCs show writable trip points that stand at 0."""

UNITS = ("cpu", "gpu", "tj")
PC_SENSORS = ("coretemp", "k10temp", "zenpower")


@dataclass(frozen=True, slots=True)
class Zone:
    """A sensor of one unit, and from where on the kernel slows that unit down."""

    unit: str  # cpu, gpu or tj (the junction: the hottest spot of the chip)
    path: str  # the file with the reading
    passive_celsius: float | None


def find_zones(system: System) -> tuple[Zone, ...]:
    """The zones of processor, GPU and junction; on a PC without any, its hwmon sensor."""
    zones = []
    for folder in system.find("sys/class/thermal/thermal_zone*"):
        unit = _unit(system.text(f"{folder}/type"))
        if unit is not None:
            zones.append(Zone(unit, f"{folder}/temp", _passive(system, folder)))
    if not any(zone.unit == "cpu" for zone in zones):
        zones += _hwmon(system)
    return tuple(zones)


def celsius(system: System, zone: Zone) -> float | None:
    reading = system.integer(zone.path)
    return None if reading is None or reading <= NO_READING_BELOW else reading / 1000


def passive_celsius(zones: tuple[Zone, ...]) -> float | None:
    """The lowest temperature at which the kernel slows this device down."""
    trips = (zone.passive_celsius for zone in zones)
    return min((trip for trip in trips if trip is not None), default=None)


def _unit(kind: str | None) -> str | None:
    """``cpu-thermal`` (Jetson, Raspberry), ``CPU-therm`` (JetPack 5), ``x86_pkg_temp``."""
    name = (kind or "").lower()
    if name == "x86_pkg_temp":
        return "cpu"
    return next((unit for unit in UNITS if name.startswith(unit)), None)


def _passive(system: System, folder: str) -> float | None:
    """The lowest ``passive`` trip point; ``active`` ones are steps of the fan."""
    trips = [
        system.integer(path.removesuffix("_type") + "_temp")
        for path in system.find(f"{folder}/trip_point_*_type")
        if system.text(path) == "passive"
    ]
    likely = [trip for trip in trips if trip is not None and trip in LIKELY_TRIPS]
    return min(likely) / 1000 if likely else None


def _hwmon(system: System) -> list[Zone]:
    for path in system.find("sys/class/hwmon/hwmon*/name"):
        if system.text(path) in PC_SENSORS:
            return [Zone("cpu", path.removesuffix("name") + "temp1_input", None)]
    return []
