"""What a picture is before its pixels are decoded, and whether it may be decoded at all."""

from __future__ import annotations

from edge_matting.core.errors import TooLarge
from edge_matting.imaging.limits import check_parts
from edge_matting.imaging.survey import Header, Survey, survey


def read_header(data: bytes, name: str) -> Survey:
    """Read the header of ``data``, the bytes of the file called ``name``; decode no pixel.

    Raises ``NotAnImage``, ``Unsupported``, ``TooSlow`` or ``Truncated``.
    """
    return survey(data, name)


def check_limits(header: Header, max_pixels: int) -> None:
    """Raise ``TooLarge`` when decoding would give more than ``max_pixels`` pixels."""
    if header.pixels > max_pixels:
        raise TooLarge(
            f"{header.name}: {header.width} x {header.height} pixels are "
            f"{header.pixels / 1e6:.1f} megapixels; the limit is {max_pixels / 1e6:.1f}"
        )
    if isinstance(header, Survey):
        check_parts(header.container, max_pixels, header.name)
