"""Metadata by policy: which of a photo's EXIF, XMP and IPTC goes into an output."""

from __future__ import annotations

import struct
from typing import Final, Literal

from PIL import Image

from edge_matting.imaging.exif import PREFIX, OutputFacts, corrected_exif, safe_exif
from edge_matting.imaging.iptc import safe_iptc
from edge_matting.imaging.pillow import quiet
from edge_matting.imaging.survey import Metadata
from edge_matting.imaging.xmp import corrected_xmp, safe_xmp

Policy = Literal["safe", "all", "none"]

_LONGEST_SEGMENT: Final = 65_000
"""A JPEG holds each block in one segment; a longer one is reduced to what is safe."""


def output_metadata(
    metadata: Metadata, policy: Policy, output: OutputFacts, container: str = ""
) -> Metadata:
    """What an output carries; its pixels are upright and ``output`` is true of it.

    ``safe`` keeps camera, exposure and dates, and, in all three places, creator, copyright and
    licence. Persons, places, serial numbers, free text, maker notes and thumbnails are not on its
    list. ``all`` keeps every byte but those that would not be true any more: orientation, size,
    colour space. ``none`` keeps nothing. Where ``container``, the output's format, cannot hold a
    block under ``all``, it holds what is safe of it.
    """
    if policy == "none":
        return Metadata()
    found = Metadata(
        _exif(metadata.exif, policy, output),
        _xmp(metadata.xmp, policy, output),
        _iptc(metadata.iptc, policy),
    )
    if policy == "safe":
        return found
    safe = output_metadata(metadata, "safe", output)
    if container == "jpg":
        return Metadata(
            _fitting(found.exif, safe.exif),
            _fitting(found.xmp, safe.xmp),
            _fitting(found.iptc, safe.iptc),
        )
    if container == "avif" and not _rewritable(found.exif):
        return Metadata(safe.exif, found.xmp, found.iptc)
    return found


def _rewritable(exif: bytes | None) -> bool:
    """Whether Pillow, whose writer of AVIF takes a block apart, can put it together again."""
    try:
        with quiet():
            block = Image.Exif()
            block.load(PREFIX + (exif or b""))
            block.tobytes()
    except (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, struct.error,
            AttributeError, RuntimeError, EOFError):  # fmt: skip
        return False
    return True


def _fitting(block: bytes | None, smaller: bytes | None) -> bytes | None:
    return block if block is None or len(block) <= _LONGEST_SEGMENT else smaller


def _exif(exif: bytes | None, policy: Policy, output: OutputFacts) -> bytes | None:
    if not exif:
        return None
    return corrected_exif(exif, output) if policy == "all" else safe_exif(exif, output)


def _xmp(xmp: bytes | None, policy: Policy, output: OutputFacts) -> bytes | None:
    if not xmp:
        return None
    return corrected_xmp(xmp, output.size) if policy == "all" else safe_xmp(xmp)


def _iptc(iptc: bytes | None, policy: Policy) -> bytes | None:
    if not iptc:
        return None
    return iptc if policy == "all" else safe_iptc(iptc)
