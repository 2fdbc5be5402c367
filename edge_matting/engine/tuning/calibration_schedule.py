"""When to measure the device: in the first quiet moment, or else in one that is made for it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol

from edge_matting.core.device_values import Vitals
from edge_matting.core.plan import Plan
from edge_matting.planner.measurements import Measurements

log = logging.getLogger(__name__)

QUIET_SECONDS: Final = 5.0
"""Without a photo for so long, the next one is not expected this instant."""

BUSY_SECONDS: Final = 60.0
"""After so much work without a pause, one is made: a better plan soon pays for five seconds."""

ATTEMPTS: Final = 3
"""Measurements that were cut short by work; the next one is not."""


class Measurer(Protocol):
    """The part of ``Planning`` that is needed."""

    def worth_measuring(self, plan: Plan) -> bool:
        """Whether there is something to choose from."""

    def measurements(self, vitals: Vitals | None = None) -> Measurements | None:
        """What is known already."""

    def measure(
        self, plan: Plan, *, vitals: Vitals | None = None, stop: Callable[[], bool]
    ) -> Measurements:
        """Measure and keep it."""


class CalibrationSchedule:
    """Decides when, and says when there is something new to plan by."""

    def __init__(
        self,
        measurer: Measurer,
        plan: Callable[[], Plan],
        *,
        now: float,
        stop: Callable[[], bool],
        measured: Callable[[], None],
        telling: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """``plan`` is the one at work; ``stop`` says that photos wait or the engine ends;
        ``telling`` surrounds the measurement."""
        self._measurer = measurer
        self._plan = plan
        self._stop = stop
        self._measured = measured
        self._telling = telling
        self._quiet_since: float | None = None
        self._asked_at = now
        self._cut_short = 0
        self._wanted = True
        self._pausing = False

    @property
    def wants_quiet(self) -> bool:
        """Whether no photo should be claimed, so that the ones in work can be finished."""
        return self._wanted and self._pausing

    def ask(self, now: float) -> None:
        """Measure again: another power mode is another device."""
        self._wanted, self._asked_at, self._cut_short = True, now, 0

    def step(self, now: float, vitals: Vitals | None, *, idle: bool) -> None:
        """Measure if this is the moment; takes seconds then."""
        if not self._wanted:
            return
        if not idle:
            self._quiet_since = None
        elif self._quiet_since is None:
            self._quiet_since = now
        self._pausing = now - self._asked_at >= BUSY_SECONDS or self._cut_short >= ATTEMPTS
        quiet = self._quiet_since is not None and now - self._quiet_since >= QUIET_SECONDS
        if idle and (quiet or self._pausing):
            self._measure(vitals)

    def _measure(self, vitals: Vitals | None) -> None:
        plan = self._plan()
        known = self._measurer.measurements(vitals)
        full = known is not None and known.ended == "complete"
        if full or not self._measurer.worth_measuring(plan):
            self._end(new=known is not None)
            return
        stop = (lambda: False) if self._pausing else self._stop
        with self._telling():
            found = self._measurer.measure(plan, vitals=vitals, stop=stop)
        if found.ended != "work":
            log.info(
                "measured %d ways to run the model in %.1f s%s",
                len(found.timings),
                found.took_seconds,
                "" if found.ended == "complete" else "; there was no time for more",
            )
            self._end(new=True)
        else:
            self._cut_short += 1
            self._quiet_since = None

    def _end(self, *, new: bool) -> None:
        self._wanted = self._pausing = False
        if new:
            self._measured()
