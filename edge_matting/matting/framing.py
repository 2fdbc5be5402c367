"""Crop and canvas: which part of a photo an output shows, and at what size.

A frame may reach beyond the photo. What lies there is transparent in a cut-out and background in a
composite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from edge_matting.core.arrays import Alpha, Rgb, check_alpha, check_rgb
from edge_matting.matting.resize import resample, three_times

AnyArray = TypeVar("AnyArray", bound=npt.NDArray[Any])

_SEEN: Final = 0.1  # alpha from which a pixel belongs to the subject's box
_ROWS: Final = 64


@dataclass(frozen=True, slots=True)
class Box:
    """Columns ``left`` to ``right`` and rows ``top`` to ``bottom`` of a photo, ends excluded."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top


@dataclass(frozen=True, slots=True)
class Frame:
    """What is shown: ``box`` of the photo, scaled to fill ``place`` on an output of ``size``."""

    box: Box
    place: Box
    size: tuple[int, int]  # width, height of the output

    @classmethod
    def whole(cls, size: tuple[int, int]) -> Frame:
        """All of a picture of ``size`` (width, height), as it is."""
        return cls(Box(0, 0, *size), Box(0, 0, *size), size)

    @property
    def scale(self) -> tuple[float, float]:
        """Output pixels a photo pixel, across and down."""
        return self.place.width / self.box.width, self.place.height / self.box.height


def subject_box(alpha: Alpha) -> Box | None:
    """The subject's bounding box in ``alpha`` (H x W float32 in [0, 1]); None without a subject."""
    check_alpha(alpha)
    rows = np.flatnonzero(alpha.max(axis=1) >= _SEEN)
    if not len(rows):
        return None
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(alpha[top:bottom].max(axis=0) >= _SEEN)
    return Box(int(columns[0]), top, int(columns[-1]) + 1, bottom)


def cropped(
    subject: Box, photo: tuple[int, int], *, margin: float, proportion: float | None
) -> Box:
    """The box to show around ``subject`` in a photo of ``photo`` (width, height).

    ``margin`` is in percent of the subject's longer side. A side on which the photo's own border
    cuts the subject off gets none: a bust stands on the lower edge. ``proportion`` is width over
    height; the box grows to it, away from such sides.
    """
    gap = round(margin / 100 * max(subject.width, subject.height))
    cut = _cut_off(subject, photo)
    box = Box(
        subject.left - (0 if cut.left else gap),
        subject.top - (0 if cut.top else gap),
        subject.right + (0 if cut.right else gap),
        subject.bottom + (0 if cut.bottom else gap),
    )
    if proportion is None:
        return box
    wider = max(0, round(box.height * proportion) - box.width)
    higher = max(0, round(box.width / proportion) - box.height) if not wider else 0
    left, right = _shared(wider, cut.left, cut.right)
    top, bottom = _shared(higher, cut.top, cut.bottom)
    return Box(box.left - left, box.top - top, box.right + right, box.bottom + bottom)


def fitted(box: Box, photo: tuple[int, int], canvas: tuple[int, int] | None) -> Frame:
    """``box`` scaled to fit into the middle of ``canvas`` (width, height).

    Without a canvas it keeps its size, unless it has more pixels than the ``photo`` (width,
    height): then it is scaled to as many, for memory is counted in the photo's pixels.
    """
    own = (box.width, box.height)
    if canvas is None:
        scale = min(1.0, math.sqrt(photo[0] * photo[1] / (own[0] * own[1])))
        size = max(1, math.floor(own[0] * scale)), max(1, math.floor(own[1] * scale))
        return Frame(box, Box(0, 0, *size), size)
    scale = min(canvas[0] / own[0], canvas[1] / own[1])
    # a proportion that is off by a rounding error must not leave a line of background
    across, down = (
        side if abs(length * scale - side) <= 1.0 else max(1, round(length * scale))
        for length, side in zip(own, canvas, strict=True)
    )
    left, top = (canvas[0] - across) // 2, (canvas[1] - down) // 2
    return Frame(box, Box(left, top, left + across, top + down), canvas)


def framed(foreground: Rgb, alpha: Alpha, frame: Frame) -> tuple[Rgb, Alpha]:
    """Foreground (h x w x 3) and matte (h x w) as the frame shows them; 0 beyond the photo.

    Where they are scaled, colours are weighted with alpha: the black under alpha 0 does not creep
    into the edge.
    """
    check_rgb(foreground)
    check_alpha(alpha)
    shown, place = _shown(frame, (alpha.shape[1], alpha.shape[0]))
    where = slice(shown.top, shown.bottom), slice(shown.left, shown.right)
    colours, share = foreground[where], alpha[where]
    if (place.width, place.height) != (shown.width, shown.height):
        colours, share = _scaled(colours, share, (place.width, place.height))
    return _pasted(colours, place, frame.size), _pasted(share, place, frame.size)


@dataclass(frozen=True, slots=True)
class _Sides:
    left: bool
    top: bool
    right: bool
    bottom: bool


def _cut_off(subject: Box, photo: tuple[int, int]) -> _Sides:
    """The sides on which the photo's border ends the subject."""
    near = max(1, round(min(photo) / 200))
    return _Sides(
        subject.left < near,
        subject.top < near,
        subject.right > photo[0] - near,
        subject.bottom > photo[1] - near,
    )


def _shared(extra: int, first_cut: bool, second_cut: bool) -> tuple[int, int]:
    """``extra`` pixels for two sides: none for the one that is cut off, else half each."""
    if first_cut != second_cut:
        return (0, extra) if first_cut else (extra, 0)
    return extra // 2, extra - extra // 2


def _scaled(colours: Rgb, share: Alpha, size: tuple[int, int]) -> tuple[Rgb, Alpha]:
    top = np.iinfo(colours.dtype).max
    weighted = resample(_weighted(colours, share), size)
    small = np.minimum(resample(share, size), np.float32(1.0))
    result = np.empty((*small.shape, 3), colours.dtype)
    for start in range(0, len(small), _ROWS):
        rows = slice(start, start + _ROWS)
        scale = np.float32(top / 65535) / np.maximum(small[rows], np.float32(1e-4))
        plain = weighted[rows].astype(np.float32) * three_times(scale)
        result[rows] = np.clip(np.rint(plain), 0, top)
    return result, small


def _weighted(colours: Rgb, share: Alpha) -> npt.NDArray[np.uint16]:
    """Colours times alpha, in 16 bits: 6 bytes a pixel instead of the 12 of floats."""
    unit = np.float32(65535 / np.iinfo(colours.dtype).max)
    result = np.empty(colours.shape, np.uint16)
    for start in range(0, len(share), _ROWS):
        rows = slice(start, start + _ROWS)
        product = colours[rows] * three_times(np.ascontiguousarray(share[rows]) * unit)
        result[rows] = np.rint(product)
    return result


def _shown(frame: Frame, photo: tuple[int, int]) -> tuple[Box, Box]:
    """The part of the frame's box that lies in the photo, and where it goes in the output."""
    box, place = frame.box, frame.place
    shown = Box(
        max(0, box.left), max(0, box.top), min(photo[0], box.right), min(photo[1], box.bottom)
    )
    across, down = frame.scale
    left = min(place.left + round((shown.left - box.left) * across), place.right - 1)
    top = min(place.top + round((shown.top - box.top) * down), place.bottom - 1)
    right = max(left + 1, place.left + round((shown.right - box.left) * across))
    bottom = max(top + 1, place.top + round((shown.bottom - box.top) * down))
    return shown, Box(left, top, right, bottom)


def _pasted(image: AnyArray, place: Box, size: tuple[int, int]) -> AnyArray:
    if (place.width, place.height) == size:
        return image
    result = np.zeros((size[1], size[0], *image.shape[2:]), image.dtype)
    result[place.top : place.bottom, place.left : place.right] = image
    return result  # type: ignore[return-value]
