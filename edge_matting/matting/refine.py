"""The matte at full size, its edge drawn after the photo's own edge.

He and Sun, "Fast Guided Filter", 2015 (arXiv 1505.00996), with box filters at reduced size; the
coefficients are enlarged and applied to the photo at full size, only where the matte is uncertain.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from edge_matting.core.arrays import Alpha, Rgb, check_alpha, check_rgb
from edge_matting.matting.resize import enlarge_rows, resample

Method = Literal["auto", "none", "fast"]
Plane: TypeAlias = npt.NDArray[np.float32]

_NOISE: Final = 1 / 255  # what eight bits cannot tell from 0 or 1
_WORKING_SIDE: Final = 1024
_EPSILON: Final = 1e-4  # variance of the guide, in [0, 1], below which a patch counts as flat
_ROWS: Final = 64  # rows worked on at a time; bounds memory beside the matte itself


def refine(rgb: Rgb, alpha: Alpha, method: Method = "auto") -> Alpha:
    """Enlarge ``alpha`` (h x w float32 in [0, 1]) to the photo's H x W.

    ``rgb`` is H x W x 3, uint8 or uint16. ``none`` interpolates linearly; ``fast`` (which ``auto``
    is) sharpens the uncertain band with the photo as guide. Outside the band the result is
    exactly 0 or 1. Nothing overshoots [0, 1] and no matte is stretched.
    """
    check_rgb(rgb)
    check_alpha(alpha)
    height, width = rgb.shape[:2]
    full = resample(alpha, (width, height))
    full = _snapped(full.copy() if full is alpha else full)
    if method != "none" and min(height, width, *alpha.shape) > 2:
        _sharpen(full, rgb, alpha)
    return full


def _snapped(alpha: Alpha) -> Alpha:
    """0 and 1 exactly where eight bits would say so, in place."""
    np.copyto(alpha, np.float32(0.0), where=alpha < _NOISE)
    np.copyto(alpha, np.float32(1.0), where=alpha > 1.0 - _NOISE)
    return alpha


def _sharpen(full: Alpha, rgb: Rgb, alpha: Alpha) -> None:
    """Replace the uncertain values of ``full`` in place."""
    lines = _coefficients(rgb, alpha)
    for start in range(0, full.shape[0], _ROWS):
        rows = slice(start, min(start + _ROWS, full.shape[0]))
        before: Plane = full[rows]
        band = (before > 0.0) & (before < 1.0)
        if band.any():
            slopes = enlarge_rows(lines, rows, rgb.shape[:2])
            after: Plane = np.clip(_applied(slopes, rgb[rows]), 0.0, 1.0)
            moved: Plane = before + _trust(before) * (after - before)
            np.copyto(before, _snapped(moved), where=band)


def _applied(slopes: Plane, rgb: Rgb) -> Plane:
    """slope . colour + offset for each pixel, R x W."""
    red, green, blue, offset = cv2.split(slopes)
    scale = np.float32(1.0 / np.iinfo(rgb.dtype).max)
    for slope, channel in zip((red, green, blue), cv2.split(rgb), strict=True):
        np.multiply(slope, channel, out=slope)
    applied: Plane = (red + green + blue) * scale + offset
    return applied


def _trust(before: Alpha) -> Alpha:
    """How far the filter may move a value: fully in the middle of the band, not at its seams.

    On photos of persons with known outlines this is nearer to them than trust everywhere.
    """
    trust: Alpha = 4.0 * before * (1.0 - before)
    return trust


def _coefficients(rgb: Rgb, alpha: Alpha) -> Plane:
    """The locally linear model alpha = slope . colour + offset, h x w x 4 at reduced size.

    The guide is the colour photo: hair and background often differ in hue alone.
    """
    height, width = rgb.shape[:2]
    shrink = min(1.0, _WORKING_SIDE / max(height, width))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    guide: Plane = resample(rgb, size) / np.float32(np.iinfo(rgb.dtype).max)
    target = resample(alpha, size)
    radius = _radius(size, alpha)
    mean, mean_target = _box(guide, radius), _box(target, radius)
    covariance = _box(guide * target[:, :, np.newaxis], radius)
    covariance -= mean * mean_target[:, :, np.newaxis]
    slope = _solved(_variance(guide, mean, radius), covariance)
    offset: Plane = mean_target - (slope * mean).sum(axis=2)
    return _box(np.dstack([slope, offset]), radius)


def _variance(guide: Plane, mean: Plane, radius: int) -> Plane:
    """Upper triangle of the colours' covariance (rr, rg, rb, gg, gb, bb), regularised."""
    pairs = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    planes = []
    for i, j in pairs:
        plane = _box(guide[:, :, i] * guide[:, :, j], radius) - mean[:, :, i] * mean[:, :, j]
        planes.append(plane + np.float32(_EPSILON) if i == j else plane)
    return np.stack(planes)


def _solved(variance: Plane, covariance: Plane) -> Plane:
    """Solve the symmetric 3 x 3 system of every pixel by its adjugate."""
    rr, rg, rb, gg, gb, bb = variance
    r, g, b = covariance[:, :, 0], covariance[:, :, 1], covariance[:, :, 2]
    a00, a01, a02 = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    a11, a12, a22 = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    determinant = rr * a00 + rg * a01 + rb * a02
    slope: Plane = np.dstack(
        [a00 * r + a01 * g + a02 * b, a01 * r + a11 * g + a12 * b, a02 * r + a12 * g + a22 * b]
    )
    slope /= np.maximum(determinant, np.float32(_EPSILON**3))[:, :, np.newaxis]
    return slope


def _radius(size: tuple[int, int], alpha: Alpha) -> int:
    """A window of five of the model's pixels, within which its edge may be off."""
    pixel: float = max(size[0] / alpha.shape[1], size[1] / alpha.shape[0], 1.0)
    return max(2, round(2 * pixel))


def _box(values: Plane, radius: int) -> Plane:
    side = 2 * radius + 1
    mean = cv2.boxFilter(values, cv2.CV_32F, (side, side), borderType=cv2.BORDER_REPLICATE)
    return mean.astype(np.float32, copy=False)
