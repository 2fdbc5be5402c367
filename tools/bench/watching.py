"""What processes use while they work, and when their results appeared."""

from __future__ import annotations

import math
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import psutil

SAMPLE_SECONDS = 0.25
WARMING_SHARE = 0.15
"""Of a run's photos: what is loaded at the first photos is not counted in a pace."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look; processor seconds since the start."""

    at: float  # seconds since the epoch
    own: float  # of the watched processes
    busy: float  # of the whole machine
    idle: float  # of all processors, among it those that wait for a disk
    resident: int
    proportional: int  # resident, shared pages divided among those who have them; 0: not asked for


@final
@dataclass(slots=True)
class Watch:
    """Samples processes from a thread of its own until told to stop."""

    processes: Callable[[], Sequence[psutil.Process]]
    every: float = SAMPLE_SECONDS
    proportional: bool = False
    samples: list[Sample] = field(default_factory=list)
    _done: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        assert self._thread is not None
        self._thread.join()

    def between(self, begin: float, end: float) -> dict[str, float]:
        """Processor seconds between two moments: ``own``, ``others`` and ``idle``."""
        first, last = self._near(begin), self._near(end)
        own = last.own - first.own
        seconds = last.at - first.at
        return {
            "seconds": seconds,
            "own": own,
            "others": max(0.0, last.busy - first.busy - own),
            "idle": last.idle - first.idle,
        }

    def _near(self, moment: float) -> Sample:
        index = bisect_right([sample.at for sample in self.samples], moment)
        return self.samples[min(index, len(self.samples) - 1)]

    def _run(self) -> None:
        while not self._done.wait(self.every):
            try:
                self.samples.append(self._look())
            except psutil.Error:
                continue

    def _look(self) -> Sample:
        own, resident, proportional = 0.0, 0, 0
        for process in self.processes():
            times = process.cpu_times()
            own += times.user + times.system
            resident += process.memory_info().rss
            if self.proportional:
                proportional += process.memory_full_info().pss
        machine = psutil.cpu_times()
        idle = machine.idle + machine.iowait
        busy = machine.user + machine.nice + machine.system + machine.irq + machine.softirq
        return Sample(time.time(), own, busy, idle, resident, proportional)


def published(folders: Iterable[Path]) -> list[float]:
    """When each sidecar's name appeared, in order (its inode changes with the rename)."""
    return sorted(
        path.stat().st_ctime
        for folder in folders
        if folder.is_dir()
        for path in folder.rglob("*.json")
    )


@dataclass(frozen=True, slots=True)
class Pace:
    """Photos a second, and what a photo used, after warming."""

    photos_per_second: float
    own_ms: float  # of processors, a photo
    others_ms: float  # used by other processes and the kernel's threads, a photo
    idle_ms: float  # left unused, a photo


def pace(moments: Sequence[float], watch: Watch) -> Pace:
    """From the moments at which results appeared; the first ones only mark the beginning."""
    first = max(1, int(len(moments) * WARMING_SHARE))
    begin, end = moments[first - 1], moments[-1]
    count = len(moments) - first
    used = watch.between(begin, end)
    # Ten small photos are done between two looks at the processors: what they used is unknown.
    share = 1e3 / count * (end - begin) / used["seconds"] if used["seconds"] else math.nan
    return Pace(
        round(count / (end - begin), 3),
        *(round(used[name] * share, 2) for name in ("own", "others", "idle")),
    )
