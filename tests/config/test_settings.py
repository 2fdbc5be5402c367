"""The configuration: defaults, every fault with its path, paths relative to the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_matting.config import Settings, find_config, load_settings, parse_settings
from edge_matting.core.errors import ConfigError

ROOT = Path(__file__).parents[2]
BASE = Path("/srv/config")


def faults(raw: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_settings(raw, BASE)
    return caught.value.faults


def test_the_shipped_default_says_what_the_built_in_defaults_are():
    assert load_settings(ROOT / "config" / "edge-matting.yaml") == parse_settings({}, BASE)


def test_the_demo_keeps_everything_inside_the_checkout():
    settings = load_settings(ROOT / "config" / "demo.yaml")
    assert settings.hot_folders[0].path == ROOT / "hotfolder"
    assert settings.state_dir == ROOT / ".state"


def test_relative_paths_are_taken_from_the_file(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("state_dir: s\nhot_folders: [{path: a/../b, out: /o}]\n")
    settings = load_settings(path)
    assert settings.state_dir == tmp_path / "s"
    assert settings.hot_folders[0].path == tmp_path / "b"
    assert settings.hot_folders[0].outbox == Path("/o")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (
            {"intake": {"settle_second": 1}},
            ["intake.settle_second: unknown key; did you mean settle_seconds?"],
        ),
        (
            {"hot_folders": [{"path": "a", "orignals": "keep"}]},
            ["hot_folders[0].orignals: unknown key; did you mean originals?"],
        ),
        (
            {"recipes": {"shop": {"outputs": [{"knd": "alpha"}]}}},
            ["recipes.shop.outputs[0].knd: unknown key; did you mean kind?"],
        ),
        (
            {"device": {"batch": "x"}},
            ["device.batch: expected 'auto' or expected a valid integer, got 'x'"],
        ),
        (
            {"limits": {"max_pixels": -1, "max_attempts": "3"}},
            [
                "limits.max_pixels: expected greater than or equal to 1, got -1",
                "limits.max_attempts: expected a valid integer, got '3'",
            ],
        ),
        (
            {"hot_folders": [{"path": "a", "recipe": "cutot"}]},
            ["hot_folders[0].recipe: no recipe is named 'cutot'; did you mean cutout?"],
        ),
        ({"hot_folders": []}, ["hot_folders: list at least one folder"]),
        ({"cache": None}, ["cache: expected keys with values, got None"]),
        (
            {"recipes": {"cutout": {"outputs": [{"kind": "cutout", "format": "jpg"}]}}},
            [
                (
                    "recipes.cutout.outputs[0]: jpg cannot carry transparency; "
                    "use png, webp, tiff or avif"
                )
            ],
        ),
        (
            {"recipes": {"cutout": {"outputs": []}}},
            ["recipes.cutout.outputs: list at least one output"],
        ),
        (
            {"recipes": {"cutout": {}, "a/b": {}}},
            ["recipes.a/b: a recipe's name is also a sub-folder; use a plain word"],
        ),
        (
            {"recipes": {"cutout": {"background": "red"}}},
            ["recipes.cutout.background.colour: expected a colour like \"#ffffff\", got 'red'"],
        ),
    ],
)
def test_a_fault_is_named_with_its_path_and_the_nearest_key(raw, expected):
    assert list(faults(raw)) == expected


def test_every_fault_is_named_not_only_the_first():
    found = faults({"bogus": 1, "modle": "x", "intake": {"watch": "sometimes"}})
    assert len(found) == 3
    assert any("did you mean model?" in fault for fault in found)


def test_an_unknown_key_that_resembles_nothing_lists_what_is_known():
    assert "known here: state_dir, hot_folders" in faults({"zzz": 1})[0]


@pytest.mark.parametrize(
    ("text", "word"), [("a: [", "not valid YAML"), ("- a\n", "expected keys"), ("", "")]
)
def test_a_file_that_is_no_configuration_is_named(tmp_path, text, word):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    if not word:
        assert load_settings(path).model == "default"
        return
    with pytest.raises(ConfigError, match=word) as caught:
        load_settings(path)
    assert str(path) in str(caught.value)


def test_a_missing_or_undecodable_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read"):
        load_settings(tmp_path / "none.yaml")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigError, match=r"b\.yaml: is not UTF-8"):
        load_settings(tmp_path / "b.yaml")


def test_overrides_reach_into_recipes():
    settings = load_settings(None, ["recipes.cutout.refinement=none", "limits.max_attempts=7"])
    assert settings.recipes["cutout"].refinement == "none"
    assert settings.limits.max_attempts == 7


@pytest.mark.parametrize("override", ["limits", "=3", "model.x=1", "a=[", "model=1"])
def test_a_bad_override_is_named(override):
    with pytest.raises(ConfigError):
        load_settings(None, ["model=default", override])


def test_lookup_goes_from_the_option_over_the_environment_to_the_defaults(tmp_path):
    assert find_config(Path("x"), {"EDGE_MATTING_CONFIG": "y"}) == Path("x")
    assert find_config(None, {"EDGE_MATTING_CONFIG": "y"}) == Path("y")
    assert find_config(None, {}) in {None, Path("/etc/edge-matting/edge-matting.yaml")}


def test_a_preview_is_a_jpeg_unless_another_format_is_asked_for():
    settings = parse_settings({"recipes": {"cutout": {"outputs": [{"kind": "preview"}]}}}, BASE)
    assert settings.recipes["cutout"].outputs[0].format == "jpg"
    wrong = {"recipes": {"cutout": {"outputs": [{"kind": "preview", "format": "png"}]}}}
    assert "a preview is written as jpg, not as png" in faults(wrong)[0]


def test_settings_travel_to_the_engine_unchanged():
    settings = load_settings(ROOT / "config" / "edge-matting.yaml")
    again = Settings.model_validate_json(json.dumps(settings.as_json()))
    assert again == settings


def test_a_recipes_key_follows_everything_that_decides_its_pixels():
    def key(**values: Any) -> str:
        raw = {"recipes": {"cutout": values}}
        return parse_settings(raw, BASE).recipes["cutout"].key()

    assert key() == key(refinement="auto")
    assert len({key(), key(refinement="none"), key(foreground=False), key(colour="srgb")}) == 4


def test_the_home_of_a_user_that_there_is_not_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match="~nobody-of-that-name"):
        parse_settings({"state_dir": "~nobody-of-that-name/x"}, tmp_path)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_no_value_gets_anything_but_a_config_error(value):
    for key in Settings.model_fields:
        told: tuple[str, ...] = ()
        try:
            parse_settings({key: value}, BASE)
        except ConfigError as error:
            told = error.faults or ("",)
        assert all(": " in fault for fault in told)
