"""The self-test of the model at work, once an hour when nothing else is to be done."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from edge_matting.core.errors import EdgeMattingError, SelfTestFailed
from edge_matting.core.reasons import Reason

log = logging.getLogger(__name__)

PERIOD_SECONDS: Final = 3600.0
AGAIN_SECONDS: Final = 60.0
"""After a failure that nothing could be done about."""


class SelfTestSchedule:
    """Decides when to test, and has a model that fails opened anew.

    ``test`` raises ``SelfTestFailed``; ``reopen`` puts a model that passes in its place, on a
    lower plan where it must, or raises. ``report`` is called with the
    reason why no photo can be done; None: all well.
    """

    def __init__(
        self,
        *,
        now: float,
        test: Callable[[], None],
        reopen: Callable[[], None],
        report: Callable[[Reason | None], None],
    ) -> None:
        self._test = test
        self._reopen = reopen
        self._report = report
        self._next = now + PERIOD_SECONDS
        self.problem: Reason | None = None

    def step(self, now: float, *, idle: bool) -> None:
        """Test if it is time; other errors than a failed test are raised."""
        if now < self._next or not (idle or self.problem is not None):
            return
        self._next = now + PERIOD_SECONDS
        try:
            self._test()
        except SelfTestFailed as error:
            log.error("%s; the model is opened anew", error)
            self._repair(now)
        else:
            self._tell(None)

    def _repair(self, now: float) -> None:
        try:
            self._reopen()
        except EdgeMattingError as error:
            log.error("no photo can be done: %s", error)
            self._next = now + AGAIN_SECONDS
            self._tell(error.reason)
        else:
            self._tell(None)

    def _tell(self, problem: Reason | None) -> None:
        if problem != self.problem:
            self.problem = problem
            self._report(problem)
