"""The photos that travel with the program; `data/photos/README.md` names their owners."""

from __future__ import annotations

from importlib import resources

from edge_matting.core.arrays import Rgb
from edge_matting.imaging import decode
from edge_matting.pipeline.self_test import sample_bytes

__all__ = ["sample_bytes", "sample_photo", "trial_photos"]


def sample_photo() -> Rgb:
    """512 x 512 x 3, uint8, RGB."""
    return decode(sample_bytes(), "astronaut.jpg", max_pixels=10**7).rgb


def trial_photos() -> tuple[Rgb, ...]:
    """The sample photo and portraits, each H x W x 3, uint8, RGB: what a new model is tried on."""
    folder = resources.files("edge_matting") / "data" / "photos"
    names = [f"portrait-{number:03}.jpg" for number in range(2, 17, 2)]
    portraits = [decode((folder / name).read_bytes(), name, max_pixels=10**6) for name in names]
    return (sample_photo(), *(portrait.rgb for portrait in portraits))
