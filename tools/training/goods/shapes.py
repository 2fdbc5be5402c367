"""Curves and outlines that things are drawn with, points Nx2 float32 in units of the canvas."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tools.training.augment import Rng

F32 = NDArray[np.float32]


def ellipse(
    middle: tuple[float, float], radii: tuple[float, float], turn: float = 0.0, count: int = 72,
    span: tuple[float, float] = (0.0, 2 * np.pi),
) -> F32:  # fmt: skip
    t = np.linspace(*span, count, endpoint=span[1] - span[0] < 6.28)
    x, y = radii[0] * np.cos(t), radii[1] * np.sin(t)
    c, s = np.cos(turn), np.sin(turn)
    return np.stack([middle[0] + x * c - y * s, middle[1] + x * s + y * c], 1).astype(np.float32)


def superellipse(
    middle: tuple[float, float], radii: tuple[float, float], power: float, count: int = 80
) -> F32:
    """From a diamond (1) over an ellipse (2) to a rounded box (6)."""
    t = np.linspace(0, 2 * np.pi, count, endpoint=False)
    c, s = np.cos(t), np.sin(t)
    x = np.sign(c) * np.abs(c) ** (2 / power) * radii[0]
    y = np.sign(s) * np.abs(s) ** (2 / power) * radii[1]
    return np.stack([middle[0] + x, middle[1] + y], 1).astype(np.float32)


def smooth(points: object, count: int = 60) -> F32:
    """A Catmull-Rom curve through the points."""
    p = np.asarray(points, np.float32)
    p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    t = np.linspace(0, len(p) - 3 - 1e-4, count)
    i = t.astype(int)
    u = (t - i)[:, None]
    a, b, c, d = p[i], p[i + 1], p[i + 2], p[i + 3]
    curve = 0.5 * (
        2 * b + (c - a) * u + (2 * a - 5 * b + 4 * c - d) * u**2 + (3 * b - a - 3 * c + d) * u**3
    )
    return curve.astype(np.float32)


def profile(heights: object, widths: object, middle: float = 0.5) -> F32:
    """A turned body (bottle, jug, lamp foot): half widths at heights, mirrored -> polygon."""
    y = np.asarray(heights, np.float32)
    w = np.asarray(widths, np.float32)
    right = smooth(np.stack([middle + w, y], 1))
    left = right[::-1].copy()
    left[:, 0] = 2 * middle - left[:, 0]
    return np.concatenate([right, left])


class View:
    """A camera on a box-shaped thing: points Nx3 (x right, y up, z near), |.| <= 1 -> canvas."""

    def __init__(self, rng: Rng) -> None:
        yaw, pitch = rng.uniform(-0.9, 0.9), rng.uniform(0.0, 0.55)
        cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
        around = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        above = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        self.turn = above @ around
        self.depth = rng.uniform(3.5, 9.0)

    def __call__(self, points: object) -> F32:
        p = np.asarray(points, np.float64) @ self.turn.T
        scale = 0.36 * self.depth / (self.depth - p[:, 2:])
        flat = p[:, :2] * scale
        return np.stack([0.5 + flat[:, 0], 0.5 - flat[:, 1]], 1).astype(np.float32)
