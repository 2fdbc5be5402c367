"""Pixels to bytes: PNG, WebP, JPEG, TIFF, AVIF, with profile, EXIF and resolution."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import AvifImagePlugin, Image

from edge_matting.core.errors import Unsupported
from edge_matting.imaging.exif import PREFIX
from edge_matting.imaging.iptc import photoshop_segment
from edge_matting.imaging.png import Dpi, Pixels, Rows, effort_deflate, encode_png, whole
from edge_matting.imaging.survey import Metadata
from edge_matting.imaging.tiff import encode_tiff

_LONGEST_SIDE: Final = {
    "webp": 16383,
    "jpg": 65500,
    "avif": 65536,
    "png": 2**31 - 1,
    "tiff": 2**31 - 1,
}
_PROGRESSIVE_EFFORT: Final = 5
_HARDEST: Final = 9
_SHARP_QUALITY: Final = 90  # from here 4:4:4, which keeps the coloured edges of a composite


_NOTHING: Final = Metadata()
_XMP_SEGMENT: Final = b"http://ns.adobe.com/xap/1.0/\x00"

Narrow: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _About:
    """What goes along with the pixels."""

    icc: bytes | None
    metadata: Metadata
    dpi: Dpi | None


def encode(
    pixels: Pixels | Rows,
    format: str,  # noqa: A002  the recipe's own word
    *,
    quality: int = 92,
    effort: int = 1,
    compact: bool = False,
    premultiplied: bool = False,
    icc: bytes | None = None,
    metadata: Metadata = _NOTHING,
    dpi: Dpi | None = None,
) -> bytes:
    """Encode H x W (grey), H x W x 3 (RGB) or H x W x 4 (RGBA, straight alpha) pixels.

    ``pixels`` are uint8 or uint16, an array or, for PNG, ``Rows`` made while they are written;
    other formats take these as a whole. ``png`` and ``tiff`` keep 16 bits, the others reduce to 8.
    ``quality`` is 1 to 100 for JPEG, AVIF and lossy WebP; WebP with 100 is lossless. ``effort`` is
    0 (fastest) to 9 (smallest); ``compact`` asks PNG for the smallest file at any price.
    ``premultiplied`` only says what RGBA pixels are: TIFF and AVIF have a mark for it. A grey
    picture takes no ``icc``; WebP and AVIF have no place for IPTC.

    Raises ``Unsupported`` when the format cannot hold the picture.
    """
    _check(pixels.shape, format)
    about = _About(icc if len(pixels.shape) == 3 else None, metadata, dpi)
    if format == "png" and not compact:
        return _png(pixels, effort, about)
    pixels = whole(pixels)
    if format == "png":
        return _smallest_png(pixels, about)
    if format == "tiff":
        return _tiff(pixels, effort, about, premultiplied=premultiplied)
    narrow = _hidden(_eight_bit(pixels))
    if format == "webp":
        return _webp(narrow, quality, effort, about)
    if format == "avif":
        return _avif(narrow, quality, effort, about, premultiplied=premultiplied)
    return _jpeg(narrow, quality, effort, about)


def _check(shape: tuple[int, ...], kind: str) -> None:
    if kind not in _LONGEST_SIDE:
        raise ValueError(f"unknown output format {kind!r}")
    channels = shape[2] if len(shape) == 3 else 1
    if channels not in (1, 3, 4) or 0 in shape:
        raise ValueError(f"expected grey, RGB or RGBA pixels, got shape {shape}")
    if kind == "jpg" and channels == 4:
        raise ValueError("JPEG cannot carry transparency")
    longest = max(shape[:2])
    if longest > _LONGEST_SIDE[kind]:
        raise Unsupported(
            f"{kind} cannot hold a side of {longest} pixels; it ends at {_LONGEST_SIDE[kind]}",
            hint="choose png or tiff for this recipe",
        )


def _eight_bit(pixels: Pixels) -> npt.NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return pixels  # type: ignore[return-value]
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _hidden(pixels: Narrow) -> Narrow:
    """No colour where alpha is 0, or became 0 when 16 bits were reduced to 8."""
    if pixels.ndim != 3 or pixels.shape[2] != 4:
        return pixels
    return pixels * (pixels[:, :, 3:] > 0)


def _png(pixels: Pixels | Rows, effort: int, about: _About) -> bytes:
    deflate = effort_deflate(effort)
    return encode_png(
        pixels, deflate=deflate, icc=about.icc, metadata=about.metadata, dpi=about.dpi
    )


def _smallest_png(pixels: Pixels, about: _About) -> bytes:
    """One filter for the picture or one for each row: which is smaller, only trying tells."""
    by_row = encode_png(
        pixels, level=_HARDEST, icc=about.icc, metadata=about.metadata, dpi=about.dpi
    )
    return min(_png(pixels, _HARDEST, about), by_row, key=len)


def _tiff(pixels: Pixels, effort: int, about: _About, *, premultiplied: bool) -> bytes:
    return encode_tiff(
        pixels,
        icc=about.icc,
        dpi=about.dpi,
        metadata=about.metadata,
        level=effort,
        premultiplied=premultiplied,
    )


def _webp(pixels: Narrow, quality: int, effort: int, about: _About) -> bytes:
    if quality == 100:
        search = 20 if effort <= 1 else 10 + 10 * effort  # lossless: how hard, not how well
        method = min(6, max(0, effort - 1))
        options = {"lossless": True, "quality": search, "method": method, "exact": True}
        return _pillow(pixels, "WEBP", about, **options)
    method = min(6, 1 + round(effort * 2 / 3))
    # exact: else libwebp paints under alpha 0 what compresses best, and readers show it
    return _pillow(pixels, "WEBP", about, quality=quality, method=method, exact=True)


def _avif(
    pixels: Narrow, quality: int, effort: int, about: _About, *, premultiplied: bool
) -> bytes:
    options: dict[str, Any] = {
        "quality": quality,
        "speed": 9 - round(effort * 5 / 9),  # slower than 4 saves next to nothing
        "subsampling": "4:4:4" if quality >= _SHARP_QUALITY else "4:2:0",
        "alpha_premultiplied": premultiplied,
        "max_threads": 1,  # the photos in flight have the processors already
    }
    if pixels.ndim == 2:
        options["subsampling"] = "4:0:0"
    elif pixels.shape[2] == 4 and AvifImagePlugin.get_codec_version("aom"):
        options |= {"codec": "aom", "advanced": {"alpha:lossless": "1"}}  # the matte as it is
    return _pillow(pixels, "AVIF", about, **options)


def _jpeg(pixels: Narrow, quality: int, effort: int, about: _About) -> bytes:
    options: dict[str, Any] = {"quality": quality, **_density(about.dpi)}
    options["subsampling"] = 0 if quality >= _SHARP_QUALITY else 2
    if effort >= _PROGRESSIVE_EFFORT:
        options |= {"optimize": True, "progressive": True}
    jpeg = _pillow(pixels, "JPEG", about, **options)
    return _with_segments(jpeg, about.metadata)


def _with_segments(jpeg: bytes, metadata: Metadata) -> bytes:
    """XMP and IPTC behind the segments that are there already."""
    more = []
    if metadata.xmp is not None:
        more.append(_segment(0xE1, _XMP_SEGMENT + metadata.xmp))
    if metadata.iptc is not None:
        more.append(_segment(0xED, photoshop_segment(metadata.iptc)))
    at = 2
    while jpeg[at] == 0xFF and 0xE0 <= jpeg[at + 1] <= 0xE2:
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return b"".join((jpeg[:at], *more, jpeg[at:]))


def _segment(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, kind, len(body) + 2) + body


def _density(dpi: Dpi | None) -> dict[str, Any]:
    return {} if dpi is None else {"dpi": (round(dpi[0]), round(dpi[1]))}


def _pillow(pixels: Pixels, kind: str, about: _About, **options: Any) -> bytes:
    options["icc_profile"] = about.icc
    if about.metadata.exif is not None:
        options["exif"] = PREFIX + about.metadata.exif
    if kind != "JPEG" and about.metadata.xmp is not None:
        options["xmp"] = about.metadata.xmp
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, kind, **options)
    return target.getvalue()
