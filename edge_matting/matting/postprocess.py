"""What a recipe asks of a refined matte and of the estimated foreground, in one fixed order.

::

    refined matte
      1. threshold   haze below alpha_threshold goes, before anything can spread it
      2. erode       the outline moves inwards
      3. feather     the outline is softened where it now lies
    estimated foreground (made with the finished matte: what is softened gets the subject's colour)
      4. despill     after the estimation, which needs the photo's own mixture of colours
    5. frame         crop and canvas (``framing``), matte and foreground together
    6. shadow        at the output's size (``shadow``)
    7. composite     over the backdrop (``compositing``, ``backdrop``)

Each step left out costs nothing. Work goes in strips of rows, so that temporaries are small beside
the picture; a strip that is all inside or all outside is only copied.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal

import cv2
import numpy as np

from edge_matting.core.arrays import Alpha, Rgb, check_alpha, check_rgb
from edge_matting.matting.resize import resample

Cast = Literal["red", "green", "blue"]

_CHANNELS: Final[dict[Cast, int]] = {"red": 0, "green": 1, "blue": 2}
_ROWS: Final = 256
_SMALL_SIDE: Final = 256  # enough to know the background's colour by
_CAST: Final = 0.12  # of the range, by which one channel must lead the others
_LEAST_BACKGROUND: Final = 0.01  # of the picture
_EDGE_PART: Final = 300  # the cast reaches inwards by this part of the short side


def finish_matte(
    alpha: Alpha, *, alpha_threshold: int = 0, erode: float = 0.0, feather: float = 0.0
) -> Alpha:
    """Steps 1 to 3 on ``alpha``, H x W float32 in [0, 1]; the same array where nothing is asked.

    ``alpha_threshold`` is 0 to 255; ``erode`` and ``feather`` are in pixels of the matte.
    """
    check_alpha(alpha)
    if alpha_threshold > 0:
        alpha = threshold(alpha, alpha_threshold)
    if erode > 0:
        alpha = eroded(alpha, erode)
    if feather > 0:
        alpha = feathered(alpha, feather)
    return alpha


def threshold(alpha: Alpha, level: int) -> Alpha:
    """``alpha`` with 0 wherever it is below ``level`` / 255; the rest is not touched."""
    kept: Alpha = np.where(alpha < np.float32(level / 255), np.float32(0.0), alpha)
    return kept


def eroded(alpha: Alpha, radius: float) -> Alpha:
    """``alpha`` drawn in by ``radius`` pixels: the least value within a disc.

    The picture's own border does not erode: a subject that it cuts off goes on beyond it. Between
    whole pixels the result is mixed in proportion.
    """
    whole = math.floor(radius)
    part = np.float32(radius - whole)

    def work(near: Alpha) -> Alpha:
        least = _least(near, whole)
        if part > 0:
            further = _least(near, whole + 1)
            return least + part * (further - least)  # type: ignore[no-any-return]
        return least

    return _in_strips(alpha, math.ceil(radius), work)


def feathered(alpha: Alpha, radius: float) -> Alpha:
    """``alpha`` softened: a Gaussian of ``radius`` / 2 that ends ``radius`` pixels away."""
    reach = math.ceil(radius)
    side = 2 * reach + 1

    def work(near: Alpha) -> Alpha:
        soft: Any = cv2.GaussianBlur(
            near, (side, side), radius / 2, borderType=cv2.BORDER_REPLICATE
        )
        # the kernel's weights end a rounding error above 1
        clipped: Alpha = np.minimum(soft.reshape(near.shape), np.float32(1.0))
        return clipped

    return _in_strips(alpha, reach, work)


def background_cast(rgb: Rgb, alpha: Alpha) -> Cast | None:
    """The one primary colour that leads in the background, such as a studio's green, or None.

    ``rgb`` is the photo, H x W x 3; ``alpha`` its matte, H x W.
    """
    check_rgb(rgb)
    check_alpha(alpha)
    height, width = alpha.shape
    scale = min(1.0, _SMALL_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    behind = resample(rgb, size)[resample(alpha, size) < 0.02]
    if len(behind) < _LEAST_BACKGROUND * size[0] * size[1]:
        return None
    middle = np.median(behind, axis=0) / np.iinfo(rgb.dtype).max
    first = int(middle.argmax())
    if middle[first] - np.delete(middle, first).max() < _CAST:
        return None
    return next(name for name, channel in _CHANNELS.items() if channel == first)


def despilled(foreground: Rgb, alpha: Alpha, cast: Cast) -> Rgb:
    """``foreground`` (H x W x 3) without a ``cast`` along the matte's edge.

    The channel is held down to the larger of the other two: fully where alpha is below 1, less and
    less inwards. The inside keeps its colours, so a green dress on green stays green.
    """
    check_rgb(foreground)
    check_alpha(alpha)
    channel = _CHANNELS[cast]
    others = [other for other in range(3) if other != channel]
    reach = max(2, math.ceil(min(alpha.shape) / _EDGE_PART))
    result: Rgb = foreground.copy()
    for rows, near, inner in _strips(alpha, reach):
        if near.min() >= 1.0 or near.max() <= 0.0:
            continue
        edge = np.float32(1.0) - _inwards(near, reach)[inner]
        part = result[rows]
        limit = np.maximum(part[:, :, others[0]], part[:, :, others[1]])
        excess = cv2.subtract(np.ascontiguousarray(part[:, :, channel]), limit)
        lowered = np.rint(edge * excess.reshape(edge.shape)).astype(part.dtype)
        part[:, :, channel] -= lowered
    return result


def _inwards(alpha: Alpha, reach: int) -> Alpha:
    """0 where ``alpha`` is below 1, rising to 1 about ``reach`` pixels inwards."""
    solid = (alpha >= 1.0).astype(np.float32)
    half = max(1, reach // 2)
    side = 2 * half + 1
    mean: Any = cv2.blur(_least(solid, half), (side, side), borderType=cv2.BORDER_REPLICATE)
    inner: Alpha = np.clip(np.minimum(mean.reshape(alpha.shape), solid), 0.0, 1.0)
    return inner


def _least(alpha: Alpha, radius: int) -> Alpha:
    """The least value within a disc; beyond the border lies nothing."""
    if radius == 0:
        return alpha
    side = 2 * radius + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    least: Any = cv2.erode(alpha, disc)
    return least.reshape(alpha.shape)  # type: ignore[no-any-return]


def _in_strips(alpha: Alpha, reach: int, work: Callable[[Alpha], Alpha]) -> Alpha:
    """``work`` done strip by strip, each with ``reach`` rows of its neighbours around it."""
    result = np.empty_like(alpha)
    for rows, near, inner in _strips(alpha, reach):
        flat = near.min() == near.max()
        result[rows] = alpha[rows] if flat else work(near)[inner]
    return result


def _strips(alpha: Alpha, reach: int) -> Iterator[tuple[slice, Alpha, slice]]:
    """The rows of each strip, the strip with its neighbours, and where in that it lies."""
    height = alpha.shape[0]
    for start in range(0, height, _ROWS):
        stop = min(start + _ROWS, height)
        top = max(0, start - reach)
        near = alpha[top : min(height, stop + reach)]
        yield slice(start, stop), near, slice(start - top, stop - top)
