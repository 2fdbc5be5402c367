"""ICC profiles of primaries and one curve, for colour that a file says by other means.

ICC.1:2022; primaries by name as in ITU-T H.273 (CICP), table 2.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Point: TypeAlias = tuple[float, float]
Matrix: TypeAlias = npt.NDArray[np.float64]

_D50: Final = np.array((63190, 65536, 54061)) / 65536  # as ICC writes it
_D65: Final = (0.3127, 0.3290)
_BRADFORD: Final = np.array(
    ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
)
SRGB_CURVE: Final = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


@dataclass(frozen=True, slots=True)
class Primaries:
    """Chromaticities, xy of CIE 1931."""

    red: Point
    green: Point
    blue: Point
    white: Point = _D65

    def near(self, other: Primaries, tolerance: float = 0.002) -> bool:
        mine = (*self.red, *self.green, *self.blue, *self.white)
        theirs = (*other.red, *other.green, *other.blue, *other.white)
        return all(abs(a - b) <= tolerance for a, b in zip(mine, theirs, strict=True))


BT709: Final = Primaries((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
BT2020: Final = Primaries((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))
ADOBE_RGB: Final = Primaries((0.640, 0.330), (0.210, 0.710), (0.150, 0.060))
_NTSC: Final = Primaries((0.670, 0.330), (0.210, 0.710), (0.140, 0.080), (0.310, 0.316))
_PAL: Final = Primaries((0.640, 0.330), (0.290, 0.600), (0.150, 0.060))
_SMPTE: Final = Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070))
_DCI: Final = Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351))
_DISPLAY_P3: Final = Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
_FILM: Final = Primaries((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), (0.310, 0.316))
_EBU: Final = Primaries((0.630, 0.340), (0.295, 0.605), (0.155, 0.077))

PRIMARIES: Final = MappingProxyType(
    {
        1: ("sRGB", BT709),
        4: ("NTSC 1953", _NTSC),
        5: ("PAL", _PAL),
        6: ("SMPTE-C", _SMPTE),
        7: ("SMPTE-C", _SMPTE),
        8: ("generic film", _FILM),
        9: ("BT.2020", BT2020),
        11: ("DCI-P3", _DCI),
        12: ("Display P3", _DISPLAY_P3),
        22: ("EBU 3213", _EBU),
    }
)


def to_xyz(primaries: Primaries) -> Matrix:
    """3 x 3: linear RGB as a column to XYZ of the D50 connection space, adapted by Bradford."""
    points = (primaries.red, primaries.green, primaries.blue)
    columns = np.stack([_xyz(point) for point in points], axis=1)
    white = _xyz(primaries.white)
    scaled = columns * np.linalg.solve(columns, white)
    cone = _BRADFORD @ _D50 / (_BRADFORD @ white)
    adapted: Matrix = np.linalg.inv(_BRADFORD) @ np.diag(cone) @ _BRADFORD @ scaled
    return adapted


def _xyz(point: Point) -> npt.NDArray[np.float64]:
    x, y = point
    return np.array((x / y, 1.0, (1 - x - y) / y))


@lru_cache(maxsize=32)
def build_profile(name: str, primaries: Primaries, gamma: float | None) -> bytes:
    """A profile called ``name``; ``gamma`` is the exponent from code value to light, None sRGB's
    curve.
    """
    curve = _parametric((gamma,) if gamma is not None else SRGB_CURVE)
    columns = to_xyz(primaries).T
    tags = [
        (b"desc", _text(name)),
        (b"cprt", _text("No copyright, use freely")),
        (b"wtpt", _colour(_D50)),
        (b"rXYZ", _colour(columns[0])),
        (b"gXYZ", _colour(columns[1])),
        (b"bXYZ", _colour(columns[2])),
    ]
    return _profile(tags, curve)


def with_curve(curve: bytes) -> bytes:
    """An RGB profile of sRGB's primaries whose channels all have ``curve``, a tag's bytes: a grey
    picture as RGB has the same colours in it as in its own profile.
    """
    columns = to_xyz(BT709).T
    names = (b"rXYZ", b"gXYZ", b"bXYZ")
    tags = [(name, _colour(column)) for name, column in zip(names, columns, strict=True)]
    return _profile([(b"wtpt", _colour(_D50)), (b"desc", _text("grey")), *tags], curve)


def _profile(tags: list[tuple[bytes, bytes]], curve: bytes) -> bytes:
    start = 128 + 4 + 12 * (len(tags) + 3)
    table, body = b"", b""
    for tag, value in tags:
        table += struct.pack(">4sII", tag, start + len(body), len(value))
        body += value.ljust(-(-len(value) // 4) * 4, b"\x00")
    for tag in (b"rTRC", b"gTRC", b"bTRC"):
        table += struct.pack(">4sII", tag, start + len(body), len(curve))
    body += curve.ljust(-(-len(curve) // 4) * 4, b"\x00")
    head = struct.pack(
        ">I4sI4s4s4s12s4sIII4s4sI", start + len(body), b"\x00" * 4, 0x04300000, b"mntr", b"RGB ",
        b"XYZ ", b"\x07\xe8\x00\x01\x00\x01" + bytes(6), b"acsp", 0, 0, 0, b"\x00" * 4,
        b"\x00" * 4, 0,
    )  # fmt: skip
    head += struct.pack(">I3i", 1, *_fixed(_D50))  # intent: media-relative; illuminant
    return head.ljust(128, b"\x00") + struct.pack(">I", len(tags) + 3) + table + body


def _fixed(values: npt.NDArray[np.float64]) -> list[int]:
    return [round(float(value) * 65536) for value in values]


def _colour(values: npt.NDArray[np.float64]) -> bytes:
    return b"XYZ \x00\x00\x00\x00" + struct.pack(">3i", *_fixed(values))


def _text(text: str) -> bytes:
    coded = text.encode("utf-16-be")
    return b"mluc" + struct.pack(">IIIHHII", 0, 1, 12, 0x656E, 0x5553, len(coded), 28) + coded


def _parametric(numbers: tuple[float, ...]) -> bytes:
    kind = {1: 0, 5: 3}[len(numbers)]
    values = _fixed(np.array(numbers))
    return b"para" + struct.pack(">IHH", 0, kind, 0) + struct.pack(f">{len(values)}i", *values)
