"""Pixels to bytes: what is written reads back the same, in Pillow and in OpenCV."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from readers import with_opencv

import edge_matting
from edge_matting.core.errors import Unsupported
from edge_matting.imaging import Metadata, before_after, decode, encode

PHOTO = Path(edge_matting.__file__).parent / "data" / "photos" / "astronaut.jpg"
LIMIT = 50_000_000


def pixels(channels: int, depth: type[np.unsignedinteger], height: int = 48, width: int = 70):
    rng = np.random.default_rng(channels)
    shape = (height, width) if channels == 1 else (height, width, channels)
    return rng.integers(0, np.iinfo(depth).max, shape, dtype=depth, endpoint=True)


@pytest.fixture(scope="module")
def profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("kind", ["png", "tiff"])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_lossless_formats_read_back_exactly(kind: str, depth, channels: int, profile) -> None:
    source = pixels(channels, depth)
    data = encode(source, kind, icc=profile, dpi=(300, 300))
    if (kind, depth, channels) != ("tiff", np.uint8, 4):  # OpenCV premultiplies these
        assert np.array_equal(with_opencv(data), source)
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        assert picture.size == (70, 48)
        assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert picture.info.get("icc_profile") == (profile if channels > 1 else None)
        if depth is np.uint8:
            assert np.array_equal(np.asarray(picture), source)


def test_a_png_carries_profile_exif_and_resolution_in_valid_chunks(profile: bytes) -> None:
    exif = Image.Exif()
    exif[0x013B] = "An Artist"
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    data = encode(pixels(4, np.uint8), "png", icc=profile, metadata=Metadata(block), dpi=(72, 144))
    with Image.open(io.BytesIO(data)) as picture:
        picture.verify()  # checks every chunk's CRC
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.getexif()[0x013B] == "An Artist"
        assert picture.info["icc_profile"] == profile
        assert picture.info["dpi"] == pytest.approx((72, 144), abs=0.1)


@pytest.mark.parametrize("kind", ["jpg", "webp", "tiff"])
def test_other_formats_carry_profile_and_exif_too(kind: str, profile: bytes) -> None:
    exif = Image.Exif()
    exif[0x013B] = "An Artist"
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    data = encode(pixels(3, np.uint8), kind, icc=profile, metadata=Metadata(block))
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.info["icc_profile"] == profile
        assert picture.getexif()[0x013B] == "An Artist"


def test_webp_with_quality_100_is_lossless_and_below_it_is_not() -> None:
    source = pixels(4, np.uint8)
    source[:, :, 3] = 255
    with Image.open(io.BytesIO(encode(source, "webp", quality=100))) as picture:
        assert np.array_equal(np.asarray(picture.convert("RGBA")), source)
    with Image.open(io.BytesIO(encode(source, "webp", quality=80))) as picture:
        assert not np.array_equal(np.asarray(picture.convert("RGBA")), source)


@pytest.mark.parametrize("kind", ["jpg", "webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_eight_bit_formats_reduce_sixteen_bits(kind: str, channels: int) -> None:
    flat = np.full_like(pixels(channels, np.uint16), 51400)  # 200 of 255
    with Image.open(io.BytesIO(encode(flat, kind))) as picture:
        assert abs(int(np.asarray(picture).reshape(-1)[0]) - 200) <= 2


def test_a_side_that_a_format_cannot_hold_is_a_permanent_error() -> None:
    with pytest.raises(Unsupported, match="16383"):
        encode(np.zeros((2, 20_000, 3), np.uint8), "webp")
    with pytest.raises(Unsupported, match="65500"):
        encode(np.zeros((70_000, 1), np.uint8), "jpg")


@pytest.mark.parametrize(
    ("shape", "kind"), [((4, 4, 4), "jpg"), ((4, 4, 2), "png"), ((0, 4, 3), "png"), ((4, 4), "gif")]
)
def test_what_cannot_be_written_is_refused_before_it_is_tried(shape, kind: str) -> None:
    with pytest.raises(ValueError, match=r"JPEG|pixels|format"):
        encode(np.zeros(shape, np.uint8), kind)


@given(
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    channels=st.sampled_from([1, 3, 4]),
    depth=st.sampled_from([np.uint8, np.uint16]),
    kind=st.sampled_from(["png", "tiff"]),
)
@settings(max_examples=60, deadline=None)
def test_any_size_survives_the_way_out_and_in_again(width, height, channels, depth, kind) -> None:
    source = pixels(channels, depth, height, width)
    photo = decode(encode(source, kind), "x", max_pixels=LIMIT)
    colours = source[:, :, :3] if channels > 1 else np.dstack([source] * 3)
    assert photo.rgb.dtype == depth
    assert np.array_equal(photo.rgb, colours)
    if channels == 4 and photo.alpha is not None:
        top = np.iinfo(depth).max
        assert np.array_equal(np.rint(photo.alpha * top), source[:, :, 3])


def test_the_thumbnail_shows_the_photo_left_and_a_checkerboard_right() -> None:
    rgb = decode(PHOTO.read_bytes(), "photo", max_pixels=LIMIT).rgb
    jpeg = before_after(rgb, np.zeros(rgb.shape[:2], np.float32), height=100)
    with Image.open(io.BytesIO(jpeg)) as picture:
        shown = np.asarray(picture).astype(int)
    assert shown.shape == (100, 200, 3)
    small = cv2.resize(rgb, (100, 100), interpolation=cv2.INTER_AREA)
    assert np.abs(shown[:, :100] - small).mean() < 8
    assert np.ptp(shown[20:80, 120:180], axis=2).max() < 8  # grey squares only


@pytest.mark.parametrize("shape", [(1, 1), (100, 20_000), (5_000, 3), (50, 50)])
def test_a_thumbnail_can_be_made_of_any_size(shape: tuple[int, int]) -> None:
    jpeg = before_after(np.zeros((*shape, 3), np.uint16), np.ones(shape, np.float32))
    with Image.open(io.BytesIO(jpeg)) as picture:
        assert picture.height <= 240
        assert picture.width <= 2 * 4 * 240


def test_the_doubted_place_is_framed_in_the_photo_and_not_in_the_cut_out() -> None:
    rgb, alpha = np.full((100, 100, 3), 90, np.uint8), np.ones((100, 100), np.float32)
    plain = decode(before_after(rgb, alpha), "plain.jpg", max_pixels=10**6).rgb.astype(int)
    told = decode(
        before_after(rgb, alpha, doubted=(0.2, 0.3, 0.5, 0.4)), "told.jpg", max_pixels=10**6
    ).rgb.astype(int)
    changed = np.abs(told - plain).max(axis=2) > 60
    rows, columns = np.nonzero(changed)
    assert changed[30, 45]
    assert not changed[50, 45]
    assert columns.max() < 76
    assert 17 <= columns.min() <= 21
    assert 27 <= rows.min() <= 31


def cut_out(colour: tuple[int, int, int], dtype: type) -> np.ndarray:
    """A disc over a background of one colour, its edge soft; the background is still there."""
    rows, columns = np.mgrid[:64, :64]
    alpha = np.clip((24 - np.hypot(rows - 32, columns - 32)) / 6, 0, 1)
    rgba = np.empty((64, 64, 4), dtype)
    top = np.iinfo(dtype).max
    rgba[..., :3] = np.array(colour) * (top // 255)
    rgba[alpha > 0, :3] = np.array((40, 160, 80)) * (top // 255)
    rgba[..., 3] = np.rint(alpha * top)
    return rgba


@pytest.mark.parametrize("quality", [50, 92, 100])
@pytest.mark.parametrize("format_", ["webp", "avif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_nothing_of_the_background_can_be_seen_under_alpha_0(format_, quality, dtype) -> None:
    shown = []
    for colour in ((255, 0, 0), (0, 0, 255)):
        data = encode(cut_out(colour, dtype), format_, quality=quality)
        with Image.open(io.BytesIO(data)) as picture:
            shown.append(np.asarray(picture.convert("RGBA")))
    assert np.array_equal(*shown)
    hidden = shown[0][shown[0][:, :, 3] == 0][:, :3]
    assert hidden.mean() < 2


@pytest.mark.parametrize("quality", [10, 60, 92])
@pytest.mark.parametrize("format_", ["webp", "avif"])
def test_the_matte_is_exact_in_lossy_formats(format_: str, quality: int) -> None:
    rgba = cut_out((0, 0, 0), np.uint8)
    with Image.open(io.BytesIO(encode(rgba, format_, quality=quality))) as picture:
        assert np.array_equal(np.asarray(picture.convert("RGBA"))[:, :, 3], rgba[:, :, 3])
