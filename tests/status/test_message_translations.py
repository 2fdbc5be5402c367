"""The appliance's own sentences in other languages: found by their English ones, none invented."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path

import pytest

import edge_matting
from edge_matting.config import parse_settings
from edge_matting.core.device_values import DeviceProfile
from edge_matting.core.errors import PermanentError, TemporaryError
from edge_matting.hotfolder.condition import folder_problem, space_problem
from edge_matting.planner import Evaluated, ModelNeeds, make_plan
from edge_matting.status.texts import SAID, TEXTS

PLACE = re.compile(r"\{(\w+)\}")


def finder(sentence: str) -> re.Pattern[str]:
    """As static/common.js makes it."""
    parts = re.split(r"(\{\w+\}|\(s\))", sentence)
    made = [
        "s?" if part == "(s)" else ".+?" if PLACE.fullmatch(part) else re.escape(part)
        for part in parts
    ]
    return re.compile("".join(made), re.DOTALL)


def is_known(sentence: str) -> bool:
    return any(finder(one).fullmatch(sentence) for one in SAID["zh"])


def words_of_the_program() -> set[str]:
    """All words in the string literals of the package, without the tables of texts."""
    found: set[str] = set()
    for path in Path(edge_matting.__file__).parent.rglob("*.py"):
        if path.name.startswith("texts_"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.update(re.findall(r"[A-Za-z_.]+", node.value))
    return found


def test_each_sentence_is_made_of_words_that_the_program_says() -> None:
    known = words_of_the_program()
    for english in SAID["zh"]:
        said = re.findall(r"[A-Za-z_.]+", PLACE.sub(" ", english.replace("(s)", "")))
        assert set(said) <= known, english


def test_a_translation_has_the_values_of_its_sentence() -> None:
    for english, chinese in SAID["zh"].items():
        assert sorted(PLACE.findall(chinese)) == sorted(PLACE.findall(english)), english
        assert re.search(r"[\u4e00-\u9fff]", chinese), english


def test_the_troubles_of_a_folder_have_words(tmp_path: Path) -> None:
    settings = parse_settings({"hot_folders": [{"path": str(tmp_path / "hot")}]}, tmp_path)
    gone, full = folder_problem(settings.hot_folders[0], 0), space_problem(tmp_path, 1e12)
    assert gone is not None
    assert full is not None
    assert is_known(gone)
    assert is_known(full)


def test_a_plan_is_explained_in_words_of_both_languages() -> None:
    pc = DeviceProfile("x86_64", None, "pc", "a cpu", 2, 2.0, 8 << 30, 4096, (), ())
    model = ModelNeeds(
        (256, 256),
        32,
        quality=(Evaluated("fp32", (192, 192), 0.93), Evaluated("fp32", (256, 256), 0.94)),
        quality_floor=0.92,
    )
    both = replace(model, files=(("ort", "fp32"), ("ort", "int8")))
    only_int8 = replace(model, files=(("ort", "int8"),), quality=(), quality_floor=None)
    for needs in (model, both, only_int8):
        plan = make_plan(pc, needs, parse_settings({}, Path("/")), ("cpu",))
        unknown = [reason for reason in plan.reasons if not is_known(reason)]
        assert unknown == [reason for reason in plan.reasons if reason.startswith("batch ")]


@pytest.mark.parametrize("language", list(TEXTS))
def test_every_failure_has_a_text(language: str) -> None:
    def below(kind: type[Exception]) -> set[str]:
        return {kind.code, *(c for sub in kind.__subclasses__() for c in below(sub))}  # type: ignore[attr-defined]

    codes = (below(PermanentError) | below(TemporaryError)) - {"permanent", "temporary", "blocked"}
    assert {code for code in codes if f"code_{code}" not in TEXTS[language]} == set()
