"""Admission by pixels, so that memory is bounded by construction."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

WAIT_SECONDS: Final = 1.0


class PixelBudget:
    """Lets photos in while their pixels together stay within ``budget``.

    A photo larger than the whole budget is let in alone. Peak memory is therefore at most
    ``max(budget, limits.max_pixels) * planner.BYTES_PER_PIXEL`` above the engine's base.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._inside = 0
        self._changed = threading.Condition()

    def resize(self, budget: int) -> None:
        """Another budget from now on; photos that are inside stay."""
        with self._changed:
            self._budget = budget
            self._changed.notify_all()

    @contextmanager
    def admit(self, pixels: int, waiting: Callable[[], None]) -> Iterator[None]:
        """Wait for room, hold it for the body, give it back.

        ``waiting`` is called about once a second meanwhile: whoever waits for another does not
        hang, and the other one is judged by its own progress.
        """
        with self._changed:
            while not self._changed.wait_for(lambda: self._has_room(pixels), WAIT_SECONDS):
                waiting()
            self._inside += pixels
        try:
            yield
        finally:
            with self._changed:
                self._inside -= pixels
                self._changed.notify_all()

    def _has_room(self, pixels: int) -> bool:
        return self._inside == 0 or self._inside + pixels <= self._budget
