"""Photos of things on plain grounds whose alpha is known exactly.

Products of ``data/objects`` and drawn things (``things``) lie on sweeps, sheets and tables: white,
grey, coloured and black, with vignettes, gradients, contact shadows, noise and JPEG. A white thing
on white is among them, and two grounds in one photo.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tools.grounds.things import PALE, THINGS, thing

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
Rng = np.random.Generator

SIZES: Final = ((900, 1200), (1200, 900), (1000, 1000), (800, 1000), (1280, 960), (640, 640))
GROUNDS: Final = ("white", "white", "clipped", "grey", "colour", "black", "two")
DEEPEST: Final = 0.45  # of a shadow


@dataclass(frozen=True, slots=True)
class Scene:
    """I = aF + (1 - a)BS: ``rgb`` H x W x 3 uint8; ``alpha`` and ``light`` (S) H x W, ``front`` (F)
    and ``back`` (B) H x W x 3 float32 in [0, 1]."""

    name: str
    rgb: U8
    alpha: F32
    front: F32
    back: F32
    light: F32

    @property
    def pale(self) -> bool:
        """Whether a white thing lies on white."""
        thing_, _, ground = self.name.partition(" on ")
        return thing_.partition("-")[2] in PALE and ground in {"white", "clipped"}


def scenes(data: Path, count: int, seed: int) -> Iterator[Scene]:
    """``count`` scenes, drawn things and products in turn; the same for the same seed."""
    products = sorted((data / "objects").glob("*.webp"))
    names = list(THINGS)
    for index in range(count):
        rng = np.random.default_rng((seed, index))
        size = SIZES[int(rng.integers(len(SIZES)))]
        if index % 3 == 2:
            path = products[int(rng.integers(len(products)))]
            name, (front, alpha) = path.stem, product(path, rng, size)
        else:
            name = names[(index - index // 3) % len(names)]
            front, alpha = thing(name, rng, size)
        ground = GROUNDS[int(rng.integers(len(GROUNDS)))]
        if name in PALE and rng.random() < 0.8:
            ground = ("white", "clipped")[int(rng.integers(2))]
        yield lit(f"{index:03d}-{name} on {ground}", rng, front, alpha, ground)


def product(path: Path, rng: Rng, size: tuple[int, int]) -> tuple[F32, F32]:
    """A scanned product, half as large as the picture or more, colours carried on outside."""
    with Image.open(path) as picture:
        rgba = np.asarray(picture.convert("RGBA"))
    rows, columns = (np.flatnonzero(rgba[..., 3].max(axis) > 8) for axis in (1, 0))
    rgba = rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = rng.uniform(0.45, 0.8) * min(size[0] / rgba.shape[1], size[1] / rgba.shape[0])
    small = max(8, round(rgba.shape[1] * scale)), max(8, round(rgba.shape[0] * scale))
    share = rgba[..., 3:].astype(np.float32) / 255
    colours = cv2.resize(rgba[..., :3] / np.float32(255) * share, small, None, 0, 0, cv2.INTER_AREA)
    soft = cv2.resize(share[..., 0], small, None, 0, 0, cv2.INTER_AREA)
    top = int(rng.uniform(0.2, 0.8) * (size[1] - small[1]))
    left = int(rng.uniform(0.2, 0.8) * (size[0] - small[0]))
    front, alpha = np.zeros((size[1], size[0], 3), np.float32), np.zeros(size[::-1], np.float32)
    where = slice(top, top + small[1]), slice(left, left + small[0])
    alpha[where] = np.clip(soft, 0, 1)
    front[where] = colours / np.maximum(soft, 1e-3)[..., None]
    return np.clip(_spread(front, alpha), 0, 1), alpha


def _spread(front: F32, alpha: F32) -> F32:
    """Colours of surely seen pixels, carried on to the others close by."""
    weight = (alpha > 0.9).astype(np.float32)
    result = front.copy()
    for sigma in (8, 3, 1.2):
        mean = cv2.GaussianBlur(front * weight[..., None], (0, 0), sigma)
        near = cv2.GaussianBlur(weight, (0, 0), sigma)
        reached = (near > 1e-3) & (weight < 1)
        result[reached] = mean[reached] / near[reached][:, None]
    return result


def lit(name: str, rng: Rng, front: F32, alpha: F32, ground: str) -> Scene:
    """``front`` over a ground with shadows, as a camera writes it down."""
    back = sweep(rng, alpha.shape, ground)
    light = shadows(rng, alpha)
    behind = back * light[..., None]
    share = alpha[..., None]
    rgb = developed(rng, share * front + (1 - share) * behind)
    return Scene(name, rgb, alpha, front, back, light)


def developed(rng: Rng, linear: F32) -> U8:
    """Noise and JPEG, as cameras and shops add them."""
    noise = rng.choice([0.5, 1.0, 2.0, 3.5]) / 255
    shape = linear.shape
    grain = rng.standard_normal(shape, np.float32) * np.float32(noise)
    eight = np.clip(np.rint((linear + grain) * 255), 0, 255).astype(np.uint8)
    if rng.random() < 0.75:
        quality = int(rng.integers(75, 96))
        data = cv2.imencode(".jpg", eight, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        eight = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return eight


def sweep(rng: Rng, shape: tuple[int, int], ground: str) -> F32:
    """An empty ground, H x W x 3."""
    y, x = np.indices(shape, np.float32) / np.float32(max(shape))
    y, x = y - y.max() * rng.uniform(0.3, 0.7), x - x.max() * rng.uniform(0.3, 0.7)
    fall = rng.uniform(0, 0.35) * (x * x + y * y) + rng.uniform(-0.1, 0.1) * x
    fall += rng.uniform(-0.1, 0.15) * y
    colour = _ground_colour(rng, ground)
    plain = colour * (1 - fall)[..., None]
    if ground == "clipped":
        plain = plain * np.float32(rng.uniform(1.03, 1.2))
    if ground == "two":
        table = _ground_colour(rng, ("white", "grey", "colour")[int(rng.integers(3))])
        line = rng.uniform(0.05, 0.2) + rng.uniform(-0.05, 0.05) * x
        share = np.clip((y - line) / rng.uniform(0.002, 0.06) + 0.5, 0, 1)[..., None]
        plain = plain * (1 - share) + share * table * (1 - fall * 0.5)[..., None]
    return np.clip(plain, 0, 1).astype(np.float32)


def _ground_colour(rng: Rng, ground: str) -> F32:
    if ground == "grey":
        return np.asarray(rng.uniform(0.3, 0.85) + rng.normal(0, 0.01, 3), np.float32)
    if ground in {"colour", "two"}:
        return np.asarray(rng.uniform(0.15, 0.95, 3), np.float32)
    if ground == "black":
        return np.asarray(rng.uniform(0.02, 0.1) + rng.normal(0, 0.005, 3), np.float32)
    return np.asarray(rng.uniform(0.88, 0.99) + rng.normal(0, 0.006, 3), np.float32)


def shadows(rng: Rng, alpha: F32) -> F32:
    """What a thing's shadow leaves of the light, H x W: soft, or a contact shadow, or none."""
    light = np.ones_like(alpha)
    height, width = alpha.shape
    if rng.random() < 0.5:  # a soft one beside the thing
        moved = np.array(
            [[1, 0, rng.uniform(-0.04, 0.04) * width], [0, 1, 0.02 * height]], np.float32
        )
        cast = cv2.warpAffine(alpha, moved, (width, height))
        cast = cv2.GaussianBlur(cast, (0, 0), rng.uniform(0.008, 0.03) * width)
        light -= rng.uniform(0.05, DEEPEST) * cast
    if rng.random() < 0.6:  # a contact shadow
        columns = np.flatnonzero(alpha.max(0) > 0.5)
        bottom = int(np.flatnonzero(alpha.max(1) > 0.5)[-1])
        middle, half = (columns[0] + columns[-1]) // 2, (columns[-1] - columns[0]) // 2
        disc = np.zeros_like(alpha)
        cv2.ellipse(
            disc, (int(middle), bottom), (int(half), max(3, height // 60)), 0, 0, 360, 1, -1
        )
        soft = cv2.GaussianBlur(disc, (0, 0), rng.uniform(0.004, 0.015) * width)
        light *= 1 - rng.uniform(0.1, DEEPEST) * np.asarray(soft, np.float32)
    return np.asarray(np.clip(light, 0.2, 1), np.float32)
