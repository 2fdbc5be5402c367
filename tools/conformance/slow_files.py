"""Files made to be slow or large, in every format that is read: the same for the same seed.

    python -m tools.conformance.slow_files --files 500 --seed 1

Each is looked through and decoded in a thread of its own; what it costs in processor seconds is set
against the budget of ``engine.decode_watch``. Exit status 1: one went beyond it, or ended in
anything but a picture or a job error.
"""

from __future__ import annotations

import argparse
import io
import random
import resource
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image

from edge_matting.core.errors import JobError
from edge_matting.engine.decode_watch import LEAST_SECONDS, SECONDS_PER_MEGAPIXEL
from edge_matting.imaging import decode

MAX_PIXELS: Final = 120_000_000


@dataclass(frozen=True, slots=True)
class Cost:
    """What one file came to."""

    name: str
    verdict: str
    seconds: float  # of processor time
    budget: float


def slow_files(number: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of so many files, one kind after another."""
    rng = random.Random(seed)
    for count in range(number):
        name, make = _KINDS[count % len(_KINDS)]
        yield f"{count:03d} {name}", make(rng)


def cost_of(name: str, data: bytes) -> Cost:
    """Look through and decode a file as the pipeline does."""
    begin = time.thread_time()
    pixels = 0
    try:
        photo = decode(data, name, max_pixels=MAX_PIXELS)
        pixels = photo.rgb.shape[0] * photo.rgb.shape[1]
        verdict = "decoded"
    except JobError as error:
        verdict = error.code
    budget = LEAST_SECONDS + SECONDS_PER_MEGAPIXEL * pixels / 1e6
    return Cost(name, verdict, time.thread_time() - begin, budget)


def in_a_thread(name: str, data: bytes) -> Cost:
    found: list[Cost] = []
    thread = threading.Thread(target=lambda: found.append(cost_of(name, data)))
    thread.start()
    thread.join()
    return found[0] if found else Cost(name, "internal", 0.0, 0.0)


def _flat(rng: random.Random, most: float, mode: str = "L") -> Image.Image:
    """A picture of one colour of up to so many megapixels, wide or tall."""
    pixels = rng.uniform(most / 8, most) * 1e6
    wide = rng.choice((0.05, 0.5, 1.0, 4.0, 40.0))
    width = max(1, min(60_000, round((pixels * wide) ** 0.5)))
    return Image.new(mode, (width, max(1, min(60_000, round(pixels / width)))), rng.randrange(200))


def _saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    target = io.BytesIO()
    picture.save(target, kind, **options)
    return target.getvalue()


def _many_scans(rng: random.Random) -> bytes:
    whole = _saved(_flat(rng, 12), "JPEG", progressive=True, quality=50)
    last = whole.rindex(b"\xff\xda")
    return whole[:last] + whole[last:-2] * rng.choice((5, 40, 200, 600)) + b"\xff\xd9"


def _many_segments(rng: random.Random) -> bytes:
    jpeg = _saved(_flat(rng, 1), "JPEG")
    body = struct.pack(">BBH", 0xFF, rng.choice((0xFE, 0xE1, 0xE2, 0xED)), 6) + b"1234"
    return jpeg[:2] + body * rng.choice((1000, 100_000, 2_000_000)) + jpeg[2:]


def _large_jpeg(rng: random.Random) -> bytes:
    return _saved(_flat(rng, 60), "JPEG", progressive=rng.random() < 0.5)


def _chunk(tag: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))


def _many_chunks(rng: random.Random) -> bytes:
    png = _saved(_flat(rng, 1), "PNG")
    tag, body = rng.choice(((b"tEXt", b"a\0b"), (b"IDAT", b""), (b"zTXt", b"a\0\0x\x9c")))
    place = png.index(b"IDAT") - 4
    return png[:place] + _chunk(tag, body) * rng.choice((1000, 200_000, 2_000_000)) + png[place:]


def _text_bombs(rng: random.Random) -> bytes:
    png = _saved(_flat(rng, 1), "PNG")
    bomb = zlib.compress(bytes(rng.choice((1, 20, 200)) << 20), 9)
    tag = rng.choice((b"zTXt", b"iCCP"))
    bombs = _chunk(tag, b"Raw profile type exif\0\0" + bomb) * rng.choice((1, 50))
    return png[:33] + bombs + png[33:]


def _large_png(rng: random.Random) -> bytes:
    return _saved(_flat(rng, 110, rng.choice(("1", "L", "P"))), "PNG")


def _interlaced_png(rng: random.Random) -> bytes:
    side = rng.randrange(500, 6000)
    rows = zlib.compressobj(1)
    packed = b""
    for left, top, across, down in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4),
                                    (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):  # fmt: skip
        wide, high = -(-(side - left) // across), -(-(side - top) // down)
        packed += rows.compress((b"\0" + bytes(wide)) * high)
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 1)
    body = _chunk(b"IHDR", header) + _chunk(b"IDAT", packed + rows.flush()) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _many_strips(rng: random.Random) -> bytes:
    count = rng.choice((1000, 60_000, 300_000, 2_000_000))
    tags = ((256, 1, 8), (257, 1, count), (258, 1, 8), (259, 1, rng.choice((1, 5, 8))),
            (262, 1, 1), (273, count, 122), (277, 1, 1), (278, 1, 1),
            (279, count, 122 + 4 * count))  # fmt: skip
    body = b"".join(struct.pack("<HHII", tag, 4, number, value) for tag, number, value in tags)
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + body + bytes(4)
    return head + struct.pack("<I", 8) * count * 2


def _large_tiff(rng: random.Random) -> bytes:
    coding = rng.choice(("tiff_lzw", "tiff_adobe_deflate", "packbits", "group4"))
    mode = "1" if coding == "group4" else rng.choice(("L", "RGB"))
    return _saved(_flat(rng, 40, mode), "TIFF", compression=coding)


def _many_pages(rng: random.Random) -> bytes:
    pages = [Image.new("L", (8, 8))] * rng.choice((50, 1000))
    return _saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])


def _swelling_strip(rng: random.Random) -> bytes:
    """One strip that inflates to far more than its picture."""
    data = zlib.compress(bytes(rng.choice((10, 300)) << 20), 9)
    tags = ((256, 1, 64), (257, 1, 64), (258, 1, 16), (259, 1, 8), (262, 1, 1), (273, 1, 8),
            (277, 1, 1), (278, 1, 64), (279, 1, len(data)))  # fmt: skip
    at = 8 + len(data) + len(data) % 2
    body = b"".join(struct.pack("<HHII", tag, 4, number, value) for tag, number, value in tags)
    head = struct.pack("<2sHI", b"II", 42, at) + data + b"\0" * (len(data) % 2)
    return head + struct.pack("<H", len(tags)) + body + bytes(4)


def _large_gif(rng: random.Random) -> bytes:
    return _saved(_flat(rng, 40, "P"), "GIF")


def _many_frames(rng: random.Random) -> bytes:
    frames = [Image.new("P", (300, 300), number) for number in range(rng.choice((20, 200)))]
    return _saved(frames[0], rng.choice(("GIF", "WEBP")), save_all=True, append_images=frames[1:])


def _large_webp(rng: random.Random) -> bytes:
    picture = _flat(rng, 30, "RGB")
    picture.thumbnail((16_000, 16_000))
    return _saved(picture, "WEBP", lossless=rng.random() < 0.5, quality=20, method=0)


def _many_riff_chunks(rng: random.Random) -> bytes:
    webp = _saved(_flat(rng, 1, "RGB").resize((200, 200)), "WEBP")
    body = webp[12:] + (b"JUNK" + bytes(4)) * rng.choice((1000, 3_000_000))
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _large_avif(rng: random.Random) -> bytes:
    picture = _flat(rng, 16, "RGB")
    picture.thumbnail((8000, 8000))
    return _saved(picture, "AVIF", speed=10, quality=20)


def _many_boxes(rng: random.Random) -> bytes:
    avif = _saved(Image.new("RGB", (64, 64)), "AVIF", speed=10)
    return avif + struct.pack(">I4s", 8, b"free") * rng.choice((1000, 3_000_000))


def _large_bmp(rng: random.Random) -> bytes:
    return _saved(_flat(rng, 60, rng.choice(("1", "L"))), "BMP")


_KINDS: Final[tuple[tuple[str, Callable[[random.Random], bytes]], ...]] = (
    ("many scans.jpg", _many_scans), ("many segments.jpg", _many_segments),
    ("large.jpg", _large_jpeg), ("many chunks.png", _many_chunks),
    ("swelling text.png", _text_bombs), ("large.png", _large_png),
    ("interlaced.png", _interlaced_png), ("many strips.tif", _many_strips),
    ("large.tif", _large_tiff), ("many pages.tif", _many_pages),
    ("swelling strip.tif", _swelling_strip), ("large.gif", _large_gif),
    ("many frames.gif", _many_frames), ("large.webp", _large_webp),
    ("many chunks.webp", _many_riff_chunks), ("large.avif", _large_avif),
    ("many boxes.avif", _many_boxes), ("large.bmp", _large_bmp),
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    costs = [in_a_thread(name, data) for name, data in slow_files(options.files, options.seed)]
    worst = sorted(costs, key=lambda cost: -cost.seconds)
    for cost in worst[:10]:
        print(f"{cost.seconds:6.2f} s of {cost.budget:5.1f}  {cost.verdict:12} {cost.name}")
    over = [cost for cost in costs if cost.seconds > cost.budget or cost.verdict == "internal"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"{len(costs)} files, {len(over)} beyond the budget, peak memory {peak} MiB")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
