"""What a recipe's outputs look like, from one matte, through the real encoders."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import cv2
import numpy as np
import pytest
from harness import PHOTO
from PIL import Image, ImageCms
from profiles import DISPLAY_P3

from edge_matting.config import BUILT_IN, Recipe
from edge_matting.core.errors import SourceUnreadable
from edge_matting.imaging import Header, Metadata, Photo, decode
from edge_matting.imaging.colour import from_srgb
from edge_matting.pipeline.outputs import choose_frame, render_outputs
from edge_matting.pipeline.photo import _pixels


def photo_of(rgb: np.ndarray, *, icc: bytes | None = None, dpi: Any = None) -> Photo:
    return Photo(rgb, None, icc, Metadata(), dpi, "jpeg", "photo")


def bust(depth: type = np.uint8) -> tuple[Photo, np.ndarray]:
    """A red figure that the photo's lower edge cuts off, on a blue wall."""
    alpha = np.zeros((300, 240), np.float32)
    cv2.ellipse(alpha, (120, 300), (60, 220), 0, 0, 360, 1.0, -1, cv2.LINE_8)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 1.0).clip(0, 1)
    share = alpha[:, :, np.newaxis]
    rgb = np.array((210, 40, 50)) * share + np.array((30, 60, 160)) * (1 - share)
    unit = 257 if depth is np.uint16 else 1
    return photo_of(np.rint(rgb * unit).astype(depth)), alpha


def outputs_of(recipe: Recipe | dict[str, Any], photo: Photo, alpha: np.ndarray) -> dict[str, Any]:
    checked = recipe if isinstance(recipe, Recipe) else Recipe.model_validate(recipe)
    return {
        f"{file.kind} {file.format}": file.data for file in render_outputs(photo, alpha, checked)
    }


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(opened(data)).astype(int)


def test_a_passport_picture_has_its_size_its_resolution_and_a_white_ground() -> None:
    photo, alpha = bust()
    data = outputs_of(BUILT_IN["passport"], photo, alpha)["composite jpg"]
    picture = opened(data)
    assert picture.size == (413, 531)  # 35 x 45 mm at 300 dpi
    assert picture.info["dpi"] == pytest.approx((300, 300), abs=1)
    shown = np.asarray(picture).astype(int)
    assert shown[5, 5].min() > 250
    assert np.abs(shown[-3, 206] - (210, 40, 50)).max() <= 8  # no white line under the bust
    assert shown[: int(0.02 * 531)].min() > 240  # air above the head


def test_an_avatar_is_square_and_transparent_around_its_subject() -> None:
    photo, alpha = bust()
    shown = pixels(outputs_of(BUILT_IN["avatar"], photo, alpha)["cutout png"])
    assert shown.shape == (512, 512, 4)
    assert not shown[0, 0].any()
    assert shown[500, 256, 3] == 255


def test_a_shop_picture_comes_as_png_and_as_white_jpeg_of_the_same_cut() -> None:
    photo, alpha = bust()
    made = outputs_of(BUILT_IN["shop"], photo, alpha)
    cut, flat = pixels(made["cutout png"]), pixels(made["composite jpg"])
    assert cut.shape == (1600, 1600, 4)
    share = cut[:, :, 3:] / 255
    over = cut[:, :, :3] * share + 255 * (1 - share)
    assert np.abs(over - flat).mean() < 1.5


def test_without_a_subject_a_crop_shows_the_whole_photo() -> None:
    photo, alpha = bust()
    nothing = np.zeros_like(alpha)
    assert choose_frame(nothing, Recipe.model_validate({"crop": {}})).size == (240, 300)
    assert pixels(outputs_of({"crop": {}}, photo, nothing)["cutout png"]).shape == (300, 240, 4)


@pytest.mark.parametrize("bits", ["auto", 8, 16])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_every_output_has_the_depth_asked_for(depth, bits) -> None:
    kinds = ("cutout", "alpha", "composite", "foreground")
    outputs = [{"kind": kind, "bits": bits} for kind in kinds]
    photo, alpha = bust(depth)
    for name, data in outputs_of({"outputs": tuple(outputs)}, photo, alpha).items():
        deep = bits == 16 or (bits == "auto" and depth is np.uint16 and name != "alpha png")
        assert data[24] == (16 if deep else 8), name


def test_a_sixteen_bit_matte_has_more_than_256_levels() -> None:
    photo, alpha = bust()
    ramp = np.linspace(0, 1, alpha.size, dtype=np.float32).reshape(alpha.shape)
    made = outputs_of({"outputs": ({"kind": "alpha", "bits": 16},)}, photo, ramp)
    read = cv2.imdecode(np.frombuffer(made["alpha png"], np.uint8), cv2.IMREAD_UNCHANGED)
    assert len(np.unique(read)) > 10_000
    assert np.abs(read / 65535 - ramp).max() < 1e-5


def test_premultiplied_cutouts_are_marked_in_tiff() -> None:
    photo, alpha = bust()
    spec = {"kind": "cutout", "format": "tiff", "premultiplied": True}
    data = outputs_of({"outputs": (spec,)}, photo, alpha)["cutout tiff"]
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.tag_v2[338] in (1, (1,))  # associated alpha
    straight = outputs_of({"outputs": ({"kind": "cutout", "format": "png"},)}, photo, alpha)
    plain = pixels(straight["cutout png"])
    wanted = plain[:, :, :3] * plain[:, :, 3:] / 255
    raw = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.abs(raw[:, :, 2::-1] - wanted).max() <= 1.01


@pytest.mark.parametrize(
    ("background", "corner"),
    [
        ("#102030", (16, 32, 48)),
        ({"gradient": ("#ff0000", "#0000ff"), "angle": 90}, (254, 0, 0)),
        ({"blur": 3.0}, (30, 60, 160)),
    ],
)
def test_a_composite_stands_on_the_background_asked_for(background, corner) -> None:
    photo, alpha = bust()
    outputs = ({"kind": "composite", "format": "png"},)
    made = outputs_of({"outputs": outputs, "background": background}, photo, alpha)
    shown = pixels(made["composite png"])
    assert np.abs(shown[0, 0] - corner).max() <= 2
    assert np.abs(shown[290, 120] - (210, 40, 50)).max() <= 1


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_a_composite_stands_on_a_picture(tmp_path, depth) -> None:
    wall = tmp_path / "wall.png"
    Image.new("RGB", (50, 80), (0, 90, 10)).save(wall)
    photo, alpha = bust(depth)
    background = {"image": wall, "image_sha256": hashlib.sha256(wall.read_bytes()).hexdigest()}
    recipe = {"outputs": ({"kind": "composite", "bits": 8},), "background": background}
    shown = pixels(outputs_of(recipe, photo, alpha)["composite png"])
    assert shown[0, 0].tolist() == [0, 90, 10]


@pytest.mark.parametrize("harm", ["gone", "other", "broken"])
def test_a_background_picture_that_is_not_the_one_costs_no_photo_an_attempt(tmp_path, harm) -> None:
    wall = tmp_path / "wall.png"
    wall.write_bytes(b"not a picture")
    digest = hashlib.sha256(wall.read_bytes()).hexdigest()
    if harm == "gone":
        wall.unlink()
    elif harm == "other":
        Image.new("RGB", (5, 5)).save(wall)
    background = {"image": wall, "image_sha256": digest}
    recipe = {"outputs": ({"kind": "composite"},), "background": background}
    with pytest.raises(SourceUnreadable, match=r"wall\.png") as caught:
        outputs_of(recipe, *bust())
    assert caught.value.refund


def test_backgrounds_are_the_same_colour_in_a_wide_gamut_photo() -> None:
    """The pixels are written in the photo's profile; read through it they are the colour asked."""
    profile = DISPLAY_P3
    photo, alpha = bust()
    wide = photo_of(photo.rgb, icc=profile)
    recipe = {"outputs": ({"kind": "composite"},), "background": "#20c040"}
    picture = opened(outputs_of(recipe, wide, alpha)["composite png"])
    assert picture.info["icc_profile"] == profile
    assert picture.getpixel((0, 0)) != (0x20, 0xC0, 0x40)
    seen = ImageCms.profileToProfile(
        picture, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    )
    assert np.abs(np.array(seen.getpixel((0, 0))) - (0x20, 0xC0, 0x40)).max() <= 2


def test_a_profile_that_cannot_be_used_leaves_a_background_as_it_is() -> None:
    rgb = np.full((1, 1, 3), 77, np.uint8)
    assert from_srgb(rgb, None) is rgb
    assert np.array_equal(from_srgb(rgb, b"\0" * 16 + b"RGB " + b"\0" * 200), rgb)


def test_a_shadow_lies_under_cutouts_and_composites_alike() -> None:
    photo, alpha = bust()
    recipe = {
        "outputs": ({"kind": "cutout"}, {"kind": "composite"}, {"kind": "alpha"}),
        "shadow": {"offset": (8, 0), "opacity": 0.6},
    }
    made = outputs_of(recipe, photo, alpha)
    cut, flat, matte = (pixels(made[f"{kind} png"]) for kind in ("cutout", "composite", "alpha"))
    shaded = (matte == 0) & (cut[:, :, 3] > 60)
    assert shaded.sum() > 100
    share = cut[:, :, 3:] / 255
    over = cut[:, :, :3] * share + 255 * (1 - share)
    assert np.abs(over - flat).max() <= 2
    without = pixels(outputs_of({"outputs": ({"kind": "alpha"},)}, photo, alpha)["alpha png"])
    assert np.array_equal(matte, without)  # the matte is the subject's alone


@pytest.mark.parametrize("despill", ["green", "auto"])
def test_despilling_is_part_of_the_foreground(despill) -> None:
    _, alpha = bust()
    share = alpha[:, :, np.newaxis]
    rgb = np.rint(np.array((120, 118, 122)) * share + np.array((20, 200, 30)) * (1 - share))
    photo = photo_of(rgb.astype(np.uint8))
    recipe = {"outputs": ({"kind": "foreground"},), "despill": despill, "foreground": False}
    shown = pixels(outputs_of(recipe, photo, alpha)["foreground png"])
    edge = (alpha > 0.1) & (alpha < 0.9)
    assert (shown[edge][:, 1] <= shown[edge][:, [0, 2]].max(axis=1)).all()
    wall = {**recipe, "despill": "none"}
    spilt = pixels(outputs_of(wall, photo, alpha)["foreground png"])[edge]
    assert (spilt[:, 1] > spilt[:, [0, 2]].max(axis=1)).mean() > 0.5


@pytest.mark.parametrize("format_", ["png", "webp", "jpg", "tiff", "avif"])
@pytest.mark.parametrize("effort", [0, 9])
def test_every_format_writes_at_either_end_of_effort(format_, effort) -> None:
    photo, alpha = bust()
    spec = {"kind": "composite", "format": format_, "effort": effort}
    data = outputs_of({"outputs": (spec,)}, photo, alpha)[f"composite {format_}"]
    wanted = outputs_of({"outputs": ({"kind": "composite"},)}, photo, alpha)["composite png"]
    assert np.abs(pixels(data)[:, :, :3] - pixels(wanted)).mean() < 3


def test_more_effort_and_compact_give_smaller_files_of_the_same_pixels() -> None:
    photo = decode(PHOTO.read_bytes(), "photo", max_pixels=10**6)
    alpha = np.zeros((512, 512), np.float32)
    cv2.circle(alpha, (200, 200), 150, 1.0, -1)
    plain = outputs_of({}, photo, alpha)["cutout png"]
    sizes = {}
    for name, more in {
        "fast": {"effort": 0},
        "slow": {"effort": 9},
        "compact": {"compact": True},
    }.items():
        made = outputs_of({"outputs": ({"kind": "cutout", **more},)}, photo, alpha)["cutout png"]
        sizes[name] = len(made)
        assert np.array_equal(pixels(made), pixels(plain))
    assert sizes["compact"] <= sizes["slow"] < len(plain) < sizes["fast"]


@pytest.mark.parametrize(
    ("bits", "canvas", "counted"),
    [(8, None, 1000), (16, None, 1500), (8, (100.0, 50.0), 5000), (16, (10.0, 10.0), 1500)],
)
def test_memory_is_counted_in_the_larger_of_photo_and_canvas(bits, canvas, counted) -> None:
    header = Header("png", 40, 25, bits, 1, "photo")
    recipe = Recipe() if canvas is None else Recipe.model_validate({"canvas": {"size": canvas}})
    assert _pixels(header, recipe) == counted


def cutout_of(photo: Photo, matte: np.ndarray) -> np.ndarray:
    recipe = Recipe.model_validate({"outputs": ({"kind": "cutout"},)})
    (file,) = render_outputs(photo, matte, recipe)
    return decoded_rgba(file.data)


def decoded_rgba(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGBA")).astype(int)


def soft_disc(side: int = 128) -> np.ndarray:
    rows, columns = np.mgrid[:side, :side]
    away = np.hypot(rows - side / 2, columns - side / 2)
    return np.clip((side * 0.36 - away) / 8, 0, 1).astype(np.float32)


def disc_photo(own: np.ndarray | None) -> Photo:
    """A yellow disc mixed into blue by a soft edge."""
    share = soft_disc()[:, :, np.newaxis]
    rgb = np.rint(share * (230, 200, 40) + (1 - share) * (20, 40, 220)).astype(np.uint8)
    return Photo(rgb, own, None, Metadata(), None, "png", "photo")


def test_transparency_all_over_halves_alpha_and_leaves_colours_as_they_are() -> None:
    matte = soft_disc()
    plain = cutout_of(disc_photo(None), matte)
    half = cutout_of(disc_photo(np.full((128, 128), 128 / 255, np.float32)), matte)
    assert np.abs(half[:, :, 3] - plain[:, :, 3] * 128 / 255).max() <= 1
    seen = half[:, :, 3] > 2
    assert np.abs(half[seen][:, :3] - plain[seen][:, :3]).max() <= 2


def test_a_cut_out_that_is_cut_out_again_keeps_its_colours() -> None:
    matte = soft_disc()
    first = cutout_of(disc_photo(None), matte)
    again = Photo(
        np.ascontiguousarray(first[:, :, :3].astype(np.uint8)),
        (first[:, :, 3] / 255).astype(np.float32),
        None, Metadata(), None, "png", "photo",
    )  # fmt: skip
    second = cutout_of(again, np.sqrt(matte))
    seen = second[:, :, 3] > 8
    assert np.abs(second[seen][:, :3] - first[seen][:, :3]).max() <= 2
