"""Drives the adaptation: readings in, another plan at work out, each step logged and counted."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from typing import Final

from edge_matting.core.device_values import DeviceProfile, Vitals
from edge_matting.core.plan import Plan
from edge_matting.core.reasons import Reason
from edge_matting.engine.keepalive import EventSender
from edge_matting.planner.adaptation import (
    Adaptation,
    Change,
    deepest,
    happened,
    observe,
    power_seen,
)
from edge_matting.planner.ladder import Cause, Step, derated
from edge_matting.planner.measurements import power_state
from edge_matting.planner.signals import signals

log = logging.getLogger(__name__)

READ_SECONDS: Final = 2.0


class Adapter:
    """Steps the plan at work down and up again.

    ``step`` and ``rebase`` are called by the engine's own loop, ``ran_out_of_memory`` by any
    worker thread. ``work_by`` puts a plan to work; ``measure_anew`` hears of a new power mode.
    """

    def __init__(
        self,
        *,
        profile: DeviceProfile,
        plan: Plan,
        read: Callable[[], Vitals],
        work_by: Callable[[Plan], None],
        measure_anew: Callable[[str], None],
        events: EventSender,
    ) -> None:
        self._profile = profile
        self._plan = plan
        self._depths = deepest(plan)
        self._read = read
        self._work_by = work_by
        self._measure_anew = measure_anew
        self._events = events
        self._state = Adaptation()
        self._next = 0.0
        self._failed: list[Reason] = []  # what ran out of memory since the last step
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()

    def ran_out_of_memory(self, what: str) -> None:
        """A photo could not be done for want of memory."""
        with self._lock:
            self._failed.append(Reason.of(what))

    def rebase(self, plan: Plan) -> None:
        """Step from another plan: it was measured, or had to be lowered for good."""
        self._plan = plan
        self._depths = deepest(plan)
        self._work_by(derated(plan, self._state.depths)[0])

    @property
    def plan(self) -> Plan:
        """The undisturbed plan."""
        return self._plan

    def step(self, now: float) -> None:
        """Take readings when it is time, and adapt to them and to what failed."""
        with self._lock:
            failed, self._failed = self._failed, []
        if failed:
            limit = self._depths[Cause.OUT_OF_MEMORY]
            self._state, changes = happened(self._state, Cause.OUT_OF_MEMORY, failed[0], now, limit)
            self._apply(changes)
        if now < self._next:
            return
        self._next = now + READ_SECONDS
        vitals = self._read()
        seen = signals(vitals, self._profile, self._plan.provider)
        self._state, changes = observe(self._state, seen, now, self._depths)
        self._apply(changes)
        power = power_state(self._profile, vitals)
        self._state, changed = power_seen(self._state, power, now)
        if changed:
            log.info("the power mode changed: %s; it is measured anew", power)
            self._measure_anew(power)

    def _apply(self, changes: tuple[Change, ...]) -> None:
        if not changes:
            return
        plan, steps = derated(self._plan, self._state.depths)
        for change in changes:
            self._counts[change.cause.value, change.direction] += 1
            level = logging.WARNING if change.direction == "down" else logging.INFO
            log.log(level, "%s: %s", _told(change, steps), change.why)
        self._events.send(
            "adapted",
            active=[step.reason for step in steps],
            counts=[[*key, count] for key, count in sorted(self._counts.items())],
        )
        self._work_by(plan)


def _told(change: Change, steps: tuple[Step, ...]) -> str:
    """What a change does, as a line of the log begins."""
    if change.direction == "up":
        left = [step.what for step in steps]
        rest = f"still lowered: {', '.join(left)}" if left else "at full speed again"
        return f"adapted up after {change.cause.value.replace('_', ' ')} ({rest})"
    mine = [step for step in steps if step.cause is change.cause]
    return f"adapted down: {mine[-1].reason}" if mine else f"adapted down: {change.cause.value}"
