"""Reasons: a code and its values, worded once per language, and nobody says what has no words."""

from __future__ import annotations

import ast
import copy
import json
import pickle
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from status_fixture import House

import edge_matting
from edge_matting.core import reasons
from edge_matting.core.errors import (
    DiskFull,
    EdgeMattingError,
    LedgerError,
    ModelError,
    PermanentError,
    SelfTestFailed,
    TemporaryError,
)
from edge_matting.core.reasons import LANGUAGES, PLACE, WORDS, Reason
from edge_matting.engine.channel import Reporter
from edge_matting.planner.ladder import Cause

PACKAGE = Path(edge_matting.__file__).parent
COMPOSED = ("hint_", "knob_", "cause_", "by_itself_", "to_do_")
"""Beginnings of codes that are put together where they are made."""


def faults(table: Mapping[str, Mapping[str, str]]) -> list[str]:
    """What is wrong with a table of texts: a sentence that lacks a language, or a value in it."""
    found = []
    for code, words in table.items():
        missing = [language for language in LANGUAGES if not words.get(language)]
        found += [f"{code} has no words in {language}" for language in missing]
        places = {language: names(text) for language, text in words.items()}
        if len(set(places.values())) > 1:
            found.append(f"{code} has other values in another language: {places}")
        if not missing and re.search(r"[a-z]{3}", PLACE.sub("", words["en"])):
            chinese = re.search(r"[\u4e00-\u9fff]", words["zh"])
            found += [] if chinese else [f"{code} is not in Chinese"]
    return found


def names(text: str) -> frozenset[str]:
    return frozenset(place[1] for place in PLACE.finditer(text))


def test_every_reason_has_words_in_every_language() -> None:
    assert faults(WORDS) == []


def test_no_code_stands_in_two_tables() -> None:
    tables = [part.WORDS for part in vars(reasons).values() if hasattr(part, "WORDS")]
    codes = [code for table in tables for code in table]
    assert len(tables) > 6
    assert [code for code in set(codes) if codes.count(code) > 1] == []


def test_every_hint_is_worded_in_the_tables() -> None:
    def below(kind: type[EdgeMattingError]) -> Iterator[type[EdgeMattingError]]:
        for one in kind.__subclasses__():
            yield from (one, *below(one))

    hints = {kind: kind.default_hint for kind in below(EdgeMattingError) if kind.default_hint}
    assert [kind for kind, hint in hints.items() if not isinstance(hint, Reason)] == []


@pytest.mark.parametrize(
    "words",
    [
        {"en": "the tea is cold"},
        {"en": "the {drink} is cold", "zh": "茶凉了"},
        {"en": "the tea is cold", "zh": "the tea is cold"},
    ],
)
def test_a_reason_without_a_translation_or_reworded_in_one_language_is_noticed(
    words: Mapping[str, str],
) -> None:
    assert faults({**WORDS, "cold_tea": words}) != []


def calls() -> Iterator[tuple[str, ast.Call]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Reason":
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", node


def literals(node: ast.AST) -> set[str]:
    """The codes that an expression can be, as far as they stand there in full."""
    if isinstance(node, ast.Constant):
        return {str(node.value)}
    if isinstance(node, ast.IfExp):
        return literals(node.body) | literals(node.orelse)
    return set()


def test_every_reason_that_is_made_has_words_for_its_code_and_places_for_its_values() -> None:
    made = 0
    for where, call in calls():
        given = {keyword.arg for keyword in call.keywords}
        for code in literals(call.args[0]) if call.args else ():
            assert code in WORDS, f"{where}: no words for {code}"
            assert names(WORDS[code]["en"]) == given, f"{where}: {code}"
            made += 1
    assert made > 60


def test_no_words_are_kept_for_what_nobody_says() -> None:
    said: set[str] = {kind.trouble for kind in [LedgerError, ModelError, SelfTestFailed]}
    for path in PACKAGE.rglob("*.py"):
        if "reasons" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                said.add(node.value)
    said |= {"several", "verbatim"}
    unsaid = [code for code in WORDS if code not in said and not code.startswith(COMPOSED)]
    assert unsaid == []


def test_every_failure_cause_and_step_has_words() -> None:
    def below(kind: type[Exception]) -> set[str]:
        return {kind.code, *(c for sub in kind.__subclasses__() for c in below(sub))}  # type: ignore[attr-defined]

    codes = (below(PermanentError) | below(TemporaryError)) - {"permanent", "temporary", "blocked"}
    assert {code for code in codes if code not in WORDS} == set()
    assert {cause for cause in Cause if f"cause_{cause.value}" not in WORDS} == set()


def test_a_reason_is_its_english_sentence_and_knows_the_others() -> None:
    why = Reason("folder_gone", path="/mnt/card/in")
    one = Reason("engine_of_several", number=1, why=why)
    assert one == "engine 1: /mnt/card/in is not there; mount it or make it again"
    assert one.in_language("zh") == "引擎 1：/mnt/card/in 不存在；请挂载或重新建立"
    assert one.coded()["values"]["why"] == {
        "code": "folder_gone",
        "values": {"path": "/mnt/card/in"},
    }


@pytest.mark.parametrize(("n", "english"), [(1, "1 time"), (2, "2 times"), (0, "0 times")])
def test_a_number_has_its_noun_in_the_singular_or_plural(n: int, english: str) -> None:
    assert english + " without progress" in Reason("engine_replaced", n=n)


def test_a_reason_survives_copies_pickles_and_the_pipe_between_the_processes(
    tmp_path: Path,
) -> None:
    why = DiskFull("out/a.png: cannot be written").reason
    pipe = tmp_path / "pipe"
    with pipe.open("wb") as file:
        Reporter(file.fileno()).send("problem", message=why, more=[{"deep": why}])
    told = json.loads(pipe.read_text())
    for other in (
        copy.deepcopy(why),
        pickle.loads(pickle.dumps(why)),
        Reason.from_coded(told["message"]),
        Reason.from_coded(told["more"][0]["deep"]),
    ):
        assert (other, other.coded()) == (why, why.coded())
    assert why == "out/a.png: cannot be written (free some space; work goes on by itself)"


def test_what_others_say_is_quoted_in_every_language() -> None:
    quoted = Reason.of("libcudnn.so.9: cannot open shared object file")
    assert {quoted.in_language(language) for language in LANGUAGES} == {str(quoted)}
    assert Reason.from_coded(str(quoted)) == quoted


def test_a_code_of_another_version_is_shown_rather_than_lost() -> None:
    assert Reason.from_coded({"code": "too_new", "values": {"n": 3}}) == "too_new n=3"


def test_a_reason_added_in_one_place_is_logged_answered_and_shown_in_both_languages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = {"tea_cold": {"en": "the {drink} is cold", "zh": "{drink}凉了"}}
    monkeypatch.setattr(reasons, "WORDS", {**WORDS, **added})
    house = House(tmp_path)
    house.appliance.not_ready = (Reason("tea_cold", drink="tea"),)
    answer = house.client().get("/readyz").get_json()
    assert answer["reasons"] == ["the tea is cold"]
    assert answer["reasons_coded"] == [{"code": "tea_cold", "values": {"drink": "tea"}}]
    page = house.client().get("/", headers={"Accept-Language": "zh"}).get_data(as_text=True)
    assert "{drink}\\u51c9\\u4e86" in page  # as JSON writes it
