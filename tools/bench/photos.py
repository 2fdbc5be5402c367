"""Photos for benchmarks: as many as wanted, each different, made from a few."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from edge_matting.imaging import encode

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
BUILT_IN = Path(__file__).resolve().parents[2] / "edge_matting" / "data" / "photos"
FULL_HD = (1920, 1080)
QUALITY = 92
LEAST_SHARE = 0.75


def make_photos(
    folder: Path,
    count: int,
    sources: Sequence[Path] = (),
    size: tuple[int, int] = FULL_HD,
    quality: int = QUALITY,
) -> list[Path]:
    """Write ``count`` different JPEGs of ``size`` into ``folder``: the same ones for the same call.

    Each is a crop of its own of a photo under ``sources`` (the built-in ones if none), three
    quarters of it or more, mirrored by turns, scaled; upright photos give upright ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(8)
    pictures = _pictures(sources or (BUILT_IN,), chance)
    paths = []
    for number in range(count):
        rgb = next(pictures)
        path = folder / f"{number:05}.jpg"
        path.write_bytes(encode(_varied(rgb, size, chance), "jpg", quality=quality))
        paths.append(path)
    return paths


def _pictures(sources: Sequence[Path], chance: random.Random) -> Iterator[np.ndarray]:
    """All pictures under ``sources``, by turns from each folder, over and over."""
    folders: dict[Path, list[Path]] = {}
    for source in sources:
        for path in sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES):
            folders.setdefault(path.parent, []).append(path)
    if not folders:
        raise SystemExit(f"no photos under {', '.join(map(str, sources))}")
    turns = list(folders.values())
    for paths in turns:
        chance.shuffle(paths)
    number = 0
    while True:
        paths = turns[number % len(turns)]
        with Image.open(paths[number // len(turns) % len(paths)]) as picture:
            yield np.asarray(picture.convert("RGB"))
        number += 1


def _varied(rgb: np.ndarray, size: tuple[int, int], chance: random.Random) -> np.ndarray:
    height, width = rgb.shape[:2]
    wide, high = sorted(size, reverse=width >= height)
    scale = min(width / wide, height / high) * chance.uniform(LEAST_SHARE, 1.0)
    part_width, part_height = int(wide * scale), int(high * scale)
    left = chance.randint(0, width - part_width)
    top = chance.randint(0, height - part_height)
    part = rgb[top : top + part_height, left : left + part_width]
    if chance.random() < 0.5:
        part = part[:, ::-1]
    method = cv2.INTER_AREA if scale > 1 else cv2.INTER_CUBIC
    scaled: np.ndarray = cv2.resize(np.ascontiguousarray(part), (wide, high), interpolation=method)
    return scaled
