"""A screen's light on the subject's soft edges, taken away."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np

from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.matting.ground.chroma import chroma_along
from edge_matting.matting.ground.estimate import WORKING_SIDE
from edge_matting.matting.ground.solve import Colours
from edge_matting.matting.tiles import Grid

_REACH: Final = 8  # cells inwards from the soft edge, over which light spills
_TINY: Final = np.float32(1e-4)


def without_spill(front: Rgb, alpha: Alpha, colours: Colours) -> Rgb:
    """``front`` (H x W x 3) whose edges hold no more of the screen's chroma than the subject's
    inside close by does, and none where nothing is inside. ``alpha`` is H x W.
    """
    assert colours.direction is not None
    grid = Grid.over(alpha.shape, WORKING_SIDE)
    share = grid.means(alpha)
    deep: Any = cv2.erode((share >= 1).astype(np.uint8), _window(_REACH))
    own = _carried(chroma_along(colours.shown, colours.direction), np.asarray(deep > 0, np.bool_))
    outer: Any = cv2.dilate((share < 1).astype(np.uint8), _window(_REACH))
    near: Any = cv2.blur(outer.astype(np.float32), (_REACH, _REACH))
    band = np.where((near > 0) & (share > 0), np.float32(0.5), np.float32(0))
    top = np.iinfo(front.dtype).max
    result: Rgb = front.copy()
    for tile in grid.band(band):
        where = grid.pixels(tile)
        part = result[where] * np.float32(1 / top)
        excess = chroma_along(part, colours.direction) - grid.enlarge(own, tile)
        excess = np.maximum(excess, 0) * grid.enlarge(near, tile)
        part -= excess[..., None] * colours.direction
        shown = np.clip(np.rint(part * top), 0, top)
        result[where] = np.where((alpha[where] > 0)[..., None], shown, 0).astype(front.dtype)
    return result


def _window(reach: int) -> Any:
    return np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)


def _carried(chroma: Alpha, deep: Any) -> Alpha:
    """The chroma of the ``deep`` cells (h x w), carried on to those around them; 0 far from any."""
    held = chroma * deep
    result = np.zeros_like(chroma)
    for sigma in (24.0, 8.0):
        weight: Any = cv2.GaussianBlur(deep.astype(np.float32), (0, 0), sigma)
        total: Any = cv2.GaussianBlur(held.astype(np.float32), (0, 0), sigma)
        trust = np.minimum(weight * 50, 1)
        result = result + trust * (total / (weight + _TINY) - result)
    return np.asarray(np.where(deep, chroma, result), np.float32)
