"""Pictures of rarer kinds come out right, or are refused as what they are."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from typing import Any

import numpy as np
import pytest
from made_pictures import (
    HIGH,
    WIDE,
    camera_exif,
    chunk,
    deep_scene,
    grey_profile,
    jpeg_segment,
    png_with,
    saved,
    scene,
    srgb_profile,
    thumbnail_first,
    tiff,
)
from PIL import Image

from edge_matting.core.errors import NotAnImage, TooSlow, Truncated, Unsupported
from edge_matting.imaging import decode, read_header

LIMIT = 10**7


def decoded(data: bytes) -> Any:
    return decode(data, "x", max_pixels=LIMIT)


def close(pixels: np.ndarray, wanted: np.ndarray, most: float) -> bool:
    return bool(np.abs(pixels.astype(float) - wanted.astype(float)).max() <= most)


# -- TIFF -----------------------------------------------------------------------------------------


def test_a_tiff_in_planes_of_16_bits_is_no_noise() -> None:
    planes = np.ascontiguousarray(deep_scene().transpose(2, 0, 1))
    photo = decoded(tiff(planes, photometric="rgb", planarconfig="separate"))
    assert np.array_equal(photo.rgb, deep_scene())


def test_white_that_is_zero_is_white_at_16_bits() -> None:
    grey = deep_scene()[:, :, 0]
    photo = decoded(tiff(65535 - grey, photometric="miniswhite"))
    assert np.array_equal(photo.rgb[:, :, 0], grey)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_packed_bits_fill_the_whole_range(bits: int) -> None:
    pytest.importorskip("imagecodecs")
    grey = deep_scene()[:, :, 0] >> (16 - bits)
    photo = decoded(packed(grey, bits))
    assert close(photo.rgb[:, :, 0], np.rint(grey * (65535 / (2**bits - 1))), 1)


def packed(grey: np.ndarray, bits: int) -> bytes:
    """A grey TIFF of so many bits a sample, rows filled up to whole bytes."""
    rows = b""
    for row in grey:
        text = "".join(f"{value:0{bits}b}" for value in row.tolist())
        text = text.ljust(-(-len(text) // 8) * 8, "0")
        rows += int(text, 2).to_bytes(len(text) // 8, "big")
    tags = ((256, WIDE), (257, HIGH), (258, bits), (259, 1), (262, 1), (273, 8), (277, 1),
            (278, HIGH), (279, len(rows)))  # fmt: skip
    at = 8 + len(rows) + len(rows) % 2
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    head = struct.pack("<2sHI", b"II", 42, at) + rows + b"\x00" * (len(rows) % 2)
    return head + struct.pack("<H", len(tags)) + body + bytes(4)


def test_a_grey_profile_counts_at_16_bits_too() -> None:
    grey = deep_scene()[:, :, 0]
    photo = decoded(tiff(grey, photometric="minisblack", iccprofile=grey_profile(1.0)))
    light = grey / 65535
    wanted = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    assert photo.icc is None
    assert close(photo.rgb[:, :, 1], wanted * 65535, 40)


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.float64])
def test_floats_from_0_to_1_are_the_whole_range(kind: Any) -> None:
    photo = decoded(tiff((deep_scene() / 65535).astype(kind), photometric="rgb"))
    assert photo.rgb.dtype == np.uint16
    assert close(photo.rgb, deep_scene(), 40 if kind is np.float16 else 1)
    assert photo.notes == ()


def test_samples_beyond_the_usual_range_are_spread_and_said() -> None:
    photo = decoded(tiff((scene() * 40.0).astype(np.float32), photometric="rgb"))
    assert photo.rgb.max() == 65535
    assert "spread" in photo.notes[0]


def test_32_bits_are_read_by_their_range() -> None:
    full = deep_scene().astype(np.uint32) * 65537
    assert close(decoded(tiff(full, photometric="rgb")).rgb, deep_scene(), 1)
    dark = decoded(tiff(deep_scene().astype(np.uint32), photometric="rgb"))
    assert dark.rgb.max() == 65535
    assert dark.notes


@pytest.mark.parametrize("coding", ["jpegxl", "jpeg2000", "lerc", "zstd", "lzma", "lzw"])
def test_tiff_in_any_coding_of_a_library(coding: str) -> None:
    pytest.importorskip("imagecodecs")
    options = {"compressionargs": {"reversible": True}} if coding == "jpeg2000" else {}
    if coding == "jpegxl":
        options = {"compressionargs": {"lossless": True}}
    data = tiff(deep_scene(), photometric="rgb", compression=coding, **options)
    assert close(decoded(data).rgb, deep_scene(), 0 if coding != "jpegxl" else 1)


def test_a_coding_without_its_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    data = tiff(deep_scene(), photometric="rgb", compression="zstd")
    hidden = [name for name in sys.modules if name.startswith(("imagecodecs", "tifffile"))]
    for name in hidden:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    if sys.version_info < (3, 14):
        with pytest.raises(Unsupported, match="Zstandard") as caught:
            decoded(data)
        assert "edge-matting[tiff]" in caught.value.hint
    assert close(decoded(tiff(deep_scene(), photometric="rgb")).rgb, deep_scene(), 0)
    lzw = decoded(saved_with_opencv(deep_scene()))
    assert close(lzw.rgb, deep_scene(), 0)


def saved_with_opencv(rgb: np.ndarray) -> bytes:
    import cv2

    return cv2.imencode(".tiff", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes()  # LZW


@pytest.mark.parametrize("order", ["<", ">"])
def test_bigtiff_in_either_order_of_bytes(order: str) -> None:
    for pixels in (scene(), deep_scene()):
        data = tiff(pixels, photometric="rgb", bigtiff=True, byteorder=order)
        assert np.array_equal(decoded(data).rgb, pixels)


def test_a_thumbnail_before_the_picture_is_passed_over() -> None:
    header = read_header(thumbnail_first(scene()), "x")
    assert (header.width, header.height) == (WIDE, HIGH)
    assert np.array_equal(decoded(thumbnail_first(scene())).rgb, scene())


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.9])
def test_a_deep_tiff_cut_short_is_no_picture(cut: float) -> None:
    whole = tiff(deep_scene(), photometric="rgb", planarconfig="contig", rowsperstrip=4)
    moved = whole[: int(len(whole) * cut)]
    with pytest.raises((Truncated, NotAnImage)):
        decoded(moved)


# -- JPEG -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("progressive", [False, True])
def test_a_complete_jpeg_without_its_end_marker_is_done(progressive: bool) -> None:
    whole = saved(scene(), "JPEG", quality=95, progressive=progressive)
    photo = decoded(whole[:-2])
    assert np.array_equal(photo.rgb, decoded(whole).rgb)
    assert "end marker" in photo.notes[0]


def test_a_progressive_jpeg_without_its_last_scan_is_not_done() -> None:
    whole = saved(scene(), "JPEG", quality=95, progressive=True)
    last = whole.rindex(b"\xff\xda")
    with pytest.raises(Truncated):
        decoded(whole[:last])


def test_a_missing_part_of_a_profile_costs_the_profile_and_not_the_picture() -> None:
    part = b"ICC_PROFILE\x00\x01\x02" + srgb_profile()
    photo = decoded(jpeg_segment(saved(scene(), "JPEG", quality=95), 0xE2, part))
    assert photo.icc is None
    assert "profile" in photo.notes[0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_orientation_of_any_integer_type_turns_the_photo(orientation: int) -> None:
    exif = camera_exif(long_orientation=orientation)
    data = saved(scene(), "JPEG", exif=exif)
    header = read_header(data, "x")
    wanted = (WIDE, HIGH) if orientation < 5 else (HIGH, WIDE)
    assert (header.width, header.height) == wanted
    assert header.orientation == orientation


# -- PNG ------------------------------------------------------------------------------------------


def test_much_text_in_a_png_is_no_fault() -> None:
    text = zlib.compress(b"x" * 3_000_000)
    for part in (chunk(b"zTXt", b"Comment\x00\x00" + text), chunk(b"iCCP", b"p\x00\x00" + text)):
        assert np.array_equal(decoded(png_with(part)).rgb, scene())


def test_a_bad_checksum_in_an_ancillary_chunk_costs_that_chunk() -> None:
    photo = decoded(png_with(chunk(b"tEXt", b"Comment\x00hello", crc=1)))
    assert np.array_equal(photo.rgb, scene())
    assert "tEXt" in photo.notes[0]


def test_a_transparent_shade_is_found_at_any_depth() -> None:
    grey = (np.arange(16, dtype=np.uint8) * 17)[np.newaxis].repeat(4, 0)
    raw = b"".join(b"\x00" + bytes((a << 4) | b for a, b in zip(r[::2], r[1::2], strict=True))
                   for r in [list(range(16))] * 4)  # fmt: skip
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 4, 4, 0, 0, 0, 0))
    body = chunk(b"tRNS", struct.pack(">H", 3)) + chunk(b"IDAT", zlib.compress(raw))
    photo = decoded(b"\x89PNG\r\n\x1a\n" + header + body + chunk(b"IEND", b""))
    assert np.array_equal(photo.rgb[:, :, 0], grey)
    assert photo.alpha is not None
    assert [place for place in range(16) if photo.alpha[0, place] == 0] == [3]


def test_a_gif_is_transparent_where_its_first_frame_does_not_reach() -> None:
    whole = bytearray(saved(Image.fromarray(scene()).quantize(16), "GIF"))
    whole[6:10] = struct.pack("<HH", WIDE + 10, HIGH + 6)
    photo = decoded(bytes(whole))
    assert photo.rgb.shape == (HIGH + 6, WIDE + 10, 3)
    assert photo.alpha is not None
    assert photo.alpha[:HIGH, :WIDE].all()
    assert not photo.alpha[HIGH:].any()
    assert not photo.alpha[:, WIDE:].any()


# -- depth of HEIC and AVIF -----------------------------------------------------------------------


def test_ten_bits_of_an_avif_are_kept_or_said_to_be_lost() -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    ramp = np.linspace(0, 1023, WIDE * HIGH).astype(np.uint16).reshape(HIGH, WIDE)
    data = imagecodecs.avif_encode(np.dstack([ramp] * 3), level=100, bitspersample=10)
    photo = decoded(data)
    assert photo.rgb.dtype == np.uint16
    assert close(photo.rgb >> 6, np.dstack([ramp] * 3), 8)
    kept = len(np.unique(photo.rgb[:, :, 1])) > 512
    assert kept or "bits" in photo.notes[0]


def test_ten_bits_of_a_heic_are_kept() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    deep = deep_scene()
    target = io.BytesIO()
    made = pillow_heif.from_bytes(mode="RGB;16", size=(WIDE, HIGH), data=deep.tobytes())
    made.save(target, quality=-1, chroma=444)
    photo = decoded(target.getvalue())
    assert photo.rgb.dtype == np.uint16
    assert close(photo.rgb >> 8, scene(), 3)
    assert int(photo.rgb.max()) > 65400


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"P6\n2 2\n255\n" + bytes(12), "PPM"),
        (b"P5 2 2 255\n" + bytes(4), "PGM"),
        (bytes((0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 4, 0, 24, 0)) + bytes(48), "TGA"),
        (b"qoif" + bytes(20), "QOI"),
        (b"\0\0\0\x18ftypavci\0\0\0\0mif1avci" + bytes(40), "HEIF|HEIC|AVIF"),
    ],
)
def test_other_pictures_are_refused_as_what_they_are(data: bytes, words: str) -> None:
    with pytest.raises((Unsupported, NotAnImage, Truncated), match=words) as caught:
        decoded(data)
    assert "video" not in str(caught.value) or words != "HEIF|HEIC|AVIF"


def test_text_that_begins_like_a_ppm_is_text() -> None:
    with pytest.raises(NotAnImage, match="text"):
        decoded(b"P6R is the name of a form that is filled in every year.")


# -- what would take too long ---------------------------------------------------------------------


def test_a_progressive_jpeg_of_hundreds_of_scans_is_refused_from_its_header() -> None:
    whole = saved(scene(), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    many = whole[:last] + whole[last:-2] * 600 + b"\xff\xd9"
    with pytest.raises(TooSlow, match="scans"):
        read_header(many, "x")


def test_millions_of_strips_are_refused_from_the_header() -> None:
    count = 300_000
    tags = ((256, 4, 1, 8), (257, 4, 1, count), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
            (273, 4, count, 122), (277, 3, 1, 1), (278, 4, 1, 1),
            (279, 4, count, 122 + 4 * count))  # fmt: skip
    body = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    data = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + body + bytes(4)
    data += struct.pack("<I", 8) * count + struct.pack("<I", 8) * count
    with pytest.raises(TooSlow, match="strips"):
        read_header(data, "x")


def test_no_end_of_chunks_is_refused_from_the_header() -> None:
    with pytest.raises(TooSlow, match="chunks"):
        read_header(png_with(chunk(b"tIME", bytes(7)) * 400_000), "x")


def test_a_picture_that_its_reader_shows_at_another_size_is_not_guessed() -> None:
    whole = bytearray(saved(Image.fromarray(scene()), "TIFF"))
    at = whole.index(struct.pack("<HHI", 257, 4, 1))
    doubled = struct.pack("<HHII", 257, 4, 1, HIGH // 2)
    whole[at : at + 12] = doubled
    photo = decoded(bytes(whole))
    assert photo.rgb.shape == (HIGH // 2, WIDE, 3)
