"""Raspberry Pi: what its firmware reports of voltage, clock and heat."""

from __future__ import annotations

from dataclasses import dataclass

from edge_matting.device.system import System

FLAGS = {0: "under_voltage", 1: "frequency_capped", 2: "throttled", 3: "soft_temperature"}
SINCE_BOOT = 16
"""The same flags again, this many bits higher: whether it ever happened."""

SLOWED = frozenset({"frequency_capped", "throttled", "soft_temperature"})

# The firmware's node moves: below soc on older boards, below soc@107c000000 on a Pi 5.
PATTERNS = tuple(f"sys/devices/platform/soc*/{'*/' * depth}get_throttled" for depth in range(4))


@dataclass(frozen=True, slots=True)
class Flags:
    now: tuple[str, ...]
    since_boot: tuple[str, ...]


def find_flags(system: System) -> str | None:
    for pattern in PATTERNS:
        if found := system.find(pattern):
            return found[0]
    return None


def read_flags(system: System, path: str | None) -> Flags | None:
    """The flags; the file is hexadecimal without a prefix."""
    text = None if path is None else system.text(path)
    try:
        bits = int(text or "", 16)
    except ValueError:
        return None
    if not 0 <= bits < 2**32:
        return None
    return Flags(_words(bits), _words(bits >> SINCE_BOOT))


def _words(bits: int) -> tuple[str, ...]:
    return tuple(word for bit, word in FLAGS.items() if bits >> bit & 1)
