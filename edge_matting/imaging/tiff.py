"""A TIFF writer for what Pillow lacks: 16 bits a sample with a profile, and premultiplied alpha."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_ASCII, _SHORT, _LONG, _RATIONAL, _UNDEFINED = 2, 3, 4, 5, 7
_CODES: Final = {_SHORT: "H", _LONG: "I", _RATIONAL: "I"}
_ROWS_PER_STRIP: Final = 64
_DEFLATE, _RGB, _BLACK_IS_ZERO, _INCH = 8, 2, 1, 2
_ASSOCIATED_ALPHA, _STRAIGHT_ALPHA = 1, 2


def encode_tiff(
    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16],
    *,
    icc: bytes | None = None,
    dpi: tuple[float, float] | None = None,
    texts: Mapping[int, bytes] = MappingProxyType({}),
    level: int = 1,
    premultiplied: bool = False,
) -> bytes:
    """A little-endian, deflated TIFF of H x W, H x W x 3 or H x W x 4 pixels.

    TIFF revision 6.0; alpha is marked straight or ``premultiplied`` by the ExtraSamples of section
    18. ``texts`` are ASCII tags, ``level`` is zlib's, 0 to 9.
    """
    strips = _strips(pixels, level)
    offsets, at = [], 8
    for strip in strips:
        offsets.append(at)
        at += len(strip) + len(strip) % 2
    tags = _tags(pixels, icc, dpi)
    tags |= {tag: (_ASCII, text + b"\x00") for tag, text in texts.items()}
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        tags[338] = (_SHORT, [_ASSOCIATED_ALPHA if premultiplied else _STRAIGHT_ALPHA])
    tags[273] = (_LONG, offsets)
    tags[279] = (_LONG, [len(strip) for strip in strips])
    padded = (part for strip in strips for part in (strip, b"\x00" * (len(strip) % 2)))
    return b"".join((struct.pack("<2sHI", b"II", 42, at), *padded, _directory(tags, at)))


def _strips(pixels: npt.NDArray[Any], level: int) -> list[bytes]:
    rows = range(0, pixels.shape[0], _ROWS_PER_STRIP)
    order = pixels.dtype.newbyteorder("<")
    return [
        zlib.compress(pixels[y : y + _ROWS_PER_STRIP].astype(order).tobytes(), level) for y in rows
    ]


def _tags(
    pixels: npt.NDArray[Any], icc: bytes | None, dpi: tuple[float, float] | None
) -> dict[int, tuple[int, list[int] | bytes]]:
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    tags: dict[int, tuple[int, list[int] | bytes]] = {
        256: (_LONG, [width]),
        257: (_LONG, [height]),
        258: (_SHORT, [8 * pixels.dtype.itemsize] * channels),
        259: (_SHORT, [_DEFLATE]),
        262: (_SHORT, [_RGB if channels >= 3 else _BLACK_IS_ZERO]),
        277: (_SHORT, [channels]),
        278: (_LONG, [_ROWS_PER_STRIP]),
    }
    if dpi is not None:
        tags[282] = (_RATIONAL, [round(dpi[0] * 100), 100])
        tags[283] = (_RATIONAL, [round(dpi[1] * 100), 100])
        tags[296] = (_SHORT, [_INCH])
    if icc is not None:
        tags[34675] = (_UNDEFINED, icc)
    return tags


def _directory(tags: dict[int, tuple[int, list[int] | bytes]], start: int) -> bytes:
    """The image file directory and behind it the values that do not fit into it."""
    entries, spill = b"", b""
    spill_at = start + 2 + 12 * len(tags) + 4
    for tag, (kind, values) in sorted(tags.items()):
        if isinstance(values, bytes):
            packed, count = values, len(values)
        else:
            packed = struct.pack(f"<{len(values)}{_CODES[kind]}", *values)
            count = len(values) // (2 if kind == _RATIONAL else 1)
        if len(packed) > 4:
            where = struct.pack("<I", spill_at + len(spill))
            spill += packed + b"\x00" * (len(packed) % 2)
        else:
            where = packed.ljust(4, b"\x00")
        entries += struct.pack("<HHI", tag, kind, count) + where
    return struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0) + spill
