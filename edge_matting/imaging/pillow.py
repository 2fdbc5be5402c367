"""Pillow, opened one plug-in at a time and made to speak in job errors.

The plug-ins are called directly: ``Image.open`` measures every picture against a process-wide
limit, and ours comes from the settings (``header.check_limits``).
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from edge_matting.core.errors import (
    JobError,
    NotAnImage,
    OutOfMemory,
    TooLarge,
    Truncated,
    Unsupported,
)
from edge_matting.imaging.containers import ends_early

_PLUGINS: Final = MappingProxyType(
    {
        "jpeg": JpegImagePlugin.jpeg_factory,  # hands multi-picture files (MPO) on
        "png": PngImagePlugin.PngImageFile,
        "webp": WebPImagePlugin.WebPImageFile,
        "tiff": TiffImagePlugin.TiffImageFile,
        "bmp": BmpImagePlugin.BmpImageFile,
        "gif": GifImagePlugin.GifImageFile,
        "avif": AvifImagePlugin.AvifImageFile,
    }
)

_QUIET_LOCK: Final = threading.Lock()
_UNKNOWN_WORDS: Final = ("unsupported", "not supported", "not implemented", "not a known",
                         "reformat failed")  # fmt: skip
_CUT_WORDS: Final = ("truncated", "premature end", "unexpected end", "not enough data")


@contextmanager
def quiet() -> Iterator[None]:
    """No Pillow warning about odd metadata leaves this block.

    Warning filters belong to the whole process, hence the lock; only short work goes inside.
    """
    with _QUIET_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def open_picture(data: bytes, kind: str) -> ImageFile.ImageFile:
    """The picture, its header read and its pixels not; raises whatever Pillow raises."""
    plugin: Any = _heif_plugin() if kind == "heic" else _PLUGINS[kind]
    with quiet():
        opened: ImageFile.ImageFile = plugin(io.BytesIO(data), "")
    return opened


def require_reader(kind: str, name: str) -> None:
    """Raise ``Unsupported`` where the library that reads ``kind`` is not installed."""
    if kind == "avif" and not AvifImagePlugin.SUPPORTED:
        raise Unsupported(f"{name}: an AVIF picture, which this installation's Pillow cannot read")
    if kind != "heic":
        return
    try:
        _heif_plugin()
    except ImportError as error:
        raise Unsupported(
            f"{name}: a HEIC picture, and no HEIC reader is installed",
            hint="install the extra heic (pip install 'edge-matting[heic]'), or export it as JPEG",
        ) from error


def _heif_plugin() -> Any:
    """pillow-heif's plug-in; libheif turns the picture upright itself, as the format demands."""
    from pillow_heif import HeifImageFile  # noqa: PLC0415  an extra, looked for when needed

    return HeifImageFile


def deep_heif(data: bytes) -> npt.NDArray[np.uint16] | None:
    """All bits of a HEIC spread over 16, H x W x 3 or 4, blue first; None where it has 8."""
    from pillow_heif import open_heif  # noqa: PLC0415  an extra, looked for when needed

    opened = open_heif(io.BytesIO(data), convert_hdr_to_8bit=False, bgr_mode=True)
    pixels = np.asarray(opened)
    if pixels.dtype != np.uint16:
        return None
    # libheif shifts the bits up and leaves zeros below, where white would have ones
    unused = int(np.bitwise_or.reduce(pixels, axis=None))
    empty = (unused & -unused).bit_length() - 1 if unused else 0
    return pixels | (pixels >> (16 - empty)) if 0 < empty < 8 else pixels


def load_picture(picture: ImageFile.ImageFile) -> None:
    """Decode the pixels (of the first frame)."""
    if picture.format in ("TIFF", "GIF"):  # these warn by the process-wide limit when they load
        with quiet():
            picture.load()
    else:
        picture.load()


@contextmanager
def job_errors(data: bytes, kind: str, name: str) -> Iterator[None]:
    """Turn what a decoder raises into what it means for the photo.

    Hostile bytes make decoders raise nearly anything, so everything is caught; nothing is
    swallowed.
    """
    try:
        yield
    except JobError:
        raise
    except MemoryError as error:
        raise OutOfMemory(f"{name}: no memory left while decoding it") from error
    except Image.DecompressionBombError as error:
        raise TooLarge(f"{name}: {error}") from error
    except Exception as error:
        reason = str(error) or type(error).__name__
        if any(word in reason.lower() for word in _CUT_WORDS) or ends_early(data, kind):
            raise Truncated(f"{name}: the {kind.upper()} data ends too early ({reason})") from error
        if any(word in reason.lower() for word in _UNKNOWN_WORDS):
            raise Unsupported(
                f"{name}: a {kind.upper()} file of a rare kind, which is not read here ({reason})"
            ) from error
        raise NotAnImage(f"{name}: a broken {kind.upper()} file ({reason})") from error
