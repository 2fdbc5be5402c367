"""A TIFF writer: 8 or 16 bits a sample with profile, EXIF, XMP and IPTC, and premultiplied alpha.

Pillow's writer refuses an EXIF block with directories of its own, which all cameras write.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edge_matting.imaging.directory import (
    Directory,
    Field,
    long,
    rational,
    short,
    undefined,
    write_directories,
)
from edge_matting.imaging.exif import transplanted
from edge_matting.imaging.survey import Metadata

_ROWS_PER_STRIP: Final = 64
_DEFLATE, _RGB, _BLACK_IS_ZERO, _INCH, _HORIZONTAL = 8, 2, 1, 2, 2
_ASSOCIATED_ALPHA, _STRAIGHT_ALPHA = 1, 2
_NOTHING: Final = Metadata()


def encode_tiff(
    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16],
    *,
    icc: bytes | None = None,
    dpi: tuple[float, float] | None = None,
    metadata: Metadata = _NOTHING,
    level: int = 1,
    premultiplied: bool = False,
) -> bytes:
    """A little-endian, deflated TIFF of H x W, H x W x 3 or H x W x 4 pixels.

    TIFF revision 6.0; alpha is marked straight or ``premultiplied`` by the ExtraSamples of section
    18. ``level`` is zlib's, 0 to 9.
    """
    strips = _strips(pixels, level)
    offsets, at = [], 8
    for strip in strips:
        offsets.append(at)
        at += len(strip) + len(strip) % 2
    tags = _tags(pixels, icc, dpi)
    if metadata.xmp is not None:
        tags[700] = Field(1, len(metadata.xmp), metadata.xmp)
    if metadata.iptc is not None:
        tags[33723] = undefined(metadata.iptc)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        tags[338] = short(_ASSOCIATED_ALPHA if premultiplied else _STRAIGHT_ALPHA)
    tags[273] = long(*offsets)
    tags[279] = long(*(len(strip) for strip in strips))
    main, below = ({}, {}) if metadata.exif is None else transplanted(metadata.exif)
    padded = (part for strip in strips for part in (strip, b"\x00" * (len(strip) % 2)))
    return b"".join(
        (struct.pack("<2sHI", b"II", 42, at), *padded, write_directories(main | tags, below, at))
    )


def _strips(pixels: npt.NDArray[Any], level: int) -> list[bytes]:
    """Differences from pixel to pixel (section 14), which deflate far better than the pixels."""
    rows = range(0, pixels.shape[0], _ROWS_PER_STRIP)
    order = pixels.dtype.newbyteorder("<")
    strips = []
    for y in rows:
        part = pixels[y : y + _ROWS_PER_STRIP].astype(order)
        part[:, 1:] -= pixels[y : y + _ROWS_PER_STRIP, :-1]
        strips.append(zlib.compress(part.tobytes(), level))
    return strips


def _tags(
    pixels: npt.NDArray[Any], icc: bytes | None, dpi: tuple[float, float] | None
) -> Directory:
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    tags: Directory = {
        256: long(width),
        257: long(height),
        258: short(*[8 * pixels.dtype.itemsize] * channels),
        259: short(_DEFLATE),
        262: short(_RGB if channels >= 3 else _BLACK_IS_ZERO),
        274: short(1),
        277: short(channels),
        278: long(_ROWS_PER_STRIP),
        317: short(_HORIZONTAL),
    }
    if dpi is not None:
        tags[282], tags[283] = (rational(round(value * 100), 100) for value in dpi)
        tags[296] = short(_INCH)
    if icc is not None:
        tags[34675] = undefined(icc)
    return tags
