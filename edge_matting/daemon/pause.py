"""A person's pause, kept over restarts: a file in the state folder while it is on."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from edge_matting.core.durable import durable_remove, durable_write
from edge_matting.core.errors import EdgeMattingError
from edge_matting.core.reasons import Reason

log = logging.getLogger(__name__)

NOTE: Final = b"Paused by a person. Resume on the page, or remove this file before a start.\n"


class PauseSwitch:
    """On or off; set from the page's threads, read by the main loop."""

    def __init__(self, path: Path | None) -> None:
        """``path`` is the file that says so; None keeps nothing over a restart."""
        self._path = path
        self.is_on = path is not None and path.exists()
        self.problem: Reason | None = None
        """Why a restart would not know what was set."""

    def set(self, *, on: bool) -> None:
        """Takes effect whether or not it can be written down."""
        self.is_on = on
        if self._path is None:
            return
        try:
            if on:
                durable_write(self._path, NOTE)
            else:
                durable_remove(self._path)
        except (OSError, EdgeMattingError) as error:
            log.error("the pause is %s, but cannot be kept: %s", "on" if on else "off", error)
            self.problem = Reason("pause_not_kept", why=str(error))
        else:
            self.problem = None
