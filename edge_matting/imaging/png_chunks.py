"""The chunks of a PNG file: what they say, which of them are sound, and the file without the rest.

Portable Network Graphics, third edition (W3C), sections 5, 11 and 13. A decoder must show a picture
whose ancillary chunks it cannot use (13.2); libraries that refuse such files get one without them.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import Final

from edge_matting.core.reasons import Reason
from edge_matting.imaging.colour_source import CodePoints
from edge_matting.imaging.icc_build import Primaries
from edge_matting.imaging.iptc import from_photoshop

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_VITAL: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_LONGEST: Final = 8 << 20  # bytes of text or profile, inflated
_XMP: Final = "XML:com.adobe.xmp"
_INCH: Final = 0.0254


@dataclass(slots=True)
class Png:
    """What the chunks of a PNG file say."""

    width: int = 0
    height: int = 0
    depth: int = 8
    kind: int = 2
    interlaced: bool = False
    chunks: int = 0
    ended: bool = False
    broken: str | None = None  # a chunk without which there is no picture
    unknown: str | None = None  # a critical chunk that the specification does not know
    animated: bool = False
    apple: bool = False  # CgBI: deflate without a head, channels swapped
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    code_points: CodePoints | None = None
    srgb: bool = False
    gamma: float | None = None
    chromaticities: Primaries | None = None
    peak: float | None = None
    dpi: tuple[float, float] | None = None
    key: tuple[int, ...] | None = None  # the transparent shade or colour, in stored values
    metadata_bytes: int = 0
    ancillary: int = 0
    notes: list[str] = field(default_factory=list)
    kept: list[tuple[int, int]] = field(default_factory=list)

    def stripped(self, data: bytes) -> bytes:
        """The file without its ancillary chunks, over some of which libraries trip."""
        if not self.ancillary:
            return data
        view = memoryview(data)
        return b"".join((SIGNATURE, *(view[a:b] for a, b in self.kept)))

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def read_png(data: bytes, most_chunks: int, *, checksums: bool = True) -> Png:
    """Read the chunks; never raises. ``checksums`` looks at those of the pixels too."""
    found, at, view = Png(), len(SIGNATURE), memoryview(data)
    while at + 12 <= len(data) and found.chunks < most_chunks:
        size, tag = struct.unpack_from(">I4s", data, at)
        end = at + 12 + size
        if end > len(data):
            break
        found.chunks += 1
        vital = tag in _VITAL
        sound = True
        if checksums or not vital:
            (crc,) = struct.unpack_from(">I", data, end - 4)
            sound = zlib.crc32(view[at + 4 : end - 4]) == crc
        if vital:
            found.kept.append((at, end))
            if not sound and found.broken is None:
                found.broken = f"wrong checksum of its {tag.decode()} chunk"
        elif tag == b"CgBI":
            found.apple = True
        elif not tag[0] & 0x20 and found.unknown is None:
            found.unknown = tag.decode("latin-1")
        if tag == b"IEND":
            found.ended = True
            break
        if tag != b"IDAT":
            _take(found, tag, bytes(view[at + 8 : end - 4]), sound=sound, vital=vital)
        at = end
    return found


def _take(found: Png, tag: bytes, body: bytes, *, sound: bool, vital: bool) -> None:
    if not vital:
        found.ancillary += 1
        found.metadata_bytes += len(body)
    if not sound and not vital:
        found.note(Reason("part_damaged", part=tag.decode("latin-1")))
        return
    reader = _READERS.get(tag)
    if reader is None:
        return
    try:
        reader(found, body)
    except (struct.error, zlib.error, ValueError, ZeroDivisionError):
        found.note(Reason("part_broken", part=tag.decode()))


def inflate(body: bytes) -> bytes:
    """A zlib stream of metadata; ``ValueError`` where it is longer than any sensible one."""
    stream = zlib.decompressobj()
    text = stream.decompress(body, _LONGEST)
    if stream.unconsumed_tail:
        raise ValueError("too long")
    return text


def _header(found: Png, body: bytes) -> None:
    if found.width:
        return
    found.width, found.height, found.depth, found.kind, _, _, lace = struct.unpack(">IIBBBBB", body)
    found.interlaced = lace == 1


def _profile(found: Png, body: bytes) -> None:
    _, _, packed = body.partition(b"\x00")
    found.icc = found.icc or inflate(packed[1:])


def _transparency(found: Png, body: bytes) -> None:
    if found.kind in (0, 2):
        found.key = struct.unpack(f">{len(body) // 2}H", body)


def _exif(found: Png, body: bytes) -> None:
    found.exif = body


def _code_points(found: Png, body: bytes) -> None:
    primaries, transfer, matrix, full = struct.unpack(">BBBB", body)
    if matrix != 0:
        raise ValueError("not RGB")
    found.code_points = CodePoints(primaries, transfer, bool(full))


def _srgb(found: Png, _body: bytes) -> None:
    found.srgb = True


def _gamma(found: Png, body: bytes) -> None:
    (value,) = struct.unpack(">I", body)
    found.gamma = found.gamma or 100_000 / value


def _chromaticities(found: Png, body: bytes) -> None:
    v = [value / 100_000 for value in struct.unpack(">8I", body)]
    points = (v[0:2], v[2:4], v[4:6], v[6:8])
    if any(y <= 0 or x < 0 or x + y > 1 for x, y in points):
        raise ValueError("no colours")
    white, red, green, blue = ((x, y) for x, y in points)
    area = (green[0] - red[0]) * (blue[1] - red[1]) - (blue[0] - red[0]) * (green[1] - red[1])
    if abs(area) < 0.01:
        raise ValueError("no colours")
    found.chromaticities = Primaries(red, green, blue, white)


def _light_level(found: Png, body: bytes) -> None:
    (most, _) = struct.unpack(">II", body)
    found.peak = most / 10_000 or None


def _density(found: Png, body: bytes) -> None:
    across, down, unit = struct.unpack(">IIB", body)
    if unit == 1:
        found.dpi = (across * _INCH, down * _INCH)


def _animation(found: Png, _body: bytes) -> None:
    found.animated = True


def _text(found: Png, body: bytes) -> None:
    key, _, text = body.partition(b"\x00")
    _named(found, key.decode("latin-1"), text)


def _packed_text(found: Png, body: bytes) -> None:
    key, _, rest = body.partition(b"\x00")
    if key.startswith(b"Raw profile type"):
        _named(found, key.decode("latin-1"), inflate(rest[1:]))


def _international_text(found: Png, body: bytes) -> None:
    key, _, rest = body.partition(b"\x00")
    if key.decode("latin-1") != _XMP or len(rest) < 2:
        return
    text = rest[2:].split(b"\x00", 2)[2]
    found.xmp = found.xmp or (inflate(text) if rest[0] else text)


def _named(found: Png, key: str, text: bytes) -> None:
    """ImageMagick's hexadecimal profiles in text chunks."""
    kind = key.removeprefix("Raw profile type ").lower()
    if kind == key.lower():
        return
    raw = bytes.fromhex("".join(text.decode("latin-1").split("\n")[3:]))
    if kind in ("exif", "app1") and raw:
        found.exif = found.exif or raw
    elif kind == "xmp":
        found.xmp = found.xmp or raw
    elif kind == "iptc":
        found.iptc = found.iptc or (from_photoshop(raw) if raw[:4] == b"8BIM" else raw)
    elif kind in ("icc", "icm"):
        found.icc = found.icc or raw


_READERS: Final = {
    b"IHDR": _header,
    b"iCCP": _profile,
    b"tRNS": _transparency,
    b"eXIf": _exif,
    b"cICP": _code_points,
    b"sRGB": _srgb,
    b"gAMA": _gamma,
    b"cHRM": _chromaticities,
    b"cLLI": _light_level,
    b"pHYs": _density,
    b"acTL": _animation,
    b"tEXt": _text,
    b"zTXt": _packed_text,
    b"iTXt": _international_text,
}
