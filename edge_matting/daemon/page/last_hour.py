"""What finished in the last hour, second by second.

Kept here because the page asks all day: counted in the ledger, a busy hour made each look three
times as dear as a calm one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from edge_matting.core.jobs import TimeBucket

HOUR: Final = 3600

Value = TypeVar("Value", int, float)


class LastHour:
    """A ring of 3,600 seconds of the wall clock; every question costs the same, however full."""

    def __init__(self, known: Sequence[TimeBucket], until: float) -> None:
        """Begin with what the ledger knows: a slot a second, the last one ending at ``until``."""
        self._since = until
        self._head = int(until)
        self._finished, self._failed, self._timed = [0] * HOUR, [0] * HOUR, [0] * HOUR
        self._total, self._longest = [0.0] * HOUR, [0.0] * HOUR
        for age, slot in enumerate(reversed(known[-HOUR:])):
            at = (self._head - age) % HOUR
            self._finished[at], self._failed[at] = slot.finished, slot.failed
            if slot.mean_seconds is not None:
                self._timed[at], self._total[at] = slot.finished, slot.mean_seconds * slot.finished
                self._longest[at] = slot.longest_seconds or 0.0

    def move_to(self, now: float) -> None:
        """Forget the seconds that are older than an hour at ``now``."""
        for second in range(max(self._head, int(now) - HOUR) + 1, int(now) + 1):
            at = second % HOUR
            self._finished[at] = self._failed[at] = self._timed[at] = 0
            self._total[at] = self._longest[at] = 0.0
        self._head = max(self._head, int(now))

    def add(self, moment: float, seconds: float | None, *, failed: bool) -> None:
        """A job that finished at ``moment``, in ``seconds`` of work if that is known."""
        age = self._head - int(moment)
        if moment <= self._since or not 0 <= age < HOUR:
            return  # known from the ledger, or no longer of this hour
        at = int(moment) % HOUR
        self._finished[at] += 1
        self._failed[at] += failed
        if seconds is not None:
            self._timed[at] += 1
            self._total[at] += seconds
            self._longest[at] = max(self._longest[at], seconds)

    def finished(self, seconds: float) -> int:
        """How many jobs finished in the last ``seconds``, this one included; at most an hour."""
        return sum(self._in_order(self._finished)[-max(1, min(HOUR, round(seconds))) :])

    def slots(self, width: int) -> list[TimeBucket]:
        """The hour in stretches of ``width`` seconds, oldest first."""
        lists = (self._finished, self._failed, self._timed)
        finished, failed, timed = (self._in_order(values) for values in lists)
        total, longest = self._in_order(self._total), self._in_order(self._longest)
        made = []
        for begin in range(0, HOUR, width):
            part = slice(begin, begin + width)
            with_time = sum(timed[part])
            made.append(
                TimeBucket(
                    sum(finished[part]),
                    sum(failed[part]),
                    sum(total[part]) / with_time if with_time else None,
                    max(longest[part]) if with_time else None,
                )
            )
        return made

    def _in_order(self, values: list[Value]) -> list[Value]:
        """Oldest second first."""
        oldest = (self._head + 1) % HOUR
        return values[oldest:] + values[:oldest]
