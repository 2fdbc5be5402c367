"""EXIF by policy: what is private stays behind, what is credit goes along."""

from __future__ import annotations

import io
import random

import pytest
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from edge_matting.imaging import Metadata, Output, decode, output_metadata
from edge_matting.imaging.exif import orientation_of
from edge_matting.imaging.metadata import Policy
from edge_matting.imaging.png_chunks import read_png

MAKER_NOTE, ARTIST, COPYRIGHT, LENS = 0x927C, 0x013B, 0x8298, 0xA434


def block(orientation: int = 6) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[ARTIST] = "An Artist"
    exif[COPYRIGHT] = "All rights hers"
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[MAKER_NOTE] = b"serial number 12345"
    details[LENS] = "A Lens"
    exif[ExifTags.IFD.Exif] = details
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    gps[1], gps[2] = "N", (48.0, 12.0, 30.0)
    exif[ExifTags.IFD.GPSInfo] = gps
    return exif.tobytes()


def output_exif(exif: bytes | None, policy: Policy) -> bytes | None:
    return output_metadata(Metadata(exif), policy, Output((640, 480), srgb=True)).exif


def parsed(exif: bytes | None) -> Image.Exif:
    assert exif is not None
    assert not exif.startswith(b"Exif")
    result = Image.Exif()
    result.load(b"Exif\0\0" + exif)
    return result


def test_safe_drops_place_and_maker_notes_and_keeps_credit() -> None:
    exif = output_exif(block(), "safe")
    assert exif is not None
    assert b"serial number" not in exif
    kept = parsed(exif)
    assert kept[ARTIST] == "An Artist"
    assert kept[COPYRIGHT] == "All rights hers"
    assert kept.get_ifd(ExifTags.IFD.Exif)[LENS] == "A Lens"
    assert not kept.get_ifd(ExifTags.IFD.GPSInfo)


@pytest.mark.parametrize("policy", ["safe", "all"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_becomes_1(policy, orientation: int) -> None:
    source = block(orientation)
    assert orientation_of(source) == orientation
    assert orientation_of(output_exif(source, policy)) == 1


def test_all_changes_nothing_but_the_orientation() -> None:
    source = block(6).removeprefix(b"Exif\0\0")
    kept = output_exif(block(6), "all")
    assert kept is not None
    assert len(kept) == len(source)
    assert sum(a != b for a, b in zip(kept, source, strict=True)) == 1
    assert parsed(kept).get_ifd(ExifTags.IFD.GPSInfo)[1] == "N"


def test_none_keeps_nothing_and_nothing_stays_nothing() -> None:
    assert output_exif(block(), "none") is None
    assert output_exif(None, "all") is None
    assert output_exif(b"", "safe") is None


def test_a_block_that_cannot_be_read_is_dropped_under_safe() -> None:
    rng = random.Random(1)
    for size in range(120):
        exif = b"Exif\0\0II*\0\x08\0\0\0" + rng.randbytes(size)
        assert orientation_of(exif) in range(1, 9)
        kept = output_exif(exif, "safe")
        assert kept is None or orientation_of(kept) == 1


def test_the_thumbnail_of_the_uncut_photo_does_not_survive() -> None:
    thumbnail = io.BytesIO()
    Image.new("RGB", (16, 12), "red").save(thumbnail, "JPEG")
    jpeg = thumbnail.getvalue()
    first = block().removeprefix(b"Exif\0\0")
    # a second directory with the thumbnail, linked from the first one's end
    order = "little" if first[:2] == b"II" else "big"
    at = int.from_bytes(first[4:8], order)
    link = at + 2 + 12 * int.from_bytes(first[at : at + 2], order)
    entries = b"".join(
        tag.to_bytes(2, order)
        + (4).to_bytes(2, order)
        + (1).to_bytes(4, order)
        + value.to_bytes(4, order)
        for tag, value in ((0x0201, len(first) + 30), (0x0202, len(jpeg)))
    )
    second = (2).to_bytes(2, order) + entries + bytes(4)
    exif = first[:link] + len(first).to_bytes(4, order) + first[link + 4 :] + second + jpeg
    assert parsed(exif).get_ifd(ExifTags.IFD.IFD1)
    kept = output_exif(b"Exif\0\0" + exif, "safe")
    assert kept is not None
    assert b"\xff\xd8\xff" not in kept


def test_tiff_layout_tags_do_not_leak_into_the_outputs_exif() -> None:
    target = io.BytesIO()
    Image.new("RGB", (20, 10)).save(target, "TIFF", tiffinfo={ARTIST: "An Artist", 274: 6})
    photo = decode(target.getvalue(), "x.tif", max_pixels=1000)
    kept = parsed(output_exif(photo.metadata.exif, "all"))
    assert kept[ARTIST] == "An Artist"
    assert 273 not in kept


def png_with_text(text: str) -> bytes:
    target = io.BytesIO()
    about = PngInfo()
    about.add_text("Raw profile type exif", text)
    Image.new("L", (4, 4)).save(target, "PNG", pnginfo=about)
    return target.getvalue()


def test_imagemagicks_text_profile_is_understood() -> None:
    raw = block(8)
    text = f"\nexif\n{len(raw):8d}\n" + raw.hex()
    assert orientation_of(read_png(png_with_text(text), 100).exif) == 8
    broken = read_png(png_with_text("\nexif\n   4\nzz"), 100)
    assert broken.exif is None
    assert broken.notes == ["its part tEXt cannot be used and was left out"]
