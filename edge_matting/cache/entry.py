"""One stored matte as bytes: checked whole before anything in it is believed.

::

    magic | BLAKE2b of the rest | header (one line of JSON) | alpha, deflated | thumbnail, JPEG

The header repeats the entry's name, so that a file that was renamed or moved to another model's
folder is no entry there. Alpha is kept in 16 bits, with values that eight bits cannot tell from 0
or 1 made so, as the refinement does first of all.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import simplejpeg
from isal import isal_zlib

from edge_matting.cache.fingerprint import Fingerprint, as_bytes
from edge_matting.core.arrays import Alpha, Rgb, check_alpha

MAGIC: Final = b"EMMATTE1"

SUFFIX: Final = ".matte"

_DIGEST_BYTES: Final = 16
_TOP: Final = 65535
_NOISE: Final = 1 / 255
_FASTEST: Final = 1
_THUMBNAIL_QUALITY: Final = 95


class EntryDamaged(ValueError):
    """The bytes are no whole entry."""


@dataclass(frozen=True, slots=True, eq=False)
class MatteEntry:
    """A matte and what is needed to judge whether it fits another photo.

    ``alpha`` is h x w float32 in [0, 1] at model size; ``thumbnail`` h x w x 3 uint8 RGB, the
    photo as the model saw it, but for a JPEG's noise; ``seconds`` is what the inference took.
    """

    mark: Fingerprint
    alpha: Alpha
    thumbnail: Rgb
    seconds: float


def entry_name(context: str, mark: Fingerprint) -> str:
    """Where an entry lies below the cache's folder: ``context/fingerprint.matte``."""
    hashes = f"{mark.phash:016x}{mark.dhash:016x}"
    size = f"{mark.size[0]}x{mark.size[1]}"
    return f"{context}/{mark.pixels}-{hashes}-{size}-{mark.layout.hex()}{SUFFIX}"


def parse_name(name: str) -> tuple[str, Fingerprint]:
    """Context and fingerprint of an entry by its name; ``ValueError`` for any other file."""
    context, _, file = name.rpartition("/")
    pixels, hashes, size, layout = file.removesuffix(SUFFIX).split("-")
    width, height = size.split("x")
    mark = Fingerprint(
        pixels,
        int(hashes[:16], 16),
        int(hashes[16:], 16),
        bytes.fromhex(layout),
        (int(width), int(height)),
    )
    if entry_name(context, mark) != name:
        raise ValueError(f"{name} is not the name of an entry")
    return context, mark


def encode_entry(context: str, entry: MatteEntry) -> tuple[str, bytes]:
    """The entry's name and bytes."""
    check_alpha(entry.alpha)
    name = entry_name(context, entry.mark)
    alpha = isal_zlib.compress(_sixteen_bits(entry.alpha), _FASTEST)
    thumbnail = simplejpeg.encode_jpeg(
        np.ascontiguousarray(as_bytes(entry.thumbnail)),
        quality=_THUMBNAIL_QUALITY,
        colorsubsampling="444",
    )
    header = {
        "name": name,
        "alpha": entry.alpha.shape,
        "alpha_bytes": len(alpha),
        "seconds": round(entry.seconds, 4),
    }
    return name, sealed(json.dumps(header).encode() + b"\n" + alpha + thumbnail)


def decode_entry(name: str, data: bytes) -> MatteEntry:
    """The entry called ``name``; ``EntryDamaged`` unless every byte is as it was written."""
    line, _, rest = unsealed(data).partition(b"\n")
    header: dict[str, Any] = json.loads(line)
    if header["name"] != name:
        raise EntryDamaged(f"it was written as {header['name']}")
    height, width = header["alpha"]
    packed = rest[: header["alpha_bytes"]]
    levels = np.frombuffer(isal_zlib.decompress(packed), np.uint16).reshape(height, width)
    thumbnail = simplejpeg.decode_jpeg(rest[header["alpha_bytes"] :], colorspace="RGB")
    alpha = levels.astype(np.float32) / np.float32(_TOP)
    return MatteEntry(parse_name(name)[1], alpha, thumbnail, header["seconds"])


def sealed(body: bytes) -> bytes:
    """``body`` with its digest before it."""
    return MAGIC + _digest(body) + body


def unsealed(data: bytes) -> bytes:
    """What was sealed; ``EntryDamaged`` unless it is whole."""
    start = len(MAGIC) + _DIGEST_BYTES
    body = data[start:]
    if data[: len(MAGIC)] != MAGIC or data[len(MAGIC) : start] != _digest(body):
        raise EntryDamaged("its digest is wrong")
    return body


def _sixteen_bits(alpha: Alpha) -> bytes:
    levels = np.rint(alpha * np.float32(_TOP)).astype(np.uint16)
    levels[alpha < _NOISE] = 0
    levels[alpha > 1 - _NOISE] = _TOP
    return bytes(levels.tobytes())


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest()
