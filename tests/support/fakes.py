"""What several tests need: stand-ins that a test owns, and names that break careless code."""

from __future__ import annotations

import os
from dataclasses import dataclass

AWKWARD_NAMES = (
    "with space.jpg",
    "quotes\"and'.jpg",
    "new\nline.jpg",
    "emoji \N{PARTY POPPER}.jpg",
    "-rf",
    "<script>alert(1)<",
    os.fsdecode(b"undecodable \xff\x80.jpg"),
    "x" * 251 + ".jpg",
)
"""File names that users really drop (CASES 14)."""


@dataclass
class ManualClock:
    """`core.clock.Clock` that only the test moves."""

    time: float = 1_800_000_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


class QuietReporter:
    """`engine.worker.WorkReporter` to which nobody listens."""

    def progress(self, stage: str) -> None: ...

    def rest(self) -> None: ...

    def finished(self, *, reused: bool) -> None: ...

    def obstacle(self, place: str, what: str | None) -> None: ...
