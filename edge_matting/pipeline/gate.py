"""Admission by pixels, so that memory is bounded by construction."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class PixelGate:
    """Lets photos in while their pixels together stay within ``budget``.

    A photo larger than the whole budget is let in alone. Peak memory is therefore at most
    ``max(budget, limits.max_pixels) * planner.BYTES_PER_PIXEL`` above the engine's base.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._inside = 0
        self._changed = threading.Condition()

    @contextmanager
    def admit(self, pixels: int) -> Iterator[None]:
        """Wait for room, hold it for the body, give it back."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._inside == 0 or self._inside + pixels <= self._budget
            )
            self._inside += pixels
        try:
            yield
        finally:
            with self._changed:
                self._inside -= pixels
                self._changed.notify_all()
