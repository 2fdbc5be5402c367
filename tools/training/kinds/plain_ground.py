"""A mask from a plain ground: the ground's colour as a quadratic surface, what is unlike it is the
subject, holes included. Good enough for photos on white, black or grey, after a look at each."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
Edit = tuple[str, Sequence[Sequence[float]]]  # "add" or "cut", corners as shares of the picture

MARGIN = 0.03  # of the short side: what is taken for ground at first
ROUNDS, TRIM, LEAST = 4, 70, 3.0  # percentile; CIELAB units
PLAIN = 4.0
SPECK = 0.0012  # of the picture


def distance_from_ground(rgb: U8) -> tuple[F32, float]:
    """HxWx3 RGB -> distance in CIELAB HxW from the ground, and how much of the margin is plain."""
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    height, width = lab.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    y, x = y / height * 2 - 1, x / width * 2 - 1
    terms = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], -1)
    margin = np.ones((height, width), bool)
    wide = max(4, int(MARGIN * min(height, width)))
    margin[wide:-wide, wide:-wide] = False
    chosen, away = margin, np.zeros((height, width), np.float32)
    for _ in range(ROUNDS):
        surface, *_ = np.linalg.lstsq(terms[chosen], lab[chosen], rcond=None)
        away = np.linalg.norm(lab - terms @ surface, axis=-1).astype(np.float32)
        chosen = margin & (away < max(LEAST, 1.5 * float(np.percentile(away[margin], TRIM))))
    return away, float((away[margin] < PLAIN).mean())


def cut_out(rgb: U8, threshold: float, least_hole: float, edits: Sequence[Edit] = ()) -> U8:
    """Mask HxW {0, 255} of what is unlike the ground; holes of fewer pixels are closed."""
    away, _ = distance_from_ground(rgb)
    mask = (cv2.GaussianBlur(away, (0, 0), 0.6) > threshold).astype(np.uint8)
    height, width = mask.shape
    for what, corners in edits:
        shape = np.round(np.array(corners) * [width, height]).astype(np.int32)
        cv2.fillPoly(mask, [shape], {"add": 1, "cut": 0}[what])
    mask = _without_small(mask, max(25.0, SPECK * mask.size), connectivity=8)
    return (1 - _without_small(1 - mask, least_hole, connectivity=4, rim=True)) * np.uint8(255)


def _without_small(mask: U8, least: float, *, connectivity: int, rim: bool = False) -> U8:
    """Without the pieces of fewer than ``least`` pixels; with ``rim``, pieces at the edge stay."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=connectivity)
    keep = stats[:, cv2.CC_STAT_AREA] >= least
    if rim:
        edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
        keep[np.unique(edge)] = True
    keep[0] = False
    return keep[labels].astype(np.uint8) if count else mask
