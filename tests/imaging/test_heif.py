"""HEIC through its extra, AVIF through Pillow, and a clear word where a reader is missing."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from harness import PHOTO
from PIL import AvifImagePlugin, Image
from profiles import DISPLAY_P3

from edge_matting.core.errors import NotAnImage, TooLarge, Truncated, Unsupported
from edge_matting.imaging import decode, read_header
from edge_matting.imaging.containers import ends_early

LIMIT = 10**6


def scene() -> Image.Image:
    with Image.open(PHOTO) as photo:
        return photo.convert("RGB").crop((100, 20, 340, 180)).resize((120, 80))


def avif(**options: object) -> bytes:
    target = io.BytesIO()
    scene().save(target, "AVIF", quality=90, **options)
    return target.getvalue()


def heic(orientation: int = 1) -> bytes:
    """A HEIC picture as a telephone writes it: turned, with a wide-gamut profile."""
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra heic is not installed")
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = orientation, "An Artist"
    picture = scene()
    picture.info["icc_profile"] = DISPLAY_P3
    target = io.BytesIO()
    pillow_heif.from_pillow(picture).save(target, quality=95, exif=exif.tobytes())
    return target.getvalue()


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_a_heic_picture_comes_upright_with_its_profile_and_its_credit(orientation, turns) -> None:
    data = heic(orientation)
    wanted = np.rot90(np.asarray(scene()), turns).astype(int)
    header = read_header(data, "IMG_1.HEIC")
    assert (header.height, header.width) == wanted.shape[:2]
    photo = decode(data, "IMG_1.HEIC", max_pixels=LIMIT)
    assert photo.format == "heic"
    assert np.abs(photo.rgb - wanted).mean() < 4
    assert photo.icc == DISPLAY_P3
    assert photo.metadata.exif is not None
    assert b"An Artist" in photo.metadata.exif


def test_a_heic_picture_over_the_limit_is_refused_from_its_header() -> None:
    with pytest.raises(TooLarge):
        decode(heic(), "IMG_1.HEIC", max_pixels=100)


def test_half_a_heic_picture_is_called_truncated() -> None:
    data = heic()
    with pytest.raises(Truncated):
        decode(data[: len(data) // 2], "IMG_1.HEIC", max_pixels=LIMIT)


@pytest.mark.parametrize("brand", [b"heic", b"mif1"])
def test_without_the_extra_the_message_says_which_one_to_install(monkeypatch, brand) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    data = b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic" + bytes(100)
    with pytest.raises(Unsupported, match=r"IMG_1\.HEIC.*HEIC.*edge-matting\[heic\]"):
        decode(data, "IMG_1.HEIC", max_pixels=LIMIT)


def test_an_avif_picture_is_read() -> None:
    photo = decode(avif(icc_profile=DISPLAY_P3), "x", max_pixels=LIMIT)
    assert photo.format == "avif"
    assert photo.icc == DISPLAY_P3
    assert np.abs(photo.rgb.astype(int) - np.asarray(scene())).mean() < 4


def test_an_avif_picture_is_refused_where_pillow_cannot_read_it(monkeypatch) -> None:
    monkeypatch.setattr(AvifImagePlugin, "SUPPORTED", False)
    with pytest.raises(Unsupported, match="AVIF"):
        decode(avif(), "x.avif", max_pixels=LIMIT)


def test_half_an_avif_picture_is_called_truncated() -> None:
    data = avif()
    with pytest.raises(Truncated):
        decode(data[: len(data) // 2], "x.avif", max_pixels=LIMIT)


def test_a_film_is_no_picture() -> None:
    film = b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(64)
    with pytest.raises(NotAnImage, match="video"):
        decode(film, "x.heic", max_pixels=LIMIT)


def test_the_boxes_of_a_file_tell_whether_it_ends_early() -> None:
    box = b"\0\0\0\x10ftypheic1234"
    assert not ends_early(box, "heic")
    assert not ends_early(box + b"\0\0\0\0mdat....", "heic")  # to the end of the file
    assert not ends_early(box + b"\0\0\0\1mdat" + (20).to_bytes(8, "big") + b"1234", "heic")
    assert ends_early(box + b"\0\0\0\x20mdat", "heic")
    assert ends_early(box + b"\0\0\0\2mdat", "heic")
