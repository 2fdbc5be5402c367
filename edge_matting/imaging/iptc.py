"""IPTC-IIM datasets: which of them an output may carry, and the Photoshop block around them.

IPTC Information Interchange Model 4.2, chapter 1.6.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

_PHOTOSHOP: Final = b"Photoshop 3.0\x00"
_IPTC_RESOURCE: Final = 0x0404
_KEPT: Final = frozenset({(1, 90), (2, 0), (2, 80), (2, 110), (2, 116)})
"""Character set, version, by-line (the creator), credit, copyright notice."""
_SAYING: Final = frozenset({(2, 80), (2, 110), (2, 116)})
_MOST: Final = 1 << 20


def safe_iptc(block: bytes) -> bytes | None:
    """The datasets that say who made the picture and who holds its rights; None without any."""
    kept = [(key, data) for key, data in _datasets(block[:_MOST]) if key in _KEPT]
    if not any(key in _SAYING for key, _ in kept):
        return None
    return b"".join(data for _, data in kept)


def photoshop_block(iptc: bytes) -> bytes:
    """The Photoshop resource that holds ``iptc``."""
    resource = b"8BIM" + struct.pack(">HHI", _IPTC_RESOURCE, 0, len(iptc))
    return resource + iptc + b"\x00" * (len(iptc) % 2)


def photoshop_segment(iptc: bytes) -> bytes:
    """The body of the JPEG segment APP13 that holds ``iptc``."""
    return _PHOTOSHOP + photoshop_block(iptc)


def from_photoshop(segment: bytes) -> bytes | None:
    """The IPTC block in the body of a JPEG segment APP13, or of TIFF's tag 34377."""
    data, at = segment.removeprefix(_PHOTOSHOP), 0
    while data[at : at + 4] in (b"8BIM", b"PHUT", b"AgHg", b"DCSR", b"MeSa"):
        if at + 12 > len(data):
            return None
        (kind,) = struct.unpack_from(">H", data, at + 4)
        after_name = at + 6 + (data[at + 6] // 2 + 1) * 2
        if after_name + 4 > len(data):
            return None
        (size,) = struct.unpack_from(">I", data, after_name)
        body = data[after_name + 4 : after_name + 4 + size]
        if kind == _IPTC_RESOURCE:
            return body or None
        at = after_name + 4 + size + size % 2
    return None


def _datasets(block: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    """(record, dataset) and the whole dataset with its head; extended sizes end the reading."""
    at = 0
    while at + 5 <= len(block) and block[at] == 0x1C:
        record, number, size = struct.unpack_from(">BBH", block, at + 1)
        if size & 0x8000 or at + 5 + size > len(block):
            return
        yield (record, number), block[at : at + 5 + size]
        at += 5 + size
