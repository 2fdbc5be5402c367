"""Broken, hostile and mislabelled files, made from real encodings of a real photo by a seed."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

# What must be done to an upright picture so that orientation N shows it upright again.
STORED_AS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}

Pixels = npt.NDArray[Any]

PHOTO = Path(__file__).parents[2] / "edge_matting" / "data" / "photos" / "astronaut.jpg"
SIDE = 112
FLIPPED_FILES = 10
"""Files with flipped bits per encoding."""

ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
         (0, 1, 1, 2))  # fmt: skip
"""First column, first row, and steps of the seven passes (PNG specification, 8.2)."""


@dataclass(frozen=True, slots=True)
class Specimen:
    """One file; ``expected`` is where it must end: failed, done, or None for either."""

    name: str
    data: bytes
    expected: str | None = None


def corpus(seed: int) -> list[Specimen]:
    """About 600 files, the same for the same seed."""
    rng = random.Random(seed)
    wholes = encodings(photo(SIDE))
    specimens = [*_mislabelled(wholes), *_hostile(wholes), *_strangers(rng)]
    for name, data in wholes.items():
        specimens += [*_truncated(name, data), *_flipped(rng, name, data), *_beheaded(name, data)]
    return specimens


def healthy(number: int, seed: int) -> list[Specimen]:
    """Whole photos in every encoding, no two alike, to warm every decoder up."""
    rng = random.Random(seed)
    found: list[Specimen] = []
    while len(found) < number:
        wholes = encodings(photo(rng.randint(SIDE // 2, SIDE * 3)))
        found += [Specimen(f"whole {len(found)} {n}", d, "done") for n, d in wholes.items()]
    return found[:number]


def photo(side: int) -> Pixels:
    """side x side x 3, uint8, RGB."""
    image = Image.open(PHOTO).convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    return np.asarray(image)


def encodings(rgb: Pixels) -> dict[str, bytes]:
    """File name to bytes: the formats that are read, in their variants."""
    image = Image.fromarray(rgb)
    transparent = image.copy()
    transparent.putalpha(Image.linear_gradient("L").resize(image.size))
    wide = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR).astype(np.uint16) * 257
    return {
        "baseline.jpg": _saved(image, "JPEG", quality=88),
        "progressive.jpg": _saved(image, "JPEG", quality=80, progressive=True),
        "grey.jpg": _saved(image.convert("L"), "JPEG"),
        "cmyk.jpg": _saved(image.convert("CMYK"), "JPEG"),
        "turned.jpg": _saved(image, "JPEG", exif=_exif(orientation=6)),
        "eight.png": _saved(image, "PNG"),
        "transparent.png": _saved(transparent, "PNG"),
        "palette.png": _saved(image.quantize(64), "PNG"),
        "sixteen.png": cv2.imencode(".png", wide)[1].tobytes(),
        "interlaced.png": interlaced_png(rgb),
        "lossy.webp": _saved(image, "WEBP", quality=80),
        "lossless.webp": _saved(transparent, "WEBP", lossless=True),
        "plain.tiff": _saved(image, "TIFF"),
        "lzw.tiff": _saved(image, "TIFF", compression="tiff_lzw"),
        "deflate.tiff": _saved(transparent, "TIFF", compression="tiff_deflate"),
        "sixteen.tiff": cv2.imencode(".tiff", wide)[1].tobytes(),
        "plain.bmp": _saved(image, "BMP"),
        "plain.gif": _saved(image.quantize(128), "GIF"),
    }


def png(width: int, height: int, rows: bytes, *, more: bytes = b"", kind: int = 2,
        interlaced: int = 0) -> bytes:  # fmt: skip
    """A PNG with this header around these (compressed) rows; ``more`` are chunks before them."""
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, interlaced)
    body = _chunk(b"IHDR", header) + more + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def interlaced_png(rgb: Pixels) -> bytes:
    """Adam7, which neither Pillow nor OpenCV writes."""
    rows = b""
    for left, top, across, down in ADAM7:
        part = rgb[top::down, left::across]
        rows += b"".join(b"\0" + row.tobytes() for row in part)
    return png(rgb.shape[1], rgb.shape[0], zlib.compress(rows), interlaced=1)


# -- what is done to whole files ----------------------------------------------------------


def _truncated(name: str, data: bytes) -> Iterator[Specimen]:
    """Cut at every 5 %; the last bytes of some formats are dispensable, so late cuts may pass."""
    for percent in range(5, 100, 5):
        cut = data[: len(data) * percent // 100]
        expected = "failed" if percent <= 90 else None
        yield Specimen(f"cut {percent:02d} {name}", cut, expected)


def _flipped(rng: random.Random, name: str, data: bytes) -> Iterator[Specimen]:
    for number in range(FLIPPED_FILES):
        broken = bytearray(data)
        # Half of them in the header, where a flip does most.
        reach = len(data) if number % 2 else min(len(data), 200)
        for _ in range(rng.choice((1, 2, 8, 64))):
            broken[rng.randrange(reach)] ^= 1 << rng.randrange(8)
        yield Specimen(f"flipped {number} {name}", bytes(broken))


def _beheaded(name: str, data: bytes) -> Iterator[Specimen]:
    """The head of another format on this body, zeros for a head, and a body of zeros."""
    heads = {"jpg": b"\xff\xd8\xff\xe0", "png": b"\x89PNG\r\n\x1a\n", "gif": b"GIF89a",
             "tiff": b"II*\0", "bmp": b"BM", "webp": b"RIFF\x10\x27\0\0WEBP"}  # fmt: skip
    own = name.rpartition(".")[2]
    other = heads["png" if own == "jpg" else "jpg"]
    yield Specimen(f"swapped {name}", other + data[len(other) :], "failed")
    yield Specimen(f"headless {name}", bytes(16) + data[16:], "failed")
    yield Specimen(f"hollow {name}", data[:200] + bytes(len(data) - 200))


def _mislabelled(wholes: dict[str, bytes]) -> Iterator[Specimen]:
    """Whole photos whose names lie; the first bytes tell what they are."""
    for name, data in wholes.items():
        wrong = "png" if name.endswith(("jpg", "webp")) else "jpg"
        yield Specimen(f"mislabelled {name}.{wrong}", data + b"\0", "done")
        yield Specimen(f"nameless {name.replace('.', ' ')}", data, "done")


def _hostile(wholes: dict[str, bytes]) -> Iterator[Specimen]:
    jpeg, webp = wholes["baseline.jpg"], wholes["lossless.webp"]
    rows = zlib.compress(bytes(100_000), 9)
    yield Specimen("bomb header.png", png(60_000, 60_000, rows), "failed")
    yield Specimen("bomb gigabyte.png", _gigabyte(), "failed")
    yield Specimen("bomb stream.png", png(16, 16, zlib.compress(bytes(100_000_000), 9)))
    yield Specimen("bomb text.png", _with_chunks(_text_bomb(b"zTXt", b"Comment\0\0")))
    yield Specimen("bomb profile.png", _with_chunks(_text_bomb(b"iCCP", b"profile\0\0")))
    yield Specimen("bomb strip.png", png(100_000_000, 1, rows), "failed")
    yield Specimen("bomb size.jpg", _jpeg_of_size(jpeg, 65_500, 65_500), "failed")
    yield Specimen("bomb tall.jpg", _jpeg_of_size(jpeg, 1, 65_500))
    yield Specimen("bomb size.bmp", _bmp_of_size(wholes["plain.bmp"], 60_000, 60_000), "failed")
    yield Specimen("bomb negative.bmp", _bmp_of_size(wholes["plain.bmp"], -112, -(2**31)))
    yield Specimen("bomb screen.gif", wholes["plain.gif"].replace(
        struct.pack("<HH", SIDE, SIDE), struct.pack("<HH", 65_535, 65_535)), "failed")  # fmt: skip
    yield Specimen("bomb canvas.webp", webp[:24] + b"\xff" * 6 + webp[30:])
    yield Specimen("zero size.png", png(0, 0, rows), "failed")
    yield Specimen("huge side.png", png(2**32 - 1, 2**32 - 1, rows), "failed")
    for name, exif in _hostile_exif().items():
        yield Specimen(f"exif {name}.jpg", _with_segment(jpeg, exif))


def _strangers(rng: random.Random) -> Iterator[Specimen]:
    """Files that are no photos, named as if they were."""
    texts = {
        "text": b"dear printer, please find the photo attached\n" * 40,
        "page": b"<!doctype html><html><body><h1>404 Not Found</h1></body></html>\n",
        "drawing": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>\n',
        "document": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<</Type/Catalog>>\nendobj\n%%EOF\n",
        "film": b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(4096),
        "iphone": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(4096),
        "archive": b"PK\3\4\x14\0\0\0\x08\0" + bytes(500),
        "squeezed": zlib.compress(b"hello" * 100),
        "program": b"\x7fELF\2\1\1" + bytes(500),
        "zeros": bytes(10_000),
        "one byte": b"\xff",
        "magic jpeg": b"\xff\xd8\xff",
        "magic png": b"\x89PNG\r\n\x1a\n",
        "magic gif": b"GIF89a",
        "magic tiff": b"MM\0*",
        "magic bmp": b"BM",
        "magic webp": b"RIFF\4\0\0\0WEBP",
        "loop": b"II*\0\x08\0\0\0\1\0\0\1\4\0\1\0\0\0\x05\0\0\0\x08\0\0\0",
        "layers": b"8BPS\0\1" + bytes(200),
    }
    for name, data in texts.items():
        yield Specimen(f"stranger {name}.jpg", data, "failed")
    for number in range(10):
        noise = b"\0" + rng.randbytes(rng.randint(100, 20_000))
        yield Specimen(f"noise {number}.jpg", noise, "failed")


# -- parts of files -----------------------------------------------------------------------


def _saved(image: Image.Image, kind: str, **settings: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


def _exif(**tags: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = tags["orientation"]
    return exif.tobytes()


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _gigabyte() -> bytes:
    """20000 x 20000 RGB, 1.2 GB when decoded, about a megabyte as a file."""
    squeezer = zlib.compressobj(1)
    row = bytes(1 + 20_000 * 3)
    rows = b"".join(squeezer.compress(row) for _ in range(20_000)) + squeezer.flush()
    return png(20_000, 20_000, rows)


def _text_bomb(kind: bytes, head: bytes) -> bytes:
    """A chunk that unpacks to 100 MB."""
    squeezer = zlib.compressobj(9)
    packed = b"".join(squeezer.compress(bytes(1 << 20)) for _ in range(100)) + squeezer.flush()
    return _chunk(kind, head + packed)


def _with_chunks(chunks: bytes) -> bytes:
    rows = b"".join(b"\0" + row.tobytes() for row in photo(SIDE))
    return png(SIDE, SIDE, zlib.compress(rows), more=chunks)


def _jpeg_of_size(jpeg: bytes, width: int, height: int) -> bytes:
    """The same data under a frame header that claims another size."""
    start = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:start] + struct.pack(">HH", height, width) + jpeg[start + 4 :]


def _bmp_of_size(bmp: bytes, width: int, height: int) -> bytes:
    return bmp[:18] + struct.pack("<ii", width, height) + bmp[26:]


def _with_segment(jpeg: bytes, exif: bytes) -> bytes:
    """The JPEG with an EXIF segment right after its start."""
    body = b"Exif\0\0" + exif
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def _hostile_exif() -> dict[str, bytes]:
    def entry(tag: int, kind: int, number: int, value: int) -> bytes:
        return struct.pack("<HHII", tag, kind, number, value)

    def directory(*entries: bytes, following: int = 0) -> bytes:
        head = b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries))
        return head + b"".join(entries) + struct.pack("<I", following)

    nested = [
        struct.pack("<H", 1) + entry(0x8769, 4, 1, 8 + 18 * (depth + 1)) + bytes(4)
        for depth in range(2000)
    ]
    return {
        "to itself": directory(entry(0x8769, 4, 1, 8), following=8),
        "nested": b"II*\0\x08\0\0\0" + b"".join(nested),
        "huge": directory(entry(0x927C, 7, 60_000, 26)) + bytes(60_000),
        "endless": directory(entry(0x927C, 7, 2**32 - 1, 26)),
        "crowded": b"II*\0\x08\0\0\0" + struct.pack("<H", 5000) + entry(0x112, 3, 1, 6) * 5000,
        "odd turn": directory(entry(0x0112, 3, 1, 99)),
        "text turn": directory(entry(0x0112, 2, 5, 0x41414141)),
        "noise": random.Random(4).randbytes(5000),
    }
