"""The matte at full size, its edge drawn after the photo's own edge.

He and Sun, "Fast Guided Filter", 2015 (arXiv 1505.00996), with box filters at reduced size; the
coefficients are enlarged and applied to the photo at full size, only where the matte is uncertain.
``quality`` then solves the matting Laplacian (laplacian.py) in the band that the model left
unknown.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import cv2
import numpy as np
import numpy.typing as npt

from edge_matting.core.arrays import Alpha, Rgb, check_alpha, check_rgb
from edge_matting.matting.guided import Plane, Windows, box, channels
from edge_matting.matting.laplacian import solve_band
from edge_matting.matting.resize import resample
from edge_matting.matting.tiles import Grid, blocks, within

Method = Literal["auto", "none", "fast", "quality"]

_NOISE: Final = 1 / 255  # what eight bits cannot tell from 0 or 1
_WORKING_SIDE: Final = 640  # larger ones cost more and are no nearer to known outlines
_BLOCK_ROWS: Final = 96  # cells; a block's planes stay in the cache
_EPSILON: Final = 1e-4
_STEEPER: Final = 0.4  # how much the blur of the model's pixels and of two passes is undone
_QUALITY_SIDE: Final = 1334
_QUALITY_STEEPER: Final = 0.6
_SURE: Final = 0.05  # the model's doubt begins above it, and ends at one less it
_EDGE: Final = 0.12  # variance of the matte from which on a window holds an edge; 0.25 at most


def refine(rgb: Rgb, alpha: Alpha, method: Method = "auto") -> Alpha:
    """Enlarge ``alpha`` (h x w float32 in [0, 1]) to the photo's H x W.

    ``rgb`` is H x W x 3, uint8 or uint16. ``none`` interpolates linearly; ``fast`` (which ``auto``
    is) sharpens the uncertain band with the photo as guide; ``quality`` also finds hair beside that
    band. Outside the band the result is exactly 0 or 1. Nothing overshoots [0, 1] and no matte is
    stretched.
    """
    check_rgb(rgb)
    check_alpha(alpha)
    full = _filtered(rgb, alpha, method)
    if method == "quality" and _has_windows(rgb, alpha):
        _follow(full, rgb, alpha)
    return full


def _has_windows(rgb: Rgb, alpha: Alpha) -> bool:
    return bool(min(*rgb.shape[:2], *alpha.shape) > 2)


def _filtered(rgb: Rgb, alpha: Alpha, method: Method) -> Alpha:
    """The fast guided filter, or for ``none`` linear interpolation, H x W."""
    height, width = rgb.shape[:2]
    # Snapped before it is enlarged, the certain parts need no second look at full size.
    full = resample(_snapped(alpha.copy()), (width, height))
    grid = Grid.over(full.shape, _WORKING_SIDE)
    share = grid.means(full)
    sharpen = method != "none" and _has_windows(rgb, alpha)
    lines = _lines(grid.means(rgb), share, alpha.shape) if sharpen else None
    for tile in grid.band(share):
        where = grid.pixels(tile)
        part = _snapped(full[where])
        if lines is not None:
            _sharpen(part, rgb[where], grid.enlarge(lines, tile))
    return full


def _follow(full: Alpha, rgb: Rgb, model: Alpha) -> None:
    """Solve the band anew, in place. ``model`` is the h x w matte whose doubt is the trimap."""
    grid = Grid.over(full.shape, _QUALITY_SIDE)
    small, prior = grid.means(rgb), grid.means(full)
    unknown = _unknown(model, prior.shape)
    alpha = solve_band(small, prior, unknown)
    share = unknown.astype(np.float32)
    contrast = _contrast(alpha, _radius(alpha.shape, model.shape), _QUALITY_STEEPER)
    lines = _steep_lines(Windows(channels(small), 1, _EPSILON), alpha, contrast, small)
    for tile in grid.band(share * np.float32(0.5)):
        part = full[grid.pixels(tile)]
        after = _applied(grid.enlarge(lines, tile), rgb[grid.pixels(tile)])
        np.clip(after, 0.0, 1.0, out=after)
        part += (after - part) * grid.enlarge(share, tile)
        _snapped(part)


def _unknown(model: Alpha, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Where the model was in doubt, and one of its pixels around, at ``shape``."""
    doubt = ((model > _SURE) & (model < 1.0 - _SURE)).astype(np.uint8)
    wide: Any = cv2.dilate(doubt, np.ones((3, 3), np.uint8))
    size = shape[1], shape[0]
    cells: Any = cv2.resize(wide, size, interpolation=cv2.INTER_NEAREST)
    return np.asarray(cells.reshape(shape) > 0, np.bool_)


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
    """Slopes and offset of alpha = slope . colour + offset, h x w x 4 at reduced size; 0 where the
    matte is certain.

    ``small`` (h x w x 3) and ``share`` (h x w) are photo and matte at that size, ``model`` the
    shape of the matte as the model gave it. The slopes are for colours in the photo's own range.
    """
    radius = _radius(share.shape, model)
    lines = np.zeros((*share.shape, 4), np.float32)
    for inner, outer in blocks(share, _BLOCK_ROWS, 3 * radius + 2):
        photo = small[outer.rows, outer.columns]
        matte = np.ascontiguousarray(share[outer.rows, outer.columns])
        found = _block_lines(photo, matte, radius)
        rows, columns = within(inner.rows, outer.rows), within(inner.columns, outer.columns)
        lines[inner.rows, inner.columns] = found[rows, columns]
    return lines


def _block_lines(small: Rgb, share: Alpha, radius: int) -> Plane:
    """A wide pass pulls the edge to the photo's, a narrow one then follows its detail."""
    guide = channels(small)
    contrast = _contrast(share, radius, _STEEPER)
    target = np.clip((_wide(guide, share, radius) - 0.5) * contrast + 0.5, 0.0, 1.0)
    np.copyto(target, share, where=(share == 0.0) | (share == 1.0))
    return _steep_lines(Windows(guide, max(1, radius // 2), _EPSILON), target, contrast, small)


def _wide(guide: list[Plane], share: Alpha, radius: int) -> Plane:
    """The guided filter with windows of ``radius``, its lines found at half the size.

    Lines over so wide a window are smooth: on scenes with exact alpha the edge comes out nearer
    to the truth than with lines of full size, at a quarter of the cost.
    """
    height, width = share.shape
    half = -(-width // 2), -(-height // 2)
    found = Windows([resample(plane, half) for plane in guide], -(-radius // 2), _EPSILON).fit(
        resample(share, half)
    )
    red, green, blue, filtered = (resample(plane, (width, height)) for plane in found)
    for slope, channel in zip((red, green, blue), guide, strict=True):
        filtered += slope * channel
    return filtered


def _steep_lines(windows: Windows, target: Alpha, contrast: Plane, photo: Rgb) -> Plane:
    """The model of ``target``, made steeper around a half, for colours in ``photo``'s range."""
    *slopes, offset = windows.fit(target)
    scale = contrast / np.float32(np.iinfo(photo.dtype).max)
    return np.dstack([*(slope * scale for slope in slopes), (offset - 0.5) * contrast + 0.5])


def _contrast(share: Alpha, radius: int, steeper: float) -> Plane:
    """How much steeper an edge is than the filter draws it, h x w, from 1.

    Only a window that holds inside and outside alike has an edge to restore; an even veil is the
    subject's own and stays.
    """
    spread = box(share * share, radius)
    spread -= np.square(box(share, radius))
    added = np.minimum(spread * np.float32(steeper / _EDGE), np.float32(steeper))
    contrast: Plane = added + np.float32(1.0)
    return contrast


def _radius(shape: tuple[int, ...], model: tuple[int, ...]) -> int:
    """A window of five of the model's pixels, within which its edge may be off."""
    pixel: float = max(shape[0] / model[0], shape[1] / model[1], 1.0)
    return max(2, round(2 * pixel))
