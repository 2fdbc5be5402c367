"""Recipes: the built-in ones, every parameter in the key, and every fault with its path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edge_matting.config import (
    BUILT_IN,
    Background,
    Canvas,
    Crop,
    GroundSettings,
    OutputSpec,
    Recipe,
    Settings,
    ShadowSettings,
    adjusted,
    load_settings,
    parse_settings,
)
from edge_matting.core.errors import ConfigError

BASE = Path("/srv/config")


def faults(raw: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_settings(raw, BASE)
    return caught.value.faults


RECIPE_VALUES: dict[str, Any] = {
    "outputs": [{"kind": "alpha"}],
    "exposure": "none",
    "ground": "none",
    "refinement": "none",
    "alpha_threshold": 3,
    "erode": 1.5,
    "feather": 2,
    "foreground": False,
    "despill": "green",
    "crop": True,
    "canvas": {"size": [10, 20]},
    "shadow": True,
    "background": "#010203",
    "colour": "srgb",
    "metadata": "none",
}
NESTED_VALUES: dict[str, list[dict[str, Any]]] = {
    "outputs": [
        {"kind": "alpha"},
        {"format": "tiff"},
        {"quality": 50},
        {"effort": 7},
        {"compact": True},
        {"bits": 16},
        {"premultiplied": True},
    ],
    "crop": [{"margin": 7}, {"aspect": "4:5"}],
    "canvas": [
        {"size": [7, 7]},
        {"size": [35, 45], "unit": "mm", "dpi": 300},
        {"size": [35, 45], "dpi": 300},
    ],
    "shadow": [
        {"opacity": 0.5},
        {"blur": 3},
        {"offset": [1, 1]},
        {"colour": "#102030"},
        {"natural": True},
    ],
    "ground": [{"find": "none"}, {"chroma": "green"}, {"chroma": "blue"}, {"plate": "learn"}],
    "background": [
        {"colour": "#000000"},
        {"gradient": ["#000000", "#ffffff"]},
        {"gradient": ["#000000", "#ffffff"], "angle": 45},
        {"blur": 2},
        {"blur": 3},
    ],
}


def recipe_of(**values: Any) -> Recipe:
    return parse_settings({"recipes": {"x": values}}, BASE).recipes["x"]


def test_every_parameter_of_a_recipe_changes_its_key():
    assert set(RECIPE_VALUES) == set(Recipe.model_fields), "a new parameter needs a value here"
    keys = {name: recipe_of(**{name: value}).key() for name, value in RECIPE_VALUES.items()}
    assert len({*keys.values(), recipe_of().key()}) == len(keys) + 1


def test_every_parameter_inside_a_recipes_parts_changes_its_key():
    classes = {
        "outputs": OutputSpec,
        "crop": Crop,
        "canvas": Canvas,
        "shadow": ShadowSettings,
        "background": Background,
        "ground": GroundSettings,
    }
    for name, kind in classes.items():
        told = {key for value in NESTED_VALUES[name] for key in value}
        rest = {Background: {"image", "image_sha256"}, GroundSettings: {"plate_sha256"}}.get(
            kind, set()
        )
        assert told | rest == set(kind.model_fields), "a new parameter needs a value here"
        wrapped = [[value] if name == "outputs" else value for value in NESTED_VALUES[name]]
        keys = {recipe_of(**{name: value}).key() for value in wrapped}
        assert len(keys) == len(NESTED_VALUES[name])


def test_a_changed_background_picture_changes_the_key(tmp_path):
    raw = {"recipes": {"x": {"background": {"image": "wall.png"}}}}
    with pytest.raises(
        ConfigError, match=r"recipes\.x\.background\.image: cannot be read: No such"
    ):
        parse_settings(raw, tmp_path)
    keys = []
    for content in (b"one", b"two"):
        (tmp_path / "wall.png").write_bytes(content)
        settings = parse_settings(raw, tmp_path)
        assert settings.recipes["x"].background.image == tmp_path / "wall.png"
        assert Settings.model_validate_json(json.dumps(settings.as_json())) == settings
        keys.append(settings.recipes["x"].key())
    assert keys[0] != keys[1]


def test_the_built_in_recipes_are_there_beside_the_users_own():
    settings = parse_settings({"recipes": {"mine": {}, "shop": {"feather": 4}}}, BASE)
    assert set(settings.recipes) == {"cutout", "passport", "shop", "avatar", "preview", "mine"}
    assert settings.recipes["shop"] == Recipe(feather=4)  # replaced, not mixed
    assert settings.recipes["avatar"] == BUILT_IN["avatar"]


def test_built_in_recipes_have_the_values_they_are_known_by():
    passport, avatar = BUILT_IN["passport"], BUILT_IN["avatar"]
    assert (passport.alpha_threshold, passport.erode) == (15, 2)
    assert passport.background.colour == "#ffffff"
    assert passport.canvas is not None
    assert passport.canvas.pixels == (413, 531)  # 35 x 45 mm at 300 dpi
    assert (avatar.alpha_threshold, avatar.erode) == (8, 1)
    assert avatar.canvas is not None
    assert avatar.canvas.pixels[0] == avatar.canvas.pixels[1]
    shop = BUILT_IN["shop"]
    assert shop.feather > 0
    assert [(spec.kind, spec.format) for spec in shop.outputs] == [
        ("cutout", "png"),
        ("composite", "jpg"),
    ]
    assert [spec.kind for spec in BUILT_IN["preview"].outputs] == ["preview"]


def test_an_override_changes_one_value_of_a_built_in_recipe():
    changed = load_settings(None, ["recipes.passport.erode=4"]).recipes["passport"]
    assert changed == BUILT_IN["passport"].model_copy(update={"erode": 4})
    fresh = load_settings(None, ["recipes.other.erode=4"]).recipes["other"]
    assert fresh == Recipe(erode=4)


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ({"erod": 1}, "recipes.x.erod: unknown key; did you mean erode?"),
        ({"crop": {"margn": 1}}, "recipes.x.crop.margn: unknown key; did you mean margin?"),
        ({"background": {"colr": "#fff"}}, "did you mean colour?"),
        ({"background": {"colour": "#000000", "blur": 1}}, "got colour and blur"),
        ({"background": {}}, "got none"),
        ({"background": {"gradient": ["#000000", "x"]}}, "expected a colour"),
        ({"canvas": {"size": [35, 45], "unit": "mm"}}, "a size in mm needs dpi"),
        ({"canvas": {"size": [35000, 45]}}, "1 to 20000 pixels"),
        ({"canvas": {"size": [20000, 20000]}}, "at most 60 megapixels"),
        ({"crop": {"aspect": "4/5"}}, 'expected a proportion like "4:5"'),
        ({"crop": {"aspect": "40:1"}}, "from 1:10 to 10:1"),
        ({"shadow": {"colour": "black"}}, "expected a colour"),
        ({"alpha_threshold": 256}, "recipes.x.alpha_threshold: expected less than or equal to 255"),
        ({"outputs": [{"kind": "alpha", "premultiplied": True}]}, "premultiplied is for the kind"),
        ({"outputs": [{"format": "webp", "compact": True}]}, "compact is for png"),
        ({"outputs": [{"format": "webp", "bits": 16}]}, "for 16 use png or tiff"),
        ({"outputs": [{"effort": 10}]}, "recipes.x.outputs[0].effort: expected less than"),
    ],
)
def test_a_fault_in_a_recipe_says_what_is_wanted(recipe, expected):
    assert expected in " ".join(faults({"recipes": {"x": recipe}}))


def test_avif_is_refused_where_the_library_lacks_it(monkeypatch):
    wanted = {"recipes": {"x": {"outputs": [{"format": "avif"}]}}}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "no AVIF" in faults(wanted)[0]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert parse_settings(wanted, BASE).recipes["x"].outputs[0].format == "avif"


def test_false_switches_a_part_off():
    assert recipe_of(crop=False, shadow=False) == recipe_of()


def test_a_background_says_what_it_is():
    shown = [str(recipe_of(background=value).background) for value in (
        "#102030", {"gradient": ["#000000", "#ffffff"]}, {"blur": 2})]  # fmt: skip
    assert shown == ["#102030", "#000000 to #ffffff", "the photo, blurred"]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("auto", "auto"),
        ({"chroma": "green"}, "green"),
        ({"chroma": "#00b140"}, "#00b140"),
        ({"plate": "learn"}, "learned plate"),
    ],
)
def test_a_recipe_says_what_its_set_looks_like(written, said):
    recipe = Recipe.model_validate({"ground": written})
    assert str(recipe.ground) == said
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize(
    "written", ["white", {}, {"chroma": "#808080"}, {"chroma": "green", "plate": "learn"}]
)
def test_a_ground_that_says_nothing_or_too_much_is_refused(written):
    with pytest.raises(ValidationError):
        Recipe.model_validate({"ground": written})


def test_another_ground_is_another_recipe_key():
    keys = {Recipe.model_validate({"ground": each}).key() for each in ("auto", "none", "plain")}
    assert len(keys) == 3


def test_shadows_have_words_and_old_settings_still_hold():
    assert Recipe.model_validate({"shadow": "none"}).shadow is None
    assert Recipe.model_validate({"shadow": "drop"}) == Recipe.model_validate({"shadow": True})
    natural = Recipe.model_validate({"shadow": "natural"}).shadow
    assert natural is not None
    assert natural.natural
    old = Recipe.model_validate({"shadow": {"opacity": 0.5, "offset": [0, 2]}}).shadow
    assert old is not None
    assert (old.opacity, old.natural) == (0.5, False)


def test_the_photos_own_shadow_needs_a_ground():
    with pytest.raises(ValidationError, match="known ground"):
        Recipe.model_validate({"shadow": "natural", "ground": "none"})


def test_an_upload_names_no_plate():
    with pytest.raises(ConfigError, match="may name a plate"):
        adjusted(Recipe(), '{"ground": {"plate": "/etc/passwd"}}')
    assert adjusted(Recipe(), '{"ground": {"plate": "learn"}}').ground.learns


def test_a_plates_bytes_belong_to_the_recipe(tmp_path):
    plate = tmp_path / "empty.jpg"
    plate.write_bytes(b"one")
    raw = {"recipes": {"set": {"ground": {"plate": "empty.jpg"}}}}
    first = parse_settings(raw, tmp_path).recipes["set"]
    assert first.ground.plate_file == plate
    plate.write_bytes(b"two")
    assert parse_settings(raw, tmp_path).recipes["set"].key() != first.key()
    plate.unlink()
    with pytest.raises(ConfigError, match=r"recipes\.set\.ground\.plate: cannot be read"):
        parse_settings(raw, tmp_path)
