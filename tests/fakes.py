"""Stand-ins for what a test must own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class ManualClock:
    """`core.clock.Clock` that only the test moves."""

    time: float = 1_800_000_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time
