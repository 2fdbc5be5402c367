"""What the containers themselves say, read without any decoder.

libwebp allocates the whole canvas when it opens a file, so its size is read here first; and
whether a file ends too early decides between "copy it again" and "not a picture".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_ZERO_TAIL = 64
_ZERO_SHARE = 200
_MOST_CHUNKS = 20_000


@dataclass(frozen=True, slots=True)
class WebpInfo:
    """What the RIFF chunks of a WebP file say."""

    width: int
    height: int
    has_alpha: bool
    animated: bool = False


def riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(tag, body) of each chunk of a RIFF file; a body that is cut short comes as it is."""
    at = 12
    for _ in range(_MOST_CHUNKS):
        if at + 8 > len(data):
            return
        tag, size = struct.unpack_from("<4sI", data, at)
        yield tag, data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def read_webp(data: bytes) -> WebpInfo | None:
    """Canvas size of a WebP file, or None when no chunk tells it."""
    for tag, body in riff_chunks(data):
        if tag == b"VP8X" and len(body) >= 10:
            width = int.from_bytes(body[4:7], "little") + 1
            height = int.from_bytes(body[7:10], "little") + 1
            flags = body[0]
            return WebpInfo(width, height, bool(flags & 0x10), animated=bool(flags & 0x02))
        if tag == b"VP8L" and len(body) >= 5:
            bits = int.from_bytes(body[1:5], "little")
            return WebpInfo((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1))
        if tag == b"VP8 " and len(body) >= 10:
            width, height = struct.unpack_from("<HH", body, 6)
            return WebpInfo(width & 0x3FFF, height & 0x3FFF, has_alpha=False)
    return None


def webp_chunk(data: bytes, wanted: bytes) -> bytes | None:
    """The body of the first chunk named ``wanted``."""
    return next((body for tag, body in riff_chunks(data) if tag == wanted), None)


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(tag, body) of each complete chunk of a PNG file, without checking CRCs."""
    at = len(PNG_SIGNATURE)
    while at + 12 <= len(data):
        size, tag = struct.unpack_from(">I4s", data, at)
        if at + 12 + size > len(data):
            return
        # IDAT may be hundreds of megabytes; nobody here wants to read it
        yield tag, b"" if tag == b"IDAT" else data[at + 8 : at + 8 + size]
        at += 12 + size


def damage(data: bytes, kind: str) -> str | None:
    """What a decoder would pass over in silence, or None.

    A copy that stopped half-way may have its full length already, the rest being zeros. WebP has
    no checksum; compressed pixels never end in a long run of zeros, though.
    """
    if kind == "webp":
        end = min(len(data), struct.unpack_from("<I", data, 4)[0] + 8)
        tail = max(_ZERO_TAIL, end // _ZERO_SHARE)  # a flat region can end in some zeros
        if data[max(0, end - tail) : end] == bytes(min(tail, end)):
            return "it ends in zeros"
    return None


def ends_early(data: bytes, kind: str) -> bool:
    """Whether the container announces more than is there."""
    if kind == "jpeg":
        return b"\xff\xd9" not in data[-4096:]
    if kind == "png":
        return all(tag != b"IEND" for tag, _ in png_chunks(data))
    if kind == "webp":
        return len(data) < 12 or struct.unpack_from("<I", data, 4)[0] + 8 > len(data)
    if kind == "gif":
        return not data.rstrip(b"\x00").endswith(b";")
    if kind == "bmp":
        return len(data) < 54 or struct.unpack_from("<I", data, 2)[0] > len(data)
    return _boxes_end_early(data) if kind in ("avif", "heic") else _tiff_ends_early(data)


def _boxes_end_early(data: bytes) -> bool:
    """Whether the last box of an ISO media file lies partly past the end."""
    at = 0
    while at + 8 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        if size == 0:  # to the end of the file
            return False
        if size == 1 and at + 16 <= len(data):
            (size,) = struct.unpack_from(">Q", data, at + 8)
        if size < 8:
            return True
        at += size
    return at != len(data)


def _tiff_ends_early(data: bytes) -> bool:
    """Whether the first directory, or a value or strip it points to, lies past the end."""
    order = "<" if data[:2] == b"II" else ">"
    if data[2:4] in (b"+\x00", b"\x00+") or len(data) < 8:
        return len(data) < 16
    try:
        entries = _tiff_entries(data, order)
        strips = [value for tag in (273, 324) for value in entries.get(tag, ())]
        sizes = [value for tag in (279, 325) for value in entries.get(tag, ())]
    except struct.error:
        return True
    return any(a + n > len(data) for a, n in zip(strips, sizes, strict=False))


def _tiff_entries(data: bytes, order: str) -> dict[int, tuple[int, ...]]:
    """SHORT and LONG values of the first directory; ``struct.error`` when they lie outside."""
    (at,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, at)
    entries = {}
    for place in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack_from(order + "HHI", data, place)
        code, size = {3: ("H", 2), 4: ("I", 4)}.get(kind, ("", 0))
        if not code or number > len(data):
            continue
        where = place + 8
        if number * size > 4:
            (where,) = struct.unpack_from(order + "I", data, where)
        entries[tag] = struct.unpack_from(f"{order}{number}{code}", data, where)
    return entries
