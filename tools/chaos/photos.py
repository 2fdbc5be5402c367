"""Photos for the chaos tool: each with bytes of its own, and files that only look like photos."""

from __future__ import annotations

import hashlib
import random
import struct
import zlib
from dataclasses import dataclass
from importlib import resources
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

FORMATS = ("jpg",) * 8 + ("png", "webp")
ODD_NAMES = (
    "my photo",
    'it\'s "quoted"',
    "two\nlines",
    "Grüße 🌄 東京",
    "<script>alert(1)</script>",
    "-rf",
    "a.b.c",
    "50%_{x}$HOME",
    "not utf-8 \udcff\udcfe",
    "l" * 230,
)


@dataclass(frozen=True, slots=True)
class Drop:
    """One file to be dropped; ``path`` is relative to ``in/``."""

    path: str
    data: bytes
    healthy: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def make_photos(rng: random.Random, number: int) -> list[Drop]:
    """Crops of the shipped portrait at 200 to 900 pixels, brighter or darker, all different."""
    portrait = load_portrait()
    photos: dict[str, Drop] = {}
    while len(photos) < number:
        extension = rng.choice(FORMATS)
        path = f"{_folder(rng)}{_stem(rng, len(photos))}.{extension}"
        data = _encoded(rng, _variant(rng, portrait), extension)
        photos.setdefault(path, Drop(path, data, healthy=True))
    return list(photos.values())


def make_malformed(rng: random.Random, number: int) -> list[Drop]:
    """Truncated, mislabelled and oversized files; every one must end in ``failed/``."""
    portrait = load_portrait()
    kinds = [_truncated, _text, _bomb, _headless]
    return [
        Drop(
            f"{_folder(rng)}broken {index}.{'png' if kind is _bomb else 'jpg'}",
            kind(rng, portrait),
            healthy=False,
        )
        for index, kind in ((index, kinds[index % len(kinds)]) for index in range(number))
    ]


def load_portrait() -> Pixels:
    """H x W x 3, BGR."""
    photos = resources.files("edge_matting") / "data" / "photos"
    data = (photos / "astronaut.jpg").read_bytes()
    return _bgr(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))


def _bgr(image: Any) -> Pixels:
    if image is None:
        raise ValueError("the shipped photo cannot be decoded")
    return np.asarray(image, np.uint8)


def _variant(rng: random.Random, portrait: Pixels) -> Pixels:
    height, width = portrait.shape[:2]
    side = rng.randint(height // 2, height)
    top, left = rng.randint(0, height - side), rng.randint(0, width - side)
    # Mostly small: the faults are what is tried here, not the matting.
    longest = rng.choice((200, 260, 320, 400, 520, 900))
    size = (longest, rng.randint(longest // 2, longest))
    crop = cv2.resize(portrait[top : top + side, left : left + side], size)
    return _bgr(cv2.convertScaleAbs(crop, alpha=rng.uniform(0.6, 1.2), beta=rng.uniform(-10, 30)))


def _encoded(rng: random.Random, image: Pixels, extension: str) -> bytes:
    settings = {
        "jpg": [cv2.IMWRITE_JPEG_QUALITY, rng.randint(70, 95)],
        "webp": [cv2.IMWRITE_WEBP_QUALITY, rng.randint(70, 95)],
        "png": [cv2.IMWRITE_PNG_COMPRESSION, 1],
    }[extension]
    return cv2.imencode(f".{extension}", image, settings)[1].tobytes()


def _folder(rng: random.Random) -> str:
    return rng.choice(("", "", "", "monday/", "a b/c d/", "été/", "deep/er/and/deeper/"))


def _stem(rng: random.Random, index: int) -> str:
    """Mostly plain; sometimes odd, sometimes that of other photos of another extension."""
    if rng.random() < 0.15:
        return f"{rng.choice(ODD_NAMES)}{index}"
    return f"IMG_{index // 8 if rng.random() < 0.2 else index:04d}"


def _truncated(rng: random.Random, portrait: Pixels) -> bytes:
    whole = _encoded(rng, _variant(rng, portrait), "jpg")
    return whole[: int(len(whole) * rng.uniform(0.3, 0.8))]


def _text(rng: random.Random, _portrait: Pixels) -> bytes:
    return f"this is no photo, only its name says so: {rng.random()}\n".encode() * 50


def _headless(rng: random.Random, portrait: Pixels) -> bytes:
    """A JPEG whose first bytes were lost."""
    return bytes(64) + _encoded(rng, _variant(rng, portrait), "jpg")[64:]


def _bomb(rng: random.Random, _portrait: Pixels) -> bytes:
    """A PNG of a few bytes that claims 60000 x 60000 pixels."""
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    note = b"note\0" + str(rng.random()).encode()
    body = zlib.compress(bytes(1000))
    chunks = [(b"IHDR", header), (b"tEXt", note), (b"IDAT", body), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
