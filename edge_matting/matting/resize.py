"""Resampling without overshoot, for pictures of any proportion."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import cv2
import numpy.typing as npt

AnyArray = TypeVar("AnyArray", bound=npt.NDArray[Any])


def resample(image: AnyArray, size: tuple[int, int]) -> AnyArray:
    """``image`` (H x W or H x W x C, uint8, uint16 or float32) at ``size`` (width, height).

    Shrinking averages areas, enlarging interpolates linearly, so no value leaves the range of its
    neighbours. Where one axis shrinks and the other grows each is done by its own rule: OpenCV
    would drop to point-like linear sampling for both.
    """
    height, width = image.shape[:2]
    shrunk = (min(size[0], width), min(size[1], height))
    for target, method in ((shrunk, cv2.INTER_AREA), (size, cv2.INTER_LINEAR)):
        if (image.shape[1], image.shape[0]) != target:
            image = cast("AnyArray", cv2.resize(image, target, interpolation=method))
    return image


def three_times(plane: AnyArray) -> AnyArray:
    """H x W as H x W x 3. NumPy broadcasts a last axis of length 1 many times slower."""
    return cast("AnyArray", cv2.merge([plane, plane, plane]).reshape(*plane.shape, 3))
