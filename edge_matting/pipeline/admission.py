"""Admission by pixels and bytes, so that memory is bounded by construction; first come, first
served, so that a large photo's turn comes among any number of small ones."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

WAIT_SECONDS: Final = 1.0

BYTES_IN_A_PIXEL: Final = 40
"""Bytes of a file that was read and waits count as the pixels of a photo do that is in work; the
same number as ``planner.BYTES_PER_PIXEL``, by which the budget was made."""


class PixelBudget:
    """Lets photos in while their pixels, and the bytes read for those to come, are in ``budget``.

    A photo larger than the whole budget is let in when no other is in work. Peak memory is
    therefore at most ``max(budget, limits.max_pixels) * planner.BYTES_PER_PIXEL`` above the
    engine's base, and the files that wait meanwhile, which take no more than the budget again.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._inside = 0  # pixels in work
        self._held = 0  # bytes that were read
        self._to_read: deque[object] = deque()
        self._to_work: deque[object] = deque()
        self._changed = threading.Condition()

    def resize(self, budget: int) -> None:
        """Another budget from now on; photos that are inside stay."""
        with self._changed:
            self._budget = budget
            self._changed.notify_all()

    @contextmanager
    def reading(self, size: int, waiting: Callable[[], None]) -> Iterator[None]:
        """Wait until a file of ``size`` bytes may be read, and count it for the body.

        The body is all that holds the bytes, `admit` too.
        """
        with self._changed:
            self._await_turn(self._to_read, lambda: self._may_read(size), waiting)
            self._held += size
        try:
            yield
        finally:
            with self._changed:
                self._held -= size
                self._changed.notify_all()

    @contextmanager
    def admit(self, pixels: int, waiting: Callable[[], None]) -> Iterator[None]:
        """Wait for room, hold it for the body, give it back.

        ``waiting`` is called about once a second meanwhile: whoever waits for another does not
        hang, and the other one is judged by its own progress.
        """
        with self._changed:
            self._await_turn(self._to_work, lambda: self._has_room(pixels), waiting)
            self._inside += pixels
        try:
            yield
        finally:
            with self._changed:
                self._inside -= pixels
                self._changed.notify_all()

    def _await_turn(
        self, queue: deque[object], has_room: Callable[[], bool], waiting: Callable[[], None]
    ) -> None:
        turn = object()
        queue.append(turn)
        try:
            while not self._changed.wait_for(lambda: queue[0] is turn and has_room(), WAIT_SECONDS):
                waiting()
        finally:
            queue.remove(turn)
            self._changed.notify_all()  # the next one may have room too

    def _may_read(self, size: int) -> bool:
        return self._held == 0 or self._used() + size // BYTES_IN_A_PIXEL <= self._budget

    def _has_room(self, pixels: int) -> bool:
        return self._inside == 0 or self._used() + pixels <= self._budget

    def _used(self) -> int:
        return self._inside + self._held // BYTES_IN_A_PIXEL
