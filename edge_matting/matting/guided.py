"""The locally linear colour model: within a small window alpha = slope . colour + offset.

He, Sun, Tang, "Guided Image Filtering", ECCV 2010, with three colour channels as guide: hair and
background often differ in hue alone. The fit for one guide and many targets is what both the guided
filter and the matting Laplacian are made of.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from edge_matting.core.arrays import Rgb

Plane: TypeAlias = npt.NDArray[np.float32]


def channels(rgb: Rgb) -> list[Plane]:
    """Red, green and blue of H x W x 3 pixels as planes in [0, 1]."""
    scale = np.float32(1 / np.iinfo(rgb.dtype).max)
    return [np.multiply(channel, scale, dtype=np.float32) for channel in cv2.split(rgb)]


class Windows:
    """Square windows of ``radius`` around every pixel of a guide (three H x W planes)."""

    def __init__(self, guide: list[Plane], radius: int, epsilon: float) -> None:
        """``epsilon`` is the variance of the guide, in [0, 1], below which a window is flat."""
        self._guide = guide
        self._radius = radius
        self._means = [box(channel, radius) for channel in guide]
        self._inverse = _inverse(self._variance(epsilon), epsilon)

    def fit(self, target: Plane) -> list[Plane]:
        """Three slopes and the offset of the model of ``target`` (H x W), averaged over the
        windows that hold a pixel."""
        radius = self._radius
        offset = box(target, radius)
        red, green, blue = (
            box(channel * target, radius) - mean * offset
            for channel, mean in zip(self._guide, self._means, strict=True)
        )
        rr, rg, rb, gg, gb, bb = self._inverse
        slopes = [
            rr * red + rg * green + rb * blue,
            rg * red + gg * green + gb * blue,
            rb * red + gb * green + bb * blue,
        ]
        for slope, mean in zip(slopes, self._means, strict=True):
            offset -= slope * mean
        return [box(plane, radius) for plane in (*slopes, offset)]

    def filtered(self, target: Plane) -> Plane:
        """``target`` (H x W) as the model draws it: the guided filter."""
        red, green, blue, result = self.fit(target)
        for slope, channel in zip((red, green, blue), self._guide, strict=True):
            result += slope * channel
        return result

    def _variance(self, epsilon: float) -> list[Plane]:
        """Upper triangle of the colours' covariance (rr, rg, rb, gg, gb, bb), regularised."""
        planes = []
        for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)):
            plane = box(self._guide[i] * self._guide[j], self._radius)
            plane -= self._means[i] * self._means[j]
            if i == j:
                plane += np.float32(epsilon)
            planes.append(plane)
        return planes


def box(values: Plane, radius: int) -> Plane:
    """Mean over the square window of ``radius`` around each pixel, H x W."""
    side = 2 * radius + 1
    mean: Any = cv2.blur(values, (side, side), borderType=cv2.BORDER_REPLICATE)
    boxed: Plane = mean.reshape(values.shape)
    return boxed


def _inverse(variance: list[Plane], epsilon: float) -> list[Plane]:
    """Inverses of symmetric 3 x 3 matrices, by their adjugates; upper triangles in and out."""
    rr, rg, rb, gg, gb, bb = variance
    adjugate = [
        gg * bb - gb * gb,
        gb * rb - rg * bb,
        rg * gb - gg * rb,
        rr * bb - rb * rb,
        rb * rg - rr * gb,
        rr * gg - rg * rg,
    ]
    determinant = rr * adjugate[0] + rg * adjugate[1] + rb * adjugate[2]
    scale = 1 / np.maximum(determinant, np.float32(epsilon**3))
    return [plane * scale for plane in adjugate]
