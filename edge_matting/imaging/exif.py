"""EXIF blocks: what is read of them, and what of them an output may carry.

Exif 3.0 (CIPA DC-008). What ``safe`` keeps is a list of what may stay: free text, persons, serial
numbers, places and thumbnails are not on it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from edge_matting.imaging.directory import (
    ASCII,
    EXIF_IFD,
    GPS_IFD,
    INTEROP_IFD,
    ORIENTATION,
    RATIONAL,
    SHORT,
    Directory,
    Field,
    FieldPlace,
    Reader,
    first_integer,
    long,
    rational,
    short,
    write_directories,
)

PREFIX: Final = b"Exif\x00\x00"
COLOUR_SPACE, WIDTH, HEIGHT = 0xA001, 0xA002, 0xA003
SRGB, UNCALIBRATED = 1, 65535
_INTEROP_INDEX: Final = 1
_ACROSS, _DOWN, _UNIT = 0x011A, 0x011B, 0x0128

CREDIT: Final = frozenset({0x013B, 0x8298})
"""Artist and copyright."""

_MAKE, _MODEL = 0x010F, 0x0110

DESCRIPTIVE: Final = CREDIT | {0x010F, 0x0110, _ACROSS, _DOWN, _UNIT, 0x0131, 0x0132}
"""And camera, resolution, software, date: tags that say something of the photo and nothing of how
its file is laid out, nor who is in it."""

_DETAILS: Final = frozenset(
    {0x829A, 0x829D, 0x8822, 0x8827, *range(0x8830, 0x8836), 0x9000, 0x9003, 0x9004,
     *range(0x9010, 0x9013), *range(0x9201, 0x920B), *range(0x9290, 0x9293), COLOUR_SPACE, WIDTH,
     HEIGHT, 0xA20E, 0xA20F, 0xA210, 0xA217, 0xA300, 0xA301, *range(0xA401, 0xA407),
     *range(0xA408, 0xA40B), 0xA40C, *range(0xA432, 0xA435), 0xA460, 0xA461, 0xA500}
)  # fmt: skip
"""Exposure, times, lens, scene: of the directory of details."""


_LAYOUT: Final = frozenset(
    {ORIENTATION, EXIF_IFD, GPS_IFD, *range(0xFE, 0x10E), *range(0x111, 0x11E),
     *range(0x122, 0x128), _UNIT, 0x12D, *range(0x13D, 0x15C), 0x1B5, *range(0x200, 0x215),
     0x2BC, 0x83BB, 0x8649, 0x8773}
)  # fmt: skip
"""How a file's pixels lie in it, and the blocks that have tags of their own."""


@dataclass(frozen=True, slots=True)
class OutputFacts:
    """What is true of the picture that the block will lie in."""

    size: tuple[int, int]  # width, height
    srgb: bool
    dpi: tuple[float, float] | None = None


def bare(exif: bytes) -> bytes:
    """The block without the prefix of JPEG segments, which other containers carry too."""
    return exif.removeprefix(PREFIX)


def orientation_of(exif: bytes | None) -> int:
    """The EXIF orientation, 1 to 8, of any integer type; 1 where it is missing or nonsense."""
    value = first_integer(_main(exif), ORIENTATION)
    return value if value is not None and 1 <= value <= 8 else 1


def camera_name(exif: bytes | None) -> str | None:
    """Maker and model of the camera, as the block names them."""
    main = _main(exif)
    names = [main[tag].text().strip("\0 ") for tag in (_MAKE, _MODEL) if tag in main]
    return " ".join(names) or None


def adobe_rgb(exif: bytes | None) -> bool:
    """Whether a block says the optional colour space of DCF, Adobe RGB: "R03", or the value 2
    that some cameras write for it.
    """
    details = _below(exif, EXIF_IFD)
    if first_integer(details, COLOUR_SPACE) == 2:
        return True
    index = _below_details(exif, INTEROP_IFD).get(_INTEROP_INDEX)
    return index is not None and index.raw[:3] == b"R03" and not says_srgb(exif)


def says_srgb(exif: bytes | None) -> bool:
    """Whether a block calls its picture sRGB."""
    return first_integer(_below(exif, EXIF_IFD), COLOUR_SPACE) == SRGB


def safe_exif(exif: bytes, output: OutputFacts) -> bytes | None:
    """A new block of what may stay, for ``output``; None where nothing of it is there."""
    main, details = safe_directories(exif, output)
    if not main and not details:
        return None
    main[ORIENTATION] = short(1)
    below = {EXIF_IFD: details} if details else {}
    return b"II*\x00" + struct.pack("<I", 8) + write_directories(main, below, 8)


def safe_directories(exif: bytes, output: OutputFacts) -> tuple[Directory, Directory]:
    """The entries of the main directory and of the one of details that may stay."""
    found = {tag: entry for tag, entry in _main(exif).items() if tag in DESCRIPTIVE}
    main = {tag: entry for tag, entry in found.items() if _well_formed(tag, entry)}
    details = {tag: e for tag, e in _below(exif, EXIF_IFD).items() if tag in _DETAILS}
    if details:
        details[WIDTH], details[HEIGHT] = long(output.size[0]), long(output.size[1])
        details[COLOUR_SPACE] = short(SRGB if output.srgb else UNCALIBRATED)
    if output.dpi is not None and (_ACROSS in main or _DOWN in main):
        main[_ACROSS], main[_DOWN] = (rational(round(v * 100), 100) for v in output.dpi)
        main[_UNIT] = short(2)
    return main, details


def _well_formed(tag: int, entry: Field) -> bool:
    """Whether an entry of the main directory is of its own type: some programs stumble else."""
    if tag in (_ACROSS, _DOWN):
        return (entry.kind, entry.count) == (RATIONAL, 1)
    if tag == _UNIT:
        return (entry.kind, entry.count) == (SHORT, 1)
    return entry.kind == ASCII


def transplanted(exif: bytes) -> tuple[Directory, dict[int, Directory]]:
    """The entries of a block that mean the same in a TIFF's own directories: those of the main one
    and, by the tag that points to them, those below it.
    """
    main = {tag: entry for tag, entry in _main(exif).items() if tag not in _LAYOUT}
    below = {}
    for pointer in (EXIF_IFD, GPS_IFD):
        directory = _below(exif, pointer)
        directory.pop(INTEROP_IFD, None)
        if directory:
            below[pointer] = directory
    return main, below


def corrected_exif(exif: bytes, output: OutputFacts) -> bytes:
    """The same bytes, upright and with the output's size and colour space: each value is replaced
    where it lies, so that offsets inside maker notes stay right.
    """
    block = bytearray(bare(exif))
    reader = Reader.of(bytes(block))
    if reader is None:
        return bytes(block)
    colours = SRGB if output.srgb else UNCALIBRATED
    values = {ORIENTATION: 1, COLOUR_SPACE: colours, WIDTH: output.size[0], HEIGHT: output.size[1]}
    values |= {0x0100: output.size[0], 0x0101: output.size[1]}
    for place in _all_places(reader):
        code = {3: "H", 4: "I"}.get(place.kind)
        if place.tag in values and code is not None and place.count == 1:
            value = min(values[place.tag], 2 ** (8 * place.size) - 1)
            struct.pack_into(reader.order + code, block, place.at, value)
        if place.tag == _INTEROP_INDEX and place.kind == 2 and output.srgb:
            found = bytes(block[place.at : place.at + 3])
            block[place.at : place.at + 3] = b"R98" if found == b"R03" else found
    return bytes(block)


def _all_places(reader: Reader) -> Iterator[FieldPlace]:
    try:
        main = list(reader.places(reader.first()))
        yield from main
        for place in main:
            if place.tag == EXIF_IFD:
                details = list(reader.places(_pointer(reader, place)))
                yield from details
                for deeper in details:
                    if deeper.tag == INTEROP_IFD:
                        yield from reader.places(_pointer(reader, deeper))
    except struct.error:
        return


def _pointer(reader: Reader, place: FieldPlace) -> int:
    values = reader.entry(place).integers()
    return int(values[0]) if values else 0


def _main(exif: bytes | None) -> Directory:
    reader = None if exif is None else Reader.of(bare(exif))
    if reader is None:
        return {}
    try:
        return reader.directory(reader.first())
    except struct.error:
        return {}


def _below(exif: bytes | None, pointer: int) -> Directory:
    return _follow(exif, _main(exif), pointer)


def _below_details(exif: bytes | None, pointer: int) -> Directory:
    return _follow(exif, _below(exif, EXIF_IFD), pointer)


def _follow(exif: bytes | None, directory: Directory, pointer: int) -> Directory:
    at = first_integer(directory, pointer)
    reader = None if exif is None else Reader.of(bare(exif))
    if at is None or reader is None:
        return {}
    try:
        return reader.directory(at)
    except struct.error:
        return {}
