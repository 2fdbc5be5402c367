"""Which regions are ground: the network and the key decide together, region by region.

Neither wins alone. Cells that equal the ground and that the network takes for the subject are
regions of four kinds: a cloud or a gap, reached from outside; a hole, enclosed by a rim; a white
thing on white, whose rims are weak; a detail of the ground's colour within a thing. What tells them
apart is measured on each region and weighed by a small network that was fitted on rendered scenes
with known alpha (tools/grounds/fit.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_matting.core.arrays import Alpha
from edge_matting.matting.ground import weights
from edge_matting.matting.ground.estimate import Ground, labels
from edge_matting.matting.ground.key import GROUND_LIKE, Key
from edge_matting.matting.ground.surface import Mask, Planes, length
from edge_matting.matting.resize import resample

_LEAST_CELLS: Final = 6
_KNOWN: Final = {"plain": 0.0, "two": 0.0, "chroma": 1.0, "plate": 2.0}
"""Logits by which a ground that was told says more than one that was found."""
_MOST_REGIONS: Final = 160  # the largest; a chain has some dozens of holes
_WEAK: Final = 3.0  # CIELAB a cell: a rim below it may be a shade
_SUBJECT: Final = 0.5  # a matte above it is the network's subject
_VISIBLE: Final = 5.0  # CIELAB: what a piece of the subject differs from the ground at least
_ROUGH: Final = 5.0  # deviations of a textured ground, by which a piece differs at least
_CLEAR: Final = 8.0
_PIECE: Final = 20  # cells of a piece that lies apart
_TRACE: Final = 0.08  # mean of the network's matte on a piece
_OPINION: Final = 0.25
_CLEAN: Final = 0.97  # plainness of a ground on which nothing but the subject lies
_ROUNDS: Final = 2  # ground found in the first one tells what shadows look like in the next
_AROUND: Final = 0.03  # of the longer side: how far what is seen of the ground tells its level
_REACH: Final = 4  # cells within which a region's rim lies


@dataclass(frozen=True, slots=True, eq=False)
class _Model:
    """One hidden layer: 12 units on what is measured of a region."""

    means: npt.NDArray[np.float64]
    spreads: npt.NDArray[np.float64]
    first: npt.NDArray[np.float64]
    first_bias: npt.NDArray[np.float64]
    second: npt.NDArray[np.float64]


_MODEL: Final = _Model(
    *(
        np.array(values)
        for values in (
            weights.MEANS,
            weights.SPREADS,
            weights.FIRST,
            weights.FIRST_BIAS,
            weights.SECOND,
        )
    )
)


@dataclass(frozen=True, slots=True, eq=False)
class Decided:
    """``ground`` and ``subject`` are h x w and apart; what is neither is open."""

    ground: Mask
    subject: Mask
    taken: Mask  # ground that the network took for the subject
    disagreement: float  # area on which key and network differ, of the subject's
    doubt: float  # area of regions that were decided by little, of the subject's


def decided(ground: Ground, key: Key, matte: Alpha, before: Mask | None = None) -> Decided:
    """``matte`` is the network's, at the working size (h x w); ``before`` are cells (h x w) that
    an earlier look took for ground."""
    calm = key.calm(matte)
    seen = matte >= _SUBJECT
    behind = (calm | key.shadow) & ~seen
    taken = np.zeros(calm.shape, np.bool_) if before is None else before.copy()
    behind |= taken
    doubt = 0.0
    for _ in range(_ROUNDS):
        open_cells = calm & seen & ~taken
        more, doubt = _regions_of_ground(ground, key, matte, open_cells, behind)
        taken |= more
        behind |= taken
    subject = (seen & ~taken) | _lost(ground, key, matte, calm)
    changed = int((taken | (subject & ~seen)).sum())
    area = max(1, int(subject.sum()))
    return Decided(~subject, subject, taken, changed / area, doubt / area)


def _level(away: Planes, behind: Mask) -> Planes:
    """What is seen of the ground and its shadows close by, against the ground, h x w x 3."""
    height, width = behind.shape
    size = max(1, width // 4), max(1, height // 4)
    weight = resample(behind.astype(np.float32), size)
    total = resample(away * behind[..., None].astype(np.float32), size)
    sigma = _AROUND * max(size)
    share: Any = cv2.GaussianBlur(weight, (0, 0), sigma)
    mean: Any = cv2.GaussianBlur(total, (0, 0), sigma)
    level = mean / (share + np.float32(0.01))[..., None]
    return resample(np.asarray(level, np.float32), (width, height))


@dataclass(frozen=True, slots=True, eq=False)
class _Evidence:
    """What regions are judged by; planes are h x w (x 3)."""

    ground: Ground
    key: Key
    matte: Alpha
    behind: Mask  # decided to be ground
    level: Planes  # what is seen of the ground close by, against the ground
    rims: Alpha  # the steepest slope close by
    contrast: float  # of the subject against the ground, CIELAB


def _regions_of_ground(
    ground: Ground, key: Key, matte: Alpha, calm: Mask, behind: Mask
) -> tuple[Mask, float]:
    """Of the ``calm`` cells, those of regions that are ground after all; and the area, in cells,
    of regions that were decided by little."""
    wide = np.ones((2 * _REACH + 1, 2 * _REACH + 1), np.uint8)
    rims: Any = cv2.dilate(key.slope, wide)
    level = _level(ground.away, behind & key.calm(matte))
    evidence = _Evidence(ground, key, matte, behind, level, rims, _contrast(ground, matte))
    taken, doubt = np.zeros(calm.shape, np.bool_), 0.0
    _, marks, stats = labels(calm)
    height, width = calm.shape
    large = np.flatnonzero(stats[1:, 4] >= _LEAST_CELLS) + 1
    for index in large[np.argsort(-stats[large, 4])][:_MOST_REGIONS].tolist():
        left, top, across, down, area = stats[index].tolist()
        box = (
            slice(max(0, top - 1), min(height, top + down + 1)),
            slice(max(0, left - 1), min(width, left + across + 1)),
        )
        region = np.asarray(marks[box] == index, np.bool_)
        likely = chance(features(evidence, box, region), _KNOWN[ground.kind])
        doubt += area * (1 - abs(2 * likely - 1))
        if likely > 0.5:
            taken[box] |= region
    return taken, doubt


def _contrast(ground: Ground, matte: Alpha) -> float:
    """How far the network's subject differs from the ground where it does most, CIELAB."""
    sure = ground.away[matte > 0.9]
    if not len(sure):
        return 0.0
    part = sure[:: max(1, len(sure) // 2000)]
    return float(np.quantile(np.sqrt(np.square(part).sum(axis=1)), 0.9))


def features(
    evidence: _Evidence, box: tuple[slice, slice], region: Mask
) -> npt.NDArray[np.float64]:
    """What a ``region`` (r x c, the part ``box`` of the cells) measures, as the model takes it."""
    ground, key = evidence.ground, evidence.key
    wide: Any = cv2.dilate(region.view(np.uint8), np.ones((3, 3), np.uint8))
    ring = (wide > 0) & ~region
    opened = evidence.behind[box] & ring
    rims = evidence.rims[box][ring & ~opened]
    rims.sort()
    least, rim, usual_rim = (
        float(rims[int(part * (len(rims) - 1))]) if len(rims) else 0.0 for part in (0.05, 0.2, 0.5)
    )
    weak = float((rims < _WEAK).mean()) if len(rims) else 1.0
    seen = ground.away[box][region]
    away = seen / ground.grain
    like = float(key.like[box][region].mean())
    apart = float(np.linalg.norm((seen - evidence.level[box][region]).mean(axis=0)))
    return np.array(
        [
            math.log(rim + 0.3),
            math.log(usual_rim / float(ground.grain[0]) + 1),
            math.log(float(np.linalg.norm(away.mean(axis=0))) + 1),
            math.log(float(away.std(axis=0).max()) + 0.5),
            math.log(float(key.distance[box][region].mean()) + 1),
            math.log(1.02 - float(evidence.matte[box][region].mean())),
            float(opened.sum()) / max(1, int(ring.sum())),
            math.log(int(region.sum()) / key.like.size + 1e-5),
            math.log(like + 0.02),
            float(like > 0.5),
            math.log(apart + 0.5),
            math.log(float(key.slope[box][region].mean()) + 0.1),
            float(like > 0.2) * math.log(rim + 0.3),
            math.log(evidence.contrast + 1),
            math.log(least + 0.3),
            weak,
        ]
    )


def chance(features: npt.NDArray[np.float64], known: float = 0.0) -> float:
    """Chance that a region is ground, 0 to 1; ``known`` is added to its logit."""
    scaled = (features - _MODEL.means) / _MODEL.spreads
    hidden = np.tanh(_MODEL.first @ np.clip(scaled, -4, 4) + _MODEL.first_bias)
    total = known + float(_MODEL.second @ hidden) + weights.BIAS
    return 1 / (1 + math.exp(-total))


def _lost(ground: Ground, key: Key, matte: Alpha, calm: Mask) -> Mask:
    """Pieces that are surely no ground and that the network left out of the subject.

    Those that hang on it need a trace of the network's opinion, or a ground so clean that whatever
    is not ground is the subject; those that lie apart need more. With a plate both are clear.
    """
    seen = matte >= _SUBJECT
    strong = ~calm & ~key.shadow & ~seen & (key.distance > GROUND_LIKE)
    count, marks, stats = labels(np.asarray(strong, np.bool_))
    if count <= 1:
        return np.zeros(calm.shape, np.bool_)
    flat = marks.ravel()
    size = np.maximum(np.bincount(flat, minlength=count), 1)
    away = length(ground.away).ravel()
    apart = np.bincount(flat, away, minlength=count) / size
    opinion = np.bincount(flat, matte.ravel(), minlength=count) / size
    wide: Any = cv2.dilate(seen.view(np.uint8), np.ones((3, 3), np.uint8))
    hangs = np.zeros(count, np.bool_)
    hangs[np.unique(marks[wide > 0])] = True
    height, width = calm.shape
    left, top, across, down = stats[:, :4].T
    cut_off = (left == 0) | (top == 0) | (left + across == width) | (top + down == height)
    if ground.kind == "plate":
        keep = (apart > _CLEAR) & (size >= _PIECE)
    else:
        clean = ground.kind != "two" and ground.verdict.plainness >= _CLEAN
        trace = np.where(cut_off, _OPINION, 0.0 if clean else _TRACE)
        keep = (
            hangs
            & (apart > max(_VISIBLE, _ROUGH * float(ground.grain.max())))
            & (size >= _LEAST_CELLS)
            & (opinion >= trace)
        )
        keep |= ~cut_off & (apart > _CLEAR) & (size >= _PIECE) & (opinion >= _OPINION)
    keep[0] = False
    return np.asarray(keep[marks], np.bool_)
