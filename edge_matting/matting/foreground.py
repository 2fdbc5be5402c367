"""Foreground estimation: the subject's own colour where the old background shines through.

Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021 (blur fusion), from coarse to
fine as Germer et al., "Fast Multi-Level Foreground Estimation", ICPR 2020, go. Wide blurs are made
at small sizes; a narrow one at half size, only around 0 < alpha < 1, brings detail, and the photo's
own pixels the rest. Four changes to the paper's fusion: it begins with the two colours that explain
a wide window best, so that plain colours are found exactly however soft the edge is; passes of
narrowing windows follow in place of one; the last weighs sure pixels more (alpha to the fourth);
and the background is corrected as the foreground is.
tools/bench/finishing.py measures the error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from edge_matting.core.arrays import Alpha, Rgb, check_alpha, check_rgb
from edge_matting.matting.resize import resample, three_times
from edge_matting.matting.tiles import Grid, Tile, within

_WINDOW: Final = 0.2  # side of the first window, as a part of the longer side
_PASSES: Final = ((128, (0.06,)), (256, (0.02,)), (512, (0.006,)))
"""The levels' longest sides, in cells, and the sides of the windows there, as parts of it."""
_LEAST_VARIANCE: Final = np.float32(1e-4)  # of alpha; below it a window tells one colour, not two
_FINE: Final = 5  # side of the last window, at half size; wider and narrower ones are less true
_FINEST_SIDE: Final = 4096  # cells; half a picture of 100 megapixels would take 175 MB
_HALO: Final = 3  # cells around a tile that it sees, and one to interpolate
_TINY: Final = np.float32(1e-5)
_LEAST: Final = np.float32(1e-3)  # weight of a pixel's own colour where none around is sure

_ROWS: Final = 256  # rows copied at a time: what says which are seen stays small

Planes = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class _Level:
    """A photo (h x w x 3) and its matte (h x w) as the means of a grid's cells."""

    grid: Grid
    photo: Rgb
    share: Alpha


class Behind(Protocol):
    """A background whose colours are known."""

    def behind(self, where: tuple[slice, slice]) -> Planes:
        """Its colours at the pixels ``where`` (R x C), R x C x 3 float32 in [0, 1]."""


def estimate_foreground(rgb: Rgb, alpha: Alpha, known: Behind | None = None) -> Rgb:
    """F of I = aF + (1 - a)B, H x W x 3 in the type of ``rgb``.

    ``rgb`` (uint8 or uint16) and ``alpha`` (float32 in [0, 1]) are H x W. Where alpha is 1 F is
    the photo; where it is 0 F is black, so that nothing of the background can be read from it.
    With a ``known`` background F is solved from I, alpha and B, and only what alpha leaves open
    is taken from beside.
    """
    check_rgb(rgb)
    check_alpha(alpha)
    result = without_background(rgb, alpha)
    *smooth, fine = _levels(rgb, alpha)
    front, back = _smooth_colours(smooth)
    coarse = smooth[-1]
    between = Grid.of(fine.share.shape, coarse.grid.factor // fine.grid.factor)
    for tile in coarse.grid.band(coarse.share):
        wide = _widened(between, tile)
        around, where = between.pixels(wide), coarse.grid.pixels(tile)
        near, far = between.enlarge(front, wide), between.enlarge(back, wide)
        near, far = (
            _full_size(colour, fine.grid.factor, around, where)
            for colour in _nearby_colours(fine, around, near, far)
        )
        share = np.ascontiguousarray(alpha[where])
        if known is None:
            colour = _completed(rgb[where], three_times(share), near, far)
        else:
            colour = _solved(rgb[where], share, near, known.behind(where))
        result[where] = without_background(colour, share)
    return result


def without_background(rgb: Rgb, alpha: npt.NDArray[Any]) -> Rgb:
    """A copy of ``rgb`` (H x W x 3), black where ``alpha`` (H x W, any type) is 0."""
    result = np.zeros_like(rgb)
    for start in range(0, alpha.shape[0], _ROWS):
        rows = slice(start, start + _ROWS)
        cv2.copyTo(rgb[rows], (alpha[rows] > 0).view(np.uint8), result[rows])
    return result


def _levels(rgb: Rgb, alpha: Alpha) -> list[_Level]:
    """From the coarsest to the one at which the last windows look: half size, full for a photo
    that is small, and less for one that is huge."""
    shape = alpha.shape
    grids = [Grid.over(shape, side) for side, _ in _PASSES]
    least = 2 if grids[-1].factor >= 4 else 1
    grids.append(Grid.of(shape, max(least, Grid.over(shape, _FINEST_SIDE).factor)))
    levels: list[_Level] = []
    photo, share, factor = rgb, alpha, 1
    for grid in reversed(grids):
        step = Grid.of(share.shape, grid.factor // factor)
        photo, share, factor = step.means(photo), step.means(share), grid.factor
        levels.insert(0, _Level(grid, photo, share))
    return levels


def _widened(grid: Grid, tile: Tile) -> Tile:
    """The tile with the cells that hold its halo."""
    cells = -(-_HALO // grid.factor)
    rows, columns = (
        slice(max(0, part.start - cells), min(size, part.stop + cells))
        for part, size in zip((tile.rows, tile.columns), grid.shape, strict=True)
    )
    return Tile(rows, columns)


def _nearby_colours(
    fine: _Level, around: tuple[slice, slice], front: Planes, back: Planes
) -> tuple[Planes, Planes]:
    """Both colours of R x C of the finest cells, after those of the sure ones close by."""
    top = float(np.iinfo(fine.photo.dtype).max)
    alpha = np.ascontiguousarray(fine.share[around])
    image = fine.photo[around].astype(np.float32)
    front, back = _settled(image, three_times(alpha), front, back, top)
    return _nearby(front, _fourth(alpha), _FINE), _nearby(back, _fourth(1 - alpha), _FINE)


def _full_size(
    colour: Planes, factor: int, around: tuple[slice, slice], where: tuple[slice, slice]
) -> Planes:
    """The part ``where`` (pixels) of the cells ``around`` (cells of ``factor`` pixels)."""
    size = colour.shape[1] * factor, colour.shape[0] * factor
    wide = resample(colour, size)
    rows, columns = (
        within(inner, slice(outer.start * factor, outer.stop * factor))
        for inner, outer in zip(where, around, strict=True)
    )
    return np.ascontiguousarray(wide[rows, columns])


def _completed(photo: Rgb, share: Planes, front: Planes, back: Planes) -> Rgb:
    """The foreground of R x C pixels in the photo's type: ``front`` and its share of what the
    composite lacks (equation 4). Where alpha is 1 it is the photo itself."""
    missing = _mixed(share, front, back)
    cv2.subtract(photo, missing, missing, dtype=cv2.CV_32F)
    missing *= share
    depth = cv2.CV_8U if photo.dtype == np.uint8 else cv2.CV_16U
    total: Any = cv2.add(front, missing, dtype=depth)  # rounded, and kept in the type's range
    colour: Rgb = total.reshape(photo.shape)
    return colour


def _solved(photo: Rgb, share: Alpha, front: Planes, back: Planes) -> Rgb:
    """F of R x C pixels by B, held by ``front`` the more the smaller alpha is: there noise would be
    many times as large. ``back`` is in [0, 1]; where alpha is 1 F is the photo itself."""
    top = float(np.iinfo(photo.dtype).max)
    missing = _mixed(three_times(share), front, back * np.float32(top))
    cv2.subtract(photo, missing, missing, dtype=cv2.CV_32F)
    missing *= three_times(np.square(share))
    depth = cv2.CV_8U if photo.dtype == np.uint8 else cv2.CV_16U
    total: Any = cv2.add(front, missing, dtype=depth)
    colour: Rgb = total.reshape(photo.shape)
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


def _smooth_colours(levels: Sequence[_Level]) -> tuple[Planes, Planes]:
    """Smooth foreground and background at the last level's size, h x w x 3 each."""
    colours: tuple[Planes, Planes] | None = None
    for level, (_, windows) in zip(levels, _PASSES, strict=True):
        top = float(np.iinfo(level.photo.dtype).max)
        image, share = level.photo.astype(np.float32), three_times(level.share)
        height, width = level.share.shape
        longer = max(height, width)
        if colours is None:
            colours = _explained(image, share, max(3, round(_WINDOW * longer)), top)
        front, back = (resample(colour, (width, height)) for colour in colours)
        for part in windows:
            front, back = _settled(image, share, front, back, top)
            front, back = _fuse(front, back, share, max(3, round(part * longer)))
        colours = front, back
    assert colours is not None
    return colours


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
