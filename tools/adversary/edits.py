"""Edits after which a photo needs a matte of its own, however alike it looks.

Each takes the photo (H x W x 3 uint8), its matte (H x W float32 in [0, 1]) and a generator, and
gives the edited photo. What an edit uncovers is filled with the background around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import numpy.typing as npt

Rgb = npt.NDArray[np.uint8]
Alpha = npt.NDArray[np.float32]
Edit = Callable[[Rgb, Alpha, np.random.Generator], Rgb]


def background(rgb: Rgb, alpha: Alpha) -> npt.NDArray[np.float32]:
    """The photo with its subject replaced by what surrounds it, float32."""
    known = (cv2.dilate(alpha, np.ones((5, 5), np.uint8)) < 0.05).astype(np.float32)
    filled = np.zeros(rgb.shape, np.float32)
    weight = np.zeros(alpha.shape, np.float32)
    # From sharp to soft: the nearest known background wins.
    for sigma in (2.0, 6.0, 18.0, 54.0, 162.0):
        near = _blurred(known, sigma)
        colour = _blurred(rgb * known[..., None], sigma) / np.maximum(near, 1e-6)[..., None]
        take = np.minimum(near * 20, 1.0) * (1 - weight)
        filled += colour * take[..., None]
        weight += take
    filled /= np.maximum(weight, 1e-3)[..., None]
    return np.where(known[..., None] > 0, rgb.astype(np.float32), filled).astype(np.float32)


def over(front: npt.NDArray[np.float32], alpha: Alpha, back: npt.NDArray[np.float32]) -> Rgb:
    """``front`` over ``back``, H x W x 3 uint8."""
    share = alpha[..., None]
    return np.clip(np.rint(front * share + back * (1 - share)), 0, 255).astype(np.uint8)


def hole(rgb: Rgb, alpha: Alpha, chance: np.random.Generator, radius: float) -> Rgb:
    """A round hole through the subject; ``radius`` is a share of the shorter side."""
    pixels = max(2.0, radius * min(alpha.shape))
    inside = cv2.distanceTransform((alpha > 0.9).astype(np.uint8), cv2.DIST_L2, 5) > pixels
    row, column = _somewhere(inside if inside.any() else alpha > 0.9, chance)
    return over(background(rgb, alpha), _disc(alpha.shape, row, column, pixels), _float(rgb))


def painted_out(rgb: Rgb, alpha: Alpha, chance: np.random.Generator, share: float) -> Rgb:
    """The outermost ``share`` of the subject in some direction, replaced by background."""
    rows, columns = np.nonzero(alpha > 0.5)
    angle = chance.uniform(0, 2 * np.pi)
    along = rows * np.sin(angle) + columns * np.cos(angle)
    limit = np.quantile(along, 1 - share)
    y, x = np.indices(alpha.shape, np.float32)
    cut = np.clip(y * np.sin(angle) + x * np.cos(angle) - limit, 0, 1).astype(np.float32)
    reach = cv2.dilate(alpha, np.ones((7, 7), np.uint8))
    return over(background(rgb, alpha), cut * reach, _float(rgb))


def moved(rgb: Rgb, alpha: Alpha, chance: np.random.Generator, share: float) -> Rgb:
    """The subject moved by ``share`` of the longer side, in some direction."""
    angle, far = chance.uniform(0, 2 * np.pi), share * max(alpha.shape)
    matrix = np.array([[1, 0, far * np.cos(angle)], [0, 1, far * np.sin(angle)]])
    return _relaid(rgb, alpha, matrix)


def widened(rgb: Rgb, alpha: Alpha, _chance: np.random.Generator, share: float) -> Rgb:
    """The subject ``share`` wider about its own middle."""
    middle = float(np.nonzero(alpha > 0.5)[1].mean())
    matrix = np.array([[1 + share, 0, -share * middle], [0, 1, 0]])
    return _relaid(rgb, alpha, matrix)


def neck_widened(rgb: Rgb, alpha: Alpha, chance: np.random.Generator, share: float) -> Rgb:
    """Only a band of rows of the subject ``share`` wider, as the neck of a bottle."""
    rows = np.flatnonzero((alpha > 0.5).any(axis=1))
    row = chance.uniform(rows[0], rows[-1])
    tall = 0.08 * alpha.shape[0]
    y, x = np.indices(alpha.shape, np.float32)
    near = np.exp(-(((y - row) / tall) ** 2)).astype(np.float32)
    band = alpha[max(0, int(row - tall)) : int(row + tall) + 1]
    middle = float(np.nonzero(band > 0.5)[1].mean()) if (band > 0.5).any() else alpha.shape[1] / 2
    across = (middle + (x - middle) / (1 + share * near)).astype(np.float32)
    return _remapped(rgb, alpha, across, y)


def other_frame(rgb: Rgb, alpha: Alpha, chance: np.random.Generator, share: float) -> Rgb:
    """A part of the subject's outline moved by ``share`` of the longer side: a hand, a tail."""
    edge = cv2.morphologyEx((alpha > 0.5).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3)))
    row, column = _somewhere(edge > 0, chance)
    far, wide = share * max(alpha.shape), max(share * 2.5, 0.06) * max(alpha.shape)
    angle = chance.uniform(0, 2 * np.pi)
    y, x = np.indices(alpha.shape, np.float32)
    bump = np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * wide**2)).astype(np.float32)
    across, down = x - far * np.cos(angle) * bump, y - far * np.sin(angle) * bump
    return _remapped(rgb, alpha, across.astype(np.float32), down.astype(np.float32))


def rotated(rgb: Rgb, _alpha: Alpha, _chance: np.random.Generator, degrees: float) -> Rgb:
    height, width = rgb.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return _warped(rgb, matrix, cv2.BORDER_REFLECT)


def turned(rgb: Rgb, _alpha: Alpha, _chance: np.random.Generator, quarters: int) -> Rgb:
    return np.ascontiguousarray(np.rot90(rgb, quarters))


def mirrored(rgb: Rgb, _alpha: Alpha, _chance: np.random.Generator, axis: int) -> Rgb:
    return np.ascontiguousarray(np.flip(rgb, axis))


def cropped(rgb: Rgb, _alpha: Alpha, chance: np.random.Generator, share: float) -> Rgb:
    """``share`` of both sides cut off, the rest at the old size again: the aspect stays."""
    height, width = rgb.shape[:2]
    rows, columns = max(1, round(height * share)), max(1, round(width * share))
    top, left = chance.integers(0, rows + 1), chance.integers(0, columns + 1)
    part = rgb[top : height - rows + top, left : width - columns + left]
    return np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def edits(chance: np.random.Generator) -> Iterator[tuple[str, Edit]]:
    """Name and edit, with the strengths that the issue asks for."""
    for radius in (0.015, 0.03, 0.06):
        yield f"hole {radius:g}", _with(hole, radius)
    for share in (0.02, 0.05, 0.15):
        yield f"painted out {share:g}", _with(painted_out, share)
    for share in (0.005, 0.01, 0.02):
        yield f"moved {share:g}", _with(moved, share)
    for share in (0.02, 0.05, 0.1, 0.2):
        yield f"widened {share:g}", _with(widened, share)
    yield "neck widened 0.25", _with(neck_widened, 0.25)
    for share in (0.02, 0.05):
        yield f"other frame {share:g}", _with(other_frame, share)
    yield "rotated 1", _with(rotated, float(chance.choice((-1.0, 1.0))))
    yield "rotated 3", _with(rotated, float(chance.choice((-3.0, 3.0))))
    yield "turned", _with(turned, int(chance.integers(1, 4)))
    yield "mirrored", _with(mirrored, 1)
    yield "cropped 0.01", _with(cropped, 0.01)
    yield "cropped 0.03", _with(cropped, 0.03)


def _with(edit: Callable[..., Rgb], strength: float) -> Edit:
    return lambda rgb, alpha, chance: edit(rgb, alpha, chance, strength)


def _relaid(rgb: Rgb, alpha: Alpha, matrix: npt.NDArray[np.float64]) -> Rgb:
    """The subject moved by ``matrix`` (2 x 3, forward) over its filled background."""
    front = _warped(rgb, matrix, cv2.BORDER_REPLICATE).astype(np.float32)
    share = _warped(alpha, matrix, cv2.BORDER_REPLICATE)
    return over(front, np.clip(share, 0, 1), background(rgb, alpha))


def _remapped(rgb: Rgb, alpha: Alpha, across: Alpha, down: Alpha) -> Rgb:
    linear, edge = cv2.INTER_CUBIC, cv2.BORDER_REPLICATE
    front = np.asarray(cv2.remap(rgb, across, down, linear, borderMode=edge), np.float32)
    share = np.asarray(cv2.remap(alpha, across, down, cv2.INTER_LINEAR, borderMode=edge))
    return over(front, np.clip(share, 0, 1), background(rgb, alpha))


def _warped(image: npt.NDArray, matrix: npt.NDArray, border: int) -> npt.NDArray:  # type: ignore[type-arg]
    size = image.shape[1], image.shape[0]
    return cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=border)


def _somewhere(mask: npt.NDArray[np.bool_], chance: np.random.Generator) -> tuple[int, int]:
    rows, columns = np.nonzero(mask)
    chosen = chance.integers(len(rows))
    return int(rows[chosen]), int(columns[chosen])


def _disc(shape: tuple[int, ...], row: int, column: int, radius: float) -> Alpha:
    y, x = np.indices(shape, np.float32)
    return np.clip(radius + 0.5 - np.hypot(y - row, x - column), 0, 1).astype(np.float32)


def _float(rgb: Rgb) -> npt.NDArray[np.float32]:
    return rgb.astype(np.float32)


def _blurred(values: npt.NDArray, sigma: float) -> npt.NDArray:  # type: ignore[type-arg]
    """Gaussian blur, at reduced size where it is wide."""
    shrink = max(1, int(sigma / 4))
    size = max(1, values.shape[1] // shrink), max(1, values.shape[0] // shrink)
    small = cv2.resize(values, size, interpolation=cv2.INTER_AREA) if shrink > 1 else values
    small = cv2.GaussianBlur(small, (0, 0), sigma / shrink)
    return cv2.resize(small, (values.shape[1], values.shape[0]), interpolation=cv2.INTER_LINEAR)
