"""What readings say: is it too much, is it enough, or neither."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from edge_matting.core.device_values import DeviceProfile, Vitals
from edge_matting.core.providers import is_processor
from edge_matting.core.reasons import Reason
from edge_matting.planner.ladder import Cause

DERATE_HEADROOM_CELSIUS: Final = 10.0
"""Below the passive trip point, where the kernel starts to slow the processor down (99 °C on an
AGX Orin, 95 °C on an Orin Nano: DEVICE_FACTS 1.6, which suggests this distance). A card is not
measured by it: it runs close to its slowdown temperature on purpose, and tells when it slows."""

RESTORE_HEADROOM_CELSIUS: Final = 15.0
"""5 °C lower: a sensor's noise does not reach from one to the other."""

LITTLE_MEMORY_SHARE: Final = 0.06
ENOUGH_MEMORY_SHARE: Final = 0.12
LITTLE_MEMORY_BYTES: Final = 1 << 30  # of a large machine; the shares would be wasteful there
STALLED_PERCENT: Final = 10.0  # PSI "full": all tasks waited for memory in a tenth of the time
FLOWING_PERCENT: Final = 2.0

HOT_WORDS: Final = frozenset({"thermal", "soft_temperature"})
POWER_WORDS: Final = frozenset({"power_brake", "hardware", "over_current"})
"""Not ``power_cap`` (SwPowerCap), which small cards and laptops meet under any full load, nor
``under_voltage`` alone, which a Raspberry Pi shows long before it slows down."""


class Level(Enum):
    """What a cause's readings say; BETWEEN asks for no change."""

    TOO_MUCH = "too much"
    BETWEEN = "between"
    AT_EASE = "at ease"


@dataclass(frozen=True, slots=True)
class Signal:
    """A level, and the reading behind it as a person reads it."""

    level: Level
    why: Reason


def signals(vitals: Vitals, profile: DeviceProfile, provider: str) -> Mapping[Cause, Signal]:
    """What the readings say for each cause that readings can speak of; none without a reading."""
    found = {
        Cause.HEAT: _heat(vitals),
        Cause.POWER: _power(vitals),
        Cause.MEMORY_PRESSURE: _memory(vitals, profile),
        Cause.PROVIDER_LOST: _provider(vitals, provider),
    }
    return {cause: signal for cause, signal in found.items() if signal is not None}


def _heat(vitals: Vitals) -> Signal | None:
    words = _slowed(vitals, HOT_WORDS)
    if words:
        return Signal(Level.TOO_MUCH, Reason("slowed_down", words=", ".join(words)))
    headroom = vitals.passive_headroom_celsius
    if headroom is None:
        return None if vitals.slowdowns is None else Signal(Level.AT_EASE, Reason("no_slowdown"))
    why = Reason("headroom", celsius=f"{headroom:.1f}")
    if headroom <= DERATE_HEADROOM_CELSIUS:
        return Signal(Level.TOO_MUCH, why)
    at_ease = headroom >= RESTORE_HEADROOM_CELSIUS
    return Signal(Level.AT_EASE if at_ease else Level.BETWEEN, why)


def _power(vitals: Vitals) -> Signal | None:
    if vitals.slowdowns is None:
        return None
    words = _slowed(vitals, POWER_WORDS)
    if words:
        return Signal(Level.TOO_MUCH, Reason("slowed_down", words=", ".join(words)))
    return Signal(Level.AT_EASE, Reason("no_slowdown"))


def _slowed(vitals: Vitals, words: Iterable[str]) -> tuple[str, ...]:
    return tuple(word for word in vitals.slowdowns or () if word in words)


def _memory(vitals: Vitals, profile: DeviceProfile) -> Signal | None:
    """The machine's own memory; on a Jetson the GPU's too."""
    free, stall = vitals.memory_available_bytes, vitals.memory_full_stall_percent
    if free is None and stall is None:
        return None
    little = min(int(profile.memory_bytes * LITTLE_MEMORY_SHARE), LITTLE_MEMORY_BYTES)
    enough = min(int(profile.memory_bytes * ENOUGH_MEMORY_SHARE), 2 * LITTLE_MEMORY_BYTES)
    if stall is not None and stall >= STALLED_PERCENT:
        return Signal(Level.TOO_MUCH, Reason("memory_stalled", percent=round(stall)))
    why = Reason("memory_flows") if free is None else Reason("memory_left", megabytes=free >> 20)
    if free is not None and free < little:
        return Signal(Level.TOO_MUCH, why)
    flowing = stall is None or stall <= FLOWING_PERCENT
    at_ease = flowing and (free is None or free >= enough)
    return Signal(Level.AT_EASE if at_ease else Level.BETWEEN, why)


def _provider(vitals: Vitals, provider: str) -> Signal | None:
    """A GPU that NVML has lost; a working NVML proves little, a lost GPU proves much."""
    if is_processor(provider) and vitals.gpu_problem is None:
        return None
    if vitals.gpu_problem is not None:
        return Signal(Level.TOO_MUCH, Reason.of(vitals.gpu_problem))
    return Signal(Level.AT_EASE, Reason("gpu_answers"))
