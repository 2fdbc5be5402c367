"""A plate: the same set, photographed empty by a camera that does not move.

The plate is brought to the photo: shifted by what the camera moved (phase correlation, Kuglin and
Hines 1975, then the enhanced correlation coefficient of Evangelidis and Psarakis, PAMI 2008),
exposed and balanced like it. Where it has edges a rest of a shift looks like a difference, so its
noise is more there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.matting.ground.estimate import WORKING_SIDE, Ground, Verdict, corrected, lab
from edge_matting.matting.ground.surface import Mask, Planes
from edge_matting.matting.resize import AnyArray, resample
from edge_matting.matting.tiles import Grid

FITS: Final = 0.75  # share of the sure background that must equal the plate
_TOLERANCE: Final = 6.0  # CIELAB, at working size
_PROPORTION: Final = 0.01  # by which the proportions may differ
_FARTHEST: Final = 0.03  # of the longer side: a larger shift is another set
_ECC: Final = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-4)
_LEVELS: Final = 33


class PlateMisfit(Exception):
    """The plate does not show the photo's set; the message says why."""


@dataclass(frozen=True, slots=True, eq=False)
class FittedPlate:
    """A plate as the photo's camera would have seen it."""

    pixels: Rgb  # H x W x 3, in the photo's type
    ground: Ground
    shift: tuple[float, float]  # pixels to the right, down


def fit_plate(rgb: Rgb, matte: Alpha, plate: Rgb) -> FittedPlate:
    """``plate`` brought to ``rgb`` (H x W x 3); raises ``PlateMisfit`` with the reason.

    ``matte`` is the network's, of any size.
    """
    height, width = rgb.shape[:2]
    if abs(plate.shape[1] / plate.shape[0] / (width / height) - 1) > _PROPORTION:
        raise PlateMisfit(
            f"the plate is {plate.shape[1]} x {plate.shape[0]}, the photo {width} x {height}"
        )
    plate = _at_depth(plate, rgb)
    grid = Grid.over(rgb.shape, WORKING_SIDE)
    small = grid.means(rgb)
    size = small.shape[1], small.shape[0]
    empty = grid.means(_sized(plate, (width, height)))
    behind = resample(matte, size) < 0.3
    if behind.mean() < 0.05:
        raise PlateMisfit("the subject fills the photo: nothing of the set is seen")
    shift = _shift(small, empty, behind)
    if max(map(abs, shift)) > _FARTHEST * max(size):
        raise PlateMisfit(
            f"the camera moved by {max(map(abs, shift)) * grid.factor:.0f} pixels or more"
        )
    moved = _moved(empty, shift)
    curves = _curves(moved, small, behind)
    balanced = lab(_balanced(moved, curves))
    seen = lab(small)
    near = np.linalg.norm(seen - balanced, axis=2) < _TOLERANCE + 2 * _edges(balanced)
    fits = float(near[behind].mean())
    if fits < FITS:
        raise PlateMisfit(f"only {fits:.0%} of the background equals the plate")
    verdict = Verdict(
        plain=True,
        plainness=fits,
        roughness=float(np.median(np.abs(seen - balanced)[behind & near])),
    )
    ground = corrected("plate", verdict, seen, balanced, near & behind)
    whole: Rgb = _balanced(
        _moved(_sized(plate, (width, height)), (shift[0] * grid.factor, shift[1] * grid.factor)),
        curves,
    )
    return FittedPlate(whole, ground, (shift[0] * grid.factor, shift[1] * grid.factor))


def _at_depth(plate: Rgb, rgb: Rgb) -> Rgb:
    """``plate`` in the type of ``rgb``."""
    if plate.dtype == rgb.dtype:
        return plate
    if rgb.dtype == np.uint16:
        wide: Rgb = plate.astype(np.uint16) * np.uint16(257)
        return wide
    narrow: Rgb = (plate >> 8).astype(np.uint8)
    return narrow


def _sized(plate: Rgb, size: tuple[int, int]) -> Rgb:
    return plate if plate.shape[1::-1] == size else resample(plate, size)


def _edges(planes: Planes) -> Alpha:
    across: Any = cv2.Sobel(planes[:, :, 0], cv2.CV_32F, 1, 0, scale=1 / 8)
    down: Any = cv2.Sobel(planes[:, :, 0], cv2.CV_32F, 0, 1, scale=1 / 8)
    return np.asarray(cv2.magnitude(across, down), np.float32)


def _grey(rgb: Rgb) -> Planes:
    return np.asarray(
        cv2.cvtColor(rgb * np.float32(1 / np.iinfo(rgb.dtype).max), cv2.COLOR_RGB2GRAY), np.float32
    )


def _shift(small: Rgb, empty: Rgb, behind: Mask) -> tuple[float, float]:
    """By how many cells the photo lies to the right of and below the plate."""
    one, other = _grey(empty), _grey(small)
    filled = one + (other - one)[behind].mean()
    other = np.where(behind, other, filled).astype(np.float32)
    window: Any = cv2.createHanningWindow(one.shape[::-1], cv2.CV_32F)
    (across, down), _ = cv2.phaseCorrelate(one, other, window)
    if max(abs(across), abs(down)) > _FARTHEST * max(one.shape):
        across = down = 0.0  # a peak of chance, where the set has no structure
    warp: Any = np.array([[1, 0, -across], [0, 1, -down]], np.float32)
    try:
        _, warp = cv2.findTransformECC(
            other,
            one,
            warp,
            cv2.MOTION_TRANSLATION,
            _ECC,
            behind.view(np.uint8) * np.uint8(255),
            3,
        )
    except cv2.error:
        pass  # no structure to hold on to: the first guess stays
    # the warp takes the photo's places to the plate's
    return _better((across, down), (-float(warp[0, 2]), -float(warp[1, 2])), one, other, behind)


def _better(
    first: tuple[float, float],
    second: tuple[float, float],
    one: Planes,
    other: Planes,
    behind: Mask,
) -> tuple[float, float]:
    """Of no shift and the two guesses the one that explains the photo best."""

    def rest(shift: tuple[float, float]) -> float:
        apart = np.abs(_moved(one, shift) - other)[behind]
        return float(np.median(apart - np.median(apart)) + apart.mean())

    return min(((0.0, 0.0), first, second), key=rest)


def _moved(picture: AnyArray, shift: tuple[float, float]) -> AnyArray:
    if shift == (0.0, 0.0):
        return picture
    move = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
    moved: Any = cv2.warpAffine(
        picture, move, picture.shape[1::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return cast("AnyArray", np.asarray(moved, picture.dtype))


def _curves(plate: Rgb, photo: Rgb, behind: Mask) -> list[npt.NDArray[np.float64]]:
    """Each channel of the plate to the photo's: exposure and white balance.

    A robust line through coded values: a gain in light is nearly one in them, too.
    """
    top = float(np.iinfo(plate.dtype).max)
    curves = []
    for channel in range(3):
        x = plate[:, :, channel][behind][::7].astype(np.float64) / top
        y = photo[:, :, channel][behind][::7].astype(np.float64) / top
        kept = (x > 0.02) & (x < 0.98) & (y > 0.02) & (y < 0.98)
        x, y = x[kept], y[kept]
        line = np.array([1.0, 0.0])
        for _ in range(4):
            if len(x) < 50:
                break
            terms = np.column_stack([x, np.ones_like(x)])
            ridge = np.diag([0.0, 0.02 * len(x)])
            line = np.linalg.solve(terms.T @ terms + ridge, terms.T @ y)
            away = np.abs(terms @ line - y)
            near = away <= max(0.01, 2.5 * float(np.median(away)))
            x, y = x[near], y[near]
        curves.append(line)
    return curves


def _balanced(plate: Rgb, curves: list[npt.NDArray[np.float64]]) -> Rgb:
    top = float(np.iinfo(plate.dtype).max)
    planes = [
        np.clip(channel * np.float32(line[0]) + np.float32(line[1] * top), 0, top)
        for channel, line in zip(cv2.split(plate), curves, strict=True)
    ]
    merged: Rgb = np.rint(cv2.merge(planes)).astype(plate.dtype)
    return merged
