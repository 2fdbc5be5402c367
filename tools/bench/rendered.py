"""Pictures whose alpha is known exactly, rendered at the size they are measured at.

A subject's outline is drawn again from a small alpha at full size, with an edge a few pixels wide,
and strands of hair are drawn over it at twice the size; its colours get detail from a photo taken
at that size. So neither matte nor picture was ever enlarged, and F, B and alpha are all known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tools.training.soft_targets import foreground_of, pet_alpha
from tools.training.split import held_out

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
Rng = np.random.Generator

SIZE_12MP = (4000, 3000)  # width, height
KINDS = ("persons", "pets", "objects")
NOISE = 1.5  # of 255, standard deviation of the sensor's
DEFOCUSED = 0.5  # of the backgrounds
SOFT = 0.3  # of the outlines: out of focus, 10 to 40 pixels wide at 12 MP
DETAIL = 0.5  # of the native photo's fine detail, on the subject


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture I = aF + (1 - a)B: ``rgb`` H x W x 3 uint8, ``alpha`` H x W float32 in [0, 1],
    ``front`` (F, known everywhere near the subject) and ``back`` (B) H x W x 3 uint8."""

    name: str
    rgb: U8
    alpha: F32
    front: U8
    back: U8


def scenes(data: Path, count: int, seed: int, size: tuple[int, int]) -> Iterator[Scene]:
    """``count`` scenes over the native photos in ``data``/large, kinds and photos in turn.

    Subjects are held-out ones: the default model was not trained on them.
    """
    photos = sorted((data / "large").iterdir())
    rng = np.random.default_rng(seed)
    sources = {kind: _subjects(data, kind) for kind in KINDS}
    for index in range(count):
        kind = KINDS[index % len(KINDS)]
        path = sources[kind][int(rng.integers(len(sources[kind])))]
        subject = _subject(data, kind, path)
        frame = size[::-1] if kind == "persons" else size
        back = native_crop(rng, _read(photos[index % len(photos)]), frame)
        grain = native_crop(rng, _read(photos[(index + 3) % len(photos)]), frame)
        if rng.random() < DEFOCUSED:
            back = np.asarray(cv2.GaussianBlur(back, (0, 0), rng.uniform(4, 16)), np.uint8)
        yield render(f"{kind}/{path.stem}", rng, subject, back, grain, hair=_hair(kind))


def built_in(size: tuple[int, int] = (960, 720), seed: int = 1) -> Scene:
    """A small scene made of nothing but numbers, for tests: a blob with hair before a pattern."""
    rng = np.random.default_rng(seed)
    width, height = size
    side = 128
    rows, columns = np.indices((side, side)) / side - 0.5
    wobble = 0.3 + 0.04 * np.cos(5 * np.arctan2(rows, columns))
    alpha = np.clip((wobble - np.hypot(rows, columns)) * side / 4 + 0.5, 0, 1)
    subject = np.dstack([_pattern(rng, side, side, 150), np.rint(alpha * 255).astype(np.uint8)])
    back, grain = (_pattern(rng, height, width, value) for value in (90, 128))
    return render("built-in", rng, subject, back, grain, hair=0.6)


def render(name: str, rng: Rng, subject: U8, back: U8, grain: U8, *, hair: float) -> Scene:
    """``subject`` (small h x w x 4, F and alpha) over ``back`` (H x W x 3) at its full size.

    ``grain`` (H x W x 3) lends its fine detail; ``hair`` is the share of the outline that bears
    strands.
    """
    height, width = back.shape[:2]
    frame = _placed(rng, subject, width, height)
    large = cv2.resize(frame[..., 3].astype(np.float32) / 255, (width, height), None, 0, 0, 2)
    scale = width / frame.shape[1]
    smooth = np.asarray(cv2.GaussianBlur(large, (0, 0), 0.6 * scale), np.float32)
    soft = rng.random() < SOFT
    alpha = _edge(smooth, rng.uniform(10, 40) * width / 4000 if soft else rng.uniform(1.5, 4.0))
    if hair and not soft:
        alpha = np.maximum(alpha, _strands(rng, smooth, hair))
    colour = cv2.resize(_spread(frame), (width, height), None, 0, 0, cv2.INTER_CUBIC)
    fine = grain.astype(np.float32)
    fine -= cv2.GaussianBlur(fine, (0, 0), 0.004 * width)
    front = _eight_bits(colour + DETAIL * fine)
    share = alpha[..., np.newaxis]
    mixed = front * share + back * (1 - share)
    mixed += rng.standard_normal(mixed.shape, np.float32) * NOISE
    return Scene(name, _eight_bits(mixed), alpha, front, back)


def native_crop(rng: Rng, photo: U8, size: tuple[int, int]) -> U8:
    """A piece of ``photo`` of ``size`` (width, height), never resampled.

    Where the photo is smaller it is mirrored at its right and lower edge.
    """
    width, height = size
    pad = max(0, height - photo.shape[0]), max(0, width - photo.shape[1])
    if any(pad):
        grown = cv2.copyMakeBorder(photo, 0, pad[0], 0, pad[1], cv2.BORDER_REFLECT)
        photo = np.asarray(grown, np.uint8)
    top = int(rng.integers(photo.shape[0] - height + 1))
    left = int(rng.integers(photo.shape[1] - width + 1))
    return np.ascontiguousarray(photo[top : top + height, left : left + width])


def _hair(kind: str) -> float:
    return {"persons": 0.15, "pets": 0.8, "objects": 0.0}[kind]


def _subjects(data: Path, kind: str) -> list[Path]:
    folder = data / ("objects" if kind == "objects" else f"{kind}/images")
    files = sorted(folder.iterdir())
    chosen = held_out(kind, [path.stem for path in files])
    return [path for path in files if path.stem in chosen]


def _subject(data: Path, kind: str, path: Path) -> U8:
    """A small h x w x 4 subject: foreground colours and alpha."""
    if kind == "objects":
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGBA"))
    rgb = _read(path)
    folder = data / kind / ("masks" if kind == "persons" else "trimaps")
    with Image.open(next(folder.glob(f"{path.stem}.*"))) as picture:
        mask = np.asarray(picture.convert("L").resize(rgb.shape[1::-1], Image.Resampling.NEAREST))
    alpha = mask if kind == "persons" else pet_alpha(rgb, mask)[0]
    blurred = cv2.GaussianBlur(alpha.astype(np.float32), (0, 0), 1.5)
    alpha = _eight_bits(np.asarray(blurred, np.float32))
    return np.dstack([foreground_of(rgb, alpha), alpha])


def _read(path: Path) -> U8:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def _placed(rng: Rng, subject: U8, width: int, height: int) -> U8:
    """The subject in an empty frame of the scene's proportions, 0.55 to 0.85 of its height."""
    rows, columns = (np.flatnonzero(subject[..., 3].max(axis) > 127) for axis in (1, 0))
    subject = subject[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    share = rng.uniform(0.55, 0.85)
    h = round(subject.shape[0] / share)
    w = max(round(h * width / height), round(subject.shape[1] / 0.9))
    h = round(w * height / width)
    frame = np.zeros((h, w, 4), np.uint8)
    top = int(rng.uniform(0.3, 0.8) * (h - subject.shape[0]))
    left = int(rng.uniform(0.2, 0.8) * (w - subject.shape[1]))
    frame[top : top + subject.shape[0], left : left + subject.shape[1]] = subject
    return frame


def _edge(smooth: F32, width: float) -> F32:
    """The outline at 0.5 of a smooth field, drawn with a ramp of ``width`` pixels."""
    across = cv2.Scharr(smooth, cv2.CV_32F, 1, 0, scale=1 / 32)
    down = cv2.Scharr(smooth, cv2.CV_32F, 0, 1, scale=1 / 32)
    slope = np.maximum(np.hypot(across, down), 1e-5)
    return np.clip((smooth - 0.5) / (slope * width) + 0.5, 0, 1).astype(np.float32)


def _strands(rng: Rng, smooth: F32, share: float) -> F32:
    """Tapering hairs that grow out of the outline, drawn at twice the size."""
    height, width = smooth.shape
    inside = (smooth > 0.5).astype(np.uint8)
    contours, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(contours, key=len)[:, 0].astype(np.float64)
    canvas = np.zeros((2 * height, 2 * width), np.uint8)
    across = cv2.GaussianBlur(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), (0, 0), 3)
    down = cv2.GaussianBlur(cv2.Sobel(smooth, cv2.CV_32F, 0, 1), (0, 0), 3)
    first = int(rng.integers(len(outline)))
    for step in range(0, int(share * len(outline)), max(4, round(height / 300))):
        x, y = outline[(first + step) % len(outline)]
        out = -np.arctan2(down[int(y), int(x)], across[int(y), int(x)])
        angle = np.pi - out + rng.normal(0, 0.5)
        _strand(rng, canvas, (x, y), angle, rng.uniform(0.005, 0.03) * height)
    soft = cv2.GaussianBlur(canvas, (0, 0), 1.2)
    small = cv2.resize(soft, (width, height), None, 0, 0, cv2.INTER_AREA)
    return small.astype(np.float32) / np.float32(255)


def _strand(rng: Rng, canvas: U8, root: tuple[float, float], angle: float, length: float) -> None:
    pieces = 10
    point = np.array(root) - 3 * np.array([np.cos(angle), np.sin(angle)])
    bend = rng.normal(0, 0.08)
    thick = rng.uniform(2.0, 5.0) * canvas.shape[0] / 6000
    for piece in range(pieces):
        angle += bend
        end = point + np.array([np.cos(angle), np.sin(angle)]) * length / pieces
        first, last = ([int(v) for v in np.rint(at * 2 * 16)] for at in (point, end))
        weight = max(1, round(2 * thick * (1 - piece / pieces)))
        cv2.line(canvas, first, last, 255, weight, cv2.LINE_AA, 4)
        point = end


def _spread(frame: U8) -> F32:
    """The subject's colours, carried on outside its outline, h x w x 3."""
    colour = frame[..., :3].astype(np.float32)
    known = (frame[..., 3] > 200).astype(np.float32)
    total, weight = colour * known[..., np.newaxis], known
    result = colour.copy()
    filled = known > 0
    for sigma in (1, 2, 4, 8, 16, 32, 64, 128):
        blurred = cv2.GaussianBlur(weight, (0, 0), sigma)
        reached = ~filled & (blurred > 1e-3)
        mean = cv2.GaussianBlur(total, (0, 0), sigma) / (blurred[..., np.newaxis] + 1e-6)
        result[reached] = mean[reached]
        filled |= reached
    return result


def _pattern(rng: Rng, height: int, width: int, value: float) -> U8:
    """Soft coloured noise around ``value``, H x W x 3."""
    total = np.full((height, width, 3), value, np.float32)
    for cells, strength in ((4, 40), (24, 20), (120, 10)):
        coarse = rng.standard_normal((cells, cells, 3)).astype(np.float32) * strength
        total += cv2.resize(coarse, (width, height), None, 0, 0, cv2.INTER_CUBIC)
    return _eight_bits(total)


def _eight_bits(values: F32) -> U8:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
