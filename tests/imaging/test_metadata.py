"""EXIF by policy: what is private stays behind, what is credit goes along."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
from made_pictures import camera_exif, jpeg_segment, saved, scene
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from edge_matting.config import Recipe
from edge_matting.imaging import Metadata, OutputFacts, decode, output_metadata
from edge_matting.imaging.exif import orientation_of
from edge_matting.imaging.iptc import photoshop_segment
from edge_matting.imaging.metadata import Policy
from edge_matting.imaging.png_chunks import read_png
from edge_matting.pipeline.outputs import render_outputs

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
    return output_metadata(Metadata(exif), policy, OutputFacts((640, 480), srgb=True)).exif


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


FORMATS = ("png", "webp", "jpg", "tiff", "avif")
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    b'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
    b'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    b'xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="48,12N" '
    b'xmlns:aux="http://ns.adobe.com/exif/1.0/aux/" aux:SerialNumber="SERIAL12345" '
    b'tiff:Orientation="6" exif:PixelXDimension="48">'
    b"<dc:creator><rdf:Seq><rdf:li>An Artist &amp; Co</rdf:li></rdf:Seq></dc:creator>"
    b'<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">All rights hers</rdf:li></rdf:Alt>'
    b"</dc:rights>"
    b"<dc:description><rdf:Alt><rdf:li>Anna at home</rdf:li></rdf:Alt></dc:description>"
    b"<Iptc4xmpExt:PersonInImage><rdf:Bag><rdf:li>Anna</rdf:li></rdf:Bag>"
    b"</Iptc4xmpExt:PersonInImage></rdf:Description></rdf:RDF></x:xmpmeta>"
)
PRIVATE = (b"SERIAL12345", b"Owner Name", b"Anna", b"comment of hers", b"48,12N", b"City")


def iptc_block() -> bytes:
    fields = {80: b"An Artist", 116: b"All rights hers", 90: b"City", 120: b"Anna at home"}
    return b"".join(
        b"\x1c\x02" + bytes((number,)) + len(text).to_bytes(2, "big") + text
        for number, text in fields.items()
    )


def photo_with_all() -> bytes:
    """A JPEG with EXIF, XMP and IPTC as cameras and agencies write them."""
    data = saved(scene(), "JPEG", quality=95, exif=camera_exif())
    data = jpeg_segment(data, 0xED, photoshop_segment(iptc_block()))
    return jpeg_segment(data, 0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + XMP)


def output_of(policy: str, format_: str, **recipe: object) -> bytes:
    photo = decode(photo_with_all(), "x.jpg", max_pixels=10**6)
    made = Recipe.model_validate(
        {"outputs": ({"kind": "composite", "format": format_},), "metadata": policy, **recipe}
    )
    matte = np.zeros(photo.rgb.shape[:2], np.float32)
    matte[8:24, 8:24] = 1
    (file,) = render_outputs(photo, matte, made)
    return file.data


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("policy", ["safe", "all", "none"])
def test_every_format_is_written_for_a_photo_with_all_that_cameras_write(format_, policy) -> None:
    again = decode(output_of(policy, format_), "out", max_pixels=10**6)
    assert again.rgb.shape == scene().shape


@pytest.mark.parametrize("format_", FORMATS)
def test_safe_keeps_creator_and_copyright_in_all_three_places(format_: str) -> None:
    data = output_of("safe", format_)
    kept = decode(data, "out", max_pixels=10**6).metadata
    assert kept.exif is not None
    assert b"An Artist" in kept.exif
    assert b"All rights hers" in kept.exif
    assert kept.xmp is not None
    assert b"An Artist &amp; Co" in kept.xmp
    assert b"All rights hers" in kept.xmp
    if format_ not in ("webp", "avif"):  # these have no place for IPTC
        assert kept.iptc is not None
        assert b"An Artist" in kept.iptc
        assert b"All rights hers" in kept.iptc
    for block in (kept.exif, kept.xmp, kept.iptc or b"", data):
        assert not [words for words in PRIVATE if words in block]


@pytest.mark.parametrize("policy", ["safe", "all"])
@pytest.mark.parametrize("format_", FORMATS)
def test_the_size_in_the_metadata_is_the_outputs_own(format_: str, policy: str) -> None:
    crop = {"crop": {"margin": 5}, "canvas": {"size": [40, 20], "dpi": 144}}
    data = output_of(policy, format_, **crop)
    again = decode(data, "out", max_pixels=10**6)
    assert again.rgb.shape == (20, 40, 3)
    with Image.open(io.BytesIO(data)) as picture:
        details = picture.getexif().get_ifd(ExifTags.IFD.Exif)
    assert (details[0xA002], details[0xA003]) == (40, 20)
    if policy == "all":
        assert again.metadata.xmp is not None
        assert b'exif:PixelXDimension="40"' in again.metadata.xmp
        assert b'tiff:Orientation="1"' in again.metadata.xmp


def test_all_keeps_what_safe_drops() -> None:
    kept = decode(output_of("all", "jpg"), "out", max_pixels=10**6).metadata
    assert kept.exif is not None
    assert b"SERIAL12345" in kept.exif
    assert kept.xmp is not None
    assert b"PersonInImage" in kept.xmp
    assert kept.iptc == iptc_block()


def test_a_packet_with_entities_is_dropped_unread() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]>' + XMP
    output = OutputFacts((4, 4), srgb=True)
    assert output_metadata(Metadata(xmp=bomb), "safe", output) == Metadata()


def test_colours_that_were_converted_are_not_called_adobe_rgb_any_more() -> None:
    exif = camera_exif(interoperability="R03")
    for srgb, index in ((True, b"R98"), (False, b"R03")):
        kept = output_metadata(Metadata(exif), "all", OutputFacts((4, 4), srgb=srgb)).exif
        assert kept is not None
        assert (index in kept) == (exif_says(kept) == index)
        assert index in kept


def exif_says(exif: bytes) -> bytes:
    return b"R98" if b"R98" in exif else b"R03"
