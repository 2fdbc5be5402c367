"""Colour profiles for tests, built from published numbers: no profile's bytes are shipped."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Mapping

import numpy as np

D50 = (0.9642, 1.0, 0.8249)


def _s15(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(values: tuple[float, float, float]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_s15, values))


def _gamma(exponent: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(exponent * 256)) + bytes(2)


def _srgb_curve() -> bytes:
    """The parametric curve of sRGB, type 3."""
    numbers = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    return b"para" + bytes(4) + struct.pack(">HH", 3, 0) + b"".join(map(_s15, numbers))


def _profile(kind: bytes, space: bytes, pcs: bytes, tags: Mapping[bytes, bytes]) -> bytes:
    text = {
        b"cprt": b"text\0\0\0\0none\0",
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78),
        b"wtpt": _xyz(D50),
    }
    every = {**text, **tags}
    table, body, at = b"", b"", 132 + 12 * len(every)
    for tag, data in every.items():
        padded = data + bytes(-len(data) % 4)
        table += struct.pack(">4sII", tag, at + len(body), len(data))
        body += padded
    head = struct.pack(">I", at + len(body)) + bytes(4) + b"\x02\x40\0\0" + kind + space + pcs
    head += bytes(12) + b"acsp" + bytes(28) + b"".join(map(_s15, D50))
    return head.ljust(128, b"\0") + struct.pack(">I", len(every)) + table + body


def matrix(columns: tuple[tuple[float, float, float], ...], curve: bytes) -> bytes:
    """An RGB profile of three primaries (D50) and one curve."""
    tags = {name + b"XYZ": _xyz(column) for name, column in zip((b"r", b"g", b"b"), columns)}  # noqa: B905
    tags |= {name + b"TRC": curve for name in (b"r", b"g", b"b")}
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


P3_PRIMARIES = (
    (0.51512, 0.24120, -0.00105),
    (0.29198, 0.69225, 0.04189),
    (0.15710, 0.06657, 0.78407),
)
DISPLAY_P3 = matrix(P3_PRIMARIES, _srgb_curve())
ADOBE_RGB = matrix(
    ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)),
    _gamma(563 / 256),
)
GREY_GAMMA_18 = _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": _gamma(1.8)})


def _ink(cyan: float, magenta: float, yellow: float, black: float) -> tuple[float, float, float]:
    """Lab of a made-up press: each ink takes its own light away, and none of them all of it."""
    red = (1 - 0.85 * cyan) * (1 - 0.10 * magenta) * (1 - 0.02 * yellow) * (1 - 0.92 * black)
    green = (1 - 0.30 * cyan) * (1 - 0.80 * magenta) * (1 - 0.06 * yellow) * (1 - 0.92 * black)
    blue = (1 - 0.15 * cyan) * (1 - 0.45 * magenta) * (1 - 0.85 * yellow) * (1 - 0.92 * black)
    xyz = np.array(
        [[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]]
    ) @ (red, green, blue)
    x, y, z = np.cbrt(np.maximum(xyz / D50, 0.009))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def _cmyk() -> bytes:
    points = 7
    steps = [step / (points - 1) for step in range(points)]
    grid = b""
    for inks in itertools.product(steps, repeat=4):
        light, a, b = _ink(*inks)
        values = (light / 100 * 0xFF00, (a + 128) * 256, (b + 128) * 256)
        grid += struct.pack(">3H", *(round(min(max(value, 0), 65535)) for value in values))
    identity = struct.pack(">2H", 0, 65535)
    unit = b"".join(map(_s15, (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    table = b"mft2\0\0\0\0" + struct.pack(">4B", 4, 3, points, 0) + unit
    table += struct.pack(">2H", 2, 2) + identity * 4 + grid + identity * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": table})


CMYK_PRESS = _cmyk()


def _parametric(kind: int, *numbers: float) -> bytes:
    return b"para" + bytes(4) + struct.pack(">HH", kind, 0) + b"".join(map(_s15, numbers))


def _table() -> bytes:
    values = [round((i / 255) ** 2.0 * 65535) for i in range(256)]
    return b"curv" + bytes(4) + struct.pack(">I256H", 256, *values)


CURVES = {
    "identity": b"curv" + bytes(8),
    "gamma": _gamma(2.2),
    "table": _table(),
    "type 0": _parametric(0, 1.8),
    "type 1": _parametric(1, 2.0, 1.05, -0.05),
    "type 2": _parametric(2, 2.0, 1.05, -0.05, 0.0),
    "type 3": _srgb_curve(),
    "type 4": _parametric(4, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045, 0.0, 0.0),
}
