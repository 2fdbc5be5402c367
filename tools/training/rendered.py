"""Subjects drawn with exact soft alpha: hair and fur, lace, and what moves or is out of focus.

Each is RGB + alpha, uint8 HxWx4, straight; the colours also hold where alpha is 0, so that such a
subject may be resized.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.training.augment import Rng, resized
from tools.training.compose import covered, flat_shape

U8 = NDArray[np.uint8]
FINE = 2  # strands are drawn at twice the size and shrunk by area: their alpha is what they cover
SHIFT = 4  # fractional bits of a drawn point


def _strands(rng: Rng, side: int, roots: NDArray[np.float32], outward: NDArray[np.float32]) -> U8:
    """Bent strands from `roots` Nx2 along `outward` Nx2 (x, y), side x side uint8 coverage."""
    count = len(roots)
    length = side * rng.uniform(0.03, 0.16) * rng.uniform(0.4, 1.6, (count, 1))
    comb = rng.normal(0, 0.6, 2)  # all hair falls or blows one way, more or less
    bend = comb + rng.normal(0, rng.uniform(0.1, 0.6), (count, 2))
    t = np.linspace(0, 1, 7)[None, :, None]
    straight = outward[:, None] * t + bend[:, None] * t**2
    points = roots[:, None] + straight * length[:, None]
    drawn = np.zeros((side * FINE, side * FINE), np.uint8)
    lines = list(np.round(points * FINE * 2**SHIFT).astype(np.int32))
    cv2.polylines(drawn, lines, False, 255, int(rng.integers(1, 4)), cv2.LINE_AA, SHIFT)
    return resized(drawn, side, side)


def hairy(rng: Rng, body: U8, pattern: U8) -> U8:
    """A body's outline (alpha HxW uint8) with strands around it, filled with a pattern RGB."""
    side = 320
    alpha = np.zeros((side, side), np.uint8)
    inner = round(side * rng.uniform(0.55, 0.75))
    at = (side - inner) // 2
    alpha[at : at + inner, at : at + inner] = resized(body, inner, inner)
    outlines, _ = cv2.findContours(
        (alpha > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    if outlines:
        outline = max(outlines, key=len)[:, 0].astype(np.float32)
        blurred = cv2.GaussianBlur(alpha.astype(np.float32), (0, 0), 5)
        slope = np.stack(
            [cv2.Sobel(blurred, cv2.CV_32F, 1, 0), cv2.Sobel(blurred, cv2.CV_32F, 0, 1)]
        )
        chosen = outline[rng.integers(len(outline), size=int(rng.integers(80, 900)))]
        if rng.random() < 0.5:  # a head has hair above, fur is all around
            chosen = chosen[chosen[:, 1] < np.quantile(outline[:, 1], rng.uniform(0.4, 0.9))]
        normal = -slope[:, chosen[:, 1].astype(int), chosen[:, 0].astype(int)].T
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-3)
        strands = _strands(rng, side, chosen - 2 * normal, normal.astype(np.float32))
        alpha = np.maximum(alpha, strands)
    return covered(rng, alpha, pattern)


def lace(rng: Rng, pattern: U8) -> U8:
    """An outline with holes in a regular order: lace, mesh, a basket, a fence."""
    shape = flat_shape(rng, 320)
    y, x = np.mgrid[:320, :320].astype(np.float32)
    angle, step = rng.uniform(0, np.pi), rng.uniform(14, 60)
    u = (x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / step
    v = (y * np.cos(angle) - x * np.sin(angle)) * 2 * np.pi / (step * rng.uniform(0.6, 1.6))
    wave = np.cos(u) * np.cos(v) if rng.random() < 0.5 else np.maximum(np.cos(u), np.cos(v)) - 0.4
    holes = np.clip((wave - rng.uniform(-0.1, 0.35)) * step / 4 + 0.5, 0, 1)
    if rng.random() < 0.5:  # a solid hem
        hem = cv2.erode(shape, np.ones((3, 3), np.uint8), iterations=int(rng.integers(4, 24)))
        holes = holes * (hem / 255)
    return covered(rng, np.asarray(shape * (1 - holes), np.uint8), pattern)


def _kernel(rng: Rng, side: int) -> NDArray[np.float32]:
    """A disc (out of focus) or a line (in motion), summing to 1."""
    reach = max(2, round(side * rng.uniform(0.008, 0.05)))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    if rng.random() < 0.5:
        cv2.circle(kernel, (reach, reach), max(1, reach // 2), 1.0, -1, cv2.LINE_AA)
    else:
        angle = rng.uniform(0, np.pi)
        dx, dy = round(reach * np.cos(angle)), round(reach * np.sin(angle))
        cv2.line(kernel, (reach - dx, reach - dy), (reach + dx, reach + dy), 1.0, 1)
    return kernel / kernel.sum()


def blurred(rng: Rng, frame: U8) -> U8:
    """A subject in its frame, smeared by its motion or out of focus; colours by their alpha."""
    kernel = _kernel(rng, frame.shape[0])
    alpha = frame[..., 3:].astype(np.float32) / 255
    smeared = np.asarray(cv2.filter2D(np.dstack([frame[..., :3] * alpha, alpha]), -1, kernel))
    alpha = smeared[..., 3:].astype(np.float32, copy=False)
    colour = np.where(alpha > 1e-3, smeared[..., :3] / np.maximum(alpha, 1e-3), frame[..., :3])
    out = np.dstack([np.clip(colour, 0, 255), np.clip(alpha * 255 + 0.5, 0, 255)])
    return out.astype(np.uint8)
