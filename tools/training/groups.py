"""Groups and small persons: cut-out people side by side over one background, all subject."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.training.augment import Rng, light, resized
from tools.training.compose import over

U8 = NDArray[np.uint8]

MOST_PERSONS = 5
LOWEST, TALLEST = 0.05, 0.62  # of the frame's height; groups of busts are larger
ALONE = 0.3  # of the samples: one small person
BUSTS = 0.3  # of the groups: cut at the waist, by the frame's lower edge


def trimmed(subject: U8) -> U8:
    """RGB + alpha HxWx4 without the empty rows and columns around the subject."""
    rows = np.flatnonzero(subject[..., 3].max(1) > 8)
    columns = np.flatnonzero(subject[..., 3].max(0) > 8)
    if rows.size == 0:
        return subject
    return np.ascontiguousarray(subject[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def _frame_of(subject: U8, size: int, height: float, x: float, bottom: float) -> U8:
    """The subject ``height`` pixels tall, its middle at column x, its feet at row ``bottom``."""
    scale = height / subject.shape[0]
    w, h = max(3, round(subject.shape[1] * scale)), max(6, round(height))
    small = resized(subject, w, h)
    left, top = round(x - w / 2), round(bottom - h)
    frame = np.zeros((size, size, 4), np.uint8)
    y0, y1, x0, x1 = max(0, top), min(size, top + h), max(0, left), min(size, left + w)
    if y1 > y0 and x1 > x0:
        frame[y0:y1, x0:x1] = small[y0 - top : y1 - top, x0 - left : x1 - left]
    return frame


def _in_row(rng: Rng, people: list[U8], size: int, height: float, bottom: float) -> list[U8]:
    """A row of people of about one height, those behind drawn first."""
    heights = height * rng.uniform(0.86, 1.1, len(people))
    widths = np.array([p.shape[1] / p.shape[0] * h for p, h in zip(people, heights, strict=True)])
    apart = widths * rng.uniform(0.55, 1.25)  # below 1 they overlap
    places = np.cumsum(apart) - apart / 2
    start = rng.uniform(min(0, size - places[-1]), max(0, size - places[-1])) - apart[0] / 4
    frames = []
    for i in rng.permutation(len(people)):
        lower = bottom + rng.normal(0, 0.015) * size
        frames.append(_frame_of(people[i], size, heights[i], start + places[i], lower))
    return frames


def group(rng: Rng, person: Callable[[], U8], ground: U8) -> tuple[U8, U8]:
    """One to five people over ``ground`` SxSx3 -> RGB and alpha; ``person`` gives RGBA cut-outs."""
    size = ground.shape[0]
    tint = rng.random() < 0.7  # one light on all of them
    count = 1 if rng.random() < ALONE else int(rng.integers(2, MOST_PERSONS + 1))
    people = [trimmed(person()) for _ in range(count)]
    if count > 1 and rng.random() < BUSTS:
        height = rng.uniform(0.7, 1.5) * size
        bottom = size + height * rng.uniform(0.35, 0.6)
    else:
        low = 0.12 if count > 1 else LOWEST
        height = np.exp(rng.uniform(np.log(low), np.log(TALLEST))) * size
        bottom = rng.uniform(max(height, 0.45 * size), size * 1.02)
    frames = _in_row(rng, people, size, float(height), float(bottom))
    if tint:
        frames = _one_light(rng, frames)
    return over(rng, frames, ground, shadow_chance=0.3)


def _one_light(rng: Rng, frames: list[U8]) -> list[U8]:
    """The same change of exposure and white balance on every frame."""
    tall = np.concatenate([np.ascontiguousarray(f[..., :3]) for f in frames])
    lit = light(rng, tall)
    if rng.random() < 0.3:  # as soft as a far thing in a photo is
        lit = np.asarray(cv2.GaussianBlur(lit, (0, 0), rng.uniform(0.4, 1.0)), np.uint8)
    parts = np.split(lit, len(frames))
    return [np.dstack([rgb, f[..., 3]]) for rgb, f in zip(parts, frames, strict=True)]
