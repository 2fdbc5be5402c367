"""A budget of processor seconds for decoding: a photo that exceeds it is too slow.

Decoders run in C and cannot be stopped from outside; what they are asked to do was counted before
(``imaging.limits``), and this catches what the counts did not foresee. Processor time is measured,
not the clock on the wall: a busy machine makes no photo too slow.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

LEAST_SECONDS: Final = 3.0
SECONDS_PER_MEGAPIXEL: Final = 0.3
"""Ten times what the slowest format takes on a small board."""

LOOK_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class _Decoding:
    """One thread at work: its processor clock, and where that may stand at most."""

    clock: int
    begun: float
    limit: float


class DecodeWatch:
    """Looks twice a second at how long each decoding has taken; ``overrun`` is called then with the
    thread's number and its processor seconds, again at each look until the decoding ends.
    """

    def __init__(
        self,
        overrun: Callable[[int, float], None],
        *,
        least: float = LEAST_SECONDS,
        per_megapixel: float = SECONDS_PER_MEGAPIXEL,
        every: float = LOOK_SECONDS,
    ) -> None:
        self._overrun = overrun
        self._least = least
        self._per_megapixel = per_megapixel
        self._every = every
        self._running: dict[int, _Decoding] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def decoding(self, pixels: int) -> Iterator[None]:
        """The calling thread decodes a picture of so many pixels."""
        thread = threading.get_ident()
        clock = time.pthread_getcpuclockid(thread)
        limit = self._least + self._per_megapixel * pixels / 1e6
        with self._lock:
            self._running[thread] = _Decoding(clock, time.clock_gettime(clock), limit)
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="decoding", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                del self._running[thread]

    def _look(self) -> None:
        while True:
            time.sleep(self._every)
            for thread, seconds in self._overdue():
                self._overrun(thread, seconds)

    def _overdue(self) -> list[tuple[int, float]]:
        with self._lock:  # a thread among them is in its ``with`` and so alive: its clock is valid
            used = {
                thread: (time.clock_gettime(each.clock) - each.begun, each.limit)
                for thread, each in self._running.items()
            }
        return [(thread, seconds) for thread, (seconds, limit) in used.items() if seconds > limit]
