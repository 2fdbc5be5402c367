"""How far each cell's colour lies from the ground's, and whether it could be its shadow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_matting.core.arrays import Alpha
from edge_matting.matting.ground.estimate import Ground
from edge_matting.matting.ground.surface import Mask, Planes, length

GROUND_LIKE: Final = 3.5  # deviations of the noise
_CALM: Final = 2.0  # CIELAB a cell: a shadow's slope, an edge is steeper
_SURE: Final = 0.9  # where a matte below it is in doubt a shadow may be three times as steep
_PART: Final = 0.09  # of the difference close by: what little an edge's blur leaves of it
_DARKEST: Final = 0.35  # what a shadow leaves of (L + 16)
_TINT: Final = 1.5  # CIELAB, by which a shadow's chroma may be off
_OFFSET: Final = np.float32(16.0)  # of CIELAB's cube root


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """Per cell, h x w: ``distance`` in deviations of the noise, and what follows from it."""

    distance: Alpha
    like: Mask  # as like the ground as its noise allows
    shadow: Mask  # darker, the same chroma, and smooth; never ``like``
    slope: Alpha  # change of colour from cell to cell, CIELAB

    def calm(self, matte: Alpha) -> Mask:
        """What may be ground: like it, or its shadow, without an edge. ``matte`` is h x w."""
        steepest = np.where(matte < _SURE, np.float32(3 * _CALM), np.float32(_CALM))
        return np.asarray(self.like | (self.shadow & (self.slope < steepest)), np.bool_)


def key_of(ground: Ground) -> Key:
    """Likelihood of ground by its own noise, h x w."""
    distance = length(ground.away / ground.noise)
    near: Any = cv2.dilate(distance, np.ones((9, 9), np.uint8))
    like = (distance < GROUND_LIKE) | (distance < np.float32(_PART) * near)
    return Key(distance, like, _shadows(ground) & ~like, steepness(ground.away))


def steepness(planes: Planes) -> Alpha:
    """Length of the gradient of ``planes`` (h x w x 3) over all channels, in units a cell."""
    soft: Any = cv2.GaussianBlur(planes, (3, 3), 0)
    across: Any = cv2.Sobel(soft, cv2.CV_32F, 1, 0, scale=1 / 8)
    down: Any = cv2.Sobel(soft, cv2.CV_32F, 0, 1, scale=1 / 8)
    return length(np.asarray(cv2.magnitude(across, down), np.float32))


def _shadows(ground: Ground) -> npt.NDArray[np.bool_]:
    """Darker than the ground at the same chroma.

    Where light falls to a part, CIELAB's L + 16, a and b all fall by that part's cube root (within
    the cube root's range), so that their proportions stay (compare Finlayson et al., "On the
    Removal of Shadows from Images", PAMI 2006).
    """
    under, away, noise = (cv2.split(p) for p in (ground.colour, ground.away, ground.noise))
    part = (under[0] + away[0] + _OFFSET) / (under[0] + _OFFSET)
    shade = (part > _DARKEST) & (part < 1)
    rest = 1 - part
    for channel in (1, 2):
        tint = cv2.absdiff(under[channel] * rest, -away[channel])
        shade &= tint < noise[channel] * np.float32(2.5) + np.float32(_TINT)
    return np.asarray(shade, np.bool_)
