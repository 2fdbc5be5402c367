"""Edits after which a photo needs a matte of its own, however alike it looks.

Each takes a scene and a generator and gives the edited photo, H x W x 3 uint8. What an edit
uncovers is filled with the background around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Rgb = npt.NDArray[np.uint8]
Alpha = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float32]


class Scene:
    """A photo (H x W x 3 uint8, RGB), its matte (H x W float32), and what lies behind it."""

    def __init__(self, rgb: Rgb, alpha: Alpha) -> None:
        self.rgb = rgb
        self.alpha = alpha
        self.shape = alpha.shape

    @cached_property
    def has_subject(self) -> bool:
        """Whether there is enough of a subject to be edited."""
        return bool((self.alpha > 0.9).mean() > 0.002)

    @cached_property
    def front(self) -> Floats:
        return self.rgb.astype(np.float32)

    @cached_property
    def back(self) -> Floats:
        """The photo with its subject replaced by what surrounds it."""
        known = (cv2.dilate(self.alpha, np.ones((5, 5), np.uint8)) < 0.05).astype(np.float32)
        filled, weight = np.zeros(self.rgb.shape, np.float32), np.zeros(self.shape, np.float32)
        # From sharp to soft: the nearest known background wins.
        for sigma in (2.0, 6.0, 18.0, 54.0, 162.0):
            near = _blurred(known, sigma)
            colour = _blurred(self.front * known[..., None], sigma)
            take = np.minimum(near * 20, 1.0) * (1 - weight)
            filled += colour * (take / np.maximum(near, 1e-6))[..., None]
            weight += take
        filled /= np.maximum(weight, 1e-3)[..., None]
        return np.where(known[..., None] > 0, self.front, filled)


Edit = Callable[[Scene, np.random.Generator], Rgb]


def over(front: Floats, alpha: Alpha, back: Floats) -> Rgb:
    """``front`` over ``back``, H x W x 3 uint8."""
    share = alpha[..., None]
    return np.clip(np.rint(front * share + back * (1 - share)), 0, 255).astype(np.uint8)


def hole(scene: Scene, chance: np.random.Generator, radius: float) -> Rgb:
    """A round hole through the subject; ``radius`` is a share of the shorter side."""
    pixels = max(2.0, radius * min(scene.alpha.shape))
    inside = cv2.distanceTransform((scene.alpha > 0.9).astype(np.uint8), cv2.DIST_L2, 5) > pixels
    row, column = _somewhere(inside if inside.any() else scene.alpha > 0.9, chance)
    return over(scene.back, _disc(scene.alpha.shape, row, column, pixels), scene.front)


def painted_out(scene: Scene, chance: np.random.Generator, share: float) -> Rgb:
    """The outermost ``share`` of the subject in some direction, replaced by background."""
    rows, columns = np.nonzero(scene.alpha > 0.5)
    angle = chance.uniform(0, 2 * np.pi)
    along = rows * np.sin(angle) + columns * np.cos(angle)
    limit = np.quantile(along, 1 - share)
    y, x = np.indices(scene.alpha.shape, np.float32)
    cut = np.clip(y * np.sin(angle) + x * np.cos(angle) - limit, 0, 1).astype(np.float32)
    reach = cv2.dilate(scene.alpha, np.ones((7, 7), np.uint8))
    return over(scene.back, cut * reach, scene.front)


def moved(scene: Scene, chance: np.random.Generator, share: float) -> Rgb:
    """The subject moved by ``share`` of the longer side, in some direction."""
    angle, far = chance.uniform(0, 2 * np.pi), share * max(scene.alpha.shape)
    matrix = np.array([[1, 0, far * np.cos(angle)], [0, 1, far * np.sin(angle)]])
    return _relaid(scene, matrix)


def widened(scene: Scene, _chance: np.random.Generator, share: float) -> Rgb:
    """The subject ``share`` wider about its own middle."""
    middle = float(np.nonzero(scene.alpha > 0.5)[1].mean())
    matrix = np.array([[1 + share, 0, -share * middle], [0, 1, 0]])
    return _relaid(scene, matrix)


def neck_widened(scene: Scene, chance: np.random.Generator, share: float) -> Rgb:
    """Only a band of rows of the subject ``share`` wider, as the neck of a bottle."""
    rows = np.flatnonzero((scene.alpha > 0.5).any(axis=1))
    row = chance.uniform(rows[0], rows[-1])
    tall = 0.08 * scene.alpha.shape[0]
    grid = np.indices(scene.alpha.shape, np.float32)
    y, x = np.atleast_2d(grid[0]), np.atleast_2d(grid[1])
    near = np.exp(-(((y - row) / tall) ** 2)).astype(np.float32)
    band = scene.alpha[max(0, int(row - tall)) : int(row + tall) + 1]
    middle = (
        float(np.nonzero(band > 0.5)[1].mean()) if (band > 0.5).any() else scene.alpha.shape[1] / 2
    )
    across = ((x - middle) / (1 + share * near) + middle).astype(np.float32)
    return _remapped(scene, across, y)


def other_frame(scene: Scene, chance: np.random.Generator, share: float) -> Rgb:
    """A part of the subject's outline moved by ``share`` of the longer side: a hand, a tail."""
    edge = cv2.morphologyEx(
        (scene.alpha > 0.5).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3))
    )
    row, column = _somewhere(edge > 0, chance)
    far, wide = share * max(scene.alpha.shape), max(share * 2.5, 0.06) * max(scene.alpha.shape)
    angle = chance.uniform(0, 2 * np.pi)
    y, x = np.indices(scene.alpha.shape, np.float32)
    bump = np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * wide**2)).astype(np.float32)
    across, down = x - far * np.cos(angle) * bump, y - far * np.sin(angle) * bump
    return _remapped(scene, across.astype(np.float32), down.astype(np.float32))


def rotated(scene: Scene, _chance: np.random.Generator, degrees: float) -> Rgb:
    height, width = scene.rgb.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return _warped(scene.rgb, matrix, cv2.BORDER_REFLECT)


def turned(scene: Scene, _chance: np.random.Generator, quarters: int) -> Rgb:
    return np.ascontiguousarray(np.rot90(scene.rgb, quarters))


def mirrored(scene: Scene, _chance: np.random.Generator, axis: int) -> Rgb:
    return np.ascontiguousarray(np.flip(scene.rgb, axis))


def cropped(scene: Scene, chance: np.random.Generator, share: float) -> Rgb:
    """``share`` of both sides cut off, the rest at the old size again: the aspect stays."""
    height, width = scene.rgb.shape[:2]
    rows, columns = max(1, round(height * share)), max(1, round(width * share))
    top, left = chance.integers(0, rows + 1), chance.integers(0, columns + 1)
    part = scene.rgb[top : height - rows + top, left : width - columns + left]
    return np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def other_product(scene: Scene, other: Scene) -> Rgb:
    """Another photo's subject before the same background."""
    size = scene.shape[1], scene.shape[0]
    front = np.asarray(cv2.resize(other.front, size, interpolation=cv2.INTER_AREA), np.float32)
    share = np.asarray(cv2.resize(other.alpha, size, interpolation=cv2.INTER_AREA), np.float32)
    return over(front, np.clip(share, 0, 1), scene.back)


def edits(chance: np.random.Generator) -> Iterator[tuple[str, Edit]]:
    """Name and edit, with the strengths that the issue asks for."""
    for radius in (0.015, 0.03, 0.06):
        yield f"hole {radius:g}", partial(hole, radius=radius)
    for share in (0.02, 0.05, 0.15):
        yield f"painted out {share:g}", partial(painted_out, share=share)
    for share in (0.005, 0.01, 0.02):
        yield f"moved {share:g}", partial(moved, share=share)
    for share in (0.02, 0.05, 0.1, 0.2):
        yield f"widened {share:g}", partial(widened, share=share)
    yield "neck widened 0.25", partial(neck_widened, share=0.25)
    for share in (0.02, 0.05):
        yield f"other frame {share:g}", partial(other_frame, share=share)
    yield "rotated 1", partial(rotated, degrees=float(chance.choice((-1.0, 1.0))))
    yield "rotated 3", partial(rotated, degrees=float(chance.choice((-3.0, 3.0))))
    yield "turned", partial(turned, quarters=int(chance.integers(1, 4)))
    yield "mirrored", partial(mirrored, axis=1)
    yield "cropped 0.01", partial(cropped, share=0.01)
    yield "cropped 0.03", partial(cropped, share=0.03)


def _relaid(scene: Scene, matrix: npt.NDArray[np.float64]) -> Rgb:
    """The subject moved by ``matrix`` (2 x 3, forward) over its filled background."""
    front = _warped(scene.rgb, matrix, cv2.BORDER_REPLICATE).astype(np.float32)
    share = _warped(scene.alpha, matrix, cv2.BORDER_REPLICATE)
    return over(front, np.clip(share, 0, 1), scene.back)


def _remapped(scene: Scene, across: Alpha, down: Alpha) -> Rgb:
    linear, edge = cv2.INTER_CUBIC, cv2.BORDER_REPLICATE
    front = np.asarray(cv2.remap(scene.rgb, across, down, linear, borderMode=edge), np.float32)
    share = np.asarray(cv2.remap(scene.alpha, across, down, cv2.INTER_LINEAR, borderMode=edge))
    return over(front, np.clip(share, 0, 1), scene.back)


def _warped(image: npt.NDArray[Any], matrix: npt.NDArray[Any], border: int) -> Any:
    size = image.shape[1], image.shape[0]
    return cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=border)


def _somewhere(mask: npt.NDArray[np.bool_], chance: np.random.Generator) -> tuple[int, int]:
    rows, columns = np.nonzero(mask)
    chosen = chance.integers(len(rows))
    return int(rows[chosen]), int(columns[chosen])


def _disc(shape: tuple[int, ...], row: int, column: int, radius: float) -> Alpha:
    y, x = np.indices(shape, np.float32)
    return np.clip(radius + 0.5 - np.hypot(y - row, x - column), 0, 1).astype(np.float32)


def _blurred(values: Floats, sigma: float) -> Floats:
    """Gaussian blur, at reduced size where it is wide."""
    shrink = max(1, int(sigma / 4))
    size = max(1, values.shape[1] // shrink), max(1, values.shape[0] // shrink)
    small = cv2.resize(values, size, interpolation=cv2.INTER_AREA) if shrink > 1 else values
    small = cv2.GaussianBlur(small, (0, 0), sigma / shrink)
    whole = cv2.resize(small, (values.shape[1], values.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(whole, np.float32)
