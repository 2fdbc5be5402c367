"""How much work a file may ask for, judged by what its containers say before anything is decoded.

A progressive JPEG is gone through once for each scan, a TIFF once for each strip; a small file can
ask for minutes that way.
"""

from __future__ import annotations

from typing import Final

from edge_matting.core.errors import TooLarge, TooSlow
from edge_matting.imaging.iso_boxes import Heif
from edge_matting.imaging.jpeg_segments import Jpeg
from edge_matting.imaging.png_chunks import Png
from edge_matting.imaging.raw import RawFile
from edge_matting.imaging.tiff_layout import Tiff

MOST_SCANS: Final = 256
MOST_SCANNED: Final = 2_000_000_000
"""Pixels times scans: 10 scans, as encoders write them, of 200 megapixels."""
MOST_CHUNKS: Final = 300_000
MOST_SEGMENTS: Final = 20_000
MOST_BLOCKS: Final = 200_000
MOST_ITEMS: Final = 4_000
MOST_METADATA: Final = 64 << 20


def check_costs(found: object, pixels: int, name: str) -> None:
    """Raise ``TooSlow`` where decoding costs far more than its size explains."""
    if isinstance(found, Jpeg):
        _check_jpeg(found, pixels, name)
    elif isinstance(found, Png):
        _at_most(found.chunks, MOST_CHUNKS - 1, "chunks", name)
        _at_most(found.metadata_bytes, MOST_METADATA, "bytes of metadata", name)
    elif isinstance(found, Heif):
        _at_most(found.items, MOST_ITEMS, "pictures in one file", name)
        _at_most(found.tiles, MOST_ITEMS, "tiles", name)
    elif isinstance(found, Tiff):
        for layout in found.layouts:
            _at_most(layout.blocks, MOST_BLOCKS, "strips or tiles", name)
        _at_most(found.metadata_bytes, MOST_METADATA, "bytes of metadata", name)


def check_parts(found: object, most_pixels: int, name: str) -> None:
    """Raise ``TooLarge`` where a part of the picture, such as a tile, is larger than a picture may
    be.
    """
    parts = [found.largest] if isinstance(found, Heif) else []
    if isinstance(found, Tiff) and found.picture is not None:
        parts.append(found.picture.tile_pixels)
    if isinstance(found, RawFile):
        parts.append(found.sensor_pixels)
    for part in parts:
        if part > most_pixels:
            raise TooLarge(
                f"{name}: a part of it has {part / 1e6:.1f} megapixels; the limit is "
                f"{most_pixels / 1e6:.1f}"
            )


def _check_jpeg(found: Jpeg, pixels: int, name: str) -> None:
    _at_most(found.scans, MOST_SCANS, "scans", name)
    _at_most(found.segments, MOST_SEGMENTS, "segments", name)
    _at_most(found.metadata_bytes, MOST_METADATA, "bytes of metadata", name)
    if found.progressive and found.scans * pixels > MOST_SCANNED:
        raise TooSlow(
            f"{name}: a progressive JPEG of {found.scans} scans and {pixels / 1e6:.0f} megapixels, "
            "which would take too long to decode"
        )


def _at_most(number: int, most: int, what: str, name: str) -> None:
    if number > most:
        raise TooSlow(f"{name}: {number:,} {what}, more than any program needs; at most {most:,}")
