"""What wakes the main loop: other threads, and signals.

A signal handler in Python runs between two steps of the main thread, perhaps inside the very lock
that it would take. So each does one thing: it adds to the counter of a descriptor of its own
(eventfd(2)), which the main loop waits on. A counter is never full, so a storm of one signal hides
no other; in a pipe it would.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Collection, Iterable
from types import FrameType


class WakeUp:
    """Descriptors to wait on. Signals are taken with `take_signals`, by the main thread."""

    def __init__(self) -> None:
        self._nudged = _counter()
        self._signals: dict[int, int] = {}  # their descriptors, by number

    def take_signals(self, numbers: Iterable[int]) -> None:
        """From now on these only wake; `wait` returns them."""
        for number in numbers:
            self._signals[number] = _counter()
            signal.signal(number, self._came)

    def ignore_signals(self) -> None:
        """When all is done: one that comes while the interpreter ends would change the status."""
        for number in self._signals:
            signal.signal(number, signal.SIG_IGN)

    def nudge(self) -> None:
        """End the wait that goes on, or the next one. For any thread."""
        os.eventfd_write(self._nudged, 1)

    def wait(self, seconds: float, later: Collection[int] = ()) -> frozenset[int]:
        """Wait at most so long; the signals that came since the last call.

        Those of ``later`` end no wait and are kept for a call without them.
        """
        wanted = {fd: number for number, fd in self._signals.items() if number not in later}
        poll = select.poll()
        for descriptor in (self._nudged, *wanted):
            poll.register(descriptor, select.POLLIN)
        poll.poll(max(0.0, seconds) * 1000.0)
        _taken(self._nudged)
        return frozenset(number for fd, number in wanted.items() if _taken(fd))

    def _came(self, number: int, _frame: FrameType | None) -> None:
        os.eventfd_write(self._signals[number], 1)


def _counter() -> int:
    return os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)


def _taken(descriptor: int) -> bool:
    """Whether anything was counted; it is at 0 then."""
    try:
        return os.eventfd_read(descriptor) > 0
    except BlockingIOError:
        return False
