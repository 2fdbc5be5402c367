"""What an idle appliance uses of one processor: with nobody there, and with its page open.

Processor time of daemon and engine together over a window, after the appliance has come to rest.
The page is a client that asks as the real one does (``pages.Visitors``).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.bench.appliance import PATIENCE_SECONDS, Appliance
from tools.bench.pages import Visitors
from tools.waiting import wait_for

REST_SECONDS = 15.0


def idle(photos: Sequence[Path], scratch: Path, seconds: float) -> dict[str, Any]:
    """Percent of one processor in each window; a few photos were done before."""
    box = Appliance(scratch)
    with box.running():
        box.wait_ready()
        box.fill(photos)
        wait_for(lambda: not box.has_work(), "end of the photos", PATIENCE_SECONDS)
        time.sleep(REST_SECONDS)
        alone = _percent(box, seconds)
        visitors = Visitors(int(box.url.rpartition(":")[2]), 1)
        visitors.awake.set()
        visitors.wait_open()
        time.sleep(REST_SECONDS)
        watched = _percent(box, seconds)
        visitors.stop()
    return {
        "seconds": seconds,
        "alone_percent": alone,
        "page_open_percent": watched,
        "polls": len(visitors.polls),
        "faults": visitors.faults,
    }


def _percent(box: Appliance, seconds: float) -> float:
    def used() -> float:
        times = [process.cpu_times() for process in box.family()]
        return sum(each.user + each.system for each in times)

    begin, before = time.monotonic(), used()
    time.sleep(seconds)
    return round(100 * (used() - before) / (time.monotonic() - begin), 3)
