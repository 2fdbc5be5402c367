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

_REACH: Final = 2  # cells inwards from the soft edge, over which light spills


def without_spill(front: Rgb, alpha: Alpha, colours: Colours) -> Rgb:
    """``front`` (H x W x 3) whose soft edges hold no more of the screen's chroma than the subject
    beside them does. ``alpha`` is H x W; its sure inside is not touched.
    """
    assert colours.direction is not None
    grid = Grid.over(alpha.shape, WORKING_SIDE)
    share = grid.means(alpha)
    soft = ((share > 0) & (share < 1)).astype(np.uint8)
    wide: Any = cv2.dilate(soft, np.ones((2 * _REACH + 1, 2 * _REACH + 1), np.uint8))
    near: Any = cv2.blur(wide.astype(np.float32), (3, 3))
    band = np.where(wide > 0, np.float32(0.5), np.float32(0))
    top = np.iinfo(front.dtype).max
    own = np.maximum(chroma_along(colours.front, colours.direction), 0)
    result: Rgb = front.copy()
    for tile in grid.band(band):
        where = grid.pixels(tile)
        part = result[where] * np.float32(1 / top)
        excess = chroma_along(part, colours.direction) - grid.enlarge(own, tile)
        excess = np.maximum(excess, 0) * np.minimum(grid.enlarge(near, tile) * 2, 1)
        part -= excess[..., None] * colours.direction
        result[where] = np.where(
            (alpha[where] > 0)[..., None], np.clip(np.rint(part * top), 0, top), 0
        ).astype(front.dtype)
    return result
