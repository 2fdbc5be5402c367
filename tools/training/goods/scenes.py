"""Goods as shops show them: alone, in pairs, several with gaps, on white, grey and like-coloured
grounds, with contact shadows, on cards and discs that are background."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.training.augment import Rng, resized
from tools.training.compose import covered, over, studio_ground, turned
from tools.training.goods.canvas import Canvas
from tools.training.goods.furniture import FURNITURE
from tools.training.goods.household import HOUSEHOLD
from tools.training.goods.jewellery import JEWELLERY

U8 = NDArray[np.uint8]
Ground = Callable[[int], U8]  # size -> RGB SxSx3

FAMILIES = (JEWELLERY, FURNITURE, HOUSEHOLD)
PATTERNED = 0.15  # of the things have a photo's texture in place of their own light
CARDS = 0.2  # of the scenes
WHITE, GREY, LIKE, STUDIO = 0.28, 0.46, 0.72, 0.9  # shares summed up; the rest are photos


def thing(rng: Rng, pattern: Callable[[], U8] | None = None) -> U8:
    """One thing of a kind of chance, RGBA uint8."""
    family = FAMILIES[int(rng.integers(len(FAMILIES)))]
    canvas = Canvas(rng)
    family[int(rng.integers(len(family)))](rng, canvas)
    made = canvas.rgba()
    if pattern is not None and rng.random() < PATTERNED:
        made = covered(rng, np.ascontiguousarray(made[..., 3]), pattern())
    return turned(rng, made, rng.normal(0, 6)) if rng.random() < 0.8 else made


def layout(rng: Rng, size: int, pattern: Callable[[], U8] | None = None) -> list[U8]:
    """Frames SxSx4: one thing, a pair, or several beside each other."""
    kind = rng.random()
    if kind < 0.55:
        share = rng.uniform(0.3, 0.98)
        at = 0.5 + rng.normal(0, 0.08, 2) * (1.2 - share)
        return [_set(size, thing(rng, pattern), share, at)]
    if kind < 0.75:  # a pair
        one = thing(rng, pattern)
        other = np.ascontiguousarray(one[:, ::-1]) if rng.random() < 0.5 else one
        other = turned(rng, other, rng.normal(0, 10)) if rng.random() < 0.5 else other
        share, apart = rng.uniform(0.25, 0.5), rng.uniform(0.2, 0.26)
        y = 0.5 + rng.normal(0, 0.05, 2)
        return [_set(size, one, share, np.array([0.5 - apart, y[0]])),
                _set(size, other, share, np.array([0.5 + apart, y[1]]))]  # fmt: skip
    count = int(rng.integers(2, 6))
    across = 2 if count <= 4 else 3
    down = -(-count // across)
    frames = []
    for i in range(count):
        at = np.array([(i % across + 0.5) / across, (i // across + 0.5) / down])
        at = 0.5 + (at - 0.5) * 0.9 + rng.normal(0, 0.02, 2)
        frames.append(_set(size, thing(rng, pattern), rng.uniform(0.5, 0.95) / across, at))
    return frames


def _set(size: int, subject: U8, share: float, at: NDArray[np.float64]) -> U8:
    """The subject's longer side at ``share`` of the frame, its middle at ``at`` (x, y)."""
    height, width = subject.shape[:2]
    scale = share * size / max(height, width)
    w, h = max(4, round(width * scale)), max(4, round(height * scale))
    small = resized(subject, w, h)
    frame = np.zeros((size, size, 4), np.uint8)
    x, y = round(at[0] * size - w / 2), round(at[1] * size - h / 2)
    y0, y1, x0, x1 = max(0, y), min(size, y + h), max(0, x), min(size, x + w)
    if y1 > y0 and x1 > x0:
        frame[y0:y1, x0:x1] = small[y0 - y : y1 - y, x0 - x : x1 - x]
    return frame


def shop_ground(rng: Rng, size: int, frames: list[U8], photo: Ground) -> U8:
    """White, grey, of the colour of the thing, a studio's, or a photo; RGB SxSx3."""
    kind = rng.random()
    if kind >= STUDIO:
        return photo(size)
    if kind >= LIKE:
        return studio_ground(rng, size)
    if kind < WHITE:
        tone = np.full(3, rng.uniform(240, 255)) + rng.normal(0, 1.5, 3)
    elif kind < GREY:
        tone = np.full(3, rng.uniform(120, 240)) + rng.normal(0, 6, 3)
    else:
        seen = np.concatenate(
            [f[..., :3][f[..., 3] > 200] for f in frames] or [np.full((1, 3), 200, np.uint8)]
        )
        base = seen[int(rng.integers(len(seen)))] if len(seen) else np.full(3, 200)
        tone = base.astype(np.float64) * 0.6 + seen.mean(0) * 0.4 if len(seen) else base
        tone = tone + rng.normal(0, 14) + rng.normal(0, 5, 3)
    ramp = np.linspace(-1, 1, size)
    slope = rng.normal(0, 5, 2) if rng.random() < 0.6 else rng.normal(0, 0.8, 2)
    field = slope[0] * ramp[:, None] + slope[1] * ramp[None]
    if rng.random() < 0.3:  # darker corners
        field = field - rng.uniform(2, 25) * (ramp[:, None] ** 2 + ramp[None] ** 2) / 2
    ground = tone[None, None] + field[..., None]
    return np.clip(ground, 0, 255).astype(np.uint8)


def with_contact(rng: Rng, ground: U8, alpha: U8) -> U8:
    """Soft dark rims around and below what stands on the ground; they are background."""
    size = ground.shape[0]
    dark = np.zeros((size, size), np.float32)
    fall = rng.uniform(0, 0.03)
    angle = rng.uniform(-1.2, 1.2) + np.pi / 2
    for spread, strength in ((0.006, 0.5), (0.02, 0.35), (0.06, 0.25)):
        reach = fall + spread * rng.uniform(0, 0.8)
        move = np.array(
            [[1, 0, np.cos(angle) * reach * size], [0, 1, np.sin(angle) * reach * size]]
        )
        moved = cv2.warpAffine(alpha, move.astype(np.float32), (size, size))
        soft = cv2.GaussianBlur(moved, (0, 0), max(0.7, spread * size)).astype(np.float32) / 255
        dark += soft * strength * rng.uniform(0.1, 1.0)
    tint = 1 - np.clip(dark * rng.uniform(0.3, 1.0), 0, 0.85)
    return (ground * tint[..., None]).astype(np.uint8)


def with_card(rng: Rng, ground: U8) -> U8:
    """A card, sheet or disc lies on the ground, with its own soft shadow."""
    size = ground.shape[0]
    mask = np.zeros((size, size), np.uint8)
    middle = (0.5 + rng.normal(0, 0.06, 2)) * size
    reach = rng.uniform(0.28, 0.55, 2) * size
    if rng.random() < 0.4:
        radii = (round(reach[0]), round(reach[0] * rng.uniform(0.35, 1)))
        cv2.ellipse(mask, (round(middle[0]), round(middle[1])), radii, 0, 0, 360, 255, -1,
                    cv2.LINE_AA)  # fmt: skip
    else:
        turn = rng.normal(0, 0.25)
        corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * reach
        c, s = np.cos(turn), np.sin(turn)
        corners = corners @ np.array([[c, s], [-s, c]]) + middle
        cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 255, cv2.LINE_AA)
    ground = with_contact(rng, ground, mask)
    tone = ground.reshape(-1, 3).mean(0)
    tone = tone + rng.normal(0, 25) if rng.random() < 0.6 else rng.uniform(0, 255, 3)
    colour = np.clip(tone, 0, 255)
    cover = mask[..., None].astype(np.float32) / 255
    return (ground + cover * (colour - ground)).astype(np.uint8)


def goods(rng: Rng, size: int, photo: Ground, pattern: Callable[[], U8]) -> tuple[U8, U8]:
    """A shop's photo: RGB SxSx3 and alpha SxS, uint8."""
    frames = layout(rng, size, pattern)
    ground = shop_ground(rng, size, frames, photo)
    if rng.random() < CARDS:
        ground = with_card(rng, ground)
    both = np.max([f[..., 3] for f in frames], axis=0)
    if rng.random() < 0.75:
        ground = with_contact(rng, ground, both)
    return over(rng, frames, ground, shadow_chance=0.15)
