"""Seconds of a stretch of work, as they would be on a machine that has nothing else to do."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import psutil

DISTURBED: Final = 0.15
"""Share of the processors that others may use before the clock says more of them than of us."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Seconds so far."""

    wall: float
    own: float  # processor time of this process
    busy: float  # processor time of the whole machine


class CpuTimer:
    """Wall-clock time where the machine is ours, else what the processor time comes to."""

    def __init__(
        self,
        cpus: float,
        *,
        wall: Callable[[], float] = time.perf_counter,
        own: Callable[[], float] = time.process_time,
        busy: Callable[[], float] | None = None,
    ) -> None:
        self._cpus = max(1.0, cpus)
        self.wall = wall
        self._own = own
        self._busy = busy or busy_seconds

    def read(self) -> Reading:
        """Now."""
        return Reading(self.wall(), self._own(), self._busy())

    def seconds(self, begin: Reading, parallel: int, *, on_processor: bool) -> float:
        """Since ``begin``, of work that ``parallel`` threads shared.

        While others keep the processors busy, our processor time is spread over as many as the
        threads could use. Of work on an accelerator the wall clock alone can tell.
        """
        end = self.read()
        wall, own = end.wall - begin.wall, end.own - begin.own
        others = max(0.0, end.busy - begin.busy - own)
        if not on_processor or others <= DISTURBED * wall * self._cpus:
            return wall
        return min(wall, own / min(self._cpus, parallel))


def busy_seconds() -> float:
    """Processor seconds that the machine has worked since boot."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    # What a virtual machine's guests take is in user time already.
    return float(sum(times[:8]) - idle)
