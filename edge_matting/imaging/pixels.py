"""Pixels of each format, as they are stored but upright, through the library that reads it best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image, ImageFile

from edge_matting.core.errors import Truncated, Unsupported
from edge_matting.core.reasons import Reason
from edge_matting.imaging.colour import lab_to_srgb, to_srgb_picture
from edge_matting.imaging.colour_source import profile_fault
from edge_matting.imaging.containers import damage
from edge_matting.imaging.directory import ORIENTATION
from edge_matting.imaging.iso_boxes import Heif
from edge_matting.imaging.jpeg_segments import Jpeg, without_profile
from edge_matting.imaging.limits import MOST_CHUNKS
from edge_matting.imaging.pillow import deep_heif, load_picture, open_picture
from edge_matting.imaging.png_chunks import Png, read_png
from edge_matting.imaging.raw import RawFile, develop
from edge_matting.imaging.survey import Survey
from edge_matting.imaging.tiff_layout import YCBCR, Layout, Tiff
from edge_matting.imaging.tiff_read import Read, disputed, pillow_reads, read_layout

Pixels: TypeAlias = npt.NDArray[Any]
"""uint8 or uint16, H x W (grey), H x W x 3 (RGB) or H x W x 4 (RGBA, straight)."""

_DAMAGE: Final = ("premature end", "bad huffman code", "corrupt jpeg data: bad", "arithmetic")
"""libjpeg's warnings after which rows are missing or wrong; others are harmless."""
_LEFT_OVER: Final = "extraneous bytes before marker 0xd9"
_END: Final = b"\xff\xd9"


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """Upright pixels; ``converted`` says that they are sRGB whatever the file says of colour."""

    pixels: Pixels
    grey: bool = False
    converted: bool = False
    notes: tuple[str, ...] = ()


def read_pixels(data: bytes, seen: Survey) -> Decoded:
    """Raises job errors and whatever the libraries raise."""
    container = seen.container
    if isinstance(container, Jpeg):
        return _jpeg(data, seen, container)
    if isinstance(container, Tiff):
        return _tiff(data, seen, container)
    if isinstance(container, RawFile):
        return Decoded(develop(data, container.kind, seen.name), converted=True)
    if isinstance(container, Heif):
        return _heif(data, seen, container)
    if isinstance(container, Png):
        return _png(data, seen)
    return _plain(data, seen)


def _plain(data: bytes, seen: Survey) -> Decoded:
    """WebP, GIF and BMP."""
    found = damage(data, seen.format)
    if found is not None:
        raise Truncated(f"{seen.name}: the {seen.format.upper()} data is incomplete: {found}")
    picture = open_picture(data, seen.format)
    decoded = _pillow(picture, seen, seen.orientation)
    if seen.format == "gif":
        return Decoded(_uncovered(decoded.pixels, picture), decoded.grey)
    if seen.format == "bmp" and data[30:31] in (b"\x01", b"\x02"):
        _check_runs(data, decoded.pixels, seen.name)
    return decoded


def _uncovered(pixels: Pixels, picture: ImageFile.ImageFile) -> Pixels:
    """A GIF's canvas, transparent where its first frame does not reach."""
    left, top, right, bottom = picture.dispose_extent  # type: ignore[attr-defined]
    if (left, top) == (0, 0) and right >= pixels.shape[1] and bottom >= pixels.shape[0]:
        return pixels
    rgba = np.asarray(Image.fromarray(pixels).convert("RGBA")).copy()
    outside = np.ones(rgba.shape[:2], np.bool_)
    outside[top:bottom, left:right] = False
    rgba[outside] = 0
    return np.asarray(rgba)


def _check_runs(data: bytes, pixels: Pixels, name: str) -> None:
    """A run-length coded BMP has no checksum, and readers differ on what a broken one shows."""
    other = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if other is None or other.shape[:2] != pixels.shape[:2]:
        return
    ours = pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, np.newaxis], 3, axis=2)
    if np.abs(ours[:, :, 2::-1].astype(np.int16) - other).mean() > 1:
        raise Unsupported(
            f"{name}: a BMP in run lengths on which two readers disagree",
            hint="export it again as PNG",
        )


def _jpeg(data: bytes, seen: Survey, found: Jpeg) -> Decoded:
    name, orientation = seen.name, seen.orientation
    notes: tuple[str, ...] = ()
    if not found.ended:
        if not found.complete_scans:
            raise Truncated(f"{name}: the JPEG data is incomplete (scans are missing)")
        data += _END
        notes = (Reason("end_marker_missing"),)
    if found.icc is not None or found.notes:
        data = without_profile(data)
    if found.components not in (1, 3):
        _check_four(data, found, name)
        other = _pillow(open_picture(data, "jpeg"), seen, orientation)
        return Decoded(other.pixels, other.grey, other.converted, notes)
    space = "GRAY" if found.components == 1 else "RGB"
    try:
        decoded: Pixels = simplejpeg.decode_jpeg(data, colorspace=space, strict=True)
    except ValueError as error:
        if _damaged(str(error), found):
            raise Truncated(f"{name}: the JPEG data is incomplete ({error})") from error
        plain = _pillow(open_picture(data, "jpeg"), seen, orientation)
        return Decoded(plain.pixels, plain.grey, plain.converted, notes)
    stored = np.squeeze(decoded, 2) if space == "GRAY" else decoded
    return Decoded(turned(stored, orientation), grey=space == "GRAY", notes=notes)


def _check_four(data: bytes, found: Jpeg, name: str) -> None:
    """Pillow, which knows the ways of CMYK, takes missing rows for grey without a word."""
    if found.components != 4:
        return
    try:
        simplejpeg.decode_jpeg(data, colorspace="CMYK", strict=True)
    except ValueError as error:
        if _damaged(str(error), found):
            raise Truncated(f"{name}: the JPEG data is incomplete ({error})") from error


def _damaged(reason: str, found: Jpeg) -> bool:
    cut = not found.ended and _LEFT_OVER in reason.lower()  # padded with zeros, perhaps
    return cut or any(word in reason.lower() for word in _DAMAGE)


def _png(data: bytes, seen: Survey) -> Decoded:
    name = seen.name
    found = read_png(data, MOST_CHUNKS)  # the pixels' checksums are looked at here
    if found.broken is not None:
        raise Truncated(f"{name}: the PNG data is incomplete: {found.broken}")
    if not found.ended:
        raise Truncated(f"{name}: the PNG data is incomplete: its last chunk is missing")
    if found.unknown is not None:
        raise Unsupported(f"{name}: a PNG with a part ({found.unknown}) that no standard knows")
    stripped = found.stripped(data)
    picture = open_picture(stripped, "png")
    if found.depth == 16 and picture.mode in ("RGB", "RGBA", "LA"):
        return _deep_png(stripped, picture, seen, found)
    if found.key is not None and picture.mode in ("1", "L"):
        # Pillow spreads the shades over 8 bits and leaves the transparent one as it is
        picture.info["transparency"] = found.key[0] * 255 // ((1 << found.depth) - 1)
    return _pillow(picture, seen, seen.orientation)


def _deep_png(stripped: bytes, picture: ImageFile.ImageFile, seen: Survey, found: Png) -> Decoded:
    load_picture(picture)
    picture.info.pop("transparency", None)  # of 16 bits, which Pillow looks for among 8
    narrow = _array(picture, seen.name)
    wide = cv2.imdecode(np.frombuffer(stripped, np.uint8), cv2.IMREAD_UNCHANGED)
    if wide is not None and found.key is not None:
        wide = wide[:, :, :3]
    pixels, notes = _deeper(narrow, wide, 16)
    if found.key is not None and len(found.key) == 3:
        key = np.array(found.key, np.uint16)
        exact = pixels if not notes else pixels // 257 * 257
        clear = (exact == (key if not notes else key // 257 * 257)).all(axis=2)
        pixels = np.dstack([pixels, np.where(clear, np.uint16(0), np.uint16(65535))])
    return Decoded(turned(pixels, seen.orientation), notes=notes)


def _heif(data: bytes, seen: Survey, found: Heif) -> Decoded:
    name, kind = seen.name, seen.format
    picture = open_picture(data, kind)
    if found.bits <= 8 and (kind == "heic" or found.crop is None):
        return _pillow(picture, seen, seen.orientation)
    load_picture(picture)
    narrow = _array(picture, name)
    if found.bits <= 8:
        return Decoded(turned(_cropped(narrow, found), seen.orientation))
    wide = deep_heif(data) if kind == "heic" else _deep_avif(data)
    pixels, notes = _deeper(narrow, wide, found.bits)
    if kind == "avif":
        pixels = _cropped(pixels, found)
    return Decoded(turned(pixels, seen.orientation), notes=notes)


def _cropped(pixels: Pixels, found: Heif) -> Pixels:
    """The part that the file says is to be shown; libavif leaves that to its callers."""
    if found.crop is None or pixels.shape[:2] != (found.height, found.width):
        return pixels
    left, top, width, height = found.crop
    return pixels[top : top + height, left : left + width]


def _deep_avif(data: bytes) -> Pixels | None:
    """All bits of an AVIF in OpenCV's order of channels; None where no library gives them."""
    try:
        wide: Pixels | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    return wide


def _deeper(narrow: Pixels, wide: Pixels | None, bits: int) -> tuple[Pixels, tuple[str, ...]]:
    """All bits of a picture, which Pillow cannot hold: 16 of them, whatever the source had.

    Pillow has checked that the file is whole and gives the picture in 8 bits; another library
    reads the full depth (``wide``, blue first), and is believed only where the two agree.
    Otherwise the 8 bits are spread over 16.
    """
    if wide is not None and wide.dtype == np.uint16:
        if wide.ndim == 3:
            codes = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}
            wide = cv2.cvtColor(wide, codes[wide.shape[2]])
        elif narrow.ndim == 3:
            wide = np.repeat(wide[:, :, np.newaxis], 3, axis=2)
        if bits < 16 and int(wide.max(initial=0)) < 1 << bits:
            wide = np.rint(wide * (65535 / ((1 << bits) - 1))).astype(np.uint16)
        if wide.shape == narrow.shape and _agree(wide, narrow):
            return wide, ()
    spread = narrow.astype(np.uint16) * np.uint16(257)
    return spread, (Reason("bits_reduced", bits=bits),)


def _agree(wide: Pixels, narrow: Pixels) -> bool:
    """Whether the upper bytes are the 8-bit picture, within rounding; row by row for the memory."""
    return all(
        np.abs((deep >> 8).astype(np.int16) - flat).max(initial=0) <= 2
        for deep, flat in zip(wide, narrow, strict=True)
    )


def _tiff(data: bytes, seen: Survey, found: Tiff) -> Decoded:
    layout = found.picture
    assert layout is not None
    name = seen.name
    if layout.end > len(data) and not layout.lossy:
        raise Truncated(f"{name}: the TIFF data ends too early")
    if pillow_reads(layout):
        try:
            return _tiff_by_pillow(data, seen, layout)
        except (OSError, SyntaxError, ValueError, TypeError, LookupError):
            if layout.photometric == YCBCR or layout.lossy:
                raise
            # a rare layout; whether rows are missing, the other reader tells as well
    read = read_layout(data, layout, name)
    icc = seen.facts.icc
    pixels = turned(read.samples, seen.orientation)
    if read.lab:
        return Decoded(lab_to_srgb(pixels), converted=True, notes=read.notes)
    if read.cmyk:
        return _to_srgb(Image.fromarray(pixels, "CMYK"), icc, read)
    return Decoded(pixels, grey=pixels.ndim == 2, notes=read.notes)


def _tiff_by_pillow(data: bytes, seen: Survey, layout: Layout) -> Decoded:
    picture = open_picture(data, "tiff")
    if layout.page:
        picture.seek(layout.page)
    if sorted(picture.size) != sorted((layout.width, layout.height)):
        raise disputed(layout, seen.name)
    return _pillow(picture, seen, _not_turned_by_pillow(picture, layout))


def _to_srgb(picture: Image.Image, icc: bytes | None, read: Read) -> Decoded:
    return Decoded(np.asarray(to_srgb_picture(picture, _usable(icc))), converted=True,
                   notes=read.notes)  # fmt: skip


def _not_turned_by_pillow(picture: ImageFile.ImageFile, layout: Layout) -> int:
    """The orientation that is left to do: Pillow turns TIFF, but by a SHORT or LONG alone."""
    said = picture.tag_v2.get(ORIENTATION)  # type: ignore[attr-defined]
    if isinstance(said, int) or not 1 <= layout.orientation <= 8:
        return 1
    return layout.orientation


def _pillow(picture: ImageFile.ImageFile, seen: Survey, orientation: int) -> Decoded:
    """What Pillow reads, loaded and turned."""
    load_picture(picture)
    icc = _usable(seen.facts.icc)
    if picture.mode == "CMYK":
        return Decoded(turned(np.asarray(to_srgb_picture(picture, icc)), orientation),
                       converted=True)  # fmt: skip
    pixels = turned(_array(picture, seen.name), orientation)
    return Decoded(pixels, grey=picture.mode in ("1", "L", "LA", "I;16"))


def _usable(icc: bytes | None) -> bytes | None:
    return None if icc is None or profile_fault(icc) is not None else icc


def _array(picture: Image.Image, name: str) -> Pixels:
    """The loaded picture as H x W, H x W x 3 or H x W x 4, uint8 or uint16."""
    mode = picture.mode
    has_key = "transparency" in picture.info
    if mode.startswith("I;16"):
        return _sixteen_bit_grey(picture)
    if mode in ("I", "F", "LAB", "HSV"):
        raise Unsupported(f"{name}: pixels of the kind {mode} are not read")
    if mode == "La":
        picture = picture.convert("LA")
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


def turned(pixels: Pixels, orientation: int) -> Pixels:
    """Stored pixels to upright pixels by EXIF orientation (TIFF 6.0, tag 274)."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
