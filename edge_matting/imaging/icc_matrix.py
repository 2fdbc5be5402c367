"""16-bit RGB to sRGB through a profile of three primaries and three curves, in floating point.

Pillow's Little CMS works on 8 bits. Nearly every RGB profile of a camera or a screen (sRGB, Display
P3, Adobe RGB, ProPhoto) is of this kind, ICC.1:2022 section 8.3.3; others are left to Pillow.
"""

from __future__ import annotations

import struct
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Deep: TypeAlias = npt.NDArray[np.uint16]

_TOP: Final = 65535
_ROWS: Final = 64
_SRGB: Final = np.array(  # its primaries in D50, as columns
    ((0.43607, 0.38515, 0.14307), (0.22249, 0.71687, 0.06061), (0.01392, 0.09708, 0.71410))
)


def deep_to_srgb(rgb: Deep, icc: bytes) -> Deep | None:
    """``rgb`` (H x W x 3) in sRGB; None where the profile is of another kind or broken."""
    try:
        tags = _tags(icc)
        if any(tag in tags for tag in (b"A2B0", b"A2B1")):
            return None  # its tables go before the matrix
        curves = [_curve(tags[name + b"TRC"]).astype(np.float32) for name in (b"r", b"g", b"b")]
        columns = [_xyz(tags[name + b"XYZ"]) for name in (b"r", b"g", b"b")]
    except (KeyError, ValueError, struct.error, IndexError):
        return None
    matrix = (np.linalg.inv(_SRGB) @ np.stack(columns, axis=1)).astype(np.float32)
    result = np.empty_like(rgb)
    for start in range(0, rgb.shape[0], _ROWS):
        part = rgb[start : start + _ROWS]
        linear = np.stack([curve[part[:, :, c]] for c, curve in enumerate(curves)], axis=2)
        result[start : start + _ROWS] = _encoded(linear @ matrix.T)
    return result


def grey_curve(icc: bytes) -> bytes | None:
    """The curve of a grey profile, a tag's bytes; None where it has none."""
    try:
        return _tags(icc).get(b"kTRC")
    except (ValueError, struct.error):
        return None


def _encoded(linear: npt.NDArray[np.float32]) -> Deep:
    """Linear light as sRGB's code values, 0 to 65535."""
    inside = np.clip(linear, 0.0, 1.0)
    low = inside * np.float32(12.92)
    high = np.float32(1.055) * inside ** np.float32(1 / 2.4) - np.float32(0.055)
    coded: Deep = np.rint(np.where(inside <= 0.0031308, low, high) * _TOP).astype(np.uint16)
    return coded


def _tags(icc: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", icc, 128)
    if count > 200:
        raise ValueError("a profile with so many tags is none")
    entries = (struct.unpack_from(">4sII", icc, 132 + 12 * i) for i in range(count))
    return {tag: icc[at : at + size] for tag, at, size in entries}


def _xyz(tag: bytes) -> Floats:
    return np.array(struct.unpack_from(">3i", tag, 8)) / 65536


def _curve(tag: bytes) -> Floats:
    """Linear light of each of the 65536 code values; ``ValueError`` for a kind not known."""
    x = np.arange(_TOP + 1) / _TOP
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return x
        table = np.array(struct.unpack_from(f">{count}H", tag, 12), float)
        if count == 1:
            return _checked(x ** (table[0] / 256))
        return np.interp(x, np.linspace(0, 1, count), table / _TOP)
    if tag[:4] == b"para":
        return _checked(_parametric(tag, x))
    raise ValueError(f"a curve of the kind {tag[:4]!r}")


def _parametric(tag: bytes, x: Floats) -> Floats:
    """ICC.1:2022 table 68: (ax + b) ** g + e above d, cx + f below."""
    (kind,) = struct.unpack_from(">H", tag, 8)
    given = np.array(struct.unpack_from(f">{(1, 3, 4, 5, 7)[kind]}i", tag, 12)) / 65536
    g, a, b, c, d, e, f = (float(value) for value in _completed(kind, given))
    power = np.maximum(a * x + b, 0.0) ** g + e
    curve: Floats = np.where(x >= d, power, c * x + f)
    return np.clip(curve, 0.0, 1.0)


def _completed(kind: int, given: Floats) -> tuple[float, ...]:
    """All seven numbers: g, a, b, c, d, e, f."""
    g, a, b, c, d, e, f = (float(value) for value in np.pad(given, (0, 7 - len(given))))
    if kind == 0:
        return g, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0
    if kind == 1:
        return g, a, b, 0.0, -b / a if a else 0.0, 0.0, 0.0
    if kind == 2:  # its fourth number is added on both sides
        return g, a, b, 0.0, -b / a if a else 0.0, c, c
    return g, a, b, c, d, e, f


def _checked(curve: Floats) -> Floats:
    if not np.isfinite(curve).all():
        raise ValueError("a curve that is not finite")
    return curve
