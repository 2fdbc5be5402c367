"""A screen of one strong colour: green, blue or any other.

How much of the screen's colour a pixel holds is one number, its chroma along the key's; a subject
without that colour has none of it, so that alpha follows even for glass and smoke (Smith and Blinn,
"Blue Screen Matting", SIGGRAPH 1996; Vlahos's colour difference key). Things of the key's colour
within the subject are left to the network.
"""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np

from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.matting.ground.estimate import (
    PLAIN,
    WORKING_SIDE,
    Ground,
    Verdict,
    border_samples,
    corrected,
    lab,
)
from edge_matting.matting.ground.surface import Mask, Planes, fitted, places_of
from edge_matting.matting.resize import resample
from edge_matting.matting.tiles import Grid

KEYS: Final = {"green": (0.0, 0.69, 0.25), "blue": (0.0, 0.28, 0.73)}
"""Common screens, sRGB."""
LEAST_CHROMA: Final = 0.12  # of [0, 1], that a screen must have of its key
_ALIKE: Final = 0.75  # cosine between the chroma of a pixel and the key's
_LEAST_SCREEN: Final = 0.05  # of the photo
_LEAST: Final = np.float32(0.01)
_VEIL: Final = 0.08  # of the screen's chroma, which a pixel in front of it holds
_CERTAIN: Final = 0.9  # the network's matte above it is not looked through
_LIKE: Final = 0.6  # of the screen's chroma, from which on a cell may be screen


def direction_of(key: tuple[float, float, float]) -> Planes:
    """The key's chroma as a unit vector, 3 values that add up to 0.

    Raises ``ValueError`` for a grey key.
    """
    colour = np.array(key, np.float32)
    chroma = colour - colour.mean()
    length = float(np.linalg.norm(chroma))
    if length < LEAST_CHROMA:
        raise ValueError("a key needs a strong colour, such as green or blue")
    return np.asarray(chroma / np.float32(length), np.float32)


def chroma_along(pixels: Planes, direction: Planes) -> Alpha:
    """How much of the key each pixel holds: ``pixels`` R x C x 3 in [0, 1], R x C."""
    along: Any = cv2.transform(pixels, direction.reshape(1, 3))
    return np.asarray(along.reshape(pixels.shape[:2]), np.float32)


def find_screen(rgb: Rgb, matte: Alpha, direction: Planes) -> tuple[Ground | None, Verdict]:
    """The screen of ``rgb`` (H x W x 3) whose key has ``direction``, and how much of the border
    it fills; None where there is none. ``matte`` is the network's, of any size."""
    grid = Grid.over(rgb.shape, WORKING_SIDE)
    small = grid.means(rgb) * np.float32(1 / np.iinfo(rgb.dtype).max)
    along = chroma_along(small, direction)
    other = np.sqrt(np.maximum(np.square(small - small.mean(2, keepdims=True)).sum(2), 1e-9))
    screen = (along > LEAST_CHROMA) & (along > np.float32(_ALIKE) * other)
    shape = (small.shape[0], small.shape[1])
    behind = resample(matte, (shape[1], shape[0])) < 0.5
    usual = float(np.median(along[screen & behind])) if (screen & behind).any() else 0.0
    like = screen & (along > np.float32(_LIKE * usual))
    _, _, free = border_samples(rgb, matte)
    edge = np.concatenate([like[0], like[:, -1], like[-1], like[:, 0]])
    plainness = min(1.0, float(edge.mean()) / max(float(free.mean()), 0.05))
    if (like & behind).mean() < _LEAST_SCREEN:
        return None, Verdict(plain=False, plainness=plainness, roughness=0.0)
    colours = lab(grid.means(rgb))
    rows, columns = np.nonzero(like & behind)
    step = max(1, len(rows) // 2000)
    surface = fitted(
        places_of(rows[::step], columns[::step], shape), colours[rows, columns][::step]
    )
    spread = colours - surface.over(shape)
    roughness = float(np.median(np.abs(spread[like & behind])) * 1.5)
    verdict = Verdict(plainness >= PLAIN * 0.5, plainness, roughness)
    return corrected("chroma", verdict, colours, surface.over(shape), like & behind), verdict


def see_through(small: Planes, matte: Alpha, direction: Planes, back: Planes) -> Mask:
    """Cells that hold part of the screen's chroma and of which the network is not sure, h x w:
    glass, smoke, veils. Of what it is sure, things of the key's colour among them, it decides.
    """
    part = chroma_along(small, direction) / np.maximum(chroma_along(back, direction), _LEAST)
    return np.asarray((part > _VEIL) & (matte < _CERTAIN), np.bool_)
