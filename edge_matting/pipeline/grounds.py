"""From what a recipe says of the ground to what is known of it behind one photo."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from edge_matting.config import GroundSettings, Recipe
from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.core.errors import PermanentError, SourceUnreadable, TemporaryError
from edge_matting.core.jobs import GroundFound
from edge_matting.imaging import Photo, camera_name, decode
from edge_matting.matting import resample
from edge_matting.matting.ground import KEYS, KnownGround, plain_ground, plate, screen

MOST_PIXELS: Final = 120_000_000
"""Of a plate."""
PLATE_SIDE: Final = 960
"""Longest side of a learned plate, pixels."""
_SURE: Final = 0.03  # a matte below it is background
_KEPT: Final = 2  # decoded plates

Mask = npt.NDArray[np.bool_]

NOT_FOUND: Final = "ground_not_found"
DISAGREES: Final = "ground_disagrees"
MOST_DOUBT: Final = 0.15
"""Area of regions that key and network leave undecided, of the subject's, before review."""


class LearnedPlates(Protocol):
    """Plates made of earlier photos of one camera; whoever runs the pipeline keeps them."""

    def find(self, camera: str) -> Rgb | None:
        """The set as learned so far, h x w x 3 uint8; None before it is known."""

    def learn(self, camera: str, pixels: npt.NDArray[np.uint8], behind: Mask) -> None:
        """Take what one more photo (h x w x 3) shows of the set where it is ``behind`` (h x w)."""

    def forget(self, camera: str) -> None:
        """The set has changed."""


def look_for_ground(
    photo: Photo, matte: Alpha, recipe: Recipe, learned: LearnedPlates | None
) -> tuple[KnownGround | None, GroundFound | None]:
    """The ground behind ``photo``'s subject as the recipe says it is, and the figures.

    ``matte`` is the network's, at model size. None and None where no ground is looked for; a photo
    with transparency of its own has lost its ground.
    """
    wanted = recipe.ground
    if wanted.find == "none" or photo.alpha is not None:
        return None, None
    if wanted.chroma is not None:
        return screen(photo.rgb, matte, _key(wanted.chroma))
    if wanted.learns:
        return _by_learned(photo, matte, learned)
    if wanted.plate_file is not None:
        return plate(photo.rgb, matte, read_plate(wanted.plate_file, wanted.plate_sha256))
    return plain_ground(photo.rgb, matte)


def _by_learned(
    photo: Photo, matte: Alpha, learned: LearnedPlates | None
) -> tuple[KnownGround | None, GroundFound]:
    """A plate that does not fit is forgotten, and the photo done as if there were none."""
    note = "no plate is learned yet"
    camera = camera_of(photo)
    empty = None if learned is None else learned.find(camera)
    if learned is not None and empty is not None:
        known, found = plate(photo.rgb, matte, empty)
        if known is not None:
            return known, found
        learned.forget(camera)
        note = f"the learned plate was thrown away: {found.note}"
    known, found = plain_ground(photo.rgb, matte)
    return known, replace(found, note=note)


def learn_from(photo: Photo, matte: Alpha, learned: LearnedPlates) -> None:
    """Take what the network is sure is background, a little away from the subject, into the plate.

    ``matte`` is the network's own: a plate that judged its own teachers would never change.
    """
    height, width = photo.rgb.shape[:2]
    scale = min(1.0, PLATE_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = resample(photo.rgb, size)
    eight = small if small.dtype == np.uint8 else (small >> 8).astype(np.uint8)
    at_size = resample(matte, size)
    reach = max(1, max(size) // 60)
    wide: Any = cv2.dilate(at_size, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    behind = np.asarray(wide.reshape(size[::-1]) < _SURE, np.bool_)
    learned.learn(camera_of(photo), np.asarray(eight, np.uint8), behind)


def camera_of(photo: Photo) -> str:
    """Which photos show one set: the camera by its EXIF, and the size it takes."""
    height, width = photo.rgb.shape[:2]
    return f"{camera_name(photo.metadata.exif) or 'unnamed camera'}, {width} x {height}"


def doubts_of(wanted: GroundSettings, found: GroundFound | None) -> tuple[str, ...]:
    """Reasons for review that the ground gives."""
    if found is None:
        return ()
    if found.kind == "none":
        return () if wanted.find == "auto" or wanted.learns else (NOT_FOUND,)
    return (DISAGREES,) if found.doubt > MOST_DOUBT else ()


def _key(text: str) -> tuple[float, float, float]:
    if text in KEYS:
        return KEYS[text]
    red, green, blue = (int(text[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue


@lru_cache(maxsize=_KEPT)
def read_plate(path: Path, sha256: str | None) -> Rgb:
    """The plate at ``path``, decoded; the last ones are kept, for each photo asks for the same.

    Raises ``SourceUnreadable`` where it is not the one that the settings were read with.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unusable(path, error.strerror or "cannot be read") from error
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise _unusable(path, "is not the file that the settings were read with")
    try:
        pixels = decode(data, path.name, max_pixels=MOST_PIXELS).rgb
    except (PermanentError, TemporaryError) as error:
        raise _unusable(path, error.message) from error
    return pixels


def _unusable(path: Path, reason: str) -> SourceUnreadable:
    return SourceUnreadable(
        f"plate {path}: {reason}", hint="put it right, then have the settings read again (SIGHUP)"
    )
