"""What makes photos comparable: identity of bytes, identity of the model's input, and likeness.

Likeness only nominates. pHash after Zauner, "Implementation and Benchmarking of Perceptual Image
Hash Functions", 2010; dHash after Krawetz, "Kind of Like That", 2013.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_matting.core.arrays import Rgb, check_rgb

LAYOUT_SIDE: Final = 3

_SIDE: Final = 32
_PHASH_KEPT: Final = 8


def content_digest(data: bytes) -> str:
    """SHA-256 of the bytes as 64 hex digits: identity, not similarity."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A photo as the cache knows it.

    Equal ``pixels`` mean that the model sees the same input, bit for bit, and so gives the same
    matte. The hashes have 64 bits. ``layout`` holds the mean colours of a 3 x 3 grid, 27 bytes in
    reading order, RGB. ``size`` is the photo's width and height, upright.
    """

    pixels: str  # 32 hex digits
    phash: int
    dhash: int
    layout: bytes
    size: tuple[int, int]


def fingerprint_of(thumbnail: Rgb, size: tuple[int, int]) -> Fingerprint:
    """The fingerprint of a photo of ``size`` (width, height).

    ``thumbnail`` is the whole photo at the size at which the model sees it, h x w x 3, uint8 or
    uint16, RGB.
    """
    check_rgb(thumbnail)
    small: Any = cv2.resize(as_bytes(thumbnail), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    grey: Any = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    layout: Any = cv2.resize(small, (LAYOUT_SIDE, LAYOUT_SIDE), interpolation=cv2.INTER_AREA)
    return Fingerprint(_pixel_digest(thumbnail), phash(grey), dhash(grey), layout.tobytes(), size)


def phash(grey: npt.NDArray[Any]) -> int:
    """Signs of the 8 x 8 lowest frequencies of a 32 x 32 picture against their median, 64 bits."""
    low = cv2.dct(grey.astype(np.float32))[:_PHASH_KEPT, :_PHASH_KEPT].ravel()
    return _as_bits(low > np.median(low[1:]))


def dhash(grey: npt.NDArray[Any]) -> int:
    """Which neighbours brighten from left to right once it is 9 x 8 pixels small, 64 bits."""
    small: Any = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA).astype(np.int16)
    return _as_bits((np.diff(small, axis=1) > 0).ravel())


def as_bytes(rgb: Rgb) -> npt.NDArray[np.uint8]:
    """The upper eight bits of each value."""
    narrow: npt.NDArray[np.uint8] = (
        (rgb >> 8).astype(np.uint8) if rgb.dtype == np.uint16 else rgb.view(np.uint8)
    )
    return narrow


def _pixel_digest(thumbnail: Rgb) -> str:
    digest = hashlib.sha256()
    digest.update(f"{thumbnail.shape}{thumbnail.dtype}".encode())
    digest.update(np.ascontiguousarray(thumbnail).data)
    return digest.hexdigest()[:32]


def _as_bits(bits: npt.NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
