"""What the quality gate measures of a matte, on a small copy of photo and matte.

Each number tells of a way in which mattes go wrong, and costs little: all are taken from pictures
of at most 192 pixels a side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.matting.resize import resample, three_times

Look: TypeAlias = Callable[[Rgb], Alpha]
"""Another matte of a part of the photo, made in another way; of any size."""
Mask: TypeAlias = npt.NDArray[np.bool_]

_SIDE: Final = 192
_MARGIN: Final = 0.15  # around the subject, of its sides, in a second look
_FAR: Final = 0.03  # of the longer side: where no outline explains uncertainty
_NEAR: Final = 6  # pixels: within which colours on both sides of the outline are compared
_FAINT: Final = 20.0  # a gradient (Scharr, 0 to 255, three channels) that noise reaches
_CROSS: Final = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


@dataclass(frozen=True, slots=True)
class QualityFeatures:
    """Shares are of the subject's area (alpha >= 0.5) unless said otherwise."""

    softness: float  # sum of 4a(1-a) over the sum of alpha
    blur: float  # uncertain pixels (0.05 to 0.95) over the outline's, in pixels
    unsure_inside: float  # 4a(1-a) far from the outline, in the subject
    unsure_outside: float  # the same, around it
    solid: float  # alpha > 0.95
    fragments: float  # of the subject, outside its largest piece
    holes: float  # background enclosed by the subject
    border_contact: float  # share of the picture's border with alpha > 0.5
    border_doubt: float  # share of the picture's border with 0.05 < alpha < 0.95
    edge_gain: float  # logarithm: photo's gradient at the outline against elsewhere
    weak_edges: float  # share of the outline with less gradient than the photo's median
    contrast: float  # logarithm: how far the colours on both sides of the outline lie apart
    coverage: float  # mean alpha of the picture

    def values(self) -> dict[str, float]:
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class Reduced:
    """Photo (h x w x 3) and matte (h x w) at the gate's size."""

    rgb: Rgb
    alpha: Alpha

    @classmethod
    def of(cls, rgb: Rgb, alpha: Alpha) -> Reduced:
        """``rgb`` H x W x 3 and ``alpha`` H x W; 16-bit photos are taken at 8."""
        height, width = alpha.shape
        scale = min(1.0, _SIDE / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = resample(rgb, size)
        if small.dtype == np.uint16:
            small = (small >> 8).astype(np.uint8)
        return cls(small, np.minimum(resample(alpha, size), np.float32(1.0)))


def measure(reduced: Reduced) -> QualityFeatures:
    """All measurements of one matte."""
    alpha = reduced.alpha
    subject = alpha >= 0.5
    area = max(1.0, float(np.count_nonzero(subject)))
    outline = _outline(subject)
    doubt = 4 * alpha * (1 - alpha)
    far = _distance(outline) > _FAR * max(alpha.shape)
    uncertain = (alpha > 0.05) & (alpha < 0.95)
    border = np.concatenate([alpha[0], alpha[-1], alpha[1:-1, 0], alpha[1:-1, -1]])
    inner = outline.copy()
    inner[[0, -1]] = False
    inner[:, [0, -1]] = False
    return QualityFeatures(
        softness=float(doubt.sum() / max(1.0, float(alpha.sum()))),
        blur=np.count_nonzero(uncertain) / max(1, int(np.count_nonzero(outline))),
        unsure_inside=float(doubt[far & subject].sum() / area),
        unsure_outside=float(doubt[far & ~subject].sum() / area),
        solid=float(np.count_nonzero(alpha > 0.95) / area),
        fragments=_fragments(subject),
        holes=_enclosed(~subject) / area,
        border_contact=float((border > 0.5).mean()),
        border_doubt=float(((border > 0.05) & (border < 0.95)).mean()),
        **_edge_agreement(reduced, inner),
        coverage=float(alpha.mean()),
    )


def disagreement(rgb: Rgb, reduced: Reduced, look: Look) -> float:
    """How much a second matte differs, 0 to 1: one less the overlap of both, soft."""
    return apart(reduced.alpha, looked_again(rgb, reduced, look))


def apart(alpha: Alpha, other: Alpha) -> float:
    """One less the soft overlap of two mattes h x w, where ``other`` is not NaN."""
    seen = ~np.isnan(other)
    ours, theirs = alpha[seen], other[seen]
    together = float(np.maximum(ours, theirs).sum())
    return 1.0 - float(np.minimum(ours, theirs).sum()) / max(together, 1e-3)


def looked_again(rgb: Rgb, reduced: Reduced, look: Look) -> Alpha:
    """The second matte at the gate's size, h x w; NaN where it did not look.

    The second look is at the subject with a margin around it, so that it sees it larger.
    """
    rows, columns = _surroundings(reduced.alpha)
    scale = rgb.shape[0] / reduced.alpha.shape[0], rgb.shape[1] / reduced.alpha.shape[1]
    part = rgb[
        int(rows.start * scale[0]) : max(1, round(rows.stop * scale[0])),
        int(columns.start * scale[1]) : max(1, round(columns.stop * scale[1])),
    ]
    whole = np.full(reduced.alpha.shape, np.nan, np.float32)
    size = columns.stop - columns.start, rows.stop - rows.start
    whole[rows, columns] = resample(look(part), size)
    return whole


def _surroundings(alpha: Alpha) -> tuple[slice, slice]:
    subject = alpha >= 0.5 * min(1.0, float(alpha.max()))
    rows, columns = (np.asarray(subject.any(axis=axis), np.bool_) for axis in (1, 0))
    return _widened(rows), _widened(columns)


def _widened(line: Mask) -> slice:
    found = np.flatnonzero(line)
    begin, end = int(found[0]), int(found[-1]) + 1
    margin = round(_MARGIN * (end - begin) + 0.02 * len(line))
    return slice(max(0, begin - margin), min(len(line), end + margin))


def _outline(subject: Mask) -> Mask:
    inside = subject.view(np.uint8)
    eroded: Any = cv2.erode(inside, _CROSS, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(inside > eroded.reshape(inside.shape), np.bool_)


def _distance(outline: Mask) -> Alpha:
    """Distance to the outline in pixels; 0 everywhere without one, for then nothing is far."""
    if not outline.any():
        return np.zeros(outline.shape, np.float32)
    away: Any = cv2.distanceTransform((~outline).view(np.uint8), cv2.DIST_L2, 3)
    distance: Alpha = away.reshape(outline.shape)
    return distance


def _fragments(subject: Mask) -> float:
    count, _, stats, _ = cv2.connectedComponentsWithStats(subject.view(np.uint8), connectivity=4)
    if count == 1:
        return 0.0
    areas = stats[1:, cv2.CC_STAT_AREA]
    return float(1 - areas.max() / areas.sum())


def _enclosed(background: Mask) -> float:
    """Area of the pieces of background that do not reach the picture's border, pixels."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(background.view(np.uint8), connectivity=4)
    left, top, width, height, area = stats[1:].T[:5]
    rows, columns = background.shape
    inside = (left > 0) & (top > 0) & (left + width < columns) & (top + height < rows)
    return float(area[inside].sum())


def _edge_agreement(reduced: Reduced, outline: Mask) -> dict[str, float]:
    """Whether the photo has an edge where the matte has one."""
    if not outline.any():
        return {"edge_gain": 0.0, "weak_edges": 0.0, "contrast": 0.0}
    gradient = _gradient(reduced.rgb)
    usual, here = float(np.median(gradient)), gradient[outline]
    return {
        "edge_gain": float(np.log((np.median(here) + _FAINT) / (usual + _FAINT))),
        "weak_edges": float((here < usual).mean()),
        "contrast": float(np.log1p(_apart(reduced)[outline].mean())),
    }


def _gradient(rgb: Rgb) -> Alpha:
    """The photo's gradient, the greatest within a pixel, h x w."""
    parts = [cv2.Scharr(rgb, cv2.CV_32F, *axis).reshape(rgb.shape) for axis in ((1, 0), (0, 1))]
    across, down = (_over_channels(np.abs(part)) for part in parts)
    widest: Any = cv2.dilate(cv2.magnitude(across, down), np.ones((3, 3), np.uint8))
    gradient: Alpha = widest.reshape(rgb.shape[:2])
    return gradient


def _apart(reduced: Reduced) -> Alpha:
    """Distance between the mean colours of subject and background around each pixel, h x w."""
    share = three_times(reduced.alpha)
    colour = reduced.rgb.astype(np.float32)
    side = (2 * _NEAR + 1, 2 * _NEAR + 1)
    weight, front, whole = (
        np.asarray(cv2.blur(part, side)).reshape(share.shape)
        for part in (share, colour * share, colour)
    )
    apart = front / (weight + 1e-3) - (whole - front) / (1 - weight + 1e-3)
    distance: Alpha = np.sqrt(_over_channels(np.square(apart)))
    return distance


def _over_channels(planes: npt.NDArray[np.float32]) -> Alpha:
    """Sum of the channels, h x w. NumPy adds up a last axis of length 3 ten times slower."""
    total: Any = cv2.transform(planes, np.ones((1, planes.shape[2]), np.float32))
    summed: Alpha = total.reshape(planes.shape[:2])
    return summed
