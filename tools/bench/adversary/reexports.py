"""The same picture as other software saves it again: other bytes, the same matte."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

Rgb = npt.NDArray[np.uint8]

SHARPEST, SHARP, SMOOTH = cv2.INTER_LANCZOS4, cv2.INTER_CUBIC, cv2.INTER_AREA


def saved(rgb: Rgb, kind: str, quality: int = 95) -> Rgb:
    """``rgb`` (H x W x 3) written as ``jpg``, ``webp`` or ``png`` and read again."""
    option = {"jpg": cv2.IMWRITE_JPEG_QUALITY, "webp": cv2.IMWRITE_WEBP_QUALITY}.get(kind)
    settings = [] if option is None else [option, quality]
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    data = cv2.imencode(f".{kind}", bgr, settings)[1]
    read = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert read is not None
    return np.asarray(cv2.cvtColor(read, cv2.COLOR_BGR2RGB), np.uint8)


def resized(rgb: Rgb, factor: float, method: int | None = None) -> Rgb:
    """``rgb`` with sides ``factor`` times as long, rounded, at least one pixel each."""
    height, width = rgb.shape[:2]
    size = max(1, round(width * factor)), max(1, round(height * factor))
    if method is None:
        method = SMOOTH if factor < 1 else SHARP
    return np.asarray(cv2.resize(rgb, size, interpolation=method), np.uint8)


def accepted_reexports(rgb: Rgb) -> Iterator[tuple[str, Rgb]]:
    """Name and pixels of what must be answered from the cache in at least 95 of 100 cases."""
    for quality in (75, 80, 85, 90, 95):
        yield f"jpeg {quality}", saved(rgb, "jpg", quality)
    for quality in (75, 90):
        yield f"webp {quality}", saved(rgb, "webp", quality)
    yield "png", saved(rgb, "png")
    for factor in (0.5, 0.75, 1.5, 2.0):
        yield f"resized {factor:g}", resized(rgb, factor)
        yield f"resized {factor:g} jpeg 90", saved(resized(rgb, factor), "jpg", 90)
    yield "resized 0.5 lanczos", resized(rgb, 0.5, SHARPEST)


def doubtful_reexports(rgb: Rgb) -> Iterator[tuple[str, Rgb]]:
    """What may be refused: so much was lost that an edit could hide in it."""
    yield "jpeg 50", saved(rgb, "jpg", 50)
    yield "resized 0.3", resized(rgb, 0.3)
    yield "resized 0.5 jpeg 75", saved(resized(rgb, 0.5), "jpg", 75)
    yield "resized 2 jpeg 75", saved(resized(rgb, 2.0), "jpg", 75)
    yield "brighter", saved(exposed(rgb, 1.06, 3.0), "jpg", 90)
    yield "darker", saved(exposed(rgb, 0.93, -2.0), "jpg", 90)


def exposed(rgb: Rgb, gain: float, offset: float) -> Rgb:
    """``rgb * gain + offset``, clipped."""
    return np.clip(np.rint(rgb * np.float32(gain) + offset), 0, 255).astype(np.uint8)
