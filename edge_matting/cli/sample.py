"""The built-in photo (NASA, public domain)."""

from __future__ import annotations

from importlib import resources

from edge_matting.core.arrays import Rgb
from edge_matting.imaging import decode


def sample_bytes() -> bytes:
    """The JPEG as shipped."""
    return (resources.files("edge_matting") / "data" / "photos" / "astronaut.jpg").read_bytes()


def sample_photo() -> Rgb:
    """512 x 512 x 3, uint8, RGB."""
    return decode(sample_bytes(), "astronaut.jpg", max_pixels=10**7).rgb
