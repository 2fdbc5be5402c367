"""PNG, written with ISA-L: the same pixels as libpng writes, in a fifth of its time.

Deflate is most of the cost of a PNG. ISA-L's is vectorised, runs without the interpreter's lock and
at its level 1 loses little against zlib's level 6, if the rows are filtered well. One filter serves
a whole picture: the candidates are tried on a sample of rows, and the smallest result wins. Paeth
is left out: in NumPy it costs more than everything else together and saves 2 %.

Specification: Portable Network Graphics, third edition (W3C), sections 5, 9 and 10.
"""

from __future__ import annotations

import logging
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, Final, Protocol, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from edge_matting.imaging.iptc import photoshop_block
from edge_matting.imaging.survey import Metadata

log = logging.getLogger(__name__)

Pixels: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
Dpi: TypeAlias = tuple[float, float]
Bytes: TypeAlias = npt.NDArray[np.uint8]

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES: Final = {1: 0, 3: 2, 4: 6}  # grey, RGB, RGBA
_METRES_PER_INCH: Final = 0.0254
_STRIP_BYTES: Final = 512 * 1024  # filtered and compressed at a time: it stays in the cache
_SAMPLES: Final = 8
_SAMPLE_BYTES: Final = 24 * 1024
_ISAL_LEVEL: Final = 1
_ISAL_BEST: Final = 3
_SMALLEST: Final = 9
_NOTHING: Final = Metadata()


class Rows(Protocol):
    """A picture that is made while it is written, and never lies in memory as a whole."""

    @property
    def shape(self) -> tuple[int, ...]:
        """H x W, H x W x 3 or H x W x 4."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8 or uint16."""

    def read(self, start: int, stop: int) -> Pixels:
        """Rows ``start`` to ``stop``; asked for some of them more than once."""


@dataclass(frozen=True, slots=True, eq=False)
class _Whole:
    """``Rows`` of an array."""

    pixels: Pixels

    @property
    def shape(self) -> tuple[int, ...]:
        return self.pixels.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.pixels.dtype

    def read(self, start: int, stop: int) -> Pixels:
        return self.pixels[start:stop]


def whole(picture: Pixels | Rows) -> Pixels:
    """The picture as an array."""
    return picture if isinstance(picture, np.ndarray) else picture.read(0, picture.shape[0])


class Compressor(Protocol):
    """A zlib stream under way."""

    def compress(self, data: Any, /) -> bytes: ...

    def flush(self) -> bytes: ...


Deflate = Callable[[], Compressor]
"""Begins a zlib stream."""


def isal_deflate(level: int = _ISAL_LEVEL) -> Deflate | None:
    """ISA-L's deflate at ``level`` 0 to 3; None where the package is missing."""
    isal = _isal()
    return None if isal is None else lambda: isal.compressobj(level)


@cache
def _isal() -> ModuleType | None:
    try:
        from isal import isal_zlib  # noqa: PLC0415  an optional library, looked for when needed
    except ImportError as error:
        log.warning("PNG files are written by OpenCV, which takes five times as long: %s", error)
        return None
    return isal_zlib


def effort_deflate(effort: int) -> Deflate | None:
    """The deflate for an effort of 0 to 9: ISA-L as far as it goes, zlib beyond."""
    if effort <= _ISAL_BEST:
        return isal_deflate(effort)
    return lambda: zlib.compressobj(effort)


def encode_png(
    pixels: Pixels | Rows,
    *,
    icc: bytes | None = None,
    metadata: Metadata = _NOTHING,
    dpi: Dpi | None = None,
    deflate: Deflate | None = None,
    level: int = 1,
) -> bytes:
    """Encode H x W (grey), H x W x 3 (RGB) or H x W x 4 (RGBA, straight alpha) pixels.

    ``pixels`` are uint8 or uint16. ``deflate`` makes the zlib streams; without it libpng writes
    the file through OpenCV at ``level`` 1 to 9; at 9 it tries every filter on every row. Raises
    ``ValueError`` for pixels of another shape or type.
    """
    if deflate is None:
        array = whole(pixels)
        _check(_Whole(array))
        return _through_opencv(array, _ancillary(icc, metadata, dpi), level)
    picture: Rows = _Whole(pixels) if isinstance(pixels, np.ndarray) else pixels
    _check(picture)
    body = [_chunk(b"IDAT", part) for part in _streamed(_Strips.of(picture), deflate)]
    extra = _ancillary(icc, metadata, dpi)
    return b"".join((_SIGNATURE, _header(picture), *extra, *body, _chunk(b"IEND", b"")))


def _check(picture: Rows) -> None:
    shape = picture.shape
    if len(shape) not in (2, 3) or _channels(picture) not in _COLOUR_TYPES or 0 in shape:
        raise ValueError(f"expected grey, RGB or RGBA pixels, got shape {shape}")
    if picture.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"expected uint8 or uint16 pixels, got {picture.dtype}")


def _channels(picture: Rows) -> int:
    return picture.shape[2] if len(picture.shape) == 3 else 1


def _header(picture: Rows) -> bytes:
    channels = _channels(picture)
    height, width = picture.shape[:2]
    depth = 8 * picture.dtype.itemsize
    fields = (width, height, depth, _COLOUR_TYPES[channels], 0, 0, 0)
    return _chunk(b"IHDR", struct.pack(">IIBBBBB", *fields))


def _ancillary(icc: bytes | None, metadata: Metadata, dpi: Dpi | None) -> list[bytes]:
    """iCCP, pHYs, eXIf and texts, which come between IHDR and IDAT (5.6)."""
    chunks = []
    if icc is not None:
        chunks.append(_chunk(b"iCCP", b"ICC Profile\x00\x00" + zlib.compress(icc)))
    if dpi is not None:
        across, down = (round(value / _METRES_PER_INCH) for value in dpi)
        chunks.append(_chunk(b"pHYs", struct.pack(">IIB", across, down, 1)))
    if metadata.exif is not None:
        chunks.append(_chunk(b"eXIf", metadata.exif))
    if metadata.xmp is not None:
        chunks.append(_chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + metadata.xmp))
    if metadata.iptc is not None:
        chunks.append(_chunk(b"zTXt", _raw_profile(photoshop_block(metadata.iptc))))
    return chunks


def _raw_profile(block: bytes) -> bytes:
    """ImageMagick's way to IPTC, for which the specification has no chunk."""
    lines = block.hex()
    rows = "\n".join(lines[at : at + 72] for at in range(0, len(lines), 72))
    text = f"\niptc\n{len(block):8d}\n{rows}\n"
    return b"Raw profile type iptc\x00\x00" + zlib.compress(text.encode())


def _chunk(tag: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(body, zlib.crc32(tag))
    return b"".join((struct.pack(">I", len(body)), tag, body, struct.pack(">I", checksum)))


# Each filter writes n rows of the picture into ``out``, given n + 1 rows: the first is the one
# above. All bytes wrap at 256, as the specification wants it (9.2).


def _unfiltered(rows: Bytes, _step: int, out: Bytes) -> None:
    np.copyto(out, rows[1:])


def _sub(rows: Bytes, step: int, out: Bytes) -> None:
    here = rows[1:]
    out[:, :step] = here[:, :step]
    np.subtract(here[:, step:], here[:, :-step], out=out[:, step:])


def _up(rows: Bytes, _step: int, out: Bytes) -> None:
    np.subtract(rows[1:], rows[:-1], out=out)


def _average(rows: Bytes, step: int, out: Bytes) -> None:
    here, above, left = rows[1:], rows[:-1], rows[1:, :-step]
    np.right_shift(above[:, :step], 1, out=out[:, :step])
    # floor((a + b) / 2) without a ninth bit
    np.bitwise_xor(left, above[:, step:], out=out[:, step:])
    np.right_shift(out[:, step:], 1, out=out[:, step:])
    np.add(out[:, step:], left & above[:, step:], out=out[:, step:])
    np.subtract(here, out, out=out)


_FILTERS: Final = {0: _unfiltered, 1: _sub, 2: _up, 3: _average}
_HANDICAP: Final = {0: 1.0, 1: 1.0, 2: 1.0, 3: 1.02}  # what Average must save to be worth its time


@dataclass(frozen=True, slots=True, eq=False)
class _Strips:
    """A picture read strip by strip, filtered, high bytes first, into the same two buffers."""

    picture: Rows
    step: int  # bytes a pixel
    rows: Bytes  # a strip and the row above it, as bytes
    ready: Bytes  # the strip as it is compressed: the filter's number before each row

    @classmethod
    def of(cls, picture: Rows) -> _Strips:
        height, width = picture.shape[:2]
        step = picture.dtype.itemsize * _channels(picture)
        stride = width * step
        count = max(1, min(height, _STRIP_BYTES // stride))
        rows = np.empty((count + 1, stride), np.uint8)
        return cls(picture, step, rows, np.empty((count, stride + 1), np.uint8))

    def filtered(self, start: int, stop: int, kind: int) -> Bytes:
        """Rows ``start`` to ``stop``; overwritten by the next call."""
        self.read(start, stop)
        return self.filter(stop - start, kind)

    def filter(self, count: int, kind: int) -> Bytes:
        """The ``count`` rows that were read last; overwritten by the next call."""
        part = self.ready[:count]
        part[:, 0] = kind
        _FILTERS[kind](self.rows[: count + 1], self.step, part[:, 1:])
        return part

    def read(self, start: int, stop: int) -> None:
        """Take rows ``start`` - 1 to ``stop``; above the first row lie zeros."""
        part = self.rows[: stop - start + 1]
        first = max(start - 1, 0)
        part[: first - start + 1] = 0
        wide = part.view(self.picture.dtype.newbyteorder(">"))
        pixels = self.picture.read(first, stop)
        np.copyto(wide[first - start + 1 :], pixels.reshape(len(pixels), -1))


def _streamed(strips: _Strips, deflate: Deflate) -> Iterator[bytes]:
    """The parts of the picture's zlib stream."""
    height, count = strips.picture.shape[0], len(strips.ready)
    kind = _best_filter(strips, deflate)
    stream = deflate()
    for start in range(0, height, count):
        part = stream.compress(strips.filtered(start, min(start + count, height), kind))
        if part:
            yield part
    yield stream.flush()


def _best_filter(strips: _Strips, deflate: Deflate) -> int:
    """The filter whose sample of rows, spread over the picture, compresses best."""
    count = max(1, min(len(strips.ready), _SAMPLE_BYTES // strips.rows.shape[1]))
    last = strips.picture.shape[0] - count
    streams = {kind: deflate() for kind in _FILTERS}
    sizes = dict.fromkeys(_FILTERS, 0)
    for start in np.unique(np.linspace(0, last, _SAMPLES).astype(int)).tolist():
        strips.read(start, start + count)
        for kind, stream in streams.items():
            sizes[kind] += len(stream.compress(strips.filter(count, kind)))

    def cost(kind: int) -> float:
        return (sizes[kind] + len(streams[kind].flush())) * _HANDICAP[kind]

    return min(_FILTERS, key=cost)


def _through_opencv(pixels: Pixels, extra: list[bytes], level: int) -> bytes:
    options = [cv2.IMWRITE_PNG_COMPRESSION, level]
    if hasattr(cv2, "IMWRITE_PNG_FILTER"):  # since OpenCV 4.11
        smallest = level == _SMALLEST
        kind = cv2.IMWRITE_PNG_ALL_FILTERS if smallest else cv2.IMWRITE_PNG_FILTER_UP
        options += [cv2.IMWRITE_PNG_FILTER, kind]
        options += [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_DEFAULT] * smallest
    done, encoded = cv2.imencode(".png", _bgr(pixels), options)
    if not done:
        raise MemoryError("OpenCV could not encode the PNG")
    png = encoded.tobytes()
    after_header = len(_SIGNATURE) + 12 + 13  # chunk frame, IHDR's body
    return b"".join((png[:after_header], *extra, png[after_header:]))


def _bgr(pixels: Pixels) -> Any:
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return pixels
    code = cv2.COLOR_RGBA2BGRA if pixels.shape[2] == 4 else cv2.COLOR_RGB2BGR
    return cv2.cvtColor(pixels, code)
