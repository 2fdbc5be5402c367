"""Alpha from a known ground: where B is known and F is near, alpha is a projection.

I = aF + (1 - a)B with B known is solved for a by projecting I - B onto F - B (Smith and Blinn,
"Blue Screen Matting", SIGGRAPH 1996; Mishima's and difference keyers do the same). F comes from the
subject's sure cells close by, B from the ground's; a faint difference of the two says nothing, and
the network's refined matte stays there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np

from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.matting.ground.chroma import chroma_along
from edge_matting.matting.ground.estimate import WORKING_SIDE
from edge_matting.matting.ground.regions import Decided
from edge_matting.matting.ground.surface import Mask, Planes, length
from edge_matting.matting.resize import three_times
from edge_matting.matting.tiles import Grid

_NEAR: Final = (2.0, 8.0, 32.0)  # cells: how far colours are carried on, the nearest first
_TRUST: Final = 4.0  # deviations of the noise, by which F and B must differ for half a say
_FULL: Final = 0.85  # of the largest difference close by
_SNAP: Final = np.float32(1 / 255)  # what eight bits cannot tell from 0 or 1
_CERTAIN: Final = 0.95  # of the network's matte
_TINY: Final = np.float32(1e-4)


@dataclass(frozen=True, slots=True, eq=False)
class Colours:
    """Foreground and background at working size, h x w x 3 in [0, 1], and the band to solve."""

    front: Planes
    back: Planes
    shown: Planes  # the photo itself
    band: Mask  # h x w
    noise: float  # deviation of a channel, of [0, 1]
    direction: Planes | None = None  # of a screen's chroma, 3
    pixels: Rgb | None = None  # the background at the photo's size, of a plate
    factor: int = 1  # pixels of the photo in a cell's side

    def behind(self, where: tuple[slice, slice]) -> Planes:
        """The background at the photo's pixels ``where`` (R x C), R x C x 3 in [0, 1]."""
        rows, columns = where
        if self.pixels is not None:
            part = self.pixels[where]
            known: Planes = part * np.float32(1 / np.iinfo(part.dtype).max)
            return known
        step = 1 / self.factor
        first = np.array([columns.start + 0.5, rows.start + 0.5]) * step - 0.5
        move = np.array([[step, 0, first[0]], [0, step, first[1]]])
        size = columns.stop - columns.start, rows.stop - rows.start
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        read: Any = cv2.warpAffine(
            self.back, move, size, flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(read, np.float32)


def colours_of(
    small: Planes,
    found: Decided,
    matte: Alpha,
    back: Planes,
    *,
    noise: float,
    see_through: Mask | None = None,
) -> Colours:
    """``small`` h x w x 3 in [0, 1] is the photo, ``matte`` h x w the network's, ``back`` the
    ground's smooth colour.

    ``see_through`` are the subject's cells (h x w) that show something of the ground.
    """
    outer = eroded(found.ground)
    behind = _carried(small, outer, back)
    inner = _sure(small, behind, found.subject, matte)
    if see_through is not None:
        inner &= ~see_through
    band = ~inner & ~outer
    front = _carried(small, inner, _farthest(small, behind, found.subject))
    return Colours(front, behind, small, band, noise)


def _sure(small: Planes, behind: Planes, subject: Mask, matte: Alpha) -> Mask:
    """Cells that are the subject's alone: well inside it where the network is certain, or
    as far from B as any close by."""
    apart = length(small - behind) * subject
    most: Any = cv2.dilate(apart, np.ones((9, 9), np.uint8))
    full = eroded(subject) & (apart >= np.float32(_FULL) * most)
    certain = eroded(subject, 2) & (matte > _CERTAIN)
    return np.asarray(full | certain, np.bool_)


def eroded(mask: Mask, times: int = 1) -> Mask:
    """``mask`` without its outermost cells; the picture's own border does not erode."""
    less: Any = cv2.erode(
        mask.view(np.uint8),
        np.ones((3, 3), np.uint8),
        iterations=times,
        borderType=cv2.BORDER_REPLICATE,
    )
    return np.asarray(less.reshape(mask.shape) > 0, np.bool_)


def _carried(small: Planes, known: Mask, otherwise: Planes) -> Planes:
    """Colours of ``known`` cells, carried on to the others; ``otherwise`` where none is near.

    From coarse to fine, each level filling what the finer one does not reach (pull-push, Gortler et
    al., "The Lumigraph", SIGGRAPH 1996).
    """
    height, width = known.shape
    weight = known.astype(np.float32)
    held = cv2.copyTo(small, known.view(np.uint8))
    result: Any = None
    for sigma in reversed(_NEAR):
        factor = max(2, int(sigma / 2))
        size = max(1, width // factor), max(1, height // factor)
        share: Any = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
        total: Any = cv2.resize(held, size, interpolation=cv2.INTER_AREA)
        share = cv2.GaussianBlur(share, (0, 0), sigma / factor)
        total = cv2.GaussianBlur(total, (0, 0), sigma / factor)
        mean = total / three_times(share + _TINY)
        before: Any = otherwise if result is None else result
        before = cv2.resize(before, size, interpolation=cv2.INTER_LINEAR)
        result = before + three_times(np.minimum(share * np.float32(50), 1)) * (mean - before)
    result = cv2.resize(result, (width, height), interpolation=cv2.INTER_LINEAR)
    result = np.ascontiguousarray(result.reshape(small.shape))
    cv2.copyTo(small, known.view(np.uint8), result)
    return np.asarray(result, np.float32)


def _farthest(small: Planes, behind: Planes, subject: Mask) -> Planes:
    """For thin things without a sure inside: the colour close by that differs most from B."""
    height, width = subject.shape
    apart = length(small - behind) * subject
    most: Any = cv2.dilate(apart, np.ones((9, 9), np.uint8))
    weight: Any = cv2.pow(apart / np.maximum(most, _TINY), 8)
    size = max(1, width // 2), max(1, height // 2)
    weight = np.asarray(weight, np.float32).reshape(height, width)
    share: Any = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
    held = small * three_times(weight)
    total: Any = cv2.resize(held, size, interpolation=cv2.INTER_AREA)
    share = cv2.GaussianBlur(share, (0, 0), 1.5)
    total = cv2.GaussianBlur(total, (0, 0), 1.5)
    mean = total / three_times(share + _TINY)
    wide: Any = cv2.resize(mean, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(wide, np.float32).reshape(small.shape)


def projected(
    pixels: Planes, front: Planes, back: Planes, colours: Colours, noise: float
) -> tuple[Alpha, Alpha]:
    """Alpha of ``pixels`` (R x C x 3) and how far it is to be trusted, both R x C in [0, 1]."""
    if colours.direction is not None:
        return _keyed(pixels, front, back, colours.direction, noise)
    along = front - back
    length = _total(np.square(along))
    share = _total((pixels - back) * along) / np.maximum(length, _TINY)
    trust = length / (length + np.float32((_TRUST * noise) ** 2 * 3))
    return np.clip(share, 0, 1), trust


def _keyed(
    pixels: Planes, front: Planes, back: Planes, direction: Planes, noise: float
) -> tuple[Alpha, Alpha]:
    """Alpha by what is left of a screen's chroma; the subject's own is taken from beside."""
    seen, own, screen = (chroma_along(planes, direction) for planes in (pixels, front, back))
    apart = screen - np.clip(own, 0, 0.7 * screen)
    share = (screen - seen) / np.maximum(apart, np.float32(0.01))
    trust = np.square(apart) / (np.square(apart) + np.float32((_TRUST * noise) ** 2))
    return np.clip(share, 0, 1), trust


def _total(planes: Planes) -> Alpha:
    """Sum of three channels, h x w: NumPy is ten times slower along a last axis of 3."""
    total: Any = cv2.transform(planes, np.ones((1, 3), np.float32))
    return np.asarray(total.reshape(planes.shape[:2]), np.float32)


def prior_of(small: Planes, found: Decided, colours: Colours, matte: Alpha) -> Alpha:
    """The matte at working size, h x w: decided cells 0 or 1, the band projected."""
    share, trust = projected(small, colours.front, colours.back, colours, colours.noise)
    held = np.where(found.subject, np.maximum(matte, 0.5), np.minimum(matte, 0.5))
    alpha = np.where(colours.band, held + trust * (share - held), found.subject)
    return alpha.astype(np.float32)


def sharpened(full: Alpha, rgb: Rgb, prior: Alpha, colours: Colours) -> Alpha:
    """``full`` (H x W, refined from ``prior``) with its band projected at full size, in place."""
    grid = Grid.over(full.shape, WORKING_SIDE)
    scale = np.float32(1 / np.iinfo(rgb.dtype).max)
    share = np.where(colours.band, np.float32(0.5), prior)
    inside = colours.band.astype(np.float32)
    for tile in grid.band(share):
        where = grid.pixels(tile)
        back = (
            grid.enlarge(colours.back, tile)
            if colours.pixels is None
            else colours.pixels[where] * scale
        )
        front = grid.enlarge(colours.front, tile)
        noise = colours.noise * grid.factor
        key, trust = projected(rgb[where] * scale, front, back, colours, noise)
        part = full[where]
        trust *= np.minimum(grid.enlarge(inside, tile) * 2, 1)
        part += (key - part) * trust
        np.copyto(part, np.float32(0), where=part < _SNAP)
        np.copyto(part, np.float32(1), where=part > 1 - _SNAP)
    return full
