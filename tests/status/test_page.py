"""The page itself as it is sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from status_fixture import FakeAppliance, FakeJobs, House

from edge_matting.core.errors import JobError
from edge_matting.core.reasons import PLACE
from edge_matting.core.states import JobState
from edge_matting.status.app import create_app
from edge_matting.status.interfaces import (
    ApplianceInterface,
    ApplianceState,
)
from edge_matting.status.pages import ASSETS
from edge_matting.status.texts import TEXTS, reason_texts

FOLDER = Path(create_app.__code__.co_filename).parent
SCRIPTS = sorted((FOLDER / "static").glob("*.js"))
PAGES = ("/", "/jobs/1")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_no_inline_code_and_no_outside_asset(client: FlaskClient, page: str) -> None:
    html = client.get(page).text
    assert "http://" not in html
    assert "https://" not in html
    assert "style=" not in html
    assert not re.search(r"\son\w+=", html)
    assert html.count("<script") == 3  # two tables of texts as data, and the script file


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("page", PAGES)
def test_a_page_with_all_its_assets_is_light(client: FlaskClient, page: str, language: str) -> None:
    parts = [page, *(f"/static/{name}" for name in ASSETS)]
    answers = [client.get(path, headers={"Accept-Language": language}) for path in parts]
    assert {answer.status_code for answer in answers} == {200}
    assert sum(len(answer.data) for answer in answers) < 150_000


def test_every_asset_is_given_out() -> None:
    assert {path.name for path in (FOLDER / "static").iterdir()} == set(ASSETS)


def test_the_scripts_only_make_text_of_names() -> None:
    for script in SCRIPTS:
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert word not in script.read_text("utf-8")


def test_every_text_that_pages_and_scripts_use_exists_in_every_language() -> None:
    assert all(set(texts) == set(TEXTS["en"]) for texts in TEXTS.values())
    pages = "".join(path.read_text("utf-8") for path in (FOLDER / "templates").iterdir())
    scripts = "".join(path.read_text("utf-8") for path in SCRIPTS)
    used = set(re.findall(r"\bt\.(\w+)", pages)) | set(re.findall(r'\btext\("(\w+)"[,)]', scripts))
    assert used <= set(TEXTS["en"])
    assert len(used) > 60
    for state in ApplianceState:
        assert f"state_{state.value}" in TEXTS["en"]
    for job_state in JobState:
        assert f"job_{job_state.value}" in TEXTS["en"]


def test_the_values_in_a_text_are_the_same_in_every_language() -> None:
    def places(text: str) -> set[str]:
        return {place[1] for place in PLACE.finditer(text)}

    for key, english in TEXTS["en"].items():
        for texts in TEXTS.values():
            assert places(texts[key]) == places(english), key


def test_every_reason_a_photo_can_fail_for_has_a_text() -> None:
    def below(kind: type[JobError]) -> Iterator[type[JobError]]:
        for one in kind.__subclasses__():
            yield from (one, *below(one))

    leaves = {one.code for one in below(JobError) if not one.__subclasses__()}
    assert leaves <= set(reason_texts("en"))


@pytest.mark.parametrize(
    ("languages", "expected"),
    [("de", "en"), ("", "en"), ("*", "en"), ("zh-CN,en;q=0.5", "zh"), ("zh", "zh"),
     ("en-GB,zh;q=0.8", "en"), ("de,zh;q=0.5", "zh")],
)  # fmt: skip
def test_the_browser_says_which_language(
    client: FlaskClient, languages: str, expected: str
) -> None:
    answer = client.get("/", headers={"Accept-Language": languages})
    assert f'<html lang="{expected}">' in answer.text
    assert answer.headers["Content-Language"] == expected
    assert {"Accept-Language", "Cookie"} <= set(answer.vary)


def test_a_language_chosen_on_the_page_is_kept(client: FlaskClient) -> None:
    chosen = client.get("/jobs/1?lang=zh")
    assert (chosen.status_code, chosen.headers["Location"]) == (303, "/jobs/1")
    assert "SameSite=Strict" in chosen.headers["Set-Cookie"]
    assert '<html lang="zh"' in client.get("/").text
    assert '<html lang="zh"' in client.get("/?lang=xx").text


def test_a_job_that_is_not_there_has_no_page(client: FlaskClient) -> None:
    assert client.get("/jobs/77").status_code == 404


def test_many_open_pages_are_asked_to_poll_less_often(house: House) -> None:
    client = house.client()

    def pause(page: str) -> int:
        return int(client.get("/api/v1/status", headers={"X-Page": page}).headers["X-Poll-Seconds"])

    assert pause("one") == 2
    assert [pause(f"page {number}") for number in range(100)][-1] == 10
    assert pause("") == 10  # a script that asks is no page
    house.clock.time += 300
    assert pause("one") == 2
    for number in range(5000):
        pause(f"flood {number}")
    assert pause("one") == 30


def test_an_unchanged_answer_tells_the_pause_too(house: House) -> None:
    client = house.client()
    first = client.get("/api/v1/status")
    again = client.get("/api/v1/status", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.headers["X-Poll-Seconds"]) == (304, "2")


def test_fakes_satisfy_the_protocols(house: House) -> None:
    make: Callable[[FakeJobs], ApplianceInterface] = FakeAppliance
    assert make(house.jobs).health() == ()
