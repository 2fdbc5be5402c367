"""Bytes to pixels: every kind of healthy photo comes out upright, whole and in its own colours."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from corpus import STORED_AS
from PIL import Image, ImageCms

import edge_matting
from edge_matting.core.errors import Unsupported
from edge_matting.imaging import Photo, decode, read_header, to_srgb
from edge_matting.imaging.tiff import encode_tiff

PHOTO = Path(edge_matting.__file__).parent / "data" / "photos" / "astronaut.jpg"
LIMIT = 10_000_000


def upright() -> Image.Image:
    """A real photo without any symmetry, 96 x 64."""
    with Image.open(PHOTO) as photo:
        return photo.convert("RGB").crop((100, 20, 388, 212)).resize((96, 64))


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    target = io.BytesIO()
    picture.save(target, kind, **options)
    return target.getvalue()


def photo_of(data: bytes) -> Photo:
    return decode(data, "photo", max_pixels=LIMIT)


def close(left: np.ndarray, right: np.ndarray, tolerance: float = 4.0) -> bool:
    assert left.shape == right.shape
    return bool(np.abs(left.astype(float) - right).mean() < tolerance)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_orientation_is_applied_exactly_once(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    turn = STORED_AS[orientation]
    stored = upright() if turn is None else upright().transpose(turn)
    options = {"quality": 95} if kind in ("JPEG", "WEBP") else {}
    data = saved(stored, kind, exif=exif.tobytes(), **options)

    header = read_header(data, "photo")
    assert (header.width, header.height) == (96, 64)
    assert close(photo_of(data).rgb, np.asarray(upright()))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_sixteen_bit_colour_is_turned_upright_too(kind: str, orientation: int) -> None:
    deep = np.asarray(upright()).astype(np.uint16) * 256 + 77
    turn = STORED_AS[orientation]
    wide = (
        deep
        if turn is None
        else np.dstack(
            [np.asarray(Image.fromarray(deep[:, :, c]).transpose(turn)) for c in range(3)]
        )
    )
    if kind == "png":
        data = with_png_exif(cv2.imencode(".png", wide[:, :, ::-1])[1].tobytes(), orientation)
    else:
        data = with_tiff_orientation(encode_tiff(wide), orientation)
    photo = photo_of(data)
    assert photo.rgb.dtype == np.uint16
    assert np.array_equal(photo.rgb, deep)


def with_png_exif(png: bytes, orientation: int) -> bytes:
    from edge_matting.imaging.png import _chunk

    exif = Image.Exif()
    exif[0x0112] = orientation
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    end = png.rindex(b"IEND") - 4  # behind the pixels, where Pillow finds it only after decoding
    return png[:end] + _chunk(b"eXIf", block) + png[end:]


def with_tiff_orientation(tiff: bytes, orientation: int) -> bytes:
    """Turn the tag 284 that is not there into 274: append a directory with one more entry."""
    import struct

    (at,) = struct.unpack_from("<I", tiff, 4)
    (count,) = struct.unpack_from("<H", tiff, at)
    entries = [tiff[at + 2 + 12 * i : at + 14 + 12 * i] for i in range(count)]
    entries.append(struct.pack("<HHIHxx", 274, 3, 1, orientation))
    entries.sort(key=lambda entry: struct.unpack_from("<H", entry)[0])
    place = len(tiff)
    directory = struct.pack("<H", count + 1) + b"".join(entries) + b"\0\0\0\0"
    return tiff[:4] + struct.pack("<I", place) + tiff[8:] + directory


def test_a_sixteen_bit_grey_png_keeps_its_depth() -> None:
    grey = (np.arange(40 * 50, dtype=np.uint16) * 31).reshape(40, 50)
    photo = photo_of(cv2.imencode(".png", grey)[1].tobytes())
    assert photo.rgb.dtype == np.uint16
    assert np.array_equal(photo.rgb[:, :, 0], grey)
    assert np.array_equal(photo.rgb[:, :, 0], photo.rgb[:, :, 2])


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_sixteen_bit_grey_tiff_of_either_byte_order_is_read(order: str) -> None:
    grey = (np.arange(40 * 50) * 31).astype(order + "u2").reshape(40, 50)
    mode = "I;16" if order == "<" else "I;16B"
    picture = Image.frombytes(mode, (50, 40), grey.tobytes())
    assert np.array_equal(photo_of(saved(picture, "TIFF")).rgb[:, :, 1], grey.astype(np.uint16))


def test_sixteen_bit_rgba_keeps_colour_and_alpha() -> None:
    deep = np.random.default_rng(1).integers(0, 65536, (30, 40, 4), dtype=np.uint16)
    photo = photo_of(cv2.imencode(".png", cv2.cvtColor(deep, cv2.COLOR_RGBA2BGRA))[1].tobytes())
    assert photo.alpha is not None
    assert np.array_equal(photo.rgb, deep[:, :, :3])
    assert np.allclose(photo.alpha, deep[:, :, 3] / 65535, atol=1e-6)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF"])
def test_grey_palette_and_bilevel_pictures_become_rgb(kind: str, mode: str) -> None:
    source = upright().convert(mode)
    photo = photo_of(saved(source, kind))
    assert photo.rgb.dtype == np.uint8
    assert photo.alpha is None
    tolerance = 4.0 if (kind, mode) != ("GIF", "RGB") else 8.0
    assert close(photo.rgb, np.asarray(source.convert("RGB")), tolerance)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_incoming_transparency_is_kept_beside_the_colours(kind: str) -> None:
    source = upright()
    source.putalpha(Image.linear_gradient("L").resize(source.size))
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    photo = photo_of(saved(source, kind, **options))
    assert photo.alpha is not None
    assert photo.alpha.dtype == np.float32
    assert np.array_equal(np.rint(photo.alpha * 255), np.asarray(source)[:, :, 3])
    assert np.array_equal(photo.rgb, np.asarray(source)[:, :, :3])


def test_grey_with_alpha_and_palette_with_transparency_are_read() -> None:
    grey = upright().convert("LA")
    grey.putalpha(100)
    photo = photo_of(saved(grey, "PNG"))
    assert photo.alpha is not None
    assert abs(float(photo.alpha[0, 0]) - 100 / 255) < 1e-6
    palette = photo_of(saved(upright().convert("P"), "PNG", transparency=bytes([0, 128])))
    assert palette.alpha is not None


def test_a_fully_opaque_alpha_channel_counts_as_none() -> None:
    assert photo_of(saved(upright().convert("RGBA"), "PNG")).alpha is None


def test_a_wide_gamut_profile_is_carried_over_byte_for_byte() -> None:
    profile = wide_gamut_profile()
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        assert photo_of(saved(upright(), kind, icc_profile=profile)).icc == profile


def wide_gamut_profile() -> bytes:
    """A real RGB profile that is not sRGB: red and blue swap places."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = profile.index(b"rXYZ"), profile.index(b"bXYZ")
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(profile)


def test_conversion_to_srgb_changes_pixels_only_where_a_profile_asks_for_it() -> None:
    rgb = np.asarray(upright())
    assert to_srgb(rgb, None) is rgb
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.abs(to_srgb(rgb, srgb).astype(int) - rgb).max() <= 1
    swapped = to_srgb(rgb, wide_gamut_profile())
    assert close(swapped, rgb[:, :, ::-1], 3.0)
    deep = to_srgb(rgb.astype(np.uint16) * 257, wide_gamut_profile())
    assert deep.dtype == np.uint16
    assert np.abs((deep >> 8).astype(int) - swapped).max() <= 2


def test_a_cmyk_jpeg_shows_the_colours_of_the_photo() -> None:
    photo = photo_of(saved(upright().convert("CMYK"), "JPEG", quality=95))
    assert photo.icc is None
    assert close(photo.rgb, np.asarray(upright()), 5.0)


def test_a_cmyk_jpeg_with_a_broken_profile_is_converted_plainly() -> None:
    profile = b"\0" * 16 + b"CMYK" + b"\0" * 200
    photo = photo_of(saved(upright().convert("CMYK"), "JPEG", quality=95, icc_profile=profile))
    assert close(photo.rgb, np.asarray(upright()), 5.0)


def test_a_grey_profile_is_not_put_on_rgb_pixels() -> None:
    profile = b"\0" * 16 + b"GRAY" + b"\0" * 200
    photo = photo_of(saved(upright().convert("L"), "JPEG", quality=95, icc_profile=profile))
    assert photo.icc is None
    assert close(photo.rgb[:, :, 0], np.asarray(upright().convert("L")))


@pytest.mark.parametrize("size", [(1, 1), (20_000, 100), (1, 300)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_extreme_sizes_are_decoded(kind: str, size: tuple[int, int]) -> None:
    photo = photo_of(saved(Image.new("RGB", size, (200, 30, 90)), kind))
    assert photo.rgb.shape == (size[1], size[0], 3)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_frames_the_first_is_taken(kind: str) -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert photo_of(data).rgb[5, 5].tolist() == [255, 0, 0]


def test_a_multi_picture_jpeg_gives_its_main_picture() -> None:
    data = saved(upright(), "MPO", save_all=True, append_images=[Image.new("RGB", (9, 9))])
    assert close(photo_of(data).rgb, np.asarray(upright()))


def test_a_camera_raw_file_is_refused_rather_than_its_thumbnail_shown() -> None:
    data = saved(upright(), "TIFF", tiffinfo={254: 1})
    with pytest.raises(Unsupported, match="camera raw"):
        read_header(data, "IMG.NEF")


def test_floating_point_pixels_are_read_by_their_range() -> None:
    for top, notes in ((1.0, 0), (4.0, 1)):
        rows = np.linspace(0, top, 64, dtype=np.float32).reshape(8, 8)
        photo = decode(saved(Image.fromarray(rows), "TIFF"), "sky", max_pixels=100)
        assert photo.rgb.dtype == np.uint16
        assert photo.rgb[0, 0, 0] == 0
        assert photo.rgb[7, 7, 0] == 65535
        assert len(photo.notes) == notes


def test_resolution_and_exif_travel_with_the_photo() -> None:
    exif = Image.Exif()
    exif[0x013B] = "An Artist"
    for kind in ("JPEG", "PNG", "TIFF"):
        photo = photo_of(saved(upright(), kind, dpi=(300, 300), exif=exif.tobytes()))
        assert photo.dpi == pytest.approx((300, 300), abs=0.1)
        assert photo.metadata.exif is not None
        assert b"An Artist" in photo.metadata.exif


def test_the_extension_of_the_name_is_never_believed() -> None:
    photo = decode(saved(upright(), "PNG"), "photo.jpg", max_pixels=LIMIT)
    assert photo.format == "png"
