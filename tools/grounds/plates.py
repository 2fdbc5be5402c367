"""Series of a fixed camera with a plate, and green screens, with exact alpha.

A series is a room (``data/backgrounds``), things before it, and the room's own photo as plate: each
photo is shifted by up to 3 pixels, exposed by up to 10 % otherwise and has the noise of ISO 1600.
A screen is a green or blue sweep, unevenly lit, whose light spills on hair and edges.
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

from tools.grounds.scenes import product
from tools.grounds.things import THINGS, thing

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
Rng = np.random.Generator

SIZE: Final = (1200, 900)
NOISE: Final = 6.0 / 255  # deviation at ISO 1600 of a small sensor, after its JPEG
SHIFT: Final = 3.0  # pixels
GAIN: Final = 0.1
SCREENS: Final = {"green": (0.05, 0.62, 0.22), "blue": (0.06, 0.22, 0.68)}


@dataclass(frozen=True, slots=True)
class Shot:
    """A photo with its truth; ``plate`` is the empty set's."""

    name: str
    rgb: U8
    alpha: F32
    front: F32  # H x W x 3, before any spill
    plate: U8 | None = None


def series(data: Path, count: int, shots: int, seed: int) -> Iterator[Shot]:
    """``count`` series of ``shots`` photos each."""
    rooms = sorted((data / "backgrounds").glob("hdri_*"))
    products = sorted((data / "objects").glob("*.webp"))
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        room = _room(rooms[int(rng.integers(len(rooms)))])
        plate = _noisy(rng, room)
        for shot in range(shots):
            path = products[int(rng.integers(len(products)))]
            if shot % 2:
                front, alpha = thing(_name(rng), rng, SIZE)
            else:
                front, alpha = product(path, rng, SIZE)
            move = rng.uniform(-SHIFT, SHIFT, 2)
            gain = 1 + rng.uniform(-GAIN, GAIN) + rng.uniform(-0.02, 0.02, 3)
            behind = _moved(room, move)
            mixed = front * alpha[..., None] + behind * (1 - alpha[..., None])
            rgb = _noisy(rng, np.clip(mixed * gain, 0, 1).astype(np.float32))
            yield Shot(f"{number}-{shot}", rgb, alpha, front, plate)


def screens(data: Path, count: int, seed: int) -> Iterator[Shot]:
    """Things with hair, and others, before a green or a blue screen."""
    products = sorted((data / "objects").glob("*.webp"))
    for number in range(count):
        rng = np.random.default_rng((seed, 7, number))
        colour = ("green", "blue")[number % 2]
        if number % 3 == 2:
            path = products[int(rng.integers(len(products)))]
            front, alpha = product(path, rng, SIZE)
        else:
            front, alpha = thing("plush" if number % 3 == 0 else _name(rng), rng, SIZE)
        back = _screen(rng, SCREENS[colour])
        lit = _spilled(rng, front, alpha, back)
        mixed = lit * alpha[..., None] + back * (1 - alpha[..., None])
        yield Shot(f"{number}-{colour}", _noisy(rng, mixed, NOISE / 3), alpha, front)


def _name(rng: Rng) -> str:
    names = [name for name in THINGS if not name.startswith("pale")]
    return names[int(rng.integers(len(names)))]


def _room(path: Path) -> F32:
    with Image.open(path) as picture:
        rgb = np.asarray(picture.convert("RGB").resize(SIZE, Image.Resampling.LANCZOS))
    return (rgb / np.float32(255)).astype(np.float32)


def _screen(rng: Rng, colour: tuple[float, float, float]) -> F32:
    y, x = np.indices(SIZE[::-1], np.float32) / np.float32(max(SIZE))
    light = 1 - rng.uniform(0.1, 0.5) * ((x - rng.uniform(0.2, 0.8)) ** 2 + (y - 0.4) ** 2)
    light += rng.uniform(-0.15, 0.15) * x
    return np.clip(np.array(colour, np.float32) * light[..., None], 0, 1).astype(np.float32)


def _spilled(rng: Rng, front: F32, alpha: F32, back: F32) -> F32:
    """The screen's light on the thing: strong at its edges, faint inside."""
    inside = (alpha > 0.5).astype(np.uint8)
    depth = np.asarray(cv2.distanceTransform(inside, cv2.DIST_L2, 3), np.float32)
    share = rng.uniform(0.05, 0.2) * np.exp(-depth / 6)
    return np.clip(front * (1 - share[..., None]) + back * share[..., None], 0, 1)


def _moved(picture: F32, move: NDArray[np.float64]) -> F32:
    matrix = np.array([[1, 0, move[0]], [0, 1, move[1]]], np.float32)
    moved = cv2.warpAffine(
        picture, matrix, SIZE, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    return np.clip(np.asarray(moved, np.float32), 0, 1)


def _noisy(rng: Rng, picture: F32, deviation: float = NOISE) -> U8:
    grain = rng.standard_normal(picture.shape, np.float32) * np.float32(deviation)
    return np.clip(np.rint((picture + grain) * 255), 0, 255).astype(np.uint8)
