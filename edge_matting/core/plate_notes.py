"""What is said of learned plates beside them; read by the page, which knows no pictures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ABOUT: Final = "plate.json"
"""Beside each plate, in a folder of its own."""


@dataclass(frozen=True, slots=True)
class PlateNote:
    """What is said of a learned plate."""

    camera: str
    photos: int  # seen so far
    since: float  # seconds since the epoch
    updated: float


def read_note(path: Path) -> PlateNote | None:
    """The note at ``path``; None where there is none or it is damaged."""
    try:
        return PlateNote(**json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def learned_plates(root: Path) -> list[PlateNote]:
    """The notes of the plates below ``root``, the latest first."""
    notes = [note for path in root.glob(f"*/{ABOUT}") if (note := read_note(path)) is not None]
    return sorted(notes, key=lambda note: -note.updated)
