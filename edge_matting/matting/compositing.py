"""I = aF + (1 - a)B, and its relatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_matting.core.arrays import Alpha, Rgb, check_alpha, check_rgb
from edge_matting.matting.backdrop import Backdrop, Shadow
from edge_matting.matting.foreground import without_background
from edge_matting.matting.resize import three_times

_ROWS: Final = 64  # rows worked on at a time: temporaries stay in the cache
_SURE: Final = 0.05  # as in assess: below it background, above 1 - it foreground


def cutout(rgb: Rgb, alpha: Alpha, *, premultiplied: bool = False) -> Rgb:
    """RGBA, straight or ``premultiplied``, H x W x 4 in the type of ``rgb`` (the foreground F).

    Where alpha rounds to 0 there is no colour at all: the removed background must not be readable
    in the file.
    """
    _check(rgb, alpha)
    result = np.empty((*alpha.shape, 4), rgb.dtype)
    for start in range(0, alpha.shape[0], _ROWS):
        rows = slice(start, start + _ROWS)
        opacity = quantised(alpha[rows], rgb.dtype)
        seen = without_background(rgb[rows], opacity)
        if premultiplied:
            share = opacity * np.float32(1 / np.iinfo(rgb.dtype).max)
            seen = np.rint(seen * three_times(share)).astype(rgb.dtype)
        cv2.cvtColor(seen, cv2.COLOR_RGB2RGBA, result[rows])
        cv2.insertChannel(opacity, result[rows], 3)
    return result


@dataclass(frozen=True, slots=True, eq=False)
class CutoutRows:
    """``cutout`` made row by row while it is written, so that it takes no memory of its own."""

    foreground: Rgb  # H x W x 3
    alpha: Alpha  # H x W

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.alpha.shape, 4)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.foreground.dtype

    def read(self, start: int, stop: int) -> Rgb:
        """Rows ``start`` to ``stop``, straight RGBA."""
        return cutout(self.foreground[start:stop], self.alpha[start:stop])


def composite(
    foreground: Rgb, alpha: Alpha, backdrop: Backdrop, *, shadow: Shadow | None = None
) -> Rgb:
    """``foreground`` over ``backdrop``, H x W x 3 in the foreground's type.

    ``shadow`` lies between the two.
    """
    _check(foreground, alpha)
    top = np.iinfo(foreground.dtype).max
    result = np.empty_like(foreground)
    for start in range(0, alpha.shape[0], _ROWS):
        rows = slice(start, start + _ROWS)
        share = three_times(alpha[rows])
        under = backdrop.rows(start, start + len(share))
        if shadow is not None:
            under = shadow.over(under, start, start + len(share))
        mixed = foreground[rows] * share + under * np.float32(top) * (1.0 - share)
        result[rows] = np.clip(np.rint(mixed), 0, top).astype(foreground.dtype)
    return result


def with_shadow(foreground: Rgb, alpha: Alpha, shadow: Shadow) -> tuple[Rgb, Alpha]:
    """Foreground and matte of a cut-out that carries its shadow along.

    Over any backdrop they give what ``composite`` gives with the same shadow.
    """
    _check(foreground, alpha)
    top = np.iinfo(foreground.dtype).max
    colours, both = np.empty_like(foreground), np.empty_like(alpha)
    for start in range(0, alpha.shape[0], _ROWS):
        rows = slice(start, start + _ROWS)
        share = alpha[rows]
        dark = shadow.opacity_of(start, start + len(share)) * (1 - share)
        both[rows] = np.minimum(share + dark, np.float32(1.0))
        part = three_times(share / np.maximum(both[rows], np.float32(1e-6)))
        mixed = foreground[rows] * part + shadow.colour * np.float32(top) * (1 - part)
        colours[rows] = np.clip(np.rint(mixed), 0, top)
    return colours, both


def trimap(alpha: Alpha) -> npt.NDArray[np.uint8]:
    """0 background, 255 foreground, 128 unknown, H x W; the unknown band is a little widened."""
    check_alpha(alpha)
    unknown = ((alpha > _SURE) & (alpha < 1.0 - _SURE)).astype(np.uint8)
    radius = max(1, round(min(alpha.shape) / 200))
    side = 2 * radius + 1
    wide = cv2.dilate(unknown, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    result = np.zeros(alpha.shape, np.uint8)
    result[alpha > 0.5] = 255
    result[wide > 0] = 128
    return result


def quantised(alpha: Alpha, dtype: npt.DTypeLike = np.uint8) -> Rgb:
    """``alpha`` as H x W uint8 or uint16, rounded."""
    kind = np.dtype(dtype)
    if kind == np.uint8:
        return np.asarray(cv2.convertScaleAbs(alpha, alpha=255.0), np.uint8).reshape(alpha.shape)
    rounded: Rgb = np.rint(alpha * np.float32(np.iinfo(kind).max)).astype(kind)
    return rounded


def _check(rgb: Rgb, alpha: Alpha) -> None:
    check_rgb(rgb)
    check_alpha(alpha)
    if rgb.shape[:2] != alpha.shape:
        raise ValueError(f"pixels {rgb.shape[:2]} and matte {alpha.shape} differ in size")
