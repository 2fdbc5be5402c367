"""Every kind of picture against a colour-managed reference, at most 2 of 255 apart.

The reference is made by Pillow and Little CMS alone. Ours goes the whole way: decoding, the outputs
of a recipe, the encoder, and back through whatever profile the file then carries.
"""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
from corpus import STORED_AS, interlaced_png
from harness import PHOTO
from PIL import Image, ImageCms, ImageOps
from profiles import ADOBE_RGB, CMYK_PRESS, CURVES, DISPLAY_P3, GREY_GAMMA_18, P3_PRIMARIES, matrix

from edge_matting.config import Recipe
from edge_matting.imaging import decode
from edge_matting.imaging.icc_matrix import deep_to_srgb
from edge_matting.imaging.tiff import encode_tiff
from edge_matting.pipeline.outputs import render_outputs

MOST = 2
COLOURS = ("keep", "srgb")


def scene(mode: str = "RGB") -> Image.Image:
    """A real photo without symmetry beside patches of strong colours, 120 x 80."""
    with Image.open(PHOTO) as photo:
        picture = photo.convert("RGB").crop((100, 20, 340, 180)).resize((120, 80))
    for i, colour in enumerate(("red", "lime", "blue", "yellow", "cyan", "magenta")):
        picture.paste(colour, (100, 8 * i, 112, 8 * i + 8))
    return picture.convert(mode)


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    target = io.BytesIO()
    picture.save(target, kind, **options)
    return target.getvalue()


def in_srgb(picture: Image.Image, icc: bytes | None) -> np.ndarray:
    """The reference: what the picture's profile says its colours are, H x W x 3."""
    if icc is None:
        return np.asarray(picture.convert("RGB")).astype(int)
    converted = ImageCms.profileToProfile(
        picture,
        ImageCms.ImageCmsProfile(io.BytesIO(icc)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert converted is not None
    return np.asarray(converted).astype(int)


def reference(data: bytes) -> np.ndarray:
    """Pillow's own reading of a file, in sRGB."""
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        return in_srgb(picture, picture.info.get("icc_profile"))


def finished(data: bytes, colour: str, kind: str = "foreground", format_: str = "png") -> bytes:
    """The file that a recipe makes of ``data`` where everything is subject."""
    photo = decode(data, "photo", max_pixels=10**6)
    alpha = np.ones(photo.rgb.shape[:2], np.float32)
    recipe = Recipe.model_validate(
        {"outputs": ({"kind": kind, "format": format_},), "colour": colour, "foreground": False}
    )
    return render_outputs(photo, alpha, recipe)[0].data


def apart(data: bytes, wanted: np.ndarray, colour: str) -> int:
    """The largest difference of the finished file, read as a viewer would, from ``wanted``."""
    made = finished(data, colour)
    with Image.open(io.BytesIO(made)) as picture:
        picture.load()
        icc = picture.info.get("icc_profile")
        assert (icc is None) or colour == "keep"
        seen = in_srgb(picture, icc)
    assert seen.shape == wanted.shape
    return int(np.abs(seen - wanted).max())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_orientation(kind: str, orientation: int) -> None:
    turn = STORED_AS[orientation]
    stored = scene() if turn is None else scene().transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"WEBP": {"lossless": True}, "JPEG": {"quality": 98}}.get(kind, {})
    data = saved(stored, kind, exif=exif.tobytes(), **options)
    with Image.open(io.BytesIO(data)) as picture:
        wanted = np.asarray(ImageOps.exif_transpose(picture).convert("RGB")).astype(int)
    assert wanted.shape == (80, 120, 3)
    assert apart(data, wanted, "keep") <= MOST


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("profile", [DISPLAY_P3, ADOBE_RGB], ids=["P3", "Adobe RGB"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_wide_gamuts(kind: str, profile: bytes, colour: str) -> None:
    options: dict[str, Any] = {"quality": 95} if kind in ("JPEG", "AVIF") else {}
    if kind == "WEBP":
        options = {"lossless": True}
    data = saved(scene(), kind, icc_profile=profile, **options)
    wanted = reference(data)
    assert np.abs(wanted - np.asarray(scene())).max() > 15, "the profile must matter"
    assert apart(data, wanted, colour) <= MOST


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_goes_through_its_profile(kind: str, colour: str) -> None:
    options = {"quality": 98} if kind == "JPEG" else {}
    data = saved(scene("CMYK"), kind, icc_profile=CMYK_PRESS, **options)
    wanted = reference(data)
    with Image.open(io.BytesIO(data)) as picture:
        assert np.abs(wanted - np.asarray(picture.convert("RGB"))).max() > 60
    assert apart(data, wanted, colour) <= MOST


def deep_scene() -> np.ndarray:
    """Smooth colours in 16 bits, 300 x 400 x 3."""
    y, x = np.mgrid[0:300, 0:400].astype(float)
    planes = [x / x.max(), y / y.max(), np.full_like(x, 0.4)]
    return np.rint(np.stack(planes, axis=2) * 65535).astype(np.uint16)


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("profile", [None, DISPLAY_P3, ADOBE_RGB], ids=["sRGB", "P3", "Adobe RGB"])
@pytest.mark.parametrize("format_", ["png", "tiff"])
def test_sixteen_bits_stay_sixteen(format_: str, profile: bytes | None, colour: str) -> None:
    narrow = np.asarray(scene())  # in 8 bits, for that is all that the reference can read
    wanted = in_srgb(Image.fromarray(narrow), profile)
    read = deep_pixels(narrow.astype(np.uint16) * 257, profile, colour, format_)
    shown = Image.fromarray(np.rint(read / 257).astype(np.uint8))
    carried = profile if colour == "keep" else None
    assert np.abs(in_srgb(shown, carried) - wanted).max() <= MOST
    smooth = deep_pixels(deep_scene(), profile, colour, format_)
    assert len(np.unique(smooth)) > 500


def deep_pixels(deep: np.ndarray, icc: bytes | None, colour: str, format_: str) -> np.ndarray:
    made = finished(encode_tiff(deep, icc=icc), colour, format_=format_)
    read = cv2.imdecode(np.frombuffer(made, np.uint8), cv2.IMREAD_UNCHANGED)
    assert read.dtype == np.uint16
    return read[:, :, ::-1]


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
def test_grey_goes_through_its_profile(kind: str, colour: str) -> None:
    options = {"quality": 98} if kind == "JPEG" else {}
    plain = saved(scene("L"), kind, **options)
    assert apart(plain, reference(plain), colour) <= MOST
    tagged = saved(scene("L"), kind, icc_profile=GREY_GAMMA_18, **options)
    wanted = reference(tagged)
    assert np.abs(wanted - reference(plain)).max() > 10
    assert apart(tagged, wanted, colour) <= MOST


@pytest.mark.parametrize("mode", ["P", "1", "LA", "PA"])
def test_palette_and_one_bit(mode: str) -> None:
    picture = scene().convert("L").convert(mode) if mode == "LA" else scene()
    if mode in ("P", "PA"):
        picture = scene().quantize(64)
        if mode == "PA":
            picture.info["transparency"] = bytes([0, 128])
    elif mode == "1":
        picture = scene().convert("1")
    data = saved(picture, "PNG")
    assert apart_of_opaque(data) <= MOST


def apart_of_opaque(data: bytes) -> int:
    """The largest difference over the pixels that can be seen."""
    with Image.open(io.BytesIO(data)) as picture:
        rgba = np.asarray(picture.convert("RGBA")).astype(int)
    with Image.open(io.BytesIO(finished(data, "keep", "cutout"))) as made:
        seen = np.asarray(made.convert("RGBA")).astype(int)
    visible = rgba[:, :, 3] > 0
    assert np.abs(seen[:, :, 3] - rgba[:, :, 3]).max() <= 1
    return int(np.abs(seen[visible] - rgba[visible]).max())


@pytest.mark.parametrize("colour", COLOURS)
def test_palettes_have_profiles_too(colour: str) -> None:
    data = saved(scene().quantize(200), "PNG", icc_profile=DISPLAY_P3)
    with Image.open(io.BytesIO(data)) as picture:
        wanted = in_srgb(picture.convert("RGB"), DISPLAY_P3)
    assert apart(data, wanted, colour) <= MOST


def test_interlaced() -> None:
    data = interlaced_png(np.asarray(scene()))
    assert apart(data, np.asarray(scene()).astype(int), "keep") == 0
    progressive = saved(scene(), "JPEG", quality=95, progressive=True)
    assert apart(progressive, reference(progressive), "keep") <= MOST
    gif = saved(scene().quantize(200), "GIF", interlace=True)
    assert apart(gif, reference(gif), "keep") <= MOST


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_of_an_animation_the_first_frame_is_taken_and_said_so(kind: str) -> None:
    frames = [scene(), Image.new("RGB", (120, 80), "blue"), Image.new("RGB", (120, 80), "red")]
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert apart(data, reference(data), "keep") <= MOST
    notes = decode(data, "photo", max_pixels=10**6).notes
    assert len(notes) == 1
    assert "first" in notes[0]
    assert decode(saved(scene(), kind), "photo", max_pixels=10**6).notes == ()


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_incoming_alpha_is_respected(kind: str) -> None:
    picture = scene("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    assert apart_of_opaque(saved(picture, kind, **options)) <= MOST


def test_a_profile_of_tables_or_a_broken_one_is_left_to_little_cms() -> None:
    deep = deep_scene()
    assert deep_to_srgb(deep, CMYK_PRESS) is None
    for broken in (b"", b"\0" * 140, DISPLAY_P3[:200], DISPLAY_P3.replace(b"para", b"what")):
        assert deep_to_srgb(deep, broken) is None


@pytest.mark.parametrize("kind", CURVES)
def test_every_kind_of_curve_gives_what_little_cms_gives(kind: str) -> None:
    profile = matrix(P3_PRIMARIES, CURVES[kind])
    narrow = np.asarray(scene())
    deep = deep_to_srgb(narrow.astype(np.uint16) * 257, profile)
    assert deep is not None
    wanted = in_srgb(Image.fromarray(narrow), profile)
    assert np.abs(np.rint(deep / 257) - wanted).max() <= MOST
