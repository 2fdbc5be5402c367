"""The small before/after picture of the status page."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import simplejpeg

from edge_matting.core.arrays import Alpha, Rgb

_LIGHT, _DARK, _SQUARE = 235, 205, 8
_WIDEST = 4  # a panorama's preview is at most this many times as wide as high


def before_after(rgb: Rgb, alpha: Alpha, height: int = 240) -> bytes:
    """A JPEG of the photo (left) and its cut-out over a checkerboard (right).

    ``rgb`` is H x W x 3, uint8 or uint16; ``alpha`` float32 H x W in [0, 1]. The result is at most
    ``height`` pixels high and never larger than the photo.
    """
    tall, wide = rgb.shape[:2]
    scale = min(1.0, height / tall, height * _WIDEST / wide)
    size = (max(1, round(wide * scale)), max(1, round(tall * scale)))
    photo: Any = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    if photo.dtype == np.uint16:
        photo = (photo >> 8).astype(np.uint8)
    share = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)[:, :, np.newaxis]
    over = photo * share + _checkerboard(size) * (1 - share)
    both = np.hstack([photo, np.clip(np.rint(over), 0, 255).astype(np.uint8)])
    encoded: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(both), quality=85)
    return encoded


def _checkerboard(size: tuple[int, int]) -> Any:
    rows, columns = np.indices((size[1], size[0])) // _SQUARE
    return np.where((rows + columns) % 2, _DARK, _LIGHT)[:, :, np.newaxis].astype(np.float32)
