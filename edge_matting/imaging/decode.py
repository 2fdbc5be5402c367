"""Bytes to pixels: upright, RGB, complete, or an error that says why not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.core.errors import NotAnImage
from edge_matting.core.reasons import Reason
from edge_matting.imaging.colour import from_grey, profile_space, to_srgb
from edge_matting.imaging.colour_source import Colour, colour_of
from edge_matting.imaging.hdr import tone_mapped
from edge_matting.imaging.header import check_limits, read_header
from edge_matting.imaging.pillow import job_errors
from edge_matting.imaging.pixels import Decoded, Pixels, read_pixels
from edge_matting.imaging.survey import Header, Metadata, Survey, survey


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """A decoded photo.

    ``rgb`` is H x W x 3, uint8 or (from deeper sources) uint16, RGB order, upright. ``alpha`` is
    the transparency it came with, float32 H x W in [0, 1], or None. ``icc`` describes ``rgb``;
    None means sRGB. ``metadata`` is as it was; its orientation no longer holds.
    """

    rgb: Rgb
    alpha: Alpha | None
    icc: bytes | None
    metadata: Metadata
    dpi: tuple[float, float] | None
    format: str
    name: str
    notes: tuple[str, ...] = ()
    """What a reader of the result should know, such as frames left out."""


def decode(data: bytes, name: str, *, max_pixels: int) -> Photo:
    """Decode the bytes of the file called ``name``; of several frames the first is taken.

    Raises ``NotAnImage``, ``Unsupported``, ``TooLarge`` and ``TooSlow`` (before any pixel is
    decoded), ``Truncated`` or ``OutOfMemory``; a picture with rows missing is never returned.
    """
    header = read_header(data, name)
    check_limits(header, max_pixels)
    return decode_pixels(data, header)


def decode_pixels(data: bytes, header: Header) -> Photo:
    """As ``decode``, for a caller that has read the header of ``data`` and checked its limits."""
    name = header.name
    seen = header if isinstance(header, Survey) else survey(data, name)
    with job_errors(data, header.format, name):
        decoded = read_pixels(data, seen)
        rgb, alpha = _split(decoded.pixels)
        colour = colour_of(seen.facts)
        rgb, icc, notes = _coloured(rgb, decoded, colour)
    told = (*seen.notes, *decoded.notes, *notes)
    return Photo(rgb, alpha, icc, seen.metadata, _dpi(seen), seen.format, name, told)


def _coloured(
    rgb: Rgb, decoded: Decoded, colour: Colour
) -> tuple[Rgb, bytes | None, tuple[Reason, ...]]:
    """The pixels, converted where they must be, the profile that describes them, and notes."""
    notes = colour.notes
    if decoded.converted:  # CMYK and L*a*b* are in sRGB already
        return rgb, None, ()
    if colour.hdr is not None:
        return tone_mapped(rgb, colour.hdr, colour.primaries, colour.peak), None, notes
    if colour.icc is None:
        return rgb, None, notes
    space = profile_space(colour.icc)
    if space == b"GRAY" and decoded.grey:
        return from_grey(rgb, colour.icc), None, notes
    if space != b"RGB ":
        return rgb, None, (*notes, Reason("profile_unfit", space=space.decode("latin-1").strip()))
    return (to_srgb(rgb, colour.icc), None, notes) if colour.convert else (rgb, colour.icc, notes)


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


def _dpi(seen: Survey) -> tuple[float, float] | None:
    if seen.dpi is None:
        return None
    across, down = seen.dpi
    return (across, down) if 1 <= across <= 20_000 and 1 <= down <= 20_000 else None
