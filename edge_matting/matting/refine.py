"""The matte at full size, its edge drawn after the photo's own edge.

He and Sun, "Fast Guided Filter", 2015 (arXiv 1505.00996), with box filters at reduced size; the
coefficients are enlarged and applied to the photo at full size, only where the matte is uncertain.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from edge_matting.core.arrays import Alpha, Rgb, check_alpha, check_rgb
from edge_matting.matting.band import Grid
from edge_matting.matting.resize import resample

Method = Literal["auto", "none", "fast"]
Plane: TypeAlias = npt.NDArray[np.float32]

_NOISE: Final = 1 / 255  # what eight bits cannot tell from 0 or 1
_WORKING_SIDE: Final = 640  # larger ones cost more and are no nearer to known outlines
_EPSILON: Final = 1e-4  # variance of the guide, in [0, 1], below which a patch counts as flat


def refine(rgb: Rgb, alpha: Alpha, method: Method = "auto") -> Alpha:
    """Enlarge ``alpha`` (h x w float32 in [0, 1]) to the photo's H x W.

    ``rgb`` is H x W x 3, uint8 or uint16. ``none`` interpolates linearly; ``fast`` (which ``auto``
    is) sharpens the uncertain band with the photo as guide. Outside the band the result is
    exactly 0 or 1. Nothing overshoots [0, 1] and no matte is stretched.
    """
    check_rgb(rgb)
    check_alpha(alpha)
    height, width = rgb.shape[:2]
    # Snapped before it is enlarged, the certain parts need no second look at full size.
    full = resample(_snapped(alpha.copy()), (width, height))
    grid = Grid.over(full.shape, _WORKING_SIDE)
    share = grid.means(full)
    sharpen = method != "none" and min(height, width, *alpha.shape) > 2
    lines = _coefficients(grid.means(rgb), share, alpha.shape) if sharpen else None
    for tile in grid.band(share):
        where = grid.pixels(tile)
        part = _snapped(full[where])
        if lines is not None:
            _sharpen(part, rgb[where], grid.enlarge(lines, tile))
    return full


def _snapped(alpha: Alpha) -> Alpha:
    """0 and 1 exactly where eight bits would say so, in place."""
    np.copyto(alpha, np.float32(0.0), where=alpha < _NOISE)
    np.copyto(alpha, np.float32(1.0), where=alpha > 1.0 - _NOISE)
    return alpha


def _sharpen(part: Alpha, rgb: Rgb, slopes: Plane) -> None:
    """Move the uncertain values of ``part`` (R x W) in place; 0 and 1 have no trust and stay."""
    after = _applied(slopes, rgb)
    np.clip(after, 0.0, 1.0, out=after)
    after -= part
    after *= _trust(part)
    part += after
    _snapped(part)


def _applied(slopes: Plane, rgb: Rgb) -> Plane:
    """slope . colour + offset for each pixel, R x W."""
    planes: list[Plane] = list(cv2.split(slopes))  # type: ignore[arg-type]
    red, green, blue, offset = planes
    for slope, channel in zip((red, green, blue), cv2.split(rgb), strict=True):
        np.multiply(slope, channel, out=slope)
        np.add(offset, slope, out=offset)
    return offset


def _trust(before: Alpha) -> Alpha:
    """How far the filter may move a value: fully in the middle of the band, not at its seams.

    On photos of persons with known outlines this is nearer to them than trust everywhere.
    """
    trust: Alpha = np.float32(4.0) - np.float32(4.0) * before
    trust *= before
    return trust


def _coefficients(small: Rgb, target: Alpha, model: tuple[int, ...]) -> Plane:
    """The locally linear model alpha = slope . colour + offset, h x w x 4 at reduced size.

    ``small`` (h x w x 3) and ``target`` (h x w) are photo and matte at that size, ``model`` the
    shape of the matte as the model gave it. The slopes are for colours in the photo's own range.
    The guide is the colour photo: hair and background often differ in hue alone.
    """
    top = np.float32(np.iinfo(small.dtype).max)
    radius = _radius(target.shape, model)
    guide = [np.multiply(channel, 1 / top, dtype=np.float32) for channel in cv2.split(small)]
    mean, mean_target = [_box(channel, radius) for channel in guide], _box(target, radius)
    covariance = [
        _box(channel * target, radius) - average * mean_target
        for channel, average in zip(guide, mean, strict=True)
    ]
    slopes = _solved(_variance(guide, mean, radius), covariance)
    offset = mean_target
    for slope, average in zip(slopes, mean, strict=True):
        offset -= slope * average
    planes = [_box(plane, radius) for plane in (*(slope / top for slope in slopes), offset)]
    return np.dstack(planes)


def _variance(guide: list[Plane], mean: list[Plane], radius: int) -> list[Plane]:
    """Upper triangle of the colours' covariance (rr, rg, rb, gg, gb, bb), regularised."""
    planes = []
    for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)):
        plane = _box(guide[i] * guide[j], radius)
        plane -= mean[i] * mean[j]
        if i == j:
            plane += np.float32(_EPSILON)
        planes.append(plane)
    return planes


def _solved(variance: list[Plane], covariance: list[Plane]) -> list[Plane]:
    """Solve the symmetric 3 x 3 system of every pixel by its adjugate."""
    rr, rg, rb, gg, gb, bb = variance
    r, g, b = covariance
    a00, a01, a02 = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    a11, a12, a22 = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    determinant = rr * a00 + rg * a01 + rb * a02
    scale = 1 / np.maximum(determinant, np.float32(_EPSILON**3))
    return [
        (a00 * r + a01 * g + a02 * b) * scale,
        (a01 * r + a11 * g + a12 * b) * scale,
        (a02 * r + a12 * g + a22 * b) * scale,
    ]


def _radius(shape: tuple[int, ...], model: tuple[int, ...]) -> int:
    """A window of five of the model's pixels, within which its edge may be off."""
    pixel: float = max(shape[0] / model[0], shape[1] / model[1], 1.0)
    return max(2, round(2 * pixel))


def _box(values: Plane, radius: int) -> Plane:
    side = 2 * radius + 1
    mean: Any = cv2.blur(values, (side, side), borderType=cv2.BORDER_REPLICATE)
    boxed: Plane = mean.reshape(values.shape)
    return boxed
