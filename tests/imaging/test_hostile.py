"""Bytes that are no healthy photo end in job errors; nothing wrong is shown as right."""

from __future__ import annotations

import io
import random
import struct
import sys
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import edge_matting
from edge_matting.core.errors import (
    JobError,
    NotAnImage,
    OutOfMemory,
    TooLarge,
    Truncated,
    Unsupported,
)
from edge_matting.imaging import check_limits, decode, read_header
from edge_matting.imaging.pillow import job_errors, load_picture, open_picture
from edge_matting.imaging.tiff import encode_tiff

PHOTO = Path(edge_matting.__file__).parent / "data" / "photos" / "astronaut.jpg"
LIMIT = 10_000_000


def chunk(tag: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))


def png_header(width: int, height: int) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 100))


def webp_canvas(width: int, height: int) -> bytes:
    body = b"\0\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    riff = b"WEBPVP8X" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(riff)) + riff


def samples() -> dict[str, bytes]:
    with Image.open(PHOTO) as opened:
        photo = opened.convert("RGB").resize((160, 120))
    made = {}
    for name, kind, options in (
        ("baseline.jpg", "JPEG", {"quality": 90}),
        ("progressive.jpg", "JPEG", {"quality": 90, "progressive": True}),
        ("cmyk.jpg", "JPEG", {"quality": 90}),
        ("plain.png", "PNG", {}),
        ("lossy.webp", "WEBP", {"quality": 80}),
        ("lossless.webp", "WEBP", {"lossless": True}),
        ("raw.tif", "TIFF", {}),
        ("lzw.tif", "TIFF", {"compression": "tiff_lzw"}),
        ("deflate.tif", "TIFF", {"compression": "tiff_adobe_deflate"}),
        ("plain.bmp", "BMP", {}),
        ("plain.gif", "GIF", {}),
    ):
        target = io.BytesIO()
        (photo.convert("CMYK") if name.startswith("cmyk") else photo).save(target, kind, **options)
        made[name] = target.getvalue()
    made["deep.tif"] = encode_tiff(np.asarray(photo).astype(np.uint16) * 257)
    return made


SAMPLES = samples()


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_cut_short_is_never_shown_as_a_whole_picture(name: str) -> None:
    whole = SAMPLES[name]
    expected = decode(whole, name, max_pixels=LIMIT).rgb
    for percent in range(0, 100, 5):
        cut = whole[: len(whole) * percent // 100]
        if percent == 0:
            with pytest.raises(NotAnImage, match="empty"):
                decode(cut, name, max_pixels=LIMIT)
            continue
        with pytest.raises(Truncated, match=name):
            decode(cut, name, max_pixels=LIMIT)
    for missing in (1, 2, 3, 12):  # all pixels may be there still
        try:
            photo = decode(whole[:-missing], name, max_pixels=LIMIT)
        except Truncated:
            continue
        assert np.array_equal(photo.rgb, expected), missing


@pytest.mark.parametrize("name", sorted(set(SAMPLES) - {"raw.tif", "plain.bmp"}))
def test_a_file_padded_with_zeros_after_the_cut_is_never_shown_as_whole(name: str) -> None:
    """A copy that stopped half-way into a file of the final length."""
    whole = SAMPLES[name]
    expected = decode(whole, name, max_pixels=LIMIT).rgb
    for percent in (10, 35, 60, 85):
        cut = len(whole) * percent // 100
        try:
            photo = decode(whole[:cut] + bytes(len(whole) - cut), name, max_pixels=LIMIT)
        except JobError:
            continue
        assert np.array_equal(photo.rgb, expected), percent


@pytest.mark.parametrize("name", SAMPLES)
def test_flipped_bits_end_in_a_picture_or_a_job_error(name: str) -> None:
    rng = random.Random(name)
    for _ in range(40):
        data = bytearray(SAMPLES[name])
        for _ in range(rng.choice((1, 3, 20))):
            place = rng.randrange(len(data) if rng.random() < 0.5 else min(len(data), 200))
            data[place] ^= 1 << rng.randrange(8)
        try:
            photo = decode(bytes(data), name, max_pixels=LIMIT)
        except JobError:
            continue
        assert photo.rgb.ndim == 3
        assert photo.rgb.shape[0] * photo.rgb.shape[1] <= LIMIT


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"\0" * 5000, "zero bytes"),
        (b"Dear all,\nplease find attached", "text"),
        (b"%PDF-1.7\n...", "PDF"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "video"),
        (b"PK\x03\x04 docx", "ZIP"),
        (b"\x7fELF\x02\x01", "program"),
        (bytes(random.Random(3).randbytes(500)), "unknown"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "sound"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, words: str) -> None:
    with pytest.raises(NotAnImage, match=words) as caught:
        decode(data, "x.jpg", max_pixels=LIMIT)
    assert "x.jpg" in str(caught.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"8BPS\0\x01", "Photoshop"),
        (b"\xff\x0a\0\0", "JPEG XL"),
        (b"<svg xmlns=''>", "SVG"),
    ],
)
def test_pictures_of_other_kinds_are_refused_by_name(data: bytes, words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        decode(data, "x", max_pixels=LIMIT)


@pytest.mark.parametrize(
    "data",
    [png_header(60_000, 60_000), webp_canvas(16_000, 16_000), png_header(2**31 - 1, 2**31 - 1)],
)
def test_a_decompression_bomb_costs_no_memory(data: bytes) -> None:
    tracemalloc.start()
    begin = time.perf_counter()
    with pytest.raises(TooLarge, match="megapixels"):
        decode(data, "bomb", max_pixels=120_000_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000
    assert time.perf_counter() - begin < 1.0


def test_a_real_bomb_of_a_gigabyte_is_refused_from_its_header() -> None:
    rows = zlib.compressobj(9)
    body = b"".join(rows.compress(bytes(18_001)) for _ in range(50)) + rows.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 18_000, 18_000, 8, 0, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    with pytest.raises(TooLarge):
        decode(data, "bomb", max_pixels=120_000_000)


def test_the_limit_is_exact() -> None:
    header = read_header(SAMPLES["plain.png"], "plain.png")
    check_limits(header, 160 * 120)
    with pytest.raises(TooLarge, match="max_pixels"):
        check_limits(header, 160 * 120 - 1)


def test_a_picture_beyond_pillows_own_limit_is_decoded_when_ours_allows_it() -> None:
    for kind in ("png", "tiff", "bmp"):
        target = io.BytesIO()
        Image.new("1", (30_000, 3_100)).save(target, kind)  # 93 megapixels; Pillow warns at 89
        check_limits(read_header(target.getvalue(), "wide"), 100_000_000)
        picture = open_picture(target.getvalue(), kind)
        load_picture(picture)
        assert picture.size == (30_000, 3_100)


def test_harmless_garbage_between_jpeg_segments_is_forgiven() -> None:
    data = SAMPLES["baseline.jpg"]
    at = data.index(b"\xff\xda")  # garbage before the scan: libjpeg warns and skips it
    photo = decode(data[:at] + b"\0\0\0" + data[at:], "odd.jpg", max_pixels=LIMIT)
    assert np.array_equal(photo.rgb, decode(data, "even.jpg", max_pixels=LIMIT).rgb)


def test_bytes_after_the_end_of_a_picture_are_ignored() -> None:
    for name in ("baseline.jpg", "plain.png", "lossy.webp"):
        photo = decode(SAMPLES[name] + b"trailing rubbish", name, max_pixels=LIMIT)
        assert photo.rgb.shape == (120, 160, 3)


def test_a_broken_exif_block_does_not_cost_the_photo() -> None:
    rng = random.Random(5)
    for _ in range(40):
        exif = b"Exif\0\0MM\0*\0\0\0\x08" + rng.randbytes(rng.randrange(0, 80))
        target = io.BytesIO()
        Image.new("RGB", (20, 10), "teal").save(target, "JPEG", exif=exif)
        assert decode(target.getvalue(), "x.jpg", max_pixels=LIMIT).rgb.size == 600


def test_an_exif_directory_that_points_to_itself_ends() -> None:
    loop = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0x8769, 4, 1, 8) + b"\x08\0\0\0"
    target = io.BytesIO()
    Image.new("RGB", (20, 10), "teal").save(target, "JPEG", exif=loop)
    assert decode(target.getvalue(), "x.jpg", max_pixels=LIMIT).rgb.size == 600


def test_running_out_of_memory_is_said_as_such() -> None:
    with pytest.raises(OutOfMemory, match="big"), job_errors(b"", "png", "big.png"):
        raise MemoryError


def test_a_camera_raw_file_is_named_and_told_what_reads_it(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)
    for data, words in (
        (b"II*\x00\x10\0\0\0CR\x02\0", "a Canon CR2 raw file"),
        (b"\0\0\0\x18ftypcrx \0\0\0\0", "a Canon CR3 raw file"),
        (b"IIRO\x08\0\0\0", "an Olympus ORF raw file"),
        (b"FOVb\0\0\2\0", "a Sigma X3F raw file"),
    ):
        with pytest.raises(Unsupported, match=words) as caught:
            decode(data, "x", max_pixels=LIMIT)
        assert "raw" in caught.value.hint
        assert "TIFF or JPEG" in caught.value.hint
