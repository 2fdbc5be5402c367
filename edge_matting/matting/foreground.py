"""Foreground estimation: the subject's own colour where the old background shines through.

Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021 (blur fusion), from coarse to fine
as Germer et al., "Fast Multi-Level Foreground Estimation", ICPR 2020, go. Wide blurs are made at
reduced size; a narrow one at full size, only around 0 < alpha < 1, restores the detail. Four
changes to the paper's fusion: it begins with the two colours that explain a wide window best, so
that plain colours are found exactly however soft the edge is; three wide passes follow in place of
one; the last weighs sure pixels more (alpha to the fourth); and the background is corrected as
the foreground is.
tools/bench/finishing.py measures the error.
"""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_matting.core.arrays import Alpha, Rgb, check_alpha, check_rgb
from edge_matting.matting.band import Grid, Tile
from edge_matting.matting.resize import three_times

_WORKING_SIDE: Final = 512
_WINDOW: Final = 0.2  # side of the first window, as a part of the longer side
_KERNELS: Final = (0.06, 0.02, 0.006)  # sides of the passes after it
_LEAST_VARIANCE: Final = np.float32(1e-4)  # of alpha; below it a window tells one colour, not two
_FINE: Final = 11  # side of the pass at full size, pixels; a second one costs as much again
_HALO: Final = 6  # pixels around a tile that they see
_TINY: Final = np.float32(1e-5)
_LEAST: Final = np.float32(1e-3)  # weight of a pixel's own colour where none around is sure
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
        where, wide = grid.pixels(tile), _widened(grid, tile)
        around = grid.pixels(wide)
        near, far = grid.enlarge(front, wide), grid.enlarge(back, wide)
        colour = _detailed(rgb[around], alpha[around], near, far)
        down, across = (
            slice(inner.start - outer.start, inner.stop - outer.start)
            for inner, outer in zip(where, around, strict=True)
        )
        seen = three_times((alpha[where] > 0.0).view(np.uint8))
        np.multiply(colour[down, across], seen, out=result[where])
    return result


def _widened(grid: Grid, tile: Tile) -> Tile:
    """The tile with the cells that hold its halo."""
    cells = -(-_HALO // grid.factor)
    rows, columns = (
        slice(max(0, part.start - cells), min(size, part.stop + cells))
        for part, size in zip((tile.rows, tile.columns), grid.shape, strict=True)
    )
    return Tile(rows, columns)


def _detailed(photo: Rgb, alpha: Alpha, front: Planes, back: Planes) -> Rgb:
    """The foreground of R x W pixels, in the photo's type, from smooth colours R x W x 3.

    Where alpha is 1 it is the photo itself.
    """
    top = float(np.iinfo(photo.dtype).max)
    image = photo.astype(np.float32)
    share = three_times(alpha)
    front, back = _settled(image, share, front, back, top)
    front = _nearby(front, _fourth(alpha), _FINE)
    back = _nearby(back, _fourth(1 - alpha), _FINE)
    front, _ = _settled(image, share, front, back, top)
    colour: Rgb = np.rint(front).astype(photo.dtype)  # type: ignore[assignment]
    return colour


def _settled(
    image: Planes, share: Planes, front: Planes, back: Planes, top: float
) -> tuple[Planes, Planes]:
    """Equation 4 for both colours: each takes its share of what the composite lacks."""
    missing = image - _mixed(share, front, back)
    nearer = missing * share
    missing -= nearer
    nearer += front
    missing += back
    return np.clip(nearer, 0.0, top, out=nearer), np.clip(missing, 0.0, top, out=missing)


def _nearby(colour: Planes, weight: Planes, side: int) -> Planes:
    """Weighted mean of the colours around each pixel, R x W x 3."""
    mean = _blur(colour * three_times(weight), side)
    mean += colour * _LEAST
    mean /= three_times(_blur(weight, side) + _LEAST)
    return mean


def _fourth(share: Planes) -> Planes:
    square = np.square(share)
    return np.square(square, out=square)


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
    longer = max(alpha.shape)
    smooth = _explained(image, share, max(3, round(_WINDOW * longer)), top)
    for part in _KERNELS:
        front, back = _settled(image, share, *smooth, top)
        smooth = _fuse(front, back, share, max(3, round(part * longer)))
    return smooth


def _explained(image: Planes, share: Planes, side: int, top: float) -> tuple[Planes, Planes]:
    """The plain foreground and background that explain the window around each pixel best.

    Least squares of I = aF + (1 - a)B over the window: the line through (alpha, colour).
    """
    alpha = share[:, :, 0]
    middle, colour = _blur(alpha, side), _blur(image, side)
    variance = _blur(np.square(alpha), side) - np.square(middle)
    slope = _blur(image * share, side) - three_times(middle) * colour
    slope /= three_times(np.maximum(variance, 0) + _LEAST_VARIANCE)
    front = colour + three_times(1 - middle) * slope
    back = colour - three_times(middle) * slope
    return np.clip(front, 0.0, top, out=front), np.clip(back, 0.0, top, out=back)


def _fuse(front: Planes, back: Planes, share: Planes, side: int) -> tuple[Planes, Planes]:
    """Equations 5 and 6 of the paper: means of both colours, weighted by alpha and 1 - alpha."""
    weight = _blur(share[:, :, 0], side)
    smooth_front = _blur(front * share, side)
    smooth_front /= three_times(weight + _TINY)
    smooth_back = _blur(back - back * share, side)
    smooth_back /= three_times(1 + _TINY - weight)
    return smooth_front, smooth_back


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
