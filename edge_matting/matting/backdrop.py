"""What lies under a subject: a colour, a gradient, a picture, a blurred photo; and its shadow.

Everything is given row by row, in float32 from 0 to 1, so that a backdrop for a photo of 100
megapixels needs no picture of that size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from edge_matting.core.arrays import Alpha, Rgb, check_alpha, check_rgb
from edge_matting.matting.framing import Frame
from edge_matting.matting.resize import resample, three_times

Planes: TypeAlias = npt.NDArray[np.float32]
Colour: TypeAlias = tuple[float, float, float]
"""Red, green, blue, 0 to 1."""

_CELLS_PER_SIGMA = 4.0  # a blurred picture holds no more than this many values worth keeping
_LEAST_SIDE, _MOST_SIDE = 32, 2048
_SEEN_THROUGH = np.float32(1e-4)  # weight of the subject's own colours in a blurred background


class Backdrop(Protocol):
    """An opaque ground."""

    def rows(self, start: int, stop: int) -> Planes:
        """Rows ``start`` to ``stop``, R x W x 3, or what broadcasts to it, in [0, 1]."""


@dataclass(frozen=True, slots=True, eq=False)
class Flat:
    """One colour."""

    colour: Colour

    def rows(self, _start: int, _stop: int) -> Planes:
        return np.array(self.colour, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Gradient:
    """From ``first`` to ``last`` along ``angle`` (degrees, clockwise from left to right)."""

    first: Colour
    last: Colour
    angle: float
    size: tuple[int, int]  # width, height

    def rows(self, start: int, stop: int) -> Planes:
        width, height = self.size
        across, down = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        reach = abs(across) * width + abs(down) * height
        x = (np.arange(width, dtype=np.float32) + 0.5 - width / 2) * np.float32(across)
        y = (np.arange(start, stop, dtype=np.float32) + 0.5 - height / 2) * np.float32(down)
        along = np.clip((y[:, np.newaxis] + x) / np.float32(reach) + np.float32(0.5), 0, 1)
        first, last = np.array(self.first, np.float32), np.array(self.last, np.float32)
        mixed: Planes = first + (last - first) * three_times(along.astype(np.float32))
        return mixed


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """Pixels of the output's size, H x W x 3."""

    pixels: Rgb

    def rows(self, start: int, stop: int) -> Planes:
        part = self.pixels[start:stop]
        shares: Planes = part.astype(np.float32) * np.float32(1 / np.iinfo(part.dtype).max)
        return shares


@dataclass(frozen=True, slots=True, eq=False)
class Smooth:
    """A small picture, h x w x C float32, read between its cells at any size.

    ``down`` are the rows' places in it, one for each row of the output; beyond the border lies the
    border's own value.
    """

    wide: Planes  # h x W x C: read across already
    down: npt.NDArray[np.float64]

    @classmethod
    def of(cls, cells: Planes, photo: tuple[int, int], frame: Frame) -> Smooth:
        """``cells`` span a photo of ``photo`` (width, height), which ``frame`` shows."""
        scale = frame.scale
        places = []
        for axis in (0, 1):
            first = (frame.place.left, frame.place.top)[axis]
            origin = (frame.box.left, frame.box.top)[axis]
            at = (np.arange(frame.size[axis]) + 0.5 - first) / scale[axis] + origin
            places.append(at * cells.shape[1 - axis] / photo[axis] - 0.5)
        return cls(_between(cells, places[0], axis=1), places[1])

    def rows(self, start: int, stop: int) -> Planes:
        return _between(self.wide, self.down[start:stop], axis=0)


@dataclass(frozen=True, slots=True, eq=False)
class Shadow:
    """A shadow of one colour; its opacity is in [0, 1]."""

    colour: Planes  # 3
    opacity: Smooth  # one channel

    def opacity_of(self, start: int, stop: int) -> Alpha:
        """R x W."""
        return self.opacity.rows(start, stop)[:, :, 0]

    def over(self, ground: Planes, start: int, stop: int) -> Planes:
        """``ground``'s rows ``start`` to ``stop`` with the shadow on them, R x W x 3."""
        dark = three_times(np.ascontiguousarray(self.opacity_of(start, stop)))
        return ground + (self.colour - ground) * dark


def cover(picture: Rgb, size: tuple[int, int]) -> Picture:
    """``picture`` scaled to cover ``size`` (width, height), its middle in the middle."""
    check_rgb(picture)
    height, width = picture.shape[:2]
    scale = max(size[0] / width, size[1] / height)
    part = min(width, max(1, round(size[0] / scale))), min(height, max(1, round(size[1] / scale)))
    left, top = (width - part[0]) // 2, (height - part[1]) // 2
    return Picture(resample(picture[top : top + part[1], left : left + part[0]], size))


def blurred(photo: Rgb, alpha: Alpha, frame: Frame, percent: float) -> Smooth:
    """The background of ``photo`` (h x w x 3), blurred by ``percent`` of its longer side.

    The subject, which ``alpha`` (h x w) tells, is left out of the means: it would stand around
    itself as a halo.
    """
    check_rgb(photo)
    check_alpha(alpha)
    height, width = alpha.shape
    size, sigma = _reduced((width, height), percent)
    colours = resample(photo, size).astype(np.float32) / np.float32(np.iinfo(photo.dtype).max)
    weight = three_times(1 - resample(alpha, size) + _SEEN_THROUGH)
    top = _soft(colours * weight, sigma)
    mean = np.clip(top / np.maximum(_soft(weight, sigma), np.float32(1e-6)), 0.0, 1.0)
    return Smooth.of(mean.astype(np.float32), (width, height), frame)


def drop_shadow(
    alpha: Alpha, *, colour: Colour, opacity: float, blur: float, offset: tuple[float, float]
) -> Shadow:
    """The shadow of ``alpha`` (H x W, at the output's size).

    ``blur`` (the Gaussian's sigma) and ``offset`` (to the right, down) are in percent of the longer
    side.
    """
    check_alpha(alpha)
    height, width = alpha.shape
    size, sigma = _reduced((width, height), blur)
    unit = max(size) / 100
    move = np.array([[1, 0, offset[0] * unit], [0, 1, offset[1] * unit]], np.float32)
    moved: Any = cv2.warpAffine(resample(alpha, size), move, size, flags=cv2.INTER_LINEAR)
    soft = _soft(moved.reshape(size[1], size[0], 1), sigma) * np.float32(opacity)
    whole = Frame.whole((width, height))
    dark = Smooth.of(np.clip(soft, 0.0, 1.0), (width, height), whole)
    return Shadow(np.array(colour, np.float32), dark)


def natural_shadow(opacity: Alpha, photo: tuple[int, int], frame: Frame) -> Shadow:
    """The photo's own shadow: black of ``opacity`` (h x w in [0, 1]) over a photo of ``photo``
    (width, height), which ``frame`` shows."""
    dark = Smooth.of(opacity[:, :, np.newaxis], photo, frame)
    return Shadow(np.zeros(3, np.float32), dark)


def _reduced(size: tuple[int, int], percent: float) -> tuple[tuple[int, int], float]:
    """The size at which a blur of ``percent`` is done, and its sigma there, in pixels."""
    longest = max(size)
    wanted = _CELLS_PER_SIGMA * 100 / percent if percent > 0 else _MOST_SIDE
    side = min(longest, max(_LEAST_SIDE, min(_MOST_SIDE, wanted)))
    scale = side / longest
    small = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    return small, percent / 100 * max(small)


def _soft(values: Planes, sigma: float) -> Planes:
    if sigma < 0.1:
        return values
    soft: Any = cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return soft.reshape(values.shape)  # type: ignore[no-any-return]


def _between(values: Planes, places: npt.NDArray[np.float64], axis: int) -> Planes:
    """``values`` read linearly at ``places`` along ``axis``."""
    last = values.shape[axis] - 1
    inside = np.clip(places, 0, last)
    before = np.floor(inside).astype(np.intp)
    part = (inside - before).astype(np.float32)
    shape = [1] * values.ndim
    shape[axis] = len(part)
    low = values.take(before, axis)
    high = values.take(np.minimum(before + 1, last), axis)
    high -= low
    high *= part.reshape(shape)
    low += high
    return low
