"""Plates learned from photos of one camera: the median of what the last ones show of the set.

Each camera has a folder with its last photos (reduced, with a mask of the background) and the plate
made of them. A plate that no longer fits is thrown away whole: the set has changed. Memory while a
plate is made: FRAMES photos of SIDE pixels, 7 bytes a pixel, at most 60 MB.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edge_matting.core.durable import durable_write
from edge_matting.core.plate_notes import ABOUT, PlateNote, learned_plates, read_note

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

FRAMES: Final = 9
"""Photos that a plate is made of."""
FEWEST: Final = 3
"""Photos before there is a plate."""
SIDE: Final = 960
"""Longest side of a learned plate, pixels."""
_KNOWN: Final = 0.8  # share of the plate that must have been seen
_CAMERAS: Final = 8  # the longest unused goes
_PLATE: Final = "plate.npy"


class PlateStore:
    """Learned plates below one folder; safe from several threads."""

    def __init__(self, root: Path, clock: Callable[[], float] = time.time) -> None:
        self._root = root
        self._clock = clock
        self._lock = threading.Lock()

    def find(self, camera: str) -> Pixels | None:
        """The plate of ``camera``, h x w x 3; None before enough of its set was seen."""
        with self._lock:
            try:
                return np.asarray(_load(self._folder(camera) / _PLATE), np.uint8)
            except (OSError, ValueError):
                return None

    def learn(self, camera: str, pixels: Pixels, behind: Mask) -> None:
        """Take one more photo (h x w x 3) whose ``behind`` (h x w) is surely background."""
        with self._lock:
            folder = self._folder(camera)
            note = read_note(folder / ABOUT) or PlateNote(camera, 0, self._clock(), 0.0)
            frame = np.dstack([pixels, behind.astype(np.uint8) * np.uint8(255)])
            frames = [each for each in self._frames(folder) if each.shape == frame.shape]
            folder.mkdir(parents=True, exist_ok=True)
            durable_write(folder / f"frame-{note.photos % FRAMES}.npy", _bytes(frame))
            self._make(folder, [*frames, frame][-FRAMES:])
            said = {
                "camera": camera,
                "photos": note.photos + 1,
                "since": note.since,
                "updated": self._clock(),
            }
            durable_write(folder / ABOUT, json.dumps(said).encode())
            self._make_room()

    def forget(self, camera: str) -> None:
        """Throw the plate away with the photos that it was made of."""
        with self._lock:
            shutil.rmtree(self._folder(camera), ignore_errors=True)

    def notes(self) -> list[PlateNote]:
        """Every learned plate, the latest first."""
        return learned_plates(self._root)

    def _folder(self, camera: str) -> Path:
        return self._root / hashlib.sha256(camera.encode()).hexdigest()[:16]

    def _frames(self, folder: Path) -> list[Pixels]:
        """The photos kept, the oldest first; one that cannot be read is left out."""
        found = []
        for path in sorted(folder.glob("frame-*.npy"), key=lambda each: each.stat().st_mtime_ns):
            try:
                found.append(_load(path))
            except (OSError, ValueError):
                continue
        return found

    def _make(self, folder: Path, frames: list[Pixels]) -> None:
        if len(frames) < FEWEST:
            return
        plate, known = median_of(np.stack(frames))
        if known.mean() < _KNOWN:
            return
        usual = np.median(plate[known], axis=0).astype(np.uint8)
        durable_write(folder / _PLATE, _bytes(np.where(known[:, :, None], plate, usual)))

    def _make_room(self) -> None:
        folders = [path for path in self._root.iterdir() if path.is_dir()]
        folders.sort(key=lambda path: -path.stat().st_mtime_ns)
        for path in folders[_CAMERAS:]:
            shutil.rmtree(path, ignore_errors=True)


def median_of(frames: Pixels) -> tuple[Pixels, Mask]:
    """Each pixel's median over the frames that show it, h x w x 3, and whether any does, h x w.

    ``frames`` is n x h x w x 4: colours, and 255 where the background is seen.
    """
    seen = frames[..., 3] > 0
    colours = np.where(seen[..., None], frames[..., :3], np.uint16(999)).astype(np.uint16)
    colours.sort(axis=0)  # what is not seen comes last
    count = seen.sum(axis=0)
    middle = np.maximum(count - 1, 0) // 2
    plate = np.take_along_axis(colours, middle[None, :, :, None], axis=0)[0]
    known = np.asarray(count > 0, np.bool_)
    return np.where(known[..., None], plate, 0).astype(np.uint8), known


def _bytes(array: npt.NDArray[Any]) -> bytes:
    target = io.BytesIO()
    np.save(target, array, allow_pickle=False)
    return target.getvalue()


def _load(path: Path) -> Pixels:
    loaded: Pixels = np.load(path, allow_pickle=False)
    return loaded
