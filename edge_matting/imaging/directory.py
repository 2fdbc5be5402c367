"""TIFF directories, as TIFF files and EXIF blocks hold them, read within bounds and written.

TIFF revision 6.0, section 2, and BigTIFF. Values are held little-endian, whatever the source was.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 2, 3, 4, 5, 7
EXIF_IFD, GPS_IFD, INTEROP_IFD, SUB_IFDS = 0x8769, 0x8825, 0xA005, 0x014A
ORIENTATION: Final = 0x0112
SIZES: Final = {
    1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
    16: 8, 17: 8, 18: 8, 129: 1,
}  # fmt: skip
"""Bytes of one value of each type; 16 to 18 are BigTIFF's, 129 is EXIF 3.0's UTF-8."""

_UNITS: Final = SIZES | {5: 4, 10: 4}
_INTEGERS: Final = {
    1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q",
}  # fmt: skip
_MOST_ENTRIES: Final = 4096


@dataclass(frozen=True, slots=True)
class Field:
    """One tag's value: its TIFF type, how many, and the bytes, little-endian."""

    kind: int
    count: int
    raw: bytes

    def integers(self) -> tuple[int, ...]:
        """The values of any integer type; empty for others."""
        code = _INTEGERS.get(self.kind)
        return () if code is None else struct.unpack(f"<{self.count}{code}", self.raw)

    def text(self) -> str:
        """The value as text; bytes that are not UTF-8 are read as Latin-1."""
        value = self.raw.split(b"\x00", 1)[0]
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.decode("latin-1")


Directory: TypeAlias = dict[int, Field]


def first_integer(directory: Directory, tag: int) -> int | None:
    """The first value of an integer tag; None without one."""
    entry = directory.get(tag)
    values = () if entry is None else entry.integers()
    return int(values[0]) if values else None


def short(*values: int) -> Field:
    return Field(SHORT, len(values), struct.pack(f"<{len(values)}H", *values))


def long(*values: int) -> Field:
    return Field(LONG, len(values), struct.pack(f"<{len(values)}I", *values))


def rational(numerator: int, denominator: int) -> Field:
    return Field(RATIONAL, 1, struct.pack("<II", numerator, denominator))


def undefined(raw: bytes) -> Field:
    return Field(UNDEFINED, len(raw), raw)


@dataclass(frozen=True, slots=True)
class FieldPlace:
    """Where a tag's value lies in the file, and what it is."""

    tag: int
    kind: int
    count: int
    at: int
    size: int


@dataclass(frozen=True, slots=True)
class Reader:
    """The directories of a TIFF file or EXIF block; ``struct.error`` where they lie outside."""

    data: bytes
    order: str  # "<" or ">"
    big: bool

    @classmethod
    def of(cls, data: bytes) -> Reader | None:
        """None for what is no TIFF."""
        order = {b"II": "<", b"MM": ">"}.get(data[:2])
        if order is None or len(data) < 8:
            return None
        (version,) = struct.unpack_from(order + "H", data, 2)
        return cls(data, order, version == 43) if version in (42, 43) else None

    def first(self) -> int:
        """Where the first directory begins."""
        return int(self._number(8 if self.big else 4))

    def places(self, at: int) -> Iterator[FieldPlace]:
        """The entries of the directory at ``at``; those that lie outside the data are left out."""
        count = self._count(at)
        if count > _MOST_ENTRIES:
            raise struct.error(f"{count} entries in a directory")
        entry, width = (20, 8) if self.big else (12, 4)
        start = at + (8 if self.big else 2)
        for place in range(start, start + entry * count, entry):
            tag, kind = struct.unpack_from(self.order + "HH", self.data, place)
            number = self._number(place + 4)
            size = SIZES.get(kind, 0) * number
            where = place + 4 + width
            if size > width:
                where = self._number(where)
            if size and where + size <= len(self.data):
                yield FieldPlace(tag, kind, number, where, size)

    def next(self, at: int) -> int:
        """Where the following directory begins; 0 behind the last."""
        entry, head = (20, 8) if self.big else (12, 2)
        return self._number(at + head + entry * self._count(at))

    def directory(self, at: int) -> Directory:
        return {place.tag: self.entry(place) for place in self.places(at)}

    def entry(self, place: FieldPlace) -> Field:
        raw = self.data[place.at : place.at + place.size]
        unit = _UNITS[place.kind]
        if self.order == ">" and unit > 1:
            raw = np.frombuffer(raw, f">u{unit}").astype(f"<u{unit}").tobytes()
        return Field(place.kind, place.count, raw)

    def _count(self, at: int) -> int:
        return self._unpack("Q" if self.big else "H", at)

    def _number(self, at: int) -> int:
        return self._unpack("Q" if self.big else "I", at)

    def _unpack(self, code: str, at: int) -> int:
        if not 0 <= at < len(self.data):
            raise struct.error("outside the file")
        return int(struct.unpack_from(self.order + code, self.data, at)[0])


def write_directories(
    first: Mapping[int, Field], below: Mapping[int, Mapping[int, Field]], at: int
) -> bytes:
    """A little-endian directory that begins at ``at``, and behind it its values and the
    directories ``below`` it, by the tag that points to them.
    """
    entries = dict(first)
    for pointer in below:
        entries[pointer] = long(0)
    spill = bytearray()
    spill_at = at + 2 + 12 * len(entries) + 4
    for pointer, directory in below.items():
        entries[pointer] = long(spill_at + len(spill))
        spill += write_directories(directory, {}, spill_at + len(spill))
    rows = bytearray()
    for tag, entry in sorted(entries.items()):
        value = entry.raw.ljust(4, b"\x00")
        if len(entry.raw) > 4:
            value = struct.pack("<I", spill_at + len(spill))
            spill += entry.raw + b"\x00" * (len(entry.raw) % 2)
        rows += struct.pack("<HHI", tag, entry.kind, entry.count) + value
    return struct.pack("<H", len(entries)) + bytes(rows) + struct.pack("<I", 0) + bytes(spill)
