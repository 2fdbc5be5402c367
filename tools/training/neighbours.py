"""A second thing that touches the subject and is background: cut by the frame, behind, blurred."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.training.augment import Rng, light, resized
from tools.training.compose import over
from tools.training.groups import trimmed

U8 = NDArray[np.uint8]
BLURRED = 0.6  # of the neighbours are out of focus


def _at(size: int, cut: U8, height: float, middle: float, bottom: float) -> U8:
    scale = height / cut.shape[0]
    w, h = max(3, round(cut.shape[1] * scale)), max(3, round(height))
    small = resized(cut, w, h)
    x, y = round(middle - w / 2), round(bottom - h)
    frame = np.zeros((size, size, 4), np.uint8)
    y0, y1, x0, x1 = max(0, y), min(size, y + h), max(0, x), min(size, x + w)
    if y1 > y0 and x1 > x0:
        frame[y0:y1, x0:x1] = small[y0 - y : y1 - y, x0 - x : x1 - x]
    return frame


def beside(rng: Rng, subject: U8, neighbour: U8, ground: U8) -> tuple[U8, U8]:
    """RGBA cut-outs over ``ground`` SxSx3 -> RGB and alpha of the subject alone.

    The subject stands whole near the middle; at least a third of the neighbour lies outside of the
    frame, so that which of them the photo is of can be told.
    """
    size = ground.shape[0]
    subject, neighbour = trimmed(subject), trimmed(neighbour)
    tall = rng.uniform(0.45, 0.95) * size
    tall = min(tall, 0.8 * size * subject.shape[0] / max(1, subject.shape[1]))
    middle = rng.uniform(0.38, 0.62) * size
    bottom = rng.uniform(max(tall, 0.8 * size), size * 1.0)
    front = _at(size, subject, float(tall), float(middle), float(bottom))
    columns = np.flatnonzero(front[..., 3].max(0) > 127)
    if columns.size == 0:
        return ground, np.zeros((size, size), np.uint8)
    left = rng.random() < 0.5
    edge = columns[0] if left else columns[-1]
    height = rng.uniform(0.3, 1.2) * size
    wide = height * neighbour.shape[1] / neighbour.shape[0]
    touch = rng.uniform(0.0, 0.12) * size  # hidden behind the subject
    inside = (edge if left else size - edge) + touch
    if wide < 1.5 * inside:  # cut by the frame, or else it would be a subject too
        height *= 1.5 * inside / wide
        wide = 1.5 * inside
    at = edge + touch - wide / 2 if left else edge - touch + wide / 2
    low = rng.uniform(0.7, 1.3) * size
    behind = _at(size, neighbour, float(height), float(at), float(low))
    colour = light(rng, np.ascontiguousarray(behind[..., :3]))
    alpha = np.ascontiguousarray(behind[..., 3])
    if rng.random() < BLURRED:
        sigma = rng.uniform(0.004, 0.02) * size
        weighed = colour * (alpha[..., None] / 255.0)
        alpha_soft = cv2.GaussianBlur(alpha, (0, 0), sigma).astype(np.float32)
        soft = cv2.GaussianBlur(weighed, (0, 0), sigma)
        colour = np.clip(soft / np.maximum(alpha_soft[..., None] / 255, 1e-2), 0, 255).astype(
            np.uint8
        )
        alpha = alpha_soft.astype(np.uint8)
    share = alpha[..., None].astype(np.float32) / 255
    ground = (ground + share * (colour.astype(np.float32) - ground)).astype(np.uint8)
    return over(rng, [front], ground, shadow_chance=0.3)
