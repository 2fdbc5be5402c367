"""Camera raw files: named, and developed where the extra ``raw`` is installed.

LibRaw, through rawpy, knows the sensors of all common cameras.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edge_matting.core.errors import NotAnImage, OutOfMemory, Truncated, Unsupported

_BY_MAKER: Final = {
    "nikon": "a Nikon NEF", "canon": "a Canon CR2", "sony": "a Sony ARW", "pentax": "a Pentax PEF",
    "ricoh": "a Pentax PEF", "samsung": "a Samsung SRW", "olympus": "an Olympus ORF",
    "panasonic": "a Panasonic RW2", "fuji": "a Fujifilm RAF", "hasselblad": "a Hasselblad 3FR",
    "kodak": "a Kodak DCR", "leaf": "a Leaf MOS", "phase one": "a Phase One IIQ",
    "epson": "an Epson ERF", "mamiya": "a Mamiya MEF", "minolta": "a Minolta MRW",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RawFile:
    """A camera raw file: its kind in words, and the pixels of its sensor."""

    kind: str
    sensor_pixels: int


@dataclass(frozen=True, slots=True)
class RawSize:
    """What LibRaw says of a raw file before it develops it; upright."""

    width: int
    height: int
    sensor_pixels: int


def kind_of(make: str, *, dng: bool) -> str:
    """The kind of a raw file that is laid out as a TIFF, by its camera's maker."""
    if dng:
        return "a DNG camera raw file"
    found = next((kind for maker, kind in _BY_MAKER.items() if maker in make.lower()), None)
    return "a camera raw file" if found is None else f"{found} raw file"


def size_of_raw(data: bytes, kind: str, name: str) -> RawSize:
    """Raises ``Unsupported`` where no library develops it."""
    with _opened(data, kind, name) as raw:
        sizes = raw.sizes
        width, height = sizes.iwidth, sizes.iheight
        if sizes.flip in (5, 6):
            width, height = height, width
        return RawSize(width, height, sizes.raw_width * sizes.raw_height)


def develop(data: bytes, kind: str, name: str) -> npt.NDArray[np.uint16]:
    """H x W x 3 in sRGB, upright, developed with the camera's own white balance."""
    with _opened(data, kind, name) as raw:
        try:
            developed: npt.NDArray[np.uint16] = raw.postprocess(use_camera_wb=True, output_bps=16)
        except MemoryError as error:
            raise OutOfMemory(f"{name}: no memory left while developing it") from error
        except Exception as error:
            raise Truncated(f"{name}: {kind} that cannot be developed ({error})") from error
        return developed


def _opened(data: bytes, kind: str, name: str) -> Any:
    try:
        import rawpy  # noqa: PLC0415  the extra raw
    except ImportError as error:
        raise Unsupported(
            f"{name}: {kind}",
            hint="export it as TIFF or JPEG, or install the extra raw "
            "(pip install 'edge-matting[raw]')",
        ) from error
    try:
        return rawpy.imread(io.BytesIO(data))
    except rawpy.LibRawFileUnsupportedError as error:
        raise Unsupported(f"{name}: {kind} of a camera that is not known",
                          hint="export it as TIFF or JPEG") from error  # fmt: skip
    except Exception as error:
        raise NotAnImage(f"{name}: {kind} that is broken ({error})") from error
