"""How a TIFF file lays its pixels out, read from its directories before any decoder sees them.

TIFF revision 6.0, its Technical Notes 1 (SubIFDs) and 2 (JPEG), and BigTIFF.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from edge_matting.imaging.directory import (
    EXIF_IFD,
    INTEROP_IFD,
    SUB_IFDS,
    Directory,
    FieldPlace,
    Reader,
    first_integer,
)

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, MASK, CMYK, YCBCR, LAB = 0, 1, 2, 3, 4, 5, 6, 8
ICC_LAB, ITU_LAB, COLOUR_FILTER_ARRAY, LINEAR_RAW = 9, 10, 32803, 34892
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
ASSOCIATED, STRAIGHT = 1, 2

COMPRESSIONS: Final = {
    1: "none", 2: "CCITT", 3: "CCITT fax 3", 4: "CCITT fax 4", 5: "LZW", 6: "old JPEG", 7: "JPEG",
    8: "Deflate", 32773: "PackBits", 32946: "Deflate", 33003: "JPEG 2000", 33004: "JPEG 2000",
    33005: "JPEG 2000", 33007: "JPEG 2000", 34712: "JPEG 2000", 34887: "LERC", 34892: "JPEG",
    34925: "LZMA", 50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL",
    32766: "NeXT", 32771: "CCITT", 32809: "ThunderScan", 32909: "PixarLog",
    34676: "SGILog", 34677: "SGILog24", 50013: "PixTIFF ZIP",
}  # fmt: skip
_LOSSY: Final = frozenset({6, 7, 33003, 33004, 33005, 33007, 34712, 34887, 34892, 50001, 50002,
                           52546})  # fmt: skip
_MOST_DIRECTORIES: Final = 128
_LONG_VALUES: Final = 64
_REDUCED, _OF_SEVERAL, _MASK_FLAG = 1, 2, 4
_DNG_VERSION: Final = 0xC612
_MAKE: Final = 0x010F


@dataclass(frozen=True, slots=True)
class Layout:
    """One picture in a TIFF file."""

    page: int  # in the chain of main directories
    at: int
    width: int
    height: int
    bits: tuple[int, ...]
    compression: int
    photometric: int
    samples: int
    planar: bool  # each channel in a plane of its own
    sample_format: int
    extra: tuple[int, ...]
    predictor: int
    fill_order: int
    subfile: int
    orientation: int
    blocks: int  # strips or tiles
    block_bytes: int  # what they say their sizes sum up to
    tile_pixels: int
    end: int  # where the last of them ends in the file
    big: bool
    motorola: bool
    subsampled: bool

    @property
    def reduced(self) -> bool:
        return bool(self.subfile & (_REDUCED | _MASK_FLAG))

    @property
    def raw(self) -> bool:
        return self.photometric in (COLOUR_FILTER_ARRAY, LINEAR_RAW)

    @property
    def lossy(self) -> bool:
        return self.compression in _LOSSY

    @property
    def depth(self) -> int:
        return max(self.bits, default=1)

    @property
    def coding(self) -> str:
        return COMPRESSIONS.get(self.compression, f"compression {self.compression}")


@dataclass(frozen=True, slots=True)
class Tiff:
    """The pictures of a file in its order, and what its main directory says beside them."""

    layouts: tuple[Layout, ...]
    first: Directory
    details: Directory
    interoperability: Directory
    dng: bool
    make: str
    metadata_bytes: int
    broken: bool  # the first directory lies outside the file

    @property
    def picture(self) -> Layout | None:
        """The first that is no thumbnail and no mask; None where there is none."""
        return next((layout for layout in self.layouts if not layout.reduced), None)

    @property
    def camera_raw(self) -> bool:
        """Whether the pictures that a viewer shows are previews of sensor data."""
        only_previews = bool(self.layouts) and self.picture is None and bool(self.make)
        return self.dng or only_previews or any(layout.raw for layout in self.layouts)


def read_tiff(data: bytes) -> Tiff | None:
    """None for what is no TIFF; never raises."""
    reader = Reader.of(data)
    if reader is None:
        return None
    layouts: list[Layout] = []
    first: Directory = {}
    details: Directory = {}
    interoperability: Directory = {}
    total, broken, subs = 0, False, []
    for page, at in enumerate(_chain(reader)):
        try:
            places = {place.tag: place for place in reader.places(at)}
        except struct.error:
            broken = broken or page == 0
            break
        known = _short_values(reader, places)
        if page == 0:
            first = known
            total = sum(p.size for p in places.values() if p.tag not in (273, 279, 324, 325))
            details = _below(reader, known, EXIF_IFD)
            interoperability = _below(reader, details, INTEROP_IFD)
            subs = list(_pointers(reader, places))
        layout = _layout(reader, page, at, places, known)
        if layout is not None:
            layouts.append(layout)
    raw_below = _raw_below(reader, subs)
    make = first[_MAKE].text() if _MAKE in first else ""
    dng = _DNG_VERSION in first
    if raw_below is not None:
        layouts.append(raw_below)
    return Tiff(
        tuple(layouts), first, details, interoperability, dng, make, total, broken or not first
    )


def _chain(reader: Reader) -> Iterator[int]:
    seen: set[int] = set()
    try:
        at = reader.first()
        while at and at not in seen and len(seen) < _MOST_DIRECTORIES:
            seen.add(at)
            yield at
            at = reader.next(at)
    except struct.error:
        if not seen:
            yield len(reader.data)  # outside the file


def _short_values(reader: Reader, places: dict[int, FieldPlace]) -> Directory:
    """All values but those of strips and tiles, which may be millions."""
    return {tag: reader.entry(place) for tag, place in places.items()
            if tag not in (273, 279, 324, 325)}  # fmt: skip


def _below(reader: Reader, known: Directory, pointer: int) -> Directory:
    at = first_integer(known, pointer)
    try:
        return {} if at is None else reader.directory(at)
    except struct.error:
        return {}


def _pointers(reader: Reader, places: dict[int, FieldPlace]) -> Iterator[int]:
    place = places.get(SUB_IFDS)
    if place is not None and place.count <= _LONG_VALUES:
        yield from reader.entry(place).integers()


def _raw_below(reader: Reader, pointers: list[int]) -> Layout | None:
    """A picture of sensor data below the main directory, where cameras keep theirs."""
    for at in pointers:
        try:
            places = {place.tag: place for place in reader.places(at)}
        except struct.error:
            continue
        layout = _layout(reader, -1, at, places, _short_values(reader, places))
        if layout is not None and layout.raw:
            return layout
    return None


def _layout(
    reader: Reader, page: int, at: int, places: dict[int, FieldPlace], known: Directory
) -> Layout | None:
    def one(tag: int, otherwise: int) -> int:
        value = first_integer(known, tag)
        return otherwise if value is None else value

    width, height = one(256, 0), one(257, 0)
    if width <= 0 or height <= 0:
        return None
    samples = one(277, 1)
    bits = known[258].integers() if 258 in known else (1,)
    extra = known[338].integers() if 338 in known else ()
    offsets, sizes = places.get(324, places.get(273)), places.get(325, places.get(279))
    tile = one(322, 0) * one(323, 0)
    total, end = _extent(reader, offsets, sizes)
    chroma = known[530].integers() if 530 in known else (2, 2)
    return Layout(
        page, at, width, height, tuple(int(b) for b in bits[:8]), one(259, 1), one(262, 1),
        samples, one(284, 1) == 2 and samples > 1, one(339, UNSIGNED), tuple(extra[:8]),
        one(317, 1), one(266, 1), one(254, 0), one(274, 1),
        0 if offsets is None else offsets.count, total, tile, end, reader.big,
        reader.order == ">", tuple(chroma) != (1, 1),
    )  # fmt: skip


def _extent(
    reader: Reader, offsets: FieldPlace | None, sizes: FieldPlace | None
) -> tuple[int, int]:
    """How many bytes the blocks say they have, and where the last ends; zeros where unknown."""
    if offsets is None or sizes is None or offsets.count != sizes.count or offsets.count > 1 << 22:
        return 0, 0
    starts, lengths = reader.entry(offsets).integers(), reader.entry(sizes).integers()
    end = max((a + n for a, n in zip(starts, lengths, strict=False) if n), default=0)
    return sum(lengths), end
