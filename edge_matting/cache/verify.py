"""Whether two photos may share a matte; decided on pixels, for a likeness of hashes proves nothing.

Both photos are brought to the same small size. What a global change of exposure explains is taken
away, what compression blurs is blurred, and then no place may differ by more than re-encoding was
seen to do. The limits were set between measured re-encodes and measured edits: docs/cache.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from edge_matting.cache.fingerprint import as_bytes
from edge_matting.core.arrays import Alpha, Rgb, check_alpha, check_rgb

Plane: TypeAlias = npt.NDArray[np.float32]
Size: TypeAlias = tuple[int, int]
"""Width and height."""

SMALLEST_SIDE: Final = 96  # pixels; below, an edit of a few percent leaves no trace

_SOFTENED: Final = 1.0  # sigma in pixels: about what resampling kernels differ by
_AWAY_FROM_EDGE: Final = 0.6
_EDGE_REACH: Final = 9  # pixels
_TEXTURE: Final = 0.3  # how much of a neighbourhood's contrast re-encoding may cost it
_EXPOSURE_ROUNDS: Final = 2


@dataclass(frozen=True, slots=True)
class MatchTolerances:
    """The largest distances between photos that share a matte; levels of 255."""

    difference: float = 7.0
    patch: float = 1.1
    colour: float = 9.0
    gain: float = 0.15
    drift: float = 0.035


@dataclass(frozen=True, slots=True)
class Distances:
    """How far apart two photos are.

    ``difference``: largest local difference in brightness, levels of 255, full where the matte
    has its edge and 0.6 of it elsewhere. ``patch``: the same over 5 x 5 pixels and in proportion
    to the texture there, which makes it sharp in flat places. ``colour``: largest local
    difference in chroma. ``gain``: departure of the fitted exposure from 1. ``drift``: noise
    between the photos (levels) times the mean doubt of the matte, which foretells how far a
    fresh matte would lie from the stored one.
    """

    difference: float
    patch: float
    colour: float
    gain: float
    drift: float

    def within(self, limits: MatchTolerances) -> bool:
        """Whether no distance is past its limit."""
        return (
            self.difference <= limits.difference
            and self.patch <= limits.patch
            and self.colour <= limits.colour
            and self.gain <= limits.gain
            and self.drift <= limits.drift
        )


def same_aspect(one: Size, other: Size) -> bool:
    """Whether one size can be the other resized, each side rounded to a whole pixel."""
    across, down = one[0] * other[1], one[1] * other[0]
    return abs(across - down) <= max(sum(one), sum(other))


def comparable_size(one: Size, other: Size, thumbnail: Size) -> Size | None:
    """Width and height at which the photos can be compared; None where too little is left.

    Neither photo is enlarged: a comparison knows no more than the smaller of both shows.
    """
    width, height = (min(sides) for sides in zip(one, other, thumbnail, strict=True))
    return (width, height) if min(width, height) >= SMALLEST_SIDE else None


def compare(reference: Rgb, photo: Rgb, alpha: Alpha, size: Size) -> Distances:
    """Distances between two thumbnails (h x w x 3, uint8 or uint16, RGB, the whole photo each).

    ``alpha`` is the reference's matte, float32 in [0, 1], of any size. Compared is at ``size``.
    """
    for rgb in (reference, photo):
        check_rgb(rgb)
    check_alpha(alpha)
    before, after = _planes(reference, size), _planes(photo, size)
    gain, offset = _exposure(before[0], after[0])
    difference = after[0] - (gain * before[0] + offset)
    weight = _edge_weight(alpha, size)
    return Distances(
        difference=_largest(np.abs(_mean(difference, 3)) * weight),
        patch=_largest(_rms(difference, 5) * weight / (1 + _TEXTURE * _texture(before[0]))),
        colour=max(_colour(before[1], after[1]), _colour(before[2], after[2])),
        gain=abs(gain - 1),
        drift=_noise(difference) * float(np.minimum(alpha, 1 - alpha).mean()),
    )


def _planes(rgb: Rgb, size: Size) -> tuple[Plane, Plane, Plane]:
    """Brightness and both chroma differences at ``size``, softened."""
    narrow: Any = as_bytes(rgb)
    if (narrow.shape[1], narrow.shape[0]) != size:
        narrow = cv2.resize(narrow, size, interpolation=cv2.INTER_AREA)
    soft: Any = cv2.GaussianBlur(narrow.astype(np.float32), (0, 0), _SOFTENED)
    red, green, blue = cv2.split(soft)
    luma: Any = np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue
    return luma, blue - luma, red - luma


def _exposure(before: Plane, after: Plane) -> tuple[float, float]:
    """Gain and offset that most of the picture agrees on; what departs from them is left out."""
    gain, offset = 1.0, float(np.median(after - before))
    for _ in range(_EXPOSURE_ROUNDS):
        rest = np.abs(after - (gain * before + offset))
        agreed = rest <= max(2.0, 4.0 * float(np.median(rest)))
        x, y = before[agreed].astype(np.float64), after[agreed].astype(np.float64)
        spread = float(x.var())
        if spread < 1.0:  # a flat picture tells an offset and no gain
            return 1.0, float((y - x).mean())
        gain = float(((x - x.mean()) * (y - y.mean())).mean()) / spread
        offset = float(y.mean() - gain * x.mean())
    return gain, offset


def _edge_weight(alpha: Alpha, size: Size) -> Plane:
    small: Any = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    edge = ((small > 0.02) & (small < 0.98)).astype(np.uint8)
    near = cv2.dilate(edge, np.ones((_EDGE_REACH, _EDGE_REACH), np.uint8))
    weight: Plane = np.where(near > 0, np.float32(1.0), np.float32(_AWAY_FROM_EDGE))
    return weight


def _texture(luma: Plane) -> Plane:
    """Root mean square of the slope around each pixel, levels a pixel."""
    across: Any = cv2.Sobel(luma, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    down: Any = cv2.Sobel(luma, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    slope: Plane = np.sqrt(np.maximum(_mean(across * across + down * down, 7), 0))
    return slope


def _colour(before: Plane, after: Plane) -> float:
    """Largest difference over 9 x 9 pixels, for JPEG stores chroma at half the size."""
    difference = after - before
    return _largest(np.abs(_mean(difference - np.median(difference), 9)))


def _noise(difference: Plane) -> float:
    return float(np.sqrt(np.mean(np.square(difference, dtype=np.float64))))


def _rms(values: Plane, side: int) -> Plane:
    rms: Plane = np.sqrt(np.maximum(_mean(values * values, side), 0))
    return rms


def _mean(values: Plane, side: int) -> Plane:
    mean: Any = cv2.blur(values, (side, side), borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(mean, np.float32)


def _largest(values: Plane) -> float:
    return float(values.max())
