"""Pixels to bytes: PNG, WebP, JPEG, TIFF, with profile, EXIF and resolution."""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from edge_matting.core.errors import Unsupported
from edge_matting.imaging.png import Dpi, Pixels, encode_png, isal_deflate
from edge_matting.imaging.tiff import encode_deep_tiff

_LONGEST_SIDE: Final = {"webp": 16383, "jpg": 65500, "png": 2**31 - 1, "tiff": 2**31 - 1}


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
        return encode_png(pixels, icc=profile, exif=exif, dpi=dpi, deflate=isal_deflate())
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
