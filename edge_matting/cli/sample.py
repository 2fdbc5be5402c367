"""The built-in photo (NASA, public domain)."""

from __future__ import annotations

from edge_matting.core.arrays import Rgb
from edge_matting.imaging import decode
from edge_matting.pipeline.self_test import sample_bytes

__all__ = ["sample_bytes", "sample_photo"]


def sample_photo() -> Rgb:
    """512 x 512 x 3, uint8, RGB."""
    return decode(sample_bytes(), "astronaut.jpg", max_pixels=10**7).rgb
