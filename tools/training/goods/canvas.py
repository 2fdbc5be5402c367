"""A large canvas on which things are drawn with their light; their alpha is what they cover.

Drawn with smooth edges at `SIDE` pixels and shrunk by area to where they are used, so that alpha is
coverage to within a few grey levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.training.augment import Rng

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
Box = tuple[slice, slice]

SIDE = 512
SHIFT = 4  # fractional bits of a drawn point
PASSES = 5  # that make a stroke round


@dataclass(frozen=True)
class Material:
    """Colour in full light, how dark its rim is, how bright its highlight (0 to 1 each)."""

    colour: F32
    rim: float
    shine: float


METALS = ((212, 175, 85), (196, 198, 202), (150, 152, 156), (60, 60, 64), (222, 168, 140))
WOODS = ((168, 122, 78), (120, 80, 48), (206, 170, 122), (86, 58, 40))


def material(rng: Rng) -> Material:
    """Metal, wood, paint or plastic of a colour of chance, white or black."""
    kind = rng.random()
    if kind < 0.35:
        base = np.array(METALS[int(rng.integers(len(METALS)))], np.float32)
        return Material(base + rng.normal(0, 8, 3).astype(np.float32), rng.uniform(0.3, 0.6),
                        rng.uniform(0.5, 1.0))  # fmt: skip
    if kind < 0.5:
        base = np.array(WOODS[int(rng.integers(len(WOODS)))], np.float32)
        return Material(base + rng.normal(0, 10, 3).astype(np.float32), rng.uniform(0.5, 0.8),
                        rng.uniform(0, 0.3))  # fmt: skip
    if kind < 0.72:  # white and pale
        return Material(pale(rng), rng.uniform(0.7, 0.95), rng.uniform(0, 0.6))
    if kind < 0.85:
        value = rng.uniform(8, 70)
        return Material(np.full(3, value, np.float32), rng.uniform(0.4, 0.8), rng.uniform(0, 0.7))
    return Material(rng.uniform(10, 245, 3).astype(np.float32), rng.uniform(0.4, 0.8),
                    rng.uniform(0, 0.7))  # fmt: skip


def pale(rng: Rng) -> F32:
    """White, cream or light grey, RGB float32."""
    return np.clip(rng.uniform(205, 254) + rng.normal(0, 5, 3), 0, 255).astype(np.float32)


class Canvas:
    """Straight RGB float32 and alpha uint8, SIDE x SIDE; (0, 0) is the top left, (1, 1) the end."""

    def __init__(self, rng: Rng) -> None:
        self.rng = rng
        self.rgb = np.zeros((SIDE, SIDE, 3), np.float32)
        self.alpha = np.zeros((SIDE, SIDE), np.uint8)
        angle = rng.uniform(0, 2 * np.pi)
        self.light = np.array([np.cos(angle), np.sin(angle)], np.float32)

    def _mask(self, points: F32, reach: float) -> tuple[Box, NDArray[np.int32], U8]:
        """The box within ``reach`` pixels of the points, the points in it, and an empty mask."""
        at = np.asarray(points, np.float32) * SIDE
        low = np.clip(np.floor(at.min(0) - reach - 2), 0, SIDE - 1).astype(int)
        high = np.clip(np.ceil(at.max(0) + reach + 2), low + 1, SIDE).astype(int)
        box = slice(low[1], high[1]), slice(low[0], high[0])
        fixed = np.round((at - low) * 2**SHIFT).astype(np.int32)
        return box, fixed, np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)

    def _paint(self, box: Box, mask: U8, colour: F32) -> None:
        """``colour``: RGB, or one for each pixel of the box."""
        cover = mask.astype(np.float32)[..., None] / 255
        unseen = (self.alpha[box] == 0)[..., None]  # there the colour is known from now on
        weight = np.where(unseen & (cover > 0), np.float32(1), cover)
        self.rgb[box] += weight * (colour - self.rgb[box])
        self.alpha[box] = np.maximum(self.alpha[box], mask)

    def stroke(self, points: F32, width: float, made: Material, *, closed: bool = False) -> None:
        """A round rod along points Nx2, ``width`` in units of the canvas."""
        points = np.asarray(points, np.float32)
        thick = max(1, round(width * SIDE))
        passes = min(PASSES, thick)
        for step in range(passes):
            share = step / max(1, passes - 1)
            inner = max(1, round(thick * (1 - 0.85 * share)))
            bright = made.rim + (1 - made.rim) * share if passes > 1 else 0.5 + made.rim / 2
            colour = made.colour * np.float32(bright)
            if step == PASSES - 1:
                colour = colour + np.float32(made.shine) * (255 - colour)
            moved = points + self.light[None] * np.float32(width * 0.25 * share)
            box, line, mask = self._mask(moved, inner / 2)
            cv2.polylines(mask, [line], closed, 255, inner, cv2.LINE_AA, SHIFT)
            if step:
                mask = np.minimum(mask, self.alpha[box])
            self._paint(box, mask, colour)

    def fill(self, points: F32, made: Material, *, flat: bool = False) -> None:
        """A polygon Nx2 with a soft ramp of light across it and a darker rim."""
        box, shape, mask = self._mask(points, 1)
        cv2.fillPoly(mask, [shape], 255, cv2.LINE_AA, SHIFT)
        self._paint(box, mask, self._lit(box, mask, made, flat=flat))

    def disc(self, middle: tuple[float, float], radius: float, made: Material) -> None:
        """A ball."""
        turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        ring = np.stack([np.cos(turn), np.sin(turn)], 1).astype(np.float32)
        for share in (0.0, 0.35, 0.7):
            colour = made.colour * np.float32(made.rim + (1 - made.rim) * share / 0.7)
            at = np.asarray(middle, np.float32) + self.light * np.float32(radius * 0.4 * share)
            box, shape, mask = self._mask(at + ring * np.float32(radius * (1 - share)), 1)
            cv2.fillPoly(mask, [shape], 255, cv2.LINE_AA, SHIFT)
            self._paint(box, mask, colour)

    def hole(self, points: F32) -> None:
        """Cut a polygon out."""
        box, shape, mask = self._mask(points, 1)
        cv2.fillPoly(mask, [shape], 255, cv2.LINE_AA, SHIFT)
        self.alpha[box] = np.minimum(self.alpha[box], 255 - mask)

    def _lit(self, box: Box, mask: U8, made: Material, *, flat: bool) -> F32:
        axis = np.linspace(-1, 1, SIDE, dtype=np.float32)
        ramp = axis[None, box[1]] * self.light[0] + axis[box[0], None] * self.light[1]
        shade = 1 + ramp * np.float32(self.rng.uniform(0.02, 0.25))
        if not flat:  # darker towards the rim
            height, width = mask.shape
            small = cv2.resize(mask, (-(-width // 8) + 8, -(-height // 8) + 8))
            small[:2], small[-2:], small[:, :2], small[:, -2:] = 0, 0, 0, 0
            deep = cv2.GaussianBlur(small, (0, 0), 88 * self.rng.uniform(0.012, 0.05))
            deep = cv2.resize(deep, (width, height)).astype(np.float32) / 255
            shade = shade * (made.rim + (1 - made.rim) * np.clip(2 * deep - 1, 0, 1))
        return np.asarray(np.clip(made.colour * shade[..., None], 0, 255), np.float32)

    def rgba(self) -> U8:
        """The thing, cut to its box, RGB + alpha uint8; colours go on past its edge."""
        rows, columns = np.flatnonzero(self.alpha.max(1)), np.flatnonzero(self.alpha.max(0))
        if rows.size == 0:
            return np.zeros((8, 8, 4), np.uint8)
        pad = 6
        y0, y1 = max(0, rows[0] - pad), min(SIDE, rows[-1] + 1 + pad)
        x0, x1 = max(0, columns[0] - pad), min(SIDE, columns[-1] + 1 + pad)
        alpha = self.alpha[y0:y1, x0:x1]
        rgb = np.clip(self.rgb[y0:y1, x0:x1], 0, 255)
        weight = (alpha > 0).astype(np.float32)
        around = cv2.blur(rgb * weight[..., None], (13, 13))
        share = cv2.blur(weight, (13, 13))[..., None]
        near = np.where(share > 1e-3, around / np.maximum(share, 1e-3), rgb)
        colour = np.where(weight[..., None] > 0, rgb, near)
        grain = self.rng.normal(0, self.rng.uniform(0, 5), alpha.shape)
        colour = np.clip(colour + grain[..., None], 0, 255)
        return np.ascontiguousarray(np.dstack([colour.astype(np.uint8), alpha]))
