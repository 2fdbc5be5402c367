"""The page itself as it is sent."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from house import FakeAppliance, FakeJobs, House

from edge_matting.status.app import create_app
from edge_matting.status.ports import (
    Appliance,
    ApplianceState,
)
from edge_matting.status.texts import TEXTS


def test_the_page_has_no_inline_code_and_no_outside_asset(client: FlaskClient) -> None:
    html = client.get("/").text
    assert "http://" not in html
    assert "https://" not in html
    assert "style=" not in html
    assert "onclick" not in html
    assert html.count("<script") == 2  # the texts as data, and the script file


def test_the_page_is_light(client: FlaskClient) -> None:
    parts = ("/", "/static/page.css", "/static/page.js", "/static/icon.svg")
    answers = [client.get(path) for path in parts]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert sum(len(answer.data) for answer in answers) < 60_000


def test_the_script_only_makes_text_of_names() -> None:
    script = Path(create_app.__code__.co_filename).with_name("static") / "page.js"
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert word not in script.read_text("utf-8")


def test_every_text_that_page_and_script_use_exists() -> None:
    assert all(set(texts) == set(TEXTS["en"]) for texts in TEXTS.values())
    folder = Path(create_app.__code__.co_filename).parent
    page = (folder / "templates" / "page.html").read_text("utf-8")
    script = (folder / "static" / "page.js").read_text("utf-8")
    used = set(re.findall(r"\bt\.(\w+)", page)) | set(re.findall(r'\btext\("(\w+)"[,)]', script))
    assert used <= set(TEXTS["en"])
    assert len(used) > 30
    for state in ApplianceState:
        assert f"state_{state.value}" in TEXTS["en"]
        assert f"do_{state.value}" in TEXTS["en"]


@pytest.mark.parametrize("languages", ["de", "zh-CN,en;q=0.5", "", "*"])
def test_a_language_we_do_not_speak_gets_english(client: FlaskClient, languages: str) -> None:
    html = client.get("/", headers={"Accept-Language": languages}).text
    assert '<html lang="en">' in html


def test_fakes_satisfy_the_protocols(house: House) -> None:
    make: Callable[[FakeJobs], Appliance] = FakeAppliance
    assert make(house.jobs).health() == ()
