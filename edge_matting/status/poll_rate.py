"""How often each open page may ask, so that all of them together cost the same as a few."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from edge_matting.core.clock import Clock

LEAST_SECONDS: Final = 2.0
MOST_SECONDS: Final = 30.0
ASKED_A_SECOND: Final = 10.0
"""Polls a second that all pages together are held to."""

MAX_PAGES: Final = 1000
REMEMBERED_SECONDS: Final = 2.5 * MOST_SECONDS


class PollRate:
    """Counts the pages that were heard of lately, by the name each has given itself."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heard: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def pause(self, page: str) -> float:
        """Seconds until ``page`` may ask again; a caller without a name is not counted."""
        now = self._clock.monotonic()
        with self._lock:
            if page:
                self._heard[page[:32]] = now
                self._heard.move_to_end(page[:32])
            while self._heard and (
                len(self._heard) > MAX_PAGES
                or now - next(iter(self._heard.values())) > REMEMBERED_SECONDS
            ):
                self._heard.popitem(last=False)
            pages = len(self._heard)
        return min(MOST_SECONDS, max(LEAST_SECONDS, round(pages / ASKED_A_SECOND)))
