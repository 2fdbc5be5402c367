"""Composites: a subject with known alpha on another background, sometimes with a shadow."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.training.augment import Rng, light, resized, rotated

U8 = NDArray[np.uint8]


def _texture(rng: Rng, size: int) -> NDArray[np.float32]:
    """Soft random pattern, size x size float32 around 0: grain, marble or brushed in one way."""
    rows, columns = rng.integers(2, 40, 2)
    coarse = rng.standard_normal((int(rows), int(columns))).astype(np.float32)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC).astype(np.float32)


def _tone(rng: Rng) -> NDArray[np.float32]:
    """An RGB colour, float32 (3,): grey and bright more often than not, as in a studio."""
    value = rng.uniform(10, 255)
    tint = rng.uniform(-1, 1, 3) * (12 if rng.random() < 0.6 else 90)
    return np.clip(value + tint, 0, 255).astype(np.float32)


def _plain(rng: Rng, size: int) -> NDArray[np.float32]:
    """One tone with uneven light, size x size x 3 float32."""
    if rng.random() < 0.12:  # the white of a shop's catalogue
        return np.full((size, size, 3), rng.uniform(235, 255), np.float32)
    ramp = np.linspace(-1, 1, size, dtype=np.float32)
    slope = rng.uniform(-30, 30, 2)
    field = slope[0] * ramp[:, None] + slope[1] * ramp[None, :]
    if rng.random() < 0.7:
        field = field + _texture(rng, size) * rng.uniform(0, 16)
    return np.asarray(_tone(rng)[None, None, :] + field[..., None], np.float32)


def studio_ground(rng: Rng, size: int) -> U8:
    """A plain sweep, or a wall above a table, size x size x 3 RGB uint8."""
    ground = _plain(rng, size)
    if rng.random() < 0.6:
        horizon = rng.uniform(0.2, 0.75) * size
        tilt = rng.uniform(-0.06, 0.06)
        rows = np.arange(size, dtype=np.float32)[:, None]
        columns = np.arange(size, dtype=np.float32)[None, :] - size / 2
        softness = rng.uniform(0.5, 12)
        below = 1 / (1 + np.exp(np.clip((horizon + tilt * columns - rows) / softness, -40, 40)))
        ground += below[..., None] * (_plain(rng, size) - ground)
    return np.clip(ground, 0, 255).astype(np.uint8)


def tiled_ground(rng: Rng, motif: U8, size: int) -> U8:
    """A motif (RGB uint8 of any size) again and again, size x size x 3: tiles, carpet, cloth.

    Seen from above or at an angle, with or without seams.
    """
    step = int(rng.integers(size // 24, size // 3))
    tile = resized(motif, step, step).astype(np.float32)
    tile = _tone(rng) + (tile - tile.mean((0, 1))) * rng.uniform(0.2, 1.0)
    if rng.random() < 0.5:
        tile = np.concatenate([tile, tile[:, ::-1]], 1)
        tile = np.concatenate([tile, tile[::-1]])
    if rng.random() < 0.5:
        seam = max(1, round(step * rng.uniform(0.02, 0.08)))
        tile[:seam], tile[:, :seam] = _tone(rng), _tone(rng)
    side = 2 * size
    times = -(-side // len(tile))
    sheet = np.clip(np.tile(tile, (times, times, 1))[:side, :side], 0, 255).astype(np.uint8)
    angle = rng.uniform(0, 2 * np.pi)
    reach = size * rng.uniform(0.6, 0.95)
    turns = angle + np.arange(4) * np.pi / 2
    corners = size + np.stack([np.cos(turns), np.sin(turns)], 1) * reach
    corners[:2] += (corners[3:1:-1] - corners[:2]) * rng.uniform(0.0, 0.3)
    frame = np.array([[0, 0], [size, 0], [size, size], [0, size]], np.float32)
    move = cv2.getPerspectiveTransform(corners.astype(np.float32), frame)
    seen = cv2.warpPerspective(sheet, move, (size, size), flags=cv2.INTER_LINEAR)
    shade = 1 + _texture(rng, size) * rng.uniform(0, 0.06)
    return np.clip(seen * shade[..., None], 0, 255).astype(np.uint8)


def flat_shape(rng: Rng, side: int = 256) -> U8:
    """Outline of a box, a folded cloth or a round thing, side x side alpha uint8, smooth edges."""
    corners = int(rng.integers(4, 9))
    angles = np.sort(rng.uniform(0, 2 * np.pi, 1) + np.linspace(0, 2 * np.pi, corners, False))
    angles = angles + rng.uniform(-0.25, 0.25, corners)
    radii = rng.uniform(0.6, 0.98, corners) * side / 2
    points = np.stack([np.cos(angles), np.sin(angles)], 1) * radii[:, None] + side / 2
    shape = np.zeros((side, side), np.uint8)
    cv2.fillPoly(shape, [np.round(points).astype(np.int32)], 255)
    if rng.random() < 0.5:  # rounded corners: blur, then cut again at a half
        shape = np.asarray(cv2.GaussianBlur(shape, (0, 0), rng.uniform(2, 16)), np.uint8)
        shape = np.where(shape > 127, 255, 0).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(shape, (0, 0), 0.9), np.uint8)


def covered(rng: Rng, alpha: U8, pattern: U8) -> U8:
    """An outline HxW filled with a pattern RGB uint8 of any size -> RGB + alpha, HxWx4.

    Printed cartons and patterned cloth: what is inside may differ more than inside from outside.
    """
    height, width = alpha.shape
    colour = resized(pattern, width, height).astype(np.float32)
    keep = rng.uniform(0.15, 1.0)
    colour = _tone(rng) * (1 - keep) + colour * keep
    ramp = np.linspace(rng.uniform(0.75, 1.1), rng.uniform(0.75, 1.1), width, dtype=np.float32)
    colour = np.clip(colour * ramp[None, :, None], 0, 255).astype(np.uint8)
    return np.dstack([colour, alpha])


def _shadowed(rng: Rng, ground: U8, alpha: U8) -> U8:
    """Darken `ground` by the subject's own outline, shifted, flattened and blurred."""
    size = ground.shape[0]
    rows = np.flatnonzero(alpha.max(1))
    if rows.size == 0:
        return ground
    bottom = float(rows[-1])
    flat, lean = rng.uniform(0.1, 0.9), rng.uniform(-0.7, 0.7)
    drop = rng.uniform(-0.01, 0.04) * size
    move = np.array(
        [[1, lean * flat, -lean * flat * bottom], [0, flat, bottom * (1 - flat) + drop]],
        np.float32,
    )
    shadow = cv2.warpAffine(alpha, move, (size, size))
    shadow = cv2.GaussianBlur(shadow, (0, 0), rng.uniform(0.008, 0.05) * size)
    dark = 1 - rng.uniform(0.15, 0.7) * (shadow.astype(np.float32) / 255)
    return (ground * dark[..., None]).astype(np.uint8)


def _anywhere(rng: Rng, one: float, other: float) -> int:
    return round(rng.uniform(min(one, other), max(one, other)))


def placed(rng: Rng, subject: U8, size: int, share: tuple[float, float], *, standing: bool) -> U8:
    """Foreground RGB + alpha, HxWx4, set at random into an empty size x size x 4 frame.

    `share` bounds the subject's longer side in units of the frame; it may stick out at the sides.
    """
    height, width = subject.shape[:2]
    scale = rng.uniform(*share) * size / max(height, width)
    stretch = np.exp(rng.uniform(-0.2, 0.2))
    w, h = max(4, round(width * scale * stretch)), max(4, round(height * scale / stretch))
    subject = resized(subject, w, h)
    frame = np.zeros((size, size, 4), np.uint8)
    x = _anywhere(rng, -0.12 * w, size - 0.88 * w)
    y = _anywhere(rng, max(0.0, 0.45 * size - h / 2) if standing else 0.0, size - 0.9 * h)
    y0, y1, x0, x1 = max(0, y), min(size, y + h), max(0, x), min(size, x + w)
    if y1 > y0 and x1 > x0:
        frame[y0:y1, x0:x1] = subject[y0 - y : y1 - y, x0 - x : x1 - x]
    return frame


def over(rng: Rng, frames: list[U8], ground: U8, shadow_chance: float) -> tuple[U8, U8]:
    """Layers (foreground RGB + alpha, same size as `ground`) over it -> RGB, alpha, both uint8.

    Straight alpha: I = alpha F + (1 - alpha) B; the alphas join as 1 - product(1 - alpha).
    """
    if rng.random() < 0.3:
        ground = cv2.GaussianBlur(ground, (0, 0), rng.uniform(0.5, 5)).astype(np.uint8)
    total = np.zeros(ground.shape[:2], np.float32)
    for frame in frames:
        if rng.random() < shadow_chance:
            ground = _shadowed(rng, ground, frame[..., 3])
        alpha = frame[..., 3].astype(np.float32) / 255
        colour = frame[..., :3]
        if rng.random() < 0.6:
            colour = light(rng, np.ascontiguousarray(colour))
        mixed = ground + alpha[..., None] * (colour.astype(np.float32) - ground)
        ground = mixed.astype(np.uint8)
        total = np.asarray(1 - (1 - total) * (1 - alpha), np.float32)
    return ground, np.round(total * 255).astype(np.uint8)


def turned(rng: Rng, subject: U8, degrees: float) -> U8:
    """An RGBA cut-out turned about its middle on a frame large enough to hold it."""
    if rng.random() < 0.25:
        subject = np.ascontiguousarray(np.rot90(subject, int(rng.integers(1, 4))))
    height, width = subject.shape[:2]
    side = int(np.hypot(height, width)) + 2
    frame = np.zeros((side, side, 4), np.uint8)
    y, x = (side - height) // 2, (side - width) // 2
    frame[y : y + height, x : x + width] = subject
    frame = rotated(frame, degrees, cv2.BORDER_CONSTANT)
    rows, columns = np.flatnonzero(frame[..., 3].max(1)), np.flatnonzero(frame[..., 3].max(0))
    return np.ascontiguousarray(frame[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
