"""The matte at full size, its edge drawn after the photo's own edge.

He and Sun, "Fast Guided Filter", 2015 (arXiv 1505.00996), with box filters at reduced size; the
coefficients are enlarged and applied to the photo at full size, only where the matte is uncertain.
"""

from __future__ import annotations

from typing import Final, Literal

import cv2
import numpy as np

from edge_matting.core.arrays import Alpha, Rgb, check_alpha, check_rgb
from edge_matting.matting.band import Grid
from edge_matting.matting.guided import Plane, Windows, box, channels
from edge_matting.matting.resize import resample

Method = Literal["auto", "none", "fast"]

_NOISE: Final = 1 / 255  # what eight bits cannot tell from 0 or 1
_WORKING_SIDE: Final = 640  # larger ones cost more and are no nearer to known outlines
_EPSILON: Final = 1e-4
_STEEPER: Final = 0.4  # how much the blur of the model's pixels and of two passes is undone
_EDGE: Final = 0.12  # variance of the matte from which on a window holds an edge; 0.25 at most


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
    lines = _lines(grid.means(rgb), share, alpha.shape) if sharpen else None
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


def _sharpen(part: Alpha, rgb: Rgb, lines: Plane) -> None:
    """Move the uncertain values of ``part`` (R x W) in place; 0 and 1 have no trust and stay."""
    after = _applied(lines, rgb)
    np.clip(after, 0.0, 1.0, out=after)
    after -= part
    after *= _trust(part)
    part += after
    _snapped(part)


def _applied(lines: Plane, rgb: Rgb) -> Plane:
    """slope . colour + offset for each pixel, R x W."""
    planes: list[Plane] = list(cv2.split(lines))  # type: ignore[arg-type]
    red, green, blue, offset = planes
    for slope, channel in zip((red, green, blue), cv2.split(rgb), strict=True):
        np.multiply(slope, channel, out=slope)
        np.add(offset, slope, out=offset)
    return offset


def _trust(before: Alpha) -> Alpha:
    """How far the filter may move a value: fully in the middle of the band, not at its seams."""
    trust: Alpha = np.float32(4.0) - np.float32(4.0) * before
    trust *= before
    np.sqrt(trust, out=trust)
    return trust


def _lines(small: Rgb, share: Alpha, model: tuple[int, ...]) -> Plane:
    """Slopes and offset of alpha = slope . colour + offset, h x w x 4 at reduced size.

    ``small`` (h x w x 3) and ``share`` (h x w) are photo and matte at that size, ``model`` the
    shape of the matte as the model gave it. The slopes are for colours in the photo's own range.
    A wide pass pulls the edge to the photo's, a narrow one then follows its detail.
    """
    guide = channels(small)
    radius = _radius(share.shape, model)
    contrast = _contrast(share, radius)
    wide = Windows(guide, radius, _EPSILON).filtered(share)
    target = np.clip((wide - 0.5) * contrast + 0.5, 0.0, 1.0)
    np.copyto(target, share, where=(share == 0.0) | (share == 1.0))
    *slopes, offset = Windows(guide, max(1, radius // 2), _EPSILON).fit(target)
    scale = contrast / np.float32(np.iinfo(small.dtype).max)
    return np.dstack([*(slope * scale for slope in slopes), (offset - 0.5) * contrast + 0.5])


def _contrast(share: Alpha, radius: int) -> Plane:
    """How much steeper an edge is than the filter draws it, h x w, from 1.

    Only a window that holds inside and outside alike has an edge to restore; an even veil is the
    subject's own and stays.
    """
    spread = box(share * share, radius)
    spread -= np.square(box(share, radius))
    steeper = np.minimum(spread * np.float32(_STEEPER / _EDGE), np.float32(_STEEPER))
    contrast: Plane = steeper + np.float32(1.0)
    return contrast


def _radius(shape: tuple[int, ...], model: tuple[int, ...]) -> int:
    """A window of five of the model's pixels, within which its edge may be off."""
    pixel: float = max(shape[0] / model[0], shape[1] / model[1], 1.0)
    return max(2, round(2 * pixel))
