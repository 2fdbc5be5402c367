"""Bytes to pixels: upright, RGB, complete, or an error that says why not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image, ImageFile

from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.core.errors import NotAnImage, Truncated, Unsupported
from edge_matting.core.reasons import Reason
from edge_matting.imaging.colour import profile_space, to_srgb_picture
from edge_matting.imaging.containers import damage
from edge_matting.imaging.header import Header, check_limits, find_exif, read_header
from edge_matting.imaging.metadata import tiff_exif
from edge_matting.imaging.pillow import job_errors, load_picture, open_picture, quiet

Pixels: TypeAlias = npt.NDArray[Any]
"""uint8 or uint16, H x W (grey), H x W x 3 (RGB) or H x W x 4 (RGBA, straight)."""

_DAMAGE: Final = ("premature end", "bad huffman code", "corrupt jpeg data: bad", "arithmetic")
"""libjpeg's warnings after which rows are missing or wrong; others are harmless."""


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """A decoded photo.

    ``rgb`` is H x W x 3, uint8 or (from 16-bit sources) uint16, RGB order, upright. ``alpha`` is
    the transparency it came with, float32 H x W in [0, 1], or None. ``icc`` describes ``rgb``;
    None means sRGB. ``exif`` is the raw block, whose orientation no longer holds.
    """

    rgb: Rgb
    alpha: Alpha | None
    icc: bytes | None
    exif: bytes | None
    dpi: tuple[float, float] | None
    format: str
    name: str
    notes: tuple[str, ...] = ()
    """What a reader of the result should know, such as frames left out."""


def decode(data: bytes, name: str, *, max_pixels: int) -> Photo:
    """Decode the bytes of the file called ``name``; of several frames the first is taken.

    Raises ``NotAnImage``, ``Unsupported``, ``TooLarge`` (before any pixel is decoded),
    ``Truncated`` or ``OutOfMemory``; a picture with rows missing is never returned.
    """
    header = read_header(data, name)
    check_limits(header, max_pixels)
    return decode_pixels(data, header)


def decode_pixels(data: bytes, header: Header) -> Photo:
    """As ``decode``, for a caller that has read the header of ``data`` and checked its limits."""
    _check_whole(data, header)
    name = header.name
    with job_errors(data, header.format, name):
        picture = open_picture(data, header.format)
        icc = picture.info.get("icc_profile") or None
        exif = _exif(data, header, picture)
        pixels, icc = _pixels(data, header, picture, icc)
        rgb, alpha = _split(pixels)
        notes = _notes(picture)
        return Photo(rgb, alpha, icc, exif, _dpi(picture), header.format, name, notes)


def _notes(picture: ImageFile.ImageFile) -> tuple[str, ...]:
    if getattr(picture, "is_animated", False):
        return (Reason("first_frame"),)
    return ()


def _check_whole(data: bytes, header: Header) -> None:
    found = damage(data, header.format)
    if found is not None:
        raise Truncated(f"{header.name}: the {header.format.upper()} data is incomplete: {found}")


def _pixels(
    data: bytes, header: Header, picture: ImageFile.ImageFile, icc: bytes | None
) -> tuple[Pixels, bytes | None]:
    """H x W, H x W x 3 or H x W x 4, upright, and the profile that describes them."""
    if header.format == "jpeg" and picture.mode in ("L", "RGB") and not _grey_profile(icc):
        pixels = _jpeg(data, picture, header.name)
        return _turn(pixels, header.orientation), _rgb_profile(icc)
    load_picture(picture)
    orientation = 1 if header.format == "tiff" else header.orientation  # Pillow turns TIFF
    if header.bits == 16 and picture.mode in ("RGB", "RGBA", "LA"):
        narrow = _turn(_array(picture, header.name), orientation)
        return _wide(data, narrow, header), _rgb_profile(icc)
    if picture.mode in ("CMYK", "L") and profile_space(icc) in (b"CMYK", b"GRAY"):
        return _turn(np.asarray(to_srgb_picture(picture, icc)), orientation), None
    return _turn(_array(picture, header.name), orientation), _rgb_profile(icc)


def _jpeg(data: bytes, picture: ImageFile.ImageFile, name: str) -> Pixels:
    """H x W x 3 or H x W uint8, through libjpeg-turbo; Pillow where it warns of trifles."""
    space = "GRAY" if picture.mode == "L" else "RGB"
    try:
        decoded: Pixels = simplejpeg.decode_jpeg(data, colorspace=space, strict=True)
    except ValueError as error:
        if any(word in str(error).lower() for word in _DAMAGE):
            raise Truncated(f"{name}: the JPEG data is incomplete ({error})") from error
        load_picture(picture)
        return np.asarray(picture)
    return np.squeeze(decoded, 2) if space == "GRAY" else decoded


def _array(picture: Image.Image, name: str) -> Pixels:
    """The loaded picture as H x W, H x W x 3 or H x W x 4, uint8 or uint16."""
    mode = picture.mode
    has_key = "transparency" in picture.info
    if mode.startswith("I;16"):
        return _sixteen_bit_grey(picture)
    if mode in ("I", "F", "LAB", "HSV"):
        raise Unsupported(f"{name}: pixels of the kind {mode} are not read")
    if mode in ("LA", "La", "PA", "RGBa") or (has_key and mode in ("1", "L", "P", "RGB")):
        picture = picture.convert("RGBA")
    elif mode == "1":
        picture = picture.convert("L")
    elif mode not in ("L", "RGB", "RGBA"):
        picture = to_srgb_picture(picture, None)
    return np.asarray(picture)


def _sixteen_bit_grey(picture: Image.Image) -> Pixels:
    grey = np.asarray(picture).astype(np.uint16)
    key = picture.info.get("transparency")
    if not isinstance(key, int):
        return grey
    opaque = np.where(grey == key, np.uint16(0), np.uint16(65535))
    return np.stack([grey, grey, grey, opaque], axis=2)


def _wide(data: bytes, narrow: Pixels, header: Header) -> Pixels:
    """All 16 bits of a colour picture, which Pillow cannot hold.

    Pillow has checked that the file is whole and gives the upright picture in 8 bits; OpenCV
    reads the full depth, and is believed only where the two agree. Otherwise the 8 bits are
    spread over 16.
    """
    wide: Pixels | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if wide is None or wide.dtype != np.uint16 or wide.ndim != 3:
        return _spread(narrow)
    codes = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}
    wide = cv2.cvtColor(wide, codes[wide.shape[2]])
    for candidate in (wide, _turn(wide, header.orientation)):
        if candidate.shape == narrow.shape and _agree(candidate, narrow):
            return candidate
    return _spread(narrow)


def _spread(narrow: Pixels) -> Pixels:
    """8 bits over 16: 255 becomes 65535."""
    spread: Pixels = narrow.astype(np.uint16) * np.uint16(257)
    return spread


def _agree(wide: Pixels, narrow: Pixels) -> bool:
    """Whether the upper bytes are the 8-bit picture, within rounding; row by row for the memory."""
    return all(
        np.abs((deep >> 8).astype(np.int16) - flat).max() <= 1
        for deep, flat in zip(wide, narrow, strict=True)
    )


def _turn(pixels: Pixels, orientation: int) -> Pixels:
    """Stored pixels to upright pixels by EXIF orientation (TIFF 6.0, tag 274)."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _split(pixels: Pixels) -> tuple[Rgb, Alpha | None]:
    """RGB and, where there is a fourth channel that is not all opaque, its alpha."""
    if 0 in pixels.shape:
        raise NotAnImage("a picture without pixels")
    if pixels.ndim == 2:
        return np.repeat(pixels[:, :, np.newaxis], 3, axis=2), None
    if pixels.shape[2] == 3:
        return pixels, None
    rgb = np.ascontiguousarray(pixels[:, :, :3])
    top = np.iinfo(pixels.dtype).max
    opacity = pixels[:, :, 3]
    if int(opacity.min()) == top:
        return rgb, None
    return rgb, (opacity / np.float32(top)).astype(np.float32)


def _exif(data: bytes, header: Header, picture: ImageFile.ImageFile) -> bytes | None:
    if header.format != "tiff":
        return find_exif(data, header.format, picture)
    with quiet():
        return tiff_exif(picture.tag_v2)  # type: ignore[attr-defined]


def _dpi(picture: ImageFile.ImageFile) -> tuple[float, float] | None:
    try:
        across, down = (float(value) for value in picture.info.get("dpi", ()))
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if 1 <= across <= 20_000 and 1 <= down <= 20_000 else None


def _rgb_profile(icc: bytes | None) -> bytes | None:
    return icc if profile_space(icc) == b"RGB " else None


def _grey_profile(icc: bytes | None) -> bool:
    return profile_space(icc) == b"GRAY"
