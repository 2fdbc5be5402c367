"""Concurrent duplicates wait for the first instead of doing its work again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

WAIT_SECONDS: Final = 1.0


class SingleFlight:
    """One thread at a time for each key."""

    def __init__(self) -> None:
        self._busy: set[str] = set()
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, key: str, waiting: Callable[[], None]) -> Iterator[None]:
        """Hold the key for the body; ``waiting`` is called about once a second until it is free.

        Whoever waited finds what the one before stored; where that one failed it stored nothing,
        and the next does the work itself.
        """
        with self._changed:
            while not self._changed.wait_for(lambda: key not in self._busy, WAIT_SECONDS):
                waiting()
            self._busy.add(key)
        try:
            yield
        finally:
            with self._changed:
                self._busy.discard(key)
                self._changed.notify_all()
