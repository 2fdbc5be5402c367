"""Slow housekeeping: what the settings let the appliance forget."""

from __future__ import annotations

import logging

from edge_matting.config import Settings
from edge_matting.core.clock import Clock
from edge_matting.core.errors import LedgerError
from edge_matting.ledger import Ledger

log = logging.getLogger(__name__)

PERIOD_SECONDS = 3600.0
FIRST_SECONDS = 60.0
DAY = 86400.0
KEPT_PREVIEWS = 2000


class Upkeep:
    """Called from the main loop; does something about once an hour."""

    def __init__(self, settings: Settings, ledger: Ledger, clock: Clock) -> None:
        self._settings = settings
        self._ledger = ledger
        self._clock = clock
        self._next = clock.monotonic() + FIRST_SECONDS

    def step(self) -> None:
        now = self._clock.monotonic()
        if now < self._next:
            return
        self._next = now + PERIOD_SECONDS
        self._forget_history()
        self._trim_previews()

    def _forget_history(self) -> None:
        days = self._settings.retention.history_days
        if days is None:
            return
        try:
            forgotten = self._ledger.prune(days * DAY)
        except LedgerError as error:
            log.error("the history cannot be shortened: %s", error)
            return
        if forgotten:
            log.info("%d jobs older than %g days forgotten", forgotten, days)

    def _trim_previews(self) -> None:
        """Keep the newest previews; they are named by job, and jobs are numbered upwards."""
        folder = self._settings.previews_dir
        if not folder.is_dir():
            return
        numbered = sorted(
            (path for path in folder.glob("*.jpg") if path.stem.isdigit()),
            key=lambda path: int(path.stem),
        )
        for path in numbered[:-KEPT_PREVIEWS]:
            path.unlink(missing_ok=True)
