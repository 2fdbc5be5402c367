"""Foreground estimation: the subject's own colour where the old background shines through.

Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021 (blur fusion). The blurred colours
are computed at reduced size, for the kernel grows with the picture; the final correction uses the
photo at full size, only where 0 < alpha < 1. The paper makes two passes; four from wide to narrow
leave half of their error where the band is wide, and cost as much at this size.
"""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_matting.core.arrays import Alpha, Rgb, check_alpha, check_rgb
from edge_matting.matting.band import Grid
from edge_matting.matting.resize import three_times

_WORKING_SIDE: Final = 512
_KERNELS: Final = (0.2, 0.06, 0.02, 0.006)  # sides of the passes, as parts of the longer side
_TINY: Final = np.float32(1e-5)
_ROWS: Final = 64  # rows copied at a time: temporaries stay in the cache

Planes = npt.NDArray[np.float32]


def estimate_foreground(rgb: Rgb, alpha: Alpha) -> Rgb:
    """F of I = aF + (1 - a)B, H x W x 3 in the type of ``rgb``.

    ``rgb`` (uint8 or uint16) and ``alpha`` (float32 in [0, 1]) are H x W. Where alpha is 1 F is
    the photo; where it is 0 F is black, so that nothing of the background can be read from it.
    """
    check_rgb(rgb)
    check_alpha(alpha)
    grid = Grid.over(alpha.shape, _WORKING_SIDE)
    share = grid.means(alpha)
    result = _without_background(rgb, alpha)
    front, back = _blurred_colours(grid.means(rgb), share)
    for tile in grid.band(share):
        where = grid.pixels(tile)
        near, far = grid.enlarge(front, tile), grid.enlarge(back, tile)
        _correct(result[where], rgb[where], alpha[where], near, far)
    return result


def _correct(result: Rgb, photo: Rgb, alpha: Alpha, near: Planes, far: Planes) -> None:
    """Equation 4 into ``result``, R x W x 3; where alpha is 1 it gives the photo by itself.

    OpenCV subtracts, adds, rounds and clips across types in one pass each.
    """
    share = three_times(alpha)
    missing: Any = cv2.subtract(photo, _mixed(share, near, far), dtype=cv2.CV_32F)
    missing = missing.reshape(share.shape) * share
    depth = cv2.CV_8U if photo.dtype == np.uint8 else cv2.CV_16U
    fixed: Any = cv2.add(missing, near, dtype=depth)
    seen = three_times((alpha > 0.0).view(np.uint8))
    np.multiply(fixed.reshape(share.shape), seen, out=result)


def _without_background(rgb: Rgb, alpha: Alpha) -> Rgb:
    """The photo, black where alpha is 0."""
    result = np.empty_like(rgb)
    for start in range(0, alpha.shape[0], _ROWS):
        rows = slice(start, start + _ROWS)
        np.multiply(rgb[rows], three_times((alpha[rows] > 0.0).view(np.uint8)), out=result[rows])
    return result


def _blurred_colours(small: Rgb, alpha: Alpha) -> tuple[Planes, Planes]:
    """Smooth foreground and background, h x w x 3 each, of a photo and its matte, h x w."""
    top = float(np.iinfo(small.dtype).max)
    image = small.astype(np.float32)
    share = three_times(alpha)
    front, back = image, image
    for part in _KERNELS:
        side = max(3, round(part * max(alpha.shape)))
        smooth_front, back = _fuse(front, back, share, side)
        front = np.clip(_corrected(image, share, smooth_front, back), 0.0, top)
    return smooth_front, back


def _fuse(front: Planes, back: Planes, share: Planes, side: int) -> tuple[Planes, Planes]:
    """Equations 5 and 6 of the paper: means of both colours, weighted by alpha and 1 - alpha."""
    weight = _blur(share[:, :, 0], side)
    smooth_front = _blur(front * share, side)
    smooth_front /= three_times(weight + _TINY)
    smooth_back = _blur(back - back * share, side)
    smooth_back /= three_times(1 + _TINY - weight)
    return smooth_front, smooth_back


def _corrected(photo: Planes, share: Planes, front: Planes, back: Planes) -> Planes:
    """Equation 4: move the smooth foreground so that the composite gives the photo again."""
    fixed = photo - _mixed(share, front, back)
    fixed *= share
    fixed += front
    return fixed


def _mixed(share: Planes, front: Planes, back: Planes) -> Planes:
    """aF + (1 - a)B, with one product."""
    mixed: Planes = front - back
    mixed *= share
    mixed += back
    return mixed


def _blur(values: Planes, side: int) -> Planes:
    mean: Any = cv2.blur(values, (side, side), borderType=cv2.BORDER_REPLICATE)
    blurred: Planes = mean.reshape(values.shape)
    return blurred
