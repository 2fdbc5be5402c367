"""Pixels to bytes: PNG, WebP, JPEG, TIFF, with profile, EXIF and resolution.

PNG goes through OpenCV at its lowest compression, which already takes a third of Pillow's time;
a still faster writer is a later issue.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from edge_matting.core.errors import Unsupported
from edge_matting.imaging.tiff import encode_deep_tiff

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
Dpi = tuple[float, float]

_LONGEST_SIDE: Final = {"webp": 16383, "jpg": 65500, "png": 2**31 - 1, "tiff": 2**31 - 1}
_METRES_PER_INCH: Final = 0.0254


def encode(
    pixels: Pixels,
    format: str,  # noqa: A002  the recipe's own word
    *,
    quality: int = 92,
    icc: bytes | None = None,
    exif: bytes | None = None,
    dpi: Dpi | None = None,
) -> bytes:
    """Encode H x W (grey), H x W x 3 (RGB) or H x W x 4 (RGBA, straight alpha) pixels.

    ``pixels`` are uint8 or uint16; ``png`` and ``tiff`` keep 16 bits, ``webp`` and ``jpg`` reduce
    to 8. ``quality`` is 1 to 100 for JPEG and lossy WebP; WebP with 100 is lossless. ``exif``
    comes without its prefix; a grey picture takes no ``icc``.

    Raises ``Unsupported`` when the format cannot hold the picture.
    """
    _check(pixels, format)
    profile = icc if pixels.ndim == 3 else None
    if format == "png":
        return _png(pixels, profile, exif, dpi)
    if format == "tiff":
        return _tiff(pixels, profile, exif, dpi)
    if format == "webp":
        return _webp(_eight_bit(pixels), quality, profile, exif)
    return _jpeg(_eight_bit(pixels), quality, profile, exif, dpi)


def _check(pixels: Pixels, kind: str) -> None:
    if kind not in _LONGEST_SIDE:
        raise ValueError(f"unknown output format {kind!r}")
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if channels not in (1, 3, 4) or 0 in pixels.shape:
        raise ValueError(f"expected grey, RGB or RGBA pixels, got shape {pixels.shape}")
    if kind == "jpg" and channels == 4:
        raise ValueError("JPEG cannot carry transparency")
    longest = max(pixels.shape[:2])
    if longest > _LONGEST_SIDE[kind]:
        raise Unsupported(
            f"{kind} cannot hold a side of {longest} pixels; it ends at {_LONGEST_SIDE[kind]}",
            hint="choose png or tiff for this recipe",
        )


def _eight_bit(pixels: Pixels) -> npt.NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return pixels  # type: ignore[return-value]
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _png(pixels: Pixels, icc: bytes | None, exif: bytes | None, dpi: Dpi | None) -> bytes:
    options = [cv2.IMWRITE_PNG_COMPRESSION, 1]
    if hasattr(cv2, "IMWRITE_PNG_FILTER"):  # since OpenCV 4.11
        options += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_SUB]
    done, encoded = cv2.imencode(".png", _bgr(pixels), options)
    if not done:
        raise MemoryError("OpenCV could not encode the PNG")
    return _with_chunks(encoded.tobytes(), icc, exif, dpi)


def _bgr(pixels: Pixels) -> Any:
    if pixels.ndim == 2:
        return pixels
    code = cv2.COLOR_RGBA2BGRA if pixels.shape[2] == 4 else cv2.COLOR_RGB2BGR
    return cv2.cvtColor(pixels, code)


def _with_chunks(png: bytes, icc: bytes | None, exif: bytes | None, dpi: Dpi | None) -> bytes:
    """Insert iCCP, pHYs and eXIf after IHDR (PNG specification, third edition, 5.6)."""
    chunks = []
    if icc is not None:
        chunks.append(_chunk(b"iCCP", b"ICC Profile\x00\x00" + zlib.compress(icc)))
    if dpi is not None:
        across, down = (round(value / _METRES_PER_INCH) for value in dpi)
        chunks.append(_chunk(b"pHYs", struct.pack(">IIB", across, down, 1)))
    if exif is not None:
        chunks.append(_chunk(b"eXIf", exif))
    after_header = 8 + 12 + 13  # signature, chunk frame, IHDR's body
    return b"".join((png[:after_header], *chunks, png[after_header:]))


def _chunk(tag: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))


def _tiff(pixels: Pixels, icc: bytes | None, exif: bytes | None, dpi: Dpi | None) -> bytes:
    if pixels.dtype == np.uint16:
        return encode_deep_tiff(pixels, icc=icc, dpi=dpi)  # type: ignore[arg-type]
    return _pillow(pixels, "TIFF", icc, exif, compression="tiff_adobe_deflate", **_density(dpi))


def _webp(
    pixels: npt.NDArray[np.uint8], quality: int, icc: bytes | None, exif: bytes | None
) -> bytes:
    if quality == 100:
        return _pillow(pixels, "WEBP", icc, exif, lossless=True, quality=20, method=0)
    return _pillow(pixels, "WEBP", icc, exif, quality=quality, method=2)


def _jpeg(
    pixels: npt.NDArray[np.uint8],
    quality: int,
    icc: bytes | None,
    exif: bytes | None,
    dpi: Dpi | None,
) -> bytes:
    subsampling = 0 if quality >= 90 else 2  # 4:4:4 keeps the coloured edges of a composite
    options = {"quality": quality, "subsampling": subsampling, **_density(dpi)}
    return _pillow(pixels, "JPEG", icc, exif, **options)


def _density(dpi: Dpi | None) -> dict[str, Any]:
    return {} if dpi is None else {"dpi": (round(dpi[0]), round(dpi[1]))}


def _pillow(
    pixels: Pixels, kind: str, icc: bytes | None, exif: bytes | None, **options: Any
) -> bytes:
    options["icc_profile"] = icc
    if exif is not None:
        options["exif"] = exif if kind == "TIFF" else b"Exif\x00\x00" + exif
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, kind, **options)
    return target.getvalue()
