"""Measurements of this device in the state dir: one small file for each thing they hold for."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import astuple
from pathlib import Path
from typing import Final

from edge_matting.core.durable import durable_remove, durable_write, make_folders
from edge_matting.core.errors import TemporaryError
from edge_matting.planner.measurements import MeasuredOn, Measurements, as_text, from_text

log = logging.getLogger(__name__)

KEPT: Final = 16
"""Several models, power modes and runtimes; the oldest goes."""


class MeasurementStore:
    """Files under ``folder``; one that cannot be read or understood counts as missing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, on: MeasuredOn) -> Measurements | None:
        """What was measured for exactly this; None where nothing was."""
        try:
            found = from_text(self._path(on).read_text("utf-8"))
        except (OSError, UnicodeDecodeError):
            return None
        return found if found is not None and found.on == on else None

    def save(self, measurements: Measurements) -> bool:
        """Keep them; False where that is not possible: another user's state dir, a full disk."""
        path = self._path(measurements.on)
        try:
            make_folders(self._folder)
            durable_write(path, as_text(measurements).encode())
            self._remove_oldest()
        except (TemporaryError, OSError) as error:
            log.warning("the measurements cannot be stored: %s", error)
            return False
        return True

    def _path(self, on: MeasuredOn) -> Path:
        digest = hashlib.sha256("\0".join(map(str, astuple(on))).encode()).hexdigest()
        return self._folder / f"{digest[:24]}.json"

    def _remove_oldest(self) -> None:
        files = sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
        for path in files[:-KEPT]:
            durable_remove(path)
