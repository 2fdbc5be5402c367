"""What a file says of its colours by other means than ICC, and which of several is believed."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from made_pictures import (
    P3_POINTS,
    camera_exif,
    chromaticities,
    chunk,
    deep_scene,
    nclx,
    png_with,
    saved,
    scene,
    srgb_profile,
)
from PIL import Image, ImageCms

from edge_matting.config import Recipe
from edge_matting.imaging import Photo, decode, to_srgb
from edge_matting.imaging.colour_source import CodePoints, ColourFacts, colour_of
from edge_matting.imaging.icc_build import BT709, BT2020, PRIMARIES, Primaries
from edge_matting.pipeline.outputs import render_outputs

P3 = PRIMARIES[12][1]
ADOBE = Primaries((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))


def decoded(data: bytes) -> Photo:
    return decode(data, "x", max_pixels=10**6)


def in_srgb(photo: Photo) -> np.ndarray:
    return np.asarray(to_srgb(photo.rgb, photo.icc)).astype(float)


def xyz(primaries: Primaries) -> np.ndarray:
    """Linear RGB to XYZ by the textbook, white kept as it is (all of these are D65)."""
    points = np.array([(x / y, 1, (1 - x - y) / y)
                       for x, y in (primaries.red, primaries.green, primaries.blue)]).T  # fmt: skip
    x, y = primaries.white
    return points * np.linalg.solve(points, np.array((x / y, 1, (1 - x - y) / y)))


def expected(rgb: np.ndarray, primaries: Primaries, gamma: float | None) -> np.ndarray:
    """sRGB of 0 to 255 by the textbook."""
    value = rgb / 255
    srgb = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    linear = srgb if gamma is None else value**gamma
    shown = np.clip(linear @ (np.linalg.inv(xyz(BT709)) @ xyz(primaries)).T, 0, 1)
    coded = np.where(shown <= 0.0031308, shown * 12.92, 1.055 * shown ** (1 / 2.4) - 0.055)
    return coded * 255


def near(one: np.ndarray, other: np.ndarray, mean: float = 1.0) -> bool:
    return bool(np.abs(one - other).mean() <= mean)


def gamma_chunk(value: float) -> bytes:
    return chunk(b"gAMA", round(value * 100_000).to_bytes(4, "big"))


R03, R98 = (camera_exif(interoperability=name) for name in ("R03", "R98"))

CASES: dict[str, tuple[bytes, Primaries, float | None]] = {
    "cHRM": (png_with(chromaticities(*P3_POINTS)), P3, None),
    "gAMA": (png_with(gamma_chunk(1 / 1.8)), BT709, 1.8),
    "linear gAMA": (png_with(gamma_chunk(1.0)), BT709, 1.0),
    "gAMA and cHRM": (png_with(gamma_chunk(1 / 1.8), chromaticities(*P3_POINTS)), P3, 1.8),
    "cICP": (png_with(chunk(b"cICP", bytes((12, 13, 0, 1)))), P3, None),
    "sRGB before gAMA": (png_with(chunk(b"sRGB", b"\0"), gamma_chunk(1.0)), BT709, None),
    "cICP before iCCP": (
        png_with(chunk(b"cICP", bytes((12, 13, 0, 1))), chunk(b"sRGB", b"\0")), P3, None,
    ),
    "R03": (
        saved(scene(), "JPEG", quality=100, subsampling=0, exif=R03),
        ADOBE, 563 / 256,
    ),
    "R98": (
        saved(scene(), "JPEG", quality=100, subsampling=0, exif=R98),
        BT709, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_colours_come_out_as_the_file_says(name: str) -> None:
    data, primaries, gamma = CASES[name]
    photo = decoded(data)
    wanted = expected(scene().astype(float), primaries, gamma)
    assert near(in_srgb(photo), wanted, 1.6 if data[:2] == b"\xff\xd8" else 1.0)
    assert bool(photo.notes) == (photo.icc is not None or name == "linear gAMA")


@pytest.mark.parametrize("format_", ["png", "webp", "jpg", "tiff", "avif"])
def test_outputs_carry_the_profile_and_are_the_same_colours_converted(format_: str) -> None:
    photo = decoded(CASES["cICP"][0])
    shown = []
    for colour in ("keep", "srgb"):
        recipe = Recipe.model_validate(
            {"outputs": ({"kind": "composite", "format": format_, "quality": 100},),
             "colour": colour, "foreground": False}
        )  # fmt: skip
        matte = np.ones(photo.rgb.shape[:2], np.float32)
        (file,) = render_outputs(photo, matte, recipe)
        with Image.open(io.BytesIO(file.data)) as picture:
            profile = picture.info.get("icc_profile")
            assert (profile is not None) == (colour == "keep")
            shown.append(displayed(picture, profile))
    assert near(shown[0], shown[1], 2.5)


def displayed(picture: Image.Image, profile: bytes | None) -> np.ndarray:
    if profile is None:
        return np.asarray(picture.convert("RGB")).astype(float)
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    target = ImageCms.createProfile("sRGB")
    converted: Any = ImageCms.profileToProfile(picture.convert("RGB"), source, target)
    return np.asarray(converted).astype(float)


def test_an_avif_of_display_p3_by_nclx_is_display_p3() -> None:
    data = nclx(saved(scene(), "AVIF", quality=100, subsampling="4:4:4"), 12, 13)
    assert near(in_srgb(decoded(data)), expected(scene().astype(float), P3, None), 2.5)


def test_a_heic_of_display_p3_by_nclx_is_display_p3() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    target = io.BytesIO()
    made = pillow_heif.from_pillow(Image.fromarray(scene()))
    made.save(target, quality=100, chroma=444, save_nclx_profile=True)
    if b"nclx" not in target.getvalue():
        pytest.skip("this version of pillow-heif writes no nclx box")
    data = nclx(target.getvalue(), 12, 13)
    assert near(in_srgb(decoded(data)), expected(scene().astype(float), P3, None), 2.5)


def test_high_dynamic_range_is_tone_mapped_and_said() -> None:
    """Reference white of 203 cd/m2 is bright, a tenth of it a fifth as bright to the eye."""
    codes = np.array((0.5806, 0.3665, 0.0), float)  # PQ of 203, 20.3 and 0 cd/m2
    pixels = np.rint(codes * 255).astype(np.uint8)[np.newaxis, :, np.newaxis].repeat(3, 2)
    data = png_with(chunk(b"cICP", bytes((9, 16, 0, 1))), pixels=pixels)
    photo = decoded(data)
    assert photo.icc is None
    assert "tone-mapped" in photo.notes[0]
    white, grey, black = photo.rgb[0, :, 1].astype(int)
    assert 215 <= white <= 255
    assert abs(grey - 89) <= 6  # a tenth of the light, by sRGB's curve
    assert black == 0


def test_hlg_and_sixteen_bits_are_tone_mapped_too() -> None:
    data = png_with(chunk(b"cICP", bytes((9, 18, 0, 1))), pixels=scene())
    assert "HLG" in decoded(data).notes[0]
    facts = ColourFacts(code_points=CodePoints(9, 16))
    colour = colour_of(facts)
    assert (colour.hdr, colour.primaries) == (16, BT2020)
    assert deep_scene().dtype == np.uint16


def test_the_order_in_which_sources_are_believed() -> None:
    icc = srgb_profile()
    points = CodePoints(12, 13)
    png = ColourFacts(icc, points, code_points_first=True, srgb=True, gamma=1.0)
    assert colour_of(png).icc not in (None, icc)
    heif = ColourFacts(icc, points)
    assert colour_of(heif).icc == icc
    assert colour_of(ColourFacts(None, None, srgb=True, gamma=1.0, adobe_rgb=True)).icc is None
    assert colour_of(ColourFacts(adobe_rgb=True)).icc is not None
    assert colour_of(ColourFacts()).icc is None


def test_a_broken_profile_is_passed_over_with_a_note() -> None:
    colour = colour_of(ColourFacts(b"no profile", adobe_rgb=True))
    assert colour.icc is not None
    assert [note.code for note in colour.notes] == ["profile_broken", "adobe_rgb_by_exif"]
