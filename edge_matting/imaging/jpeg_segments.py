"""The segments of a JPEG file: its metadata, its scans, and whether all of its pixels are there.

ITU-T T.81, annex B. Decoders refuse or warn for faults of metadata; here these are told apart from
missing pixels.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import Final

from edge_matting.core.reasons import Reason
from edge_matting.imaging.iptc import from_photoshop

_EXIF: Final = b"Exif\x00\x00"
_XMP: Final = b"http://ns.adobe.com/xap/1.0/\x00"
_ICC: Final = b"ICC_PROFILE\x00"
_MPF: Final = b"MPF\x00"
_FRAMES: Final = frozenset({*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC),
                            *range(0xCD, 0xD0)})  # fmt: skip
_PROGRESSIVE: Final = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_STANDALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
_ANY_MARKER: Final = re.compile(rb"\xff[^\x00\xff]")
_SCAN_END: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # no stuffed byte, no restart
_COEFFICIENTS: Final = 64
_UNSENT: Final = 99


@dataclass(slots=True)
class Jpeg:
    """What the segments of the first picture in a JPEG file say."""

    width: int = 0
    height: int = 0
    bits: int = 8
    components: int = 0
    frame: int = 0
    scans: int = 0
    segments: int = 0
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    icc: bytes | None = None
    dpi: tuple[float, float] | None = None
    several: bool = False
    ended: bool = False
    notes: list[str] = field(default_factory=list)
    metadata_bytes: int = 0
    chunks: dict[int, bytes] = field(default_factory=dict)
    chunk_count: int = 0
    low_bits: dict[int, list[int]] = field(default_factory=dict)

    @property
    def progressive(self) -> bool:
        return self.frame in _PROGRESSIVE

    @property
    def lossless(self) -> bool:
        """Lossless and hierarchical kinds, which hardly any decoder knows."""
        return self.frame in (0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF)

    @property
    def complete_scans(self) -> bool:
        """Whether a scan for every bit of every coefficient has begun: without its end marker, a
        progressive file can lack its last scans without any other sign of it.
        """
        if not self.progressive:
            return self.scans > 0
        bands = self.low_bits.values()
        return len(bands) >= self.components and all(not any(band) for band in bands)


def read_jpeg(data: bytes, most_scans: int = 1 << 20, most_segments: int = 1 << 20) -> Jpeg:
    """Read the segments of the first picture; never raises for what is wrong with them.

    Beyond ``most_scans`` or ``most_segments`` it stops.
    """
    found = Jpeg()
    at = 2
    while (at := _marker(data, at)) >= 0:
        kind = data[at + 1]
        if kind == _EOI:
            found.ended = True
            break
        if kind in _STANDALONE or kind == _SOI:
            at += 2
            continue
        if at + 4 > len(data):
            break
        (size,) = struct.unpack_from(">H", data, at + 2)
        body = data[at + 4 : at + 2 + size]
        found.segments += 1
        if found.segments > most_segments:
            break
        _take(found, kind, body)
        at += 2 + size
        if kind == _SOS:
            if found.scans > most_scans:
                break
            at = _after_scan(data, at)
    _assemble(found)
    return found


def without_profile(data: bytes) -> bytes:
    """The file without its segments APP2, over whose faults libjpeg-turbo stumbles."""
    parts, at, start = [data[:2]], 2, 2
    while (at := _marker(data, at)) >= 0 and at + 4 <= len(data) and data[at + 1] != _SOS:
        size = (
            2 if data[at + 1] in _STANDALONE else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        )
        if data[at + 1] == 0xE2:
            parts.append(data[start:at])
            start = at + size
        at += size
    return b"".join((*parts, data[start:]))


def _marker(data: bytes, at: int) -> int:
    """Where the next marker begins; -1 where there is none. Garbage before it is passed over."""
    found = _ANY_MARKER.search(data, at)
    return -1 if found is None else found.start()


def _after_scan(data: bytes, at: int) -> int:
    """Where the first marker behind a scan's entropy-coded data begins."""
    found = _SCAN_END.search(data, at)
    return len(data) if found is None else found.start()


def _take(found: Jpeg, kind: int, body: bytes) -> None:
    if kind in _FRAMES and len(body) >= 6 and not found.frame:
        found.frame = kind
        found.bits, found.height, found.width, found.components = struct.unpack_from(">BHHB", body)
    elif kind == _SOS:
        _take_scan(found, body)
    elif 0xE0 <= kind <= 0xEF or kind == 0xFE:
        found.metadata_bytes += len(body)
        _take_metadata(found, kind, body)


def _take_scan(found: Jpeg, body: bytes) -> None:
    found.scans += 1
    if not found.progressive or not body or len(body) < 4 + 2 * body[0]:
        return
    first, last, bits = body[1 + 2 * body[0] : 4 + 2 * body[0]]
    for number in range(body[0]):
        band = found.low_bits.setdefault(body[1 + 2 * number], [_UNSENT] * _COEFFICIENTS)
        for place in range(first, min(last, _COEFFICIENTS - 1) + 1):
            band[place] = bits & 15


def _take_metadata(found: Jpeg, kind: int, body: bytes) -> None:
    if kind == 0xE0 and body[:5] == b"JFIF\x00" and len(body) >= 12:
        found.dpi = _density(*struct.unpack_from(">BHH", body, 7))
    elif kind == 0xE1 and body.startswith(_EXIF):
        found.exif = found.exif or body[len(_EXIF) :]
    elif kind == 0xE1 and body.startswith(_XMP):
        found.xmp = found.xmp or body[len(_XMP) :]
    elif kind == 0xE2 and body.startswith(_ICC) and len(body) > 14:
        found.chunks.setdefault(body[12], body[14:])
        found.chunk_count = max(found.chunk_count, body[13])
    elif kind == 0xE2 and body.startswith(_ICC):
        found.notes.append(Reason("profile_incomplete"))
    elif kind == 0xE2 and body.startswith(_MPF):
        found.several = True
    elif kind == 0xED:
        found.iptc = found.iptc or from_photoshop(body)


def _density(unit: int, across: int, down: int) -> tuple[float, float] | None:
    factor = {1: 1.0, 2: 2.54}.get(unit)
    return None if factor is None else (across * factor, down * factor)


def _assemble(found: Jpeg) -> None:
    if not found.chunks:
        return
    if set(found.chunks) == set(range(1, found.chunk_count + 1)):
        found.icc = b"".join(found.chunks[number] for number in sorted(found.chunks))
    else:
        found.notes.append(Reason("profile_incomplete"))
