"""Which regions are ground: the network and the key decide together, region by region.

Neither wins alone. Cells that equal the ground and that the network takes for the subject are
regions of four kinds: a cloud or a gap, reached from outside; a hole, enclosed by a rim; a white
thing on white, whose rims are weak; a detail of the ground's colour within a thing. What tells them
apart is measured on each region and weighed by a logistic model that was fitted on rendered scenes
with known alpha (tools/grounds/fit.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_matting.core.arrays import Alpha
from edge_matting.matting.ground.estimate import Ground, labels
from edge_matting.matting.ground.key import GROUND_LIKE, Key
from edge_matting.matting.ground.surface import Mask, Planes
from edge_matting.matting.resize import resample

CALM: Final = 2.0  # CIELAB a cell: a shadow's slope, an edge is steeper
_LEAST_CELLS: Final = 6
_SUBJECT: Final = 0.5  # a matte above it is the network's subject
_STRONG: Final = 8.0  # deviations: no ground at all
_HINT: Final = 0.25  # of the network's matte, that lets a lost piece be the subject's
_ROUNDS: Final = 2  # ground found in the first one tells what shadows look like in the next
_AROUND: Final = 0.03  # of the longer side: how far what is seen of the ground tells its level
_REACH: Final = 4  # cells within which a region's rim lies


@dataclass(frozen=True, slots=True, eq=False)
class Decided:
    """``ground`` and ``subject`` are h x w and apart; what is neither is open."""

    ground: Mask
    subject: Mask
    disagreement: float  # area on which key and network differ, of the subject's


def decided(ground: Ground, key: Key, matte: Alpha) -> Decided:
    """``matte`` is the network's, at the working size (h x w)."""
    calm = key.like | (key.shadow & (key.slope < CALM))
    seen = matte >= _SUBJECT
    behind = (calm | key.shadow) & ~seen
    taken = np.zeros(calm.shape, np.bool_)
    for _ in range(_ROUNDS):
        level = _level(ground.away, behind & calm)
        taken |= _regions_of_ground(ground, key, matte, calm & seen & ~taken, behind, level)
        behind |= taken
    subject = (seen & ~taken) | _lost(key, matte, calm, behind)
    changed = int((taken | (subject & ~seen)).sum())
    return Decided(~subject, subject, changed / max(1, int(subject.sum())))


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


def _regions_of_ground(
    ground: Ground, key: Key, matte: Alpha, calm: Mask, behind: Mask, level: Planes
) -> Mask:
    """Of the ``calm`` cells, those of regions that are ground after all."""
    taken = np.zeros(calm.shape, np.bool_)
    wide = np.ones((2 * _REACH + 1, 2 * _REACH + 1), np.uint8)
    rims: Any = cv2.dilate(key.slope, wide)
    count, marks, stats = labels(calm)
    contrast = _contrast(ground, matte)
    height, width = calm.shape
    for index in range(1, count):
        left, top, across, down, area = stats[index]
        if area < _LEAST_CELLS:
            continue
        box = (
            slice(max(0, top - 1), min(height, top + down + 1)),
            slice(max(0, left - 1), min(width, left + across + 1)),
        )
        region = marks[box] == index
        features = _features(ground, key, matte, calm, behind, level, rims, contrast, box, region)
        if features is not None and chance(features) > 0.5:
            taken[box] |= region
    return taken


def _contrast(ground: Ground, matte: Alpha) -> float:
    """How far the network's subject differs from the ground where it does most, CIELAB."""
    sure = ground.away[matte > 0.9]
    if not len(sure):
        return 0.0
    part = sure[:: max(1, len(sure) // 2000)]
    return float(np.quantile(np.sqrt(np.square(part).sum(axis=1)), 0.9))


def _features(ground, key, matte, calm, behind, level, rims, contrast, box, region):
    ring = (cv2.dilate(region.view(np.uint8), np.ones((3, 3), np.uint8)) > 0) & ~region
    opened = behind[box] & ring
    wall = ring & ~opened
    border = int(ring.sum())
    if not border:
        return None
    noise = ground.grain
    seen = ground.away[box][region]
    away = seen / noise
    rim = float(np.quantile(rims[box][wall], 0.2)) if wall.any() else 0.0
    rim_half = float(np.median(rims[box][wall])) if wall.any() else 0.0
    like = float(key.like[box][region].mean())
    apart = np.linalg.norm((seen - level[box][region]).mean(0))
    slopes = float(key.slope[box][region].mean())
    return np.array(
        [
            np.log(rim + 0.3),
            np.log(rim_half / noise[0] + 1),
            np.log(float(np.linalg.norm(away.mean(0))) + 1),
            np.log(float(away.std(0).max()) + 0.5),
            np.log(float(key.distance[box][region].mean()) + 1),
            np.log(1.02 - float(matte[box][region].mean())),
            float(opened.sum()) / border,
            np.log(region.sum() / calm.size + 1e-5),
            np.log(like + 0.02),
            float(like > 0.5),
            np.log(apart + 0.5),
            np.log(slopes + 0.1),
            float(like > 0.2) * np.log(rim + 0.3),
            np.log(contrast + 1),
        ]
    )


MEANS = np.zeros(14)
SPREADS = np.ones(14)
WEIGHTS = np.zeros(15)


def chance(features: npt.NDArray[np.float64]) -> float:
    """Chance that a region is ground, 0 to 1."""
    total = WEIGHTS[0] + float(WEIGHTS[1:] @ ((features - MEANS) / SPREADS))
    return 1 / (1 + float(np.exp(-total)))


def _lost(key: Key, matte: Alpha, calm: Mask, behind: Mask) -> Mask:
    """Pieces that are surely no ground and hang on the subject, but that the network left out."""
    found = np.zeros(calm.shape, np.bool_)
    strong = ~calm & ~key.shadow & (key.distance > GROUND_LIKE)
    count, marks, stats = labels(strong)
    if count <= 1:
        return found
    flat = marks.ravel()
    size = np.bincount(flat, minlength=count)
    most = np.zeros(count)
    np.maximum.at(most, flat, matte.ravel())
    mean = np.bincount(flat, key.distance.ravel(), minlength=count) / np.maximum(size, 1)
    height, width = calm.shape
    border = (
        (stats[:, 0] == 0)
        | (stats[:, 1] == 0)
        | (stats[:, 0] + stats[:, 2] == width)
        | (stats[:, 1] + stats[:, 3] == height)
    )
    seen = np.bincount(flat, (matte.ravel() >= _SUBJECT), minlength=count)
    keep = (most > _HINT) & (mean > _STRONG) & (size >= _LEAST_CELLS)
    keep &= ~border | (seen > 0.3 * size)
    keep[0] = False
    return keep[marks]
