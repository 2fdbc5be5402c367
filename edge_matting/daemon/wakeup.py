"""What wakes the main loop: other threads, and signals.

A signal handler in Python runs between two steps of the main thread, perhaps inside the very lock
that it would take. So none does anything here: the interpreter writes the signal's number to a
descriptor (signal.set_wakeup_fd), and the main loop reads it.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterable
from types import FrameType

_NUDGE = b"\0"  # no signal has the number 0
_AT_ONCE = 4096


class WakeUp:
    """A descriptor to wait on. Signals are taken with `take_signals`, by the main thread."""

    def __init__(self) -> None:
        self._reads, self._writes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._reads, select.POLLIN)

    def take_signals(self, numbers: Iterable[int]) -> None:
        """From now on these only wake; `wait` returns them."""
        signal.set_wakeup_fd(self._writes, warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, _nothing)

    def nudge(self) -> None:
        """End the wait that goes on, or the next one. For any thread."""
        try:
            os.write(self._writes, _NUDGE)
        except BlockingIOError:
            return  # so full of nudges that one more tells nothing

    def wait(self, seconds: float) -> frozenset[int]:
        """Wait at most so long; the signals that came since the last call."""
        self._poll.poll(max(0.0, seconds) * 1000.0)
        came: set[int] = set()
        while True:
            try:
                read = os.read(self._reads, _AT_ONCE)
            except BlockingIOError:
                break
            came.update(read)
            if len(read) < _AT_ONCE:
                break
        return frozenset(came - {0})


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """The number is in the descriptor already."""
