"""Colour profiles: CMYK and grey to RGB, and RGB to sRGB where the recipe asks for it.

The model always sees the pixels as they are stored. Converting a wide-gamut photo for its eyes
alone would cost more than it changes: the matte depends on contrast, not on exact hues.
"""

from __future__ import annotations

import io
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from edge_matting.core.arrays import Rgb

_SPACES: Final = {"CMYK": b"CMYK", "L": b"GRAY", "RGB": b"RGB "}


def profile_space(icc: bytes | None) -> bytes:
    """The colour space signature of a profile, such as ``b"RGB "``; empty without one."""
    return b"" if icc is None or len(icc) < 128 else icc[16:20]


def to_srgb_picture(picture: Image.Image, icc: bytes | None) -> Image.Image:
    """An 8-bit sRGB picture of a CMYK, grey or RGB picture, through its own profile if it fits.

    Without a usable profile Pillow's plain conversion is taken.
    """
    if icc is None or profile_space(icc) != _SPACES.get(picture.mode):
        return picture.convert("RGB")
    try:
        converted = ImageCms.profileToProfile(
            picture,
            ImageCms.ImageCmsProfile(io.BytesIO(icc)),
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return picture.convert("RGB")
    return converted if converted is not None else picture.convert("RGB")


def to_srgb(rgb: Rgb, icc: bytes | None) -> npt.NDArray[np.uint8] | Rgb:
    """``rgb`` (H x W x 3, uint8 or uint16) in sRGB; 8 bits a sample where a profile is applied.

    Little CMS works on 8 bits here, so a 16-bit photo with a profile loses its low bits.
    """
    if profile_space(icc) != b"RGB ":
        return rgb
    narrow = (rgb >> 8).astype(np.uint8) if rgb.dtype == np.uint16 else rgb
    return np.asarray(to_srgb_picture(Image.fromarray(narrow), icc))
