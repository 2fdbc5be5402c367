"""Output kinds are one table: recipes, names, files and documents follow it."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from copied_package import copied_package
from harness import PHOTO

from edge_matting.config import BUILT_IN, OutputSpec, Recipe, parse_settings, with_format
from edge_matting.core.errors import ConfigError
from edge_matting.core.output_kinds import OUTPUT_KINDS, OutputKind, output_kind
from edge_matting.core.references import load_reference

PROJECT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", OUTPUT_KINDS.values(), ids=lambda kind: kind.name)
def test_each_kind_names_a_function_that_takes_what_the_table_gives_it(kind: OutputKind) -> None:
    function = load_reference(kind.make)
    inspect.signature(function).bind(**dict.fromkeys(kind.needs + kind.settings))


def test_an_unknown_kind_is_refused_with_the_known_ones_and_never_made_a_cutout() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_settings({"recipes": {"mine": {"outputs": [{"kind": "cutuot"}]}}}, Path("/"))
    (fault,) = caught.value.faults
    assert fault.startswith("recipes.mine.outputs[0].kind: unknown output kind 'cutuot'")
    assert all(kind in fault for kind in OUTPUT_KINDS)
    with pytest.raises(ConfigError, match="choose from: cutout"):
        output_kind("cutuot")


@pytest.mark.parametrize("wrong", [[], {}, 3, None])
def test_what_is_no_name_at_all_is_no_kind(wrong: object) -> None:
    with pytest.raises(ConfigError):
        parse_settings({"recipes": {"mine": {"outputs": [{"kind": wrong}]}}}, Path("/"))


def test_a_reference_to_nothing_is_named() -> None:
    with pytest.raises(ValueError, match=r"edge_matting\.core\.naming:nothing"):
        load_reference("edge_matting.core.naming:nothing")


def test_a_kind_is_written_in_its_first_format_unless_another_is_asked_for() -> None:
    for kind in OUTPUT_KINDS.values():
        assert OutputSpec.model_validate({"kind": kind.name}).format == kind.formats[0]


def test_where_a_format_has_no_transparency_the_kind_that_stands_in_is_made() -> None:
    assert with_format(Recipe(), "jpg").outputs[0].kind == "composite"
    with pytest.raises(ConfigError, match="written as jpg, not as png"):
        with_format(BUILT_IN["preview"], "png")


@pytest.mark.parametrize("name", ["Sticker", "two words", "a.b", "", "elevenchars", "../x"])
def test_a_name_that_could_not_stand_in_a_file_name_is_no_kind(name: str) -> None:
    with pytest.raises(ValueError, match="no name of an output kind"):
        OutputKind(name, make="a:b", needs=())


def test_the_documents_list_the_kinds_of_the_table() -> None:
    outputs = (PROJECT / "docs" / "outputs.md").read_text("utf-8")
    table = outputs.split("| `kind` |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(OUTPUT_KINDS)
    config = (PROJECT / "config" / "edge-matting.yaml").read_text("utf-8")
    (listed,) = re.findall(r"# kind: ([^;]*);", config)
    assert listed == ", ".join(OUTPUT_KINDS)


STENCIL = '''
"""A throw-away kind: black where the subject is."""

import numpy as np


def stencil(*, alpha):
    return np.where(alpha > 0.5, 0, 255).astype(np.uint8)
'''

ENTRY = """
    OutputKind("stencil", make="edge_matting.matting.stencil:stencil", needs=("alpha",)),"""


def test_a_kind_added_in_one_place_comes_out_of_process_and_of_the_hot_folder(
    tmp_path, appliance, monkeypatch
) -> None:
    package = copied_package(tmp_path / "package")
    package.add("matting/stencil.py", STENCIL)
    package.insert("core/output_kinds.py", "OUTPUT_KINDS: Final = _table(", ENTRY)
    assert package.touched == ["matting/stencil.py", "core/output_kinds.py"]
    monkeypatch.chdir(tmp_path)  # so that no process imports the project's own package
    outputs = [{"kind": "cutout"}, {"kind": "stencil"}]
    box = appliance(recipes={"cutout": {"outputs": outputs}})
    command = [sys.executable, "-m", "edge_matting", "process", str(PHOTO), "-c"]
    done = subprocess.run(
        [*command, str(box.config_path), "-o", str(tmp_path / "out")],
        env={**os.environ, **package.env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    box.start(env=package.env)
    box.drop("astronaut.jpg")
    assert box.wait_finished(1)["succeeded"] == 1
    names = {"astronaut.png", "astronaut.stencil.png", "astronaut.json"}
    for folder in (tmp_path / "out", box.outbox):
        assert {path.name for path in folder.iterdir()} == names
        stencil = cv2.imread(str(folder / "astronaut.stencil.png"), cv2.IMREAD_UNCHANGED)
        assert set(np.unique(stencil)) == {0, 255}
    box.drop("astronaut.stencil.jpg")  # its outputs must not meet the first photo's
    assert box.wait_finished(2)["succeeded"] == 2
    assert (box.outbox / "astronaut.stencil~jpg.png").is_file()
