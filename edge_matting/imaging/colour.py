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
from edge_matting.imaging.icc_build import with_curve
from edge_matting.imaging.icc_matrix import deep_to_srgb, grey_curve

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
    return _converted(picture, icc, None) or picture.convert("RGB")


def from_srgb(rgb: npt.NDArray[np.uint8], icc: bytes | None) -> npt.NDArray[np.uint8]:
    """sRGB pixels, H x W x 3, as a photo with the profile ``icc`` says the same colours."""
    if profile_space(icc) != b"RGB ":
        return rgb
    converted = _converted(Image.fromarray(rgb), None, icc)
    return rgb if converted is None else np.asarray(converted)


def _converted(
    picture: Image.Image, source: bytes | None, target: bytes | None
) -> Image.Image | None:
    """From one profile to another, None being sRGB; None where one of them cannot be used."""
    try:
        return ImageCms.profileToProfile(
            picture,
            _profile(source),
            _profile(target),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def lab_to_srgb(lab: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """H x W x 3 of L*a*b* (D50, a* and b* with 128 for zero) as sRGB."""
    signed = lab ^ np.array((0, 128, 128), np.uint8)  # as Pillow's reader of raw bytes wants it
    picture = Image.frombytes("LAB", (lab.shape[1], lab.shape[0]), signed.tobytes())
    source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    converted = ImageCms.profileToProfile(picture, source, _profile(None), outputMode="RGB")
    assert converted is not None
    return np.asarray(converted)


def from_grey(rgb: Rgb, icc: bytes) -> Rgb:
    """A grey picture (H x W x 3, three channels alike) in sRGB, through its grey profile.

    16 bits go through the profile's curve, which is all that a grey profile is made of.
    """
    if rgb.dtype == np.uint16:
        curve = grey_curve(icc)
        wide = rgb.astype(np.uint16, copy=False)
        deep = None if curve is None else deep_to_srgb(wide, with_curve(curve))
        if deep is not None:
            return deep
        rgb = (rgb >> 8).astype(np.uint8)
    return np.asarray(to_srgb_picture(Image.fromarray(np.ascontiguousarray(rgb[:, :, 0])), icc))


def _profile(icc: bytes | None) -> ImageCms.ImageCmsProfile:
    if icc is None:
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    return ImageCms.ImageCmsProfile(io.BytesIO(icc))


def to_srgb(rgb: Rgb, icc: bytes | None) -> npt.NDArray[np.uint8] | Rgb:
    """``rgb`` (H x W x 3, uint8 or uint16) in sRGB.

    16 bits stay 16 through profiles of primaries and curves; through one of tables, which is rare
    for RGB, Little CMS works on 8.
    """
    if icc is None or profile_space(icc) != b"RGB ":
        return rgb
    if rgb.dtype == np.uint16:
        deep = deep_to_srgb(rgb.astype(np.uint16, copy=False), icc)
        if deep is not None:
            return deep
    narrow = (rgb >> 8).astype(np.uint8) if rgb.dtype == np.uint16 else rgb
    return np.asarray(to_srgb_picture(Image.fromarray(narrow), icc))
