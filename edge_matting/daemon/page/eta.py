"""How long the queue will still take, from how fast it really goes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

WINDOW_SECONDS: Final = 300.0
LEAST_SECONDS: Final = 5.0
LEAST_FINISHED: Final = 3


@dataclass(frozen=True, slots=True)
class _Look:
    busy_seconds: float  # spent with work in the queue, up to then
    finished: int


class EtaEstimator:
    """Photos a second while there is work; idle and paused time does not count.

    Averaged over the last five busy minutes. Below five seconds or three photos there is no
    estimate: a wrong one is worse than none.
    """

    def __init__(self) -> None:
        self._looks: deque[_Look] = deque([_Look(0.0, 0)])
        self._moment: float | None = None
        self._was_busy = False

    def look(self, now: float, finished: int, *, busy: bool) -> None:
        """Note at ``now`` (monotonic) how many were ever finished and whether work goes on."""
        last = self._looks[-1]
        if self._moment is None:
            self._looks = deque([_Look(0.0, finished)])
        elif self._was_busy or finished > last.finished:
            self._looks.append(_Look(last.busy_seconds + now - self._moment, finished))
        while self._looks[-1].busy_seconds - self._looks[0].busy_seconds > WINDOW_SECONDS:
            self._looks.popleft()
        self._moment, self._was_busy = now, busy

    def seconds_for(self, photos: int) -> float | None:
        """How long that many photos will take; None while nobody can tell."""
        first, last = self._looks[0], self._looks[-1]
        busy, finished = last.busy_seconds - first.busy_seconds, last.finished - first.finished
        if not photos or busy < LEAST_SECONDS or finished < LEAST_FINISHED:
            return None
        return photos * busy / finished
