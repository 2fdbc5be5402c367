"""What the boxes of a HEIF or AVIF file say of its picture, before any decoder sees it.

ISO/IEC 14496-12 (boxes), 23008-12 (HEIF), 23000-22 (MIAF).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from edge_matting.imaging.colour_source import CodePoints

_MOST_BOXES: Final = 20_000
_CONTAINERS: Final = frozenset({b"iprp", b"ipco"})


@dataclass(slots=True)
class Heif:
    """What is known of the primary picture; zeros and None where the boxes do not say."""

    width: int = 0
    height: int = 0
    bits: int = 8
    codec: str = ""
    icc: bytes | None = None
    code_points: CodePoints | None = None
    peak: float | None = None
    items: int = 0
    tiles: int = 1
    crop: tuple[int, int, int, int] | None = None  # left, top, width, height (``clap``)
    largest: int = 0  # pixels of the largest picture among the items
    boxes: int = 0
    sequence: bool = False
    gain_map: bool = False
    kinds: dict[int, bytes] = field(default_factory=dict)
    primary: int = 0
    aperture: tuple[int, ...] = ()
    properties: list[tuple[bytes, bytes]] = field(default_factory=list)
    belongs: dict[int, list[int]] = field(default_factory=dict)
    parts: dict[int, tuple[int, ...]] = field(default_factory=dict)


def read_heif(data: bytes) -> Heif:
    """Read the boxes; never raises for what is wrong with them."""
    found = Heif()
    try:
        for kind, body in _boxes(memoryview(data), found):
            if kind == b"meta":
                _meta(found, body[4:])
            elif kind == b"moov":
                found.sequence = True
    except (struct.error, IndexError, ValueError):
        pass  # the decoder will say what is wrong; its limits are checked against what it says
    _describe(found)
    return found


def _boxes(data: memoryview, found: Heif) -> Iterator[tuple[bytes, memoryview]]:
    at = 0
    while at + 8 <= len(data):
        found.boxes += 1
        if found.boxes > _MOST_BOXES:
            raise ValueError("too many boxes")
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
            head = 16
        end = len(data) if size == 0 else at + size
        if end < at + head:
            return
        yield kind, data[at + head : end]
        at = end


def _meta(found: Heif, body: memoryview) -> None:
    for kind, inner in _boxes(body, found):
        if kind == b"pitm":
            code = ">I" if inner[0] else ">H"
            (found.primary,) = struct.unpack_from(code, inner, 4)
        elif kind == b"iinf":
            _items(found, inner)
        elif kind == b"iref":
            _references(found, inner)
        elif kind == b"iprp":
            _item_properties(found, inner)


def _items(found: Heif, body: memoryview) -> None:
    head = 6 if body[0] == 0 else 8
    for kind, entry in _boxes(body[head:], found):
        if kind != b"infe" or entry[0] < 2:
            continue
        code, size = (">H", 2) if entry[0] == 2 else (">I", 4)
        (number,) = struct.unpack_from(code, entry, 4)
        found.kinds[number] = bytes(entry[4 + size + 2 : 4 + size + 6])
        found.items += 1


def _references(found: Heif, body: memoryview) -> None:
    code, size = (">H", 2) if body[0] == 0 else (">I", 4)
    for kind, inner in _boxes(body[4:], found):
        (source,) = struct.unpack_from(code, inner, 0)
        (count,) = struct.unpack_from(">H", inner, size)
        letters = code[1] * count
        if kind == b"dimg":
            found.parts[source] = struct.unpack_from(f">{letters}", inner, size + 2)


def _item_properties(found: Heif, body: memoryview) -> None:
    for kind, inner in _boxes(body, found):
        if kind == b"ipco":
            found.properties += [(k, bytes(b)) for k, b in _boxes(inner, found)]
        elif kind == b"ipma":
            _associations(found, inner)


def _associations(found: Heif, body: memoryview) -> None:
    wide_item, wide_index = body[0] >= 1, body[3] & 1
    (count,) = struct.unpack_from(">I", body, 4)
    at = 8
    for _ in range(count):
        (item,) = struct.unpack_from(">I" if wide_item else ">H", body, at)
        at += 4 if wide_item else 2
        number, at = body[at], at + 1
        code, size, mask = (">H", 2, 0x7FFF) if wide_index else (">B", 1, 0x7F)
        places = [struct.unpack_from(code, body, at + size * i)[0] & mask for i in range(number)]
        at += size * number
        found.belongs.setdefault(item, []).extend(places)


def _of(found: Heif, item: int) -> Iterator[tuple[bytes, bytes]]:
    for place in found.belongs.get(item, ()):
        if 0 < place <= len(found.properties):
            yield found.properties[place - 1]


def _describe(found: Heif) -> None:
    parts = found.parts.get(found.primary, ())
    found.tiles = max(1, len(parts))
    found.gain_map = b"tmap" in found.kinds.values()
    for kind, body in found.properties:
        if kind == b"ispe" and len(body) >= 12:
            width, height = struct.unpack_from(">II", body, 4)
            found.largest = max(found.largest, width * height)
    for kind, body in _of(found, found.primary):
        _take(found, kind, body)
    found.crop = _crop(found)
    bits = [depth for item in (found.primary, *parts[:1]) for depth in _depths(found, item)]
    found.bits = max(bits, default=8)
    for item in (found.primary, *parts[:1]):
        kind = found.kinds.get(item, b"")
        if kind not in (b"grid", b"iden", b"iovl", b"tmap", b""):
            found.codec = kind.decode("latin-1")


def _take(found: Heif, kind: bytes, body: bytes) -> None:
    if kind == b"ispe" and len(body) >= 12:
        found.width, found.height = struct.unpack_from(">II", body, 4)
    elif kind == b"colr" and body[:4] in (b"prof", b"rICC"):
        found.icc = found.icc or body[4:]
    elif kind == b"colr" and body[:4] == b"nclx" and len(body) >= 11:
        primaries, transfer, _ = struct.unpack_from(">HHH", body, 4)
        found.code_points = CodePoints(primaries, transfer, bool(body[10] & 0x80))
    elif kind == b"clap" and len(body) >= 32:
        found.aperture = struct.unpack_from(">IIIIiIiI", body)
    elif kind == b"clli" and len(body) >= 4:
        found.peak = float(struct.unpack_from(">H", body)[0]) or None


def _crop(found: Heif) -> tuple[int, int, int, int] | None:
    """The clean aperture in whole pixels (14496-12, 12.1.4); None where it makes no sense."""
    if not found.aperture or 0 in found.aperture[1::2]:
        return None
    wide, high, across, down = (
        Fraction(above, below)
        for above, below in zip(found.aperture[::2], found.aperture[1::2], strict=True)
    )
    left = across + Fraction(found.width - 1, 2) - (wide - 1) / 2
    top = down + Fraction(found.height - 1, 2) - (high - 1) / 2
    width, height = int(wide), int(high)
    inside = left >= 0 and top >= 0 and left + wide <= found.width and top + high <= found.height
    return (int(left), int(top), width, height) if inside and width and height else None


def _depths(found: Heif, item: int) -> Iterator[int]:
    for kind, body in _of(found, item):
        if kind == b"pixi" and len(body) > 5:
            yield body[5]
        elif kind == b"av1C" and len(body) >= 3 and body[2] & 0x40:
            yield 12 if body[2] & 0x20 else 10
        elif kind == b"hvcC" and len(body) > 17:
            yield (body[17] & 7) + 8
