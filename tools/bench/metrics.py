"""How far one alpha matte is from the true one.

Rhemann, Rother, Wang, Gelautz, Kohli, Rott, "A Perceptually Motivated Online Benchmark for Image
Matting", CVPR 2009, defines SAD, MSE, gradient and connectivity error; papers print SAD, gradient
and connectivity divided by 1000, here they are plain sums. All mattes are H x W float32 in [0, 1],
``known`` is an optional H x W boolean mask of the pixels that count (all of them without it).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Alpha = NDArray[np.float32]
Mask = NDArray[np.bool_]

GRADIENT_SIGMA = 1.4  # of the paper
CONNECTIVITY_STEP = 0.1
CONNECTIVITY_THETA = 0.15
BOUNDARY_TOLERANCE = 0.008  # of the diagonal, as in DAVIS


def sad(alpha: Alpha, truth: Alpha, known: Mask | None = None) -> float:
    """Sum of absolute differences, in pixels (Rhemann et al. 2009)."""
    return float(_counted(np.abs(alpha - truth), known).sum(dtype=np.float64))


def mse(alpha: Alpha, truth: Alpha, known: Mask | None = None) -> float:
    """Mean squared difference (Rhemann et al. 2009)."""
    return float(_counted(np.square(alpha - truth), known).mean(dtype=np.float64))


def gradient_error(alpha: Alpha, truth: Alpha, known: Mask | None = None) -> float:
    """Sum of squared differences of the gradients' lengths (Rhemann et al. 2009, q = 2).

    Gradients are first derivatives of a Gaussian, sigma 1.4, whose kernel has unit L2 norm as in
    the authors' script.
    """
    apart = _gradient(alpha) - _gradient(truth)
    return float(_counted(np.square(apart), known).sum(dtype=np.float64))


def connectivity_error(alpha: Alpha, truth: Alpha, known: Mask | None = None) -> float:
    """Sum of differences in how well pixels hang together with the subject (Rhemann et al. 2009).

    p = 1, theta = 0.15, thresholds in steps of 0.1. The subject is the largest region in which
    both mattes are above a threshold.
    """
    level = _connected_up_to(alpha, truth)
    apart = np.abs(_connectivity(alpha, level) - _connectivity(truth, level))
    return float(_counted(apart, known).sum(dtype=np.float64))


def iou(alpha: Alpha, truth: Alpha, known: Mask | None = None) -> float:
    """Intersection over union of both mattes cut at 0.5; 1 where both are empty."""
    ours, true = (_counted(matte >= 0.5, known) for matte in (alpha, truth))
    union = int(np.count_nonzero(ours | true))
    return 1.0 if union == 0 else float(np.count_nonzero(ours & true)) / union


def boundary_fscore(alpha: Alpha, truth: Alpha, tolerance: float | None = None) -> float:
    """F-measure of the outlines at 0.5, 0 to 1 (Perazzi et al., CVPR 2016, the DAVIS benchmark).

    A point of one outline is found when the other passes within ``tolerance`` pixels, by default
    0.8 % of the diagonal. 1 where neither matte has an outline.
    """
    ours, true = _outline(alpha), _outline(truth)
    if not ours.any() and not true.any():
        return 1.0
    if not ours.any() or not true.any():
        return 0.0
    if tolerance is None:
        tolerance = BOUNDARY_TOLERANCE * float(np.hypot(*truth.shape))
    reach = max(1.0, tolerance)
    precision = float((_distance_to(true)[ours] <= reach).mean())
    recall = float((_distance_to(ours)[true] <= reach).mean())
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def _counted(values: NDArray[Any], known: Mask | None) -> NDArray[Any]:
    return values if known is None else values[known]


def _gradient(alpha: Alpha) -> Alpha:
    """Length of the Gaussian gradient, H x W."""
    limit = np.sqrt(2 * np.pi) * GRADIENT_SIGMA * 1e-2
    half = int(np.ceil(GRADIENT_SIGMA * np.sqrt(-2 * np.log(limit))))
    at = np.arange(-half, half + 1, dtype=np.float64)
    smooth = np.exp(-(at**2) / (2 * GRADIENT_SIGMA**2))
    slope = -at * smooth
    smooth, slope = smooth / np.linalg.norm(smooth), slope / np.linalg.norm(slope)
    across, down = (
        cv2.sepFilter2D(alpha, cv2.CV_32F, x, y, borderType=cv2.BORDER_REPLICATE).reshape(
            alpha.shape
        )
        for x, y in ((slope, smooth), (smooth, slope))
    )
    return np.hypot(across, down)


def _connected_up_to(alpha: Alpha, truth: Alpha) -> Alpha:
    """The highest threshold at which each pixel still hangs together with the subject, H x W."""
    level = np.full(alpha.shape, -1.0, np.float32)
    steps = np.arange(0.0, 1.0 + CONNECTIVITY_STEP / 2, CONNECTIVITY_STEP, dtype=np.float32)
    for below, threshold in pairwise(steps):
        both = ((alpha >= threshold) & (truth >= threshold)).view(np.uint8)
        level[(level < 0) & ~_largest_region(both)] = below
    level[level < 0] = 1.0
    return level


def _largest_region(inside: NDArray[np.uint8]) -> Mask:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=4)
    if count == 1:
        return np.zeros(inside.shape, np.bool_)
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    return np.asarray(labels.reshape(inside.shape) == largest, np.bool_)


def _connectivity(alpha: Alpha, level: Alpha) -> Alpha:
    apart = alpha - level
    return np.float32(1.0) - np.where(apart >= CONNECTIVITY_THETA, apart, np.float32(0.0))


def _outline(alpha: Alpha) -> Mask:
    """Pixels of the subject (alpha >= 0.5) that touch the outside; the picture's rim is none."""
    inside = (alpha >= 0.5).astype(np.uint8)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    inner = cv2.erode(inside, cross, borderType=cv2.BORDER_REPLICATE).reshape(inside.shape)
    return np.asarray(inside > inner, np.bool_)


def _distance_to(outline: Mask) -> Alpha:
    """Each pixel's distance to the nearest point of the outline, in pixels."""
    away = np.where(outline, 0, 1).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(away, cv2.DIST_L2, 5), np.float32)
