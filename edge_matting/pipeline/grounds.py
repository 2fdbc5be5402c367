"""From what a recipe says of the ground to what is known of it behind one photo."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Final, Protocol

from edge_matting.config import Ground, Recipe
from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.core.errors import PermanentError, SourceUnreadable, TemporaryError
from edge_matting.core.jobs import GroundFound
from edge_matting.imaging import Photo, decode
from edge_matting.matting.ground import KEYS, KnownGround, plain_ground, plate, screen

MOST_PIXELS: Final = 120_000_000
"""Of a plate."""
_KEPT: Final = 2  # decoded plates

NOT_FOUND: Final = "ground_not_found"
DISAGREES: Final = "ground_disagrees"
MOST_DOUBT: Final = 0.15
"""Area of regions that key and network leave undecided, of the subject's, before review."""


class LearnedPlates(Protocol):
    """Plates made of earlier photos of the same camera; whoever runs the pipeline keeps them."""

    def find(self, photo: Photo) -> Rgb | None:
        """The set as learned so far, of the photo's size or smaller; None before it is known."""

    def learn(self, photo: Photo, alpha: Alpha) -> None:
        """Take what ``alpha`` (H x W) shows of the set into the plate."""


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
        empty = None if learned is None else learned.find(photo)
        if empty is None:
            known, found = plain_ground(photo.rgb, matte)
            return known, replace(found, note="no plate is learned yet")
        return plate(photo.rgb, matte, empty)
    if wanted.plate_file is not None:
        return plate(photo.rgb, matte, read_plate(wanted.plate_file, wanted.plate_sha256))
    return plain_ground(photo.rgb, matte)


def doubts_of(wanted: Ground, found: GroundFound | None) -> tuple[str, ...]:
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
