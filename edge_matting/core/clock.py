"""Time, injected so that tests own it."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Wall clock, seconds since the epoch; may jump in either direction."""

    def monotonic(self) -> float:
        """Seconds that never run backwards; meaningless across reboots."""


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


def iso_utc(seconds: float) -> str:
    """ISO 8601 in UTC with milliseconds, ``2026-11-22T10:45:00.123Z``."""
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
