"""What a picture is before its pixels are decoded, and whether it may be decoded at all."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import ImageFile

from edge_matting.core.errors import NotAnImage, TooLarge, Truncated, Unsupported
from edge_matting.imaging.containers import (
    ends_early,
    png_chunks,
    read_webp,
    webp_chunk,
)
from edge_matting.imaging.metadata import orientation_of, raw_profile
from edge_matting.imaging.pillow import job_errors, open_picture, require_reader
from edge_matting.imaging.sniff import picture_format

_REDUCED_RESOLUTION = 1
_DNG_VERSION, _NEW_SUBFILE_TYPE, _BITS_PER_SAMPLE, _ORIENTATION = 50706, 254, 258, 274


@dataclass(frozen=True, slots=True)
class Header:
    """What the first bytes tell; ``width`` and ``height`` are those of the upright picture."""

    format: str  # jpeg, png, webp, tiff, bmp, gif, avif, heic
    width: int
    height: int
    mode: str  # Pillow's name: L, RGB, RGBA, P, CMYK, I;16 ...
    bits: int  # per sample: 8 or 16
    orientation: int  # EXIF, 1 to 8
    name: str

    @property
    def pixels(self) -> int:
        return self.width * self.height


def read_header(data: bytes, name: str) -> Header:
    """Read the header of ``data``, the bytes of the file called ``name``; decode no pixel.

    Raises ``NotAnImage``, ``Unsupported`` or ``Truncated``.
    """
    kind = picture_format(data, name)
    if kind == "webp":
        return _webp_header(data, name)
    require_reader(kind, name)
    with job_errors(data, kind, name):
        picture = open_picture(data, kind)
        if kind == "tiff":
            _refuse_raw(picture, name)
            orientation = int(picture.tag_v2.get(_ORIENTATION, 1))  # type: ignore[attr-defined]
            width, height = picture.size  # Pillow gives it upright
        else:
            orientation = orientation_of(find_exif(data, kind, picture))
            width, height = _upright(picture.size, orientation)
        bits = _bits(picture, data, kind)
    return Header(kind, width, height, picture.mode, bits, orientation, name)


def check_limits(header: Header, max_pixels: int) -> None:
    """Raise ``TooLarge`` when decoding would give more than ``max_pixels`` pixels."""
    if header.pixels > max_pixels:
        raise TooLarge(
            f"{header.name}: {header.width} x {header.height} pixels are "
            f"{header.pixels / 1e6:.1f} megapixels; the limit is {max_pixels / 1e6:.1f}"
        )


def find_exif(data: bytes, kind: str, picture: ImageFile.ImageFile) -> bytes | None:
    """The raw EXIF block, wherever the container keeps it (PNG may have it after the pixels)."""
    if kind == "webp":
        return webp_chunk(data, b"EXIF")
    exif = picture.info.get("exif")
    if kind == "png":
        exif = next((body for tag, body in png_chunks(data) if tag == b"eXIf"), exif)
        exif = exif or raw_profile(picture.info.get("Raw profile type exif"))
    return exif if isinstance(exif, bytes) and exif else None


def _webp_header(data: bytes, name: str) -> Header:
    info = read_webp(data)
    if info is None or not (info.width and info.height):
        error = Truncated if ends_early(data, "webp") else NotAnImage
        raise error(f"{name}: a WebP file without a picture in it")
    orientation = orientation_of(webp_chunk(data, b"EXIF"))
    width, height = _upright((info.width, info.height), orientation)
    mode = "RGBA" if info.has_alpha else "RGB"
    return Header("webp", width, height, mode, 8, orientation, name)


def _upright(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    return (size[1], size[0]) if orientation >= 5 else size


def _bits(picture: ImageFile.ImageFile, data: bytes, kind: str) -> int:
    """16 for sources of more than 8 bits a sample; Pillow's mode does not tell for RGB."""
    if kind == "png":
        return 16 if data[24] == 16 else 8
    if kind == "tiff":
        depth = picture.tag_v2.get(_BITS_PER_SAMPLE, (1,))  # type: ignore[attr-defined]
        return 16 if max(depth) > 8 else 8
    return 8


def _refuse_raw(picture: ImageFile.ImageFile, name: str) -> None:
    """Camera raw files are TIFF files whose first picture is a thumbnail."""
    tags = picture.tag_v2  # type: ignore[attr-defined]
    if _DNG_VERSION in tags or int(tags.get(_NEW_SUBFILE_TYPE, 0)) & _REDUCED_RESOLUTION:
        raise Unsupported(f"{name}: a camera raw file (its first picture is only a preview)")
