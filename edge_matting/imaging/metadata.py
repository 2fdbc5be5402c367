"""EXIF: what is read from it, and what of it goes into the outputs."""

from __future__ import annotations

import struct
from typing import Any, Final, Literal

from PIL import ExifTags, Image

from edge_matting.imaging.pillow import quiet

Policy = Literal["safe", "all", "none"]

_PREFIX: Final = b"Exif\x00\x00"
_ORIENTATION: Final = 0x0112
_MAKE, _MODEL = 0x010F, 0x0110
_MAKER_NOTE: Final = 0x927C
_BROKEN: Final = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, struct.error,
    RuntimeError, AttributeError, EOFError,
)  # fmt: skip
"""What Pillow raises on a broken EXIF block."""

DESCRIPTIVE: Final = frozenset(
    {0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x8298}
)
"""Description, camera, resolution, software, date, artist, copyright: tags that say something
of the photo and nothing of how its file is laid out."""


def output_exif(exif: bytes | None, policy: Policy) -> bytes | None:
    """The EXIF block for an output whose pixels are upright, without the ``Exif`` prefix.

    ``safe`` drops the GPS directory, the maker notes and the thumbnail; ``all`` keeps every byte;
    ``none`` keeps nothing. The orientation becomes 1 in each case. A block that cannot be read is
    dropped under ``safe``, for nobody can say what is in it.
    """
    if exif is None or policy == "none":
        return None
    block = exif.removeprefix(_PREFIX)
    if policy == "all":
        return _with_upright(block)
    try:
        return _safe(block)
    except _BROKEN:
        return None


def orientation_of(exif: bytes | None) -> int:
    """The EXIF orientation, 1 to 8; 1 where it is missing or nonsense."""
    if exif is None:
        return 1
    block = exif.removeprefix(_PREFIX)
    place = _orientation_place(block)
    if place is None:
        return 1
    (value,) = struct.unpack_from(_byte_order(block) + "H", block, place)
    return int(value) if 1 <= value <= 8 else 1


def camera_name(exif: bytes | None) -> str | None:
    """Maker and model of the camera, as a raw EXIF block names them."""
    if exif is None:
        return None
    block = exif.removeprefix(_PREFIX)
    tags = Image.Exif()
    try:
        with quiet():
            tags.load(block)
    except _BROKEN:
        return None
    names = [str(tags[tag]).strip("\0 ") for tag in (_MAKE, _MODEL) if tag in tags]
    return " ".join(names) or None


def tiff_exif(tags: Any) -> bytes | None:
    """An EXIF block of the descriptive tags of a TIFF picture (Pillow's ``tag_v2``)."""
    exif = Image.Exif()
    for tag in DESCRIPTIVE.intersection(tags):
        exif[tag] = tags[tag]
    try:
        return exif.tobytes().removeprefix(_PREFIX) if len(exif) else None
    except _BROKEN:
        return None


def descriptive_texts(exif: bytes) -> dict[int, bytes]:
    """The descriptive tags of an EXIF block that are text, for a TIFF's own directory."""
    source = Image.Exif()
    try:
        with quiet():
            source.load(_PREFIX + exif.removeprefix(_PREFIX))
            found = {tag: source[tag] for tag in DESCRIPTIVE.intersection(source)}
    except _BROKEN:
        return {}
    return {
        tag: value.encode("utf-8", "replace").rstrip(b"\x00")
        for tag, value in found.items()
        if isinstance(value, str)
    }


def raw_profile(text: object) -> bytes | None:
    """ImageMagick's hexadecimal text chunk ``Raw profile type exif`` as bytes."""
    if not isinstance(text, str):
        return None
    try:
        return bytes.fromhex("".join(text.split("\n")[3:]))
    except ValueError:
        return None


def _safe(block: bytes) -> bytes | None:
    with quiet():
        source = Image.Exif()
        source.load(_PREFIX + block)
        kept = Image.Exif()
        for tag in DESCRIPTIVE.intersection(source):
            kept[tag] = source[tag]
        details = dict(source.get_ifd(ExifTags.IFD.Exif))
        details.pop(_MAKER_NOTE, None)
        details.pop(ExifTags.IFD.Interop, None)
        if details:
            kept.get_ifd(ExifTags.IFD.Exif).update(details)
            kept[ExifTags.IFD.Exif] = details
        if not len(kept):
            return None
        kept[_ORIENTATION] = 1
        return kept.tobytes().removeprefix(_PREFIX)


def _with_upright(block: bytes) -> bytes:
    """The same bytes with orientation 1: offsets inside maker notes stay right."""
    place = _orientation_place(block)
    if place is None:
        return block
    return block[:place] + struct.pack(_byte_order(block) + "H", 1) + block[place + 2 :]


def _byte_order(block: bytes) -> str:
    return "<" if block[:2] == b"II" else ">"


def _orientation_place(block: bytes) -> int | None:
    """Where the orientation's value lies in the first directory of a TIFF block."""
    order = _byte_order(block)
    if block[:4] not in (b"II*\x00", b"MM\x00*"):
        return None
    try:
        (at,) = struct.unpack_from(order + "I", block, 4)
        (count,) = struct.unpack_from(order + "H", block, at)
        for place in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind, number = struct.unpack_from(order + "HHI", block, place)
            if (tag, kind, number) == (_ORIENTATION, 3, 1) and place + 10 <= len(block):
                return place + 8
    except struct.error:
        return None
    return None
