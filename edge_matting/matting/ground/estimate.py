"""What the ground of a photo looks like, from its border and from where the network is sure.

The order of the questions keeps a photo in the street cheap: its border alone says that its ground
is not plain. Only a plain border is looked at with the whole photo.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import cv2
import numpy as np
import numpy.typing as npt

from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.matting.ground.horizon import Horizon, two_grounds
from edge_matting.matting.ground.surface import Mask, Places, Planes, Surface, fitted, places_of
from edge_matting.matting.resize import resample, three_times
from edge_matting.matting.tiles import Grid

Kind = Literal["plain", "two", "chroma", "plate"]

WORKING_SIDE: Final = 640  # cells of a side at most, as refine has them
PLAIN: Final = 0.9  # share of the border within TOLERANCE, from which on a ground is plain
_TWO: Final = 0.95  # the same for two grounds, which fit more by chance
TOLERANCE: Final = 4.0  # CIELAB
_ROUGHEST: Final = 3.5  # deviation of the ground at working size, CIELAB
_RUN: Final = 8  # neighbouring cells of the border, whose mean is compared
_BUSY: Final = 0.3  # share of the border's steps that are larger than TOLERANCE
_STRIP: Final = 0.02  # of the short side: how deep the border is
_UNSEEN: Final = 0.1  # a matte above it may be the subject
_SURE: Final = 0.03  # a matte below it is background for sure
_LEAST_BORDER: Final = 0.3  # share of the border that must not be the subject's
_INSIDE: Final = 0.9  # share of the sure background that must look like the border
_LIT: Final = 0.6  # share of it that must not be darker
_LEAST_NOISE: Final = np.array([0.35, 0.3, 0.3], np.float32)  # 8 bits and JPEG
_COARSE: Final = 8  # cells of the working size that share one correction
_SHIFT: Final = 1.0  # cells, by which an edge of the ground may be off
_GUESS: Final = 1.2  # CIELAB, by which a colour carried on may be off
_SMOOTH: Final = 0.06  # of the longer side: how wide a correction is


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a ground is known, and by which figures."""

    plain: bool
    plainness: float  # share of the border within TOLERANCE of a smooth colour
    roughness: float  # deviation of the border from it, CIELAB


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """A known ground, at working size (h x w cells)."""

    kind: Kind
    verdict: Verdict
    colour: Planes  # the ground's, h x w x 3, CIELAB
    smooth: Planes  # the same without its shadows
    away: Planes  # the photo's difference from it, h x w x 3
    noise: Planes  # deviation of that difference, h x w x 3: more where the ground has edges
    grain: Planes  # the same where the ground is even, 3 values


def lab(rgb: npt.NDArray[Any]) -> Planes:
    """CIELAB of ``rgb`` (h x w x 3, uint8 or uint16), float32."""
    scaled = rgb * np.float32(1 / np.iinfo(rgb.dtype).max)
    planes: Any = cv2.cvtColor(scaled, cv2.COLOR_RGB2Lab)
    return np.asarray(planes, np.float32)


def border_samples(rgb: Rgb, alpha: Alpha) -> tuple[Places, Planes, Mask]:
    """Places (n x 2), CIELAB (n x 3) and whether it may be ground, of cells along the border.

    They go around the photo: top from left to right, right, bottom, left.
    """
    height, width = rgb.shape[:2]
    factor = Grid.over(rgb.shape, WORKING_SIDE).factor
    deep = max(2 * factor, round(_STRIP * min(height, width)) // factor * factor)
    deep = min(deep, height, width)
    strips = (
        (rgb[:deep], 0, 0, 0), (rgb[:, width - deep :], 0, width - deep, 1),
        (rgb[height - deep :], height - deep, 0, 2), (rgb[:, :deep], 0, 0, 3),
    )  # fmt: skip
    places, colours = [], []
    for pixels, top, left, side in strips:
        cells = max(1, pixels.shape[1] // factor), max(1, pixels.shape[0] // factor)
        small = lab(resample(np.ascontiguousarray(pixels), cells))
        rows, columns = np.indices(small.shape[:2]).reshape(2, -1)
        y = (top + (rows + 0.5) * pixels.shape[0] / cells[1]) * 2 / height - 1
        x = (left + (columns + 0.5) * pixels.shape[1] / cells[0]) * 2 / width - 1
        order = np.argsort(columns if side in {0, 2} else rows, kind="stable")
        if side in {2, 3}:
            order = order[::-1]
        places.append(np.stack([x, y], 1)[order].astype(np.float32))
        colours.append(small.reshape(-1, 3)[order])
    where = np.concatenate(places)
    rows = ((where[:, 1] + 1) / 2 * alpha.shape[0]).astype(np.intp)
    columns = ((where[:, 0] + 1) / 2 * alpha.shape[1]).astype(np.intp)
    seen = alpha[rows.clip(0, alpha.shape[0] - 1), columns.clip(0, alpha.shape[1] - 1)]
    return where, np.concatenate(colours), seen < _UNSEEN


def judged(places: Places, colours: Planes, model: Surface | Horizon) -> Verdict:
    """How well ``model`` tells the samples' colours."""
    away = colours - model.at(places)
    runs = away[: len(away) // _RUN * _RUN].reshape(-1, _RUN, 3)
    near = np.linalg.norm(runs.mean(axis=1), axis=1) <= TOLERANCE
    plainness = float(near.mean())
    rough = float(np.sqrt(np.square(runs[near]).sum(axis=2).mean())) if near.any() else TOLERANCE
    return Verdict(plainness >= PLAIN and rough <= _ROUGHEST, plainness, rough)


def find_ground(rgb: Rgb, alpha: Alpha) -> tuple[Ground | None, Verdict]:
    """The plain ground (or two) of ``rgb`` (H x W x 3), and the figures; None where it is none.

    ``alpha`` is the network's matte, of any size.
    """
    places, colours, free = border_samples(rgb, alpha)
    if free.mean() < _LEAST_BORDER:
        return None, Verdict(plain=False, plainness=0.0, roughness=0.0)
    places, colours = places[free], colours[free]
    if _busy(colours):
        return None, Verdict(plain=False, plainness=0.0, roughness=TOLERANCE)
    kind, model, verdict = _modelled(places, colours)
    if not verdict.plain:
        return None, verdict
    small = lab(Grid.over(rgb.shape, WORKING_SIDE).means(rgb))
    shape = (small.shape[0], small.shape[1])
    matte = resample(alpha, (shape[1], shape[0]))
    sure = _away_from(matte)
    found = _whole(small, sure, places, colours, model)
    if found is None:
        return None, Verdict(plain=False, plainness=verdict.plainness, roughness=verdict.roughness)
    smooth = found
    return with_noise(kind, verdict, small, smooth, matte), verdict


def _busy(colours: Planes) -> bool:
    """Whether the border's colours (n x 3, in order) change too much from place to place for any
    plain ground: a glance before anything is fitted."""
    runs = colours[: len(colours) // _RUN * _RUN : 2].reshape(-1, _RUN // 2, 3)
    steps = np.abs(np.diff(runs.mean(axis=1), axis=0)).max(axis=1)
    spread = np.ptp(runs[:, :, 0], axis=1)
    return len(steps) > 8 and float((np.maximum(steps, spread[1:] / 3) > TOLERANCE).mean()) > _BUSY


def with_noise(kind: Kind, verdict: Verdict, small: Planes, smooth: Planes, matte: Alpha) -> Ground:
    """The ground with what is smooth in its difference from the photo added, and its noise."""
    away = small - smooth
    like = (np.abs(away).max(axis=2) < TOLERANCE) & (matte < 0.5)
    return corrected(kind, verdict, small, smooth, like)


def corrected(kind: Kind, verdict: Verdict, small: Planes, smooth: Planes, like: Mask) -> Ground:
    """The ground whose smooth colour is brought nearer to the cells that are ``like`` it."""
    away = small - smooth
    correction, support = _correction(away, like)
    colour = smooth + correction
    away = small - colour
    grain = _noise(away, like)
    edges = None if kind == "plain" else smooth
    return Ground(kind, verdict, colour, smooth, away, _uncertain(grain, edges, support), grain)


def _modelled(places: Places, colours: Planes) -> tuple[Kind, Surface | Horizon, Verdict]:
    step = max(1, len(places) // 1500)
    model: Surface | Horizon = fitted(places[::step], colours[::step])
    verdict = judged(places, colours, model)
    if verdict.plain and verdict.plainness >= 0.97:
        return "plain", model, verdict
    other = two_grounds(places[::step], colours[::step])
    if other is not None:
        better = judged(places, colours, other)
        if (
            better.plainness >= _TWO
            and better.plain
            and better.plainness > verdict.plainness + 0.02
        ):
            return "two", other, better
    return "plain", model, verdict


def _away_from(matte: Alpha) -> Mask:
    """Where the network is sure of background, a little away from the subject."""
    reach = max(1, max(matte.shape) // 80)
    wide: Any = cv2.dilate(matte, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    return np.asarray(wide.reshape(matte.shape) < _SURE, np.bool_)


def _whole(
    small: Planes, sure: Mask, places: Places, colours: Planes, model: Surface | Horizon
) -> Planes | None:
    """The ground's smooth colour over the whole photo; None where its inside is another."""
    shape = (small.shape[0], small.shape[1])
    step = max(2, max(shape) // 64)
    rows, columns = np.nonzero(sure[::step, ::step])
    rows, columns = rows * step, columns * step
    if len(rows) >= 50:
        inner, seen = places_of(rows, columns, shape), small[rows, columns]
        away = seen - model.at(inner)
        near = np.linalg.norm(away, axis=1) <= 2 * TOLERANCE
        darker = (away[:, 0] < 0) & (np.abs(away[:, 1:]).max(axis=1) <= TOLERANCE)  # shadows
        if (near | darker).mean() < _INSIDE or near.mean() < _LIT:
            return None
        stride = max(1, len(places) // max(1, len(inner)))
        every = np.concatenate([places[::stride], inner])
        model = (
            model.again(every, np.concatenate([colours[::stride], seen]))
            if isinstance(model, Horizon)
            else fitted(every, np.concatenate([colours[::stride], seen]))
        )
    return model.over(shape)


def _correction(away: Planes, like: Mask) -> tuple[Planes, Alpha]:
    """What is smooth in ``away`` (h x w x 3) where the photo looks ``like`` the ground, and how
    much of it is near, h x w in [0, 1].

    Normalised convolution (Knutsson and Westin, CVPR 1993); it fades out where no ground is near.
    """
    height, width = like.shape
    size = max(1, width // _COARSE), max(1, height // _COARSE)
    weight = resample(like.astype(np.float32), size)
    values = resample(np.where(like[..., None], away, np.float32(0)), size)
    sigma = max(0.6, _SMOOTH * max(size) / 2)
    share: Any = cv2.GaussianBlur(weight, (0, 0), sigma)
    total: Any = cv2.GaussianBlur(values, (0, 0), sigma)
    mean: Any = total / (share + np.float32(0.02))[..., None]
    near = np.minimum(np.asarray(share, np.float32) * 4, 1)
    return resample(np.asarray(mean, np.float32), (width, height)), resample(near, (width, height))


def _noise(away: Planes, like: Mask) -> Planes:
    """Robust deviation of each channel where only ground is seen, 3 values."""
    values = away[like][:: max(1, int(like.sum()) // 4000)]
    if len(values) < 50:
        return np.full(3, TOLERANCE / 2, np.float32)
    spread = np.median(np.abs(values), axis=0) * np.float32(1.4826)
    noise: Planes = np.maximum(spread, _LEAST_NOISE).astype(np.float32)
    return noise


def _uncertain(noise: Planes, smooth: Planes | None, support: Alpha) -> Planes:
    """``noise`` (3) by place, h x w x 3: an edge of the ground may lie _SHIFT cells elsewhere, and
    where no ground is seen close by (``support``, h x w) its colour is a guess."""
    moved = three_times((1 - support) * np.float32(_GUESS))
    if smooth is not None:
        across: Any = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8)
        down: Any = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8)
        moved = moved + np.asarray(
            cv2.blur(cv2.magnitude(across, down) * np.float32(_SHIFT), (3, 3)), np.float32
        )
    level: Any = np.broadcast_to(noise, moved.shape).astype(np.float32)
    both: Planes = np.asarray(cv2.magnitude(moved, level), np.float32).reshape(moved.shape)
    return both


def labels(mask: Mask) -> tuple[int, npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Regions of ``mask`` (h x w): their number with the outside, labels and statistics."""
    count, marks, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=4)
    return count, np.asarray(marks, np.int32), np.asarray(stats, np.int32)
