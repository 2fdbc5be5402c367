"""The status page's jobs and actions, against a fake appliance."""

from __future__ import annotations

import json
import logging
import re

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from status_fixture import JPEG, MARK, SCRIPT_NAME, House, error_of

from edge_matting.core.errors import LedgerError
from edge_matting.status.render import display, dump


def test_jobs_come_newest_first_in_pages(client: FlaskClient) -> None:
    seen, before = [], ""
    while True:
        page = client.get(f"/api/v1/jobs?limit=2{before}").get_json()
        seen.append([one["id"] for one in page["jobs"]])
        if page["next_before"] is None:
            break
        before = f"&before={page['next_before']}"
    assert seen == [[5, 4], [3, 2], [1]]


def test_jobs_can_be_asked_for_by_state(client: FlaskClient) -> None:
    page = client.get("/api/v1/jobs?state=failed").get_json()
    assert [one["id"] for one in page["jobs"]] == [2]
    assert page["jobs"][0]["code"] == "truncated"
    assert page["next_before"] is None


@pytest.mark.parametrize(
    "query",
    [
        "state=lost",
        "limit=0",
        "limit=-1",
        "limit=501",
        "limit=1e2",
        "limit=",
        "limit=\u0663",
        "before=x",
        f"before={2**63}",
        "before=" + "9" * 5000,
        "sort=id",
    ],
)
def test_a_wrong_question_is_answered_400(client: FlaskClient, query: str) -> None:
    answer = client.get(f"/api/v1/jobs?{query}")
    assert (answer.status_code, error_of(answer)) == (400, "bad_request")


def test_one_job_comes_with_its_result(client: FlaskClient) -> None:
    told = client.get("/api/v1/jobs/1").get_json()
    assert told["size"] == 1000
    assert told["preview"] == "/api/v1/jobs/1/preview"
    assert told["finished_at"].endswith("Z")
    assert told["result"]["model"] == {"id": "default", "sha256": "ef" * 32}
    assert told["result"]["quality"]["border_contact"] is None  # NaN is no JSON
    unfinished = client.get("/api/v1/jobs/5").get_json()
    assert (unfinished["result"], unfinished["finished_at"]) == (None, None)


def test_evil_names_travel_as_plain_ascii_json(client: FlaskClient) -> None:
    raw = client.get("/api/v1/jobs").data
    assert raw.isascii()
    names = [one["source"] for one in json.loads(raw)["jobs"]]
    assert SCRIPT_NAME in names
    assert "gr\\xfcn\n\u202egpj.jpg" in names
    json.dumps(names, ensure_ascii=False).encode()  # strict UTF-8


@given(st.text(st.characters(codec=None)))
def test_any_text_becomes_valid_unicode_and_valid_text_stays(text: str) -> None:
    shown = display(text)
    shown.encode()
    assert json.loads(dump({"name": text})) == {"name": shown}
    if not re.search("[\ud800-\udfff]", text):
        assert shown == text


def test_a_surrogate_that_stands_for_no_byte_is_shown_too() -> None:
    assert display("a\ud800b") == r"a\ud800b"


def test_a_thumbnail_is_served_by_number(client: FlaskClient) -> None:
    answer = client.get("/api/v1/jobs/1/preview")
    assert (answer.data, answer.mimetype) == (JPEG, "image/jpeg")


@pytest.mark.parametrize(
    "address",
    [
        "/nowhere",
        "/static/",
        "/static/page.html",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/api/v1/jobs/77",
        "/api/v1/jobs/-1",
        f"/api/v1/jobs/{2**70}",
        "/api/v1/jobs/2/preview",
        "/api/v1/jobs/99/preview",
        "/api/v1/jobs/1.jpg/preview",
        "/api/v1/jobs/..%2f..%2fetc%2fpasswd/preview",
    ],
)
def test_what_is_not_there_is_a_json_404(client: FlaskClient, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 404
    error_of(answer)


def test_a_wrong_method_is_a_json_405_that_names_the_right_one(client: FlaskClient) -> None:
    answer = client.get("/api/v1/pause")
    assert (answer.status_code, error_of(answer)) == (405, "method_not_allowed")
    assert "POST" in answer.headers["Allow"]


def test_an_unforeseen_fault_is_a_json_500_and_logged_once(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.appliance.fault = ZeroDivisionError("secret detail")
    client = house.client()
    with caplog.at_level(logging.ERROR):
        answers = [client.get("/api/v1/status") for _ in range(5)]
    assert {answer.status_code for answer in answers} == {500}
    assert error_of(answers[0]) == "internal_error"
    assert b"secret" not in answers[0].data
    assert len(caplog.records) == 1
    house.clock.time += 61
    client.get("/api/v1/status")
    assert len(caplog.records) == 2


def test_a_ledger_that_cannot_answer_is_a_json_503(house: House) -> None:
    house.appliance.fault = LedgerError("ledger.sqlite is locked")
    answer = house.client().get("/api/v1/status")
    assert (answer.status_code, error_of(answer)) == (503, "ledger")


def test_a_failed_job_is_retried_with_another_model(house: House) -> None:
    answer = house.client().post("/api/v1/jobs/2/retry", json={"model": "birefnet-lite"})
    assert (answer.status_code, answer.get_json()["state"]) == (200, "pending")
    assert house.appliance.retried == [(2, "birefnet-lite")]


def test_who_acts_sees_what_came_of_it_at_once(client: FlaskClient) -> None:
    assert client.get("/api/v1/jobs?state=review").get_json()["jobs"]
    assert client.post("/api/v1/jobs/3/accept", headers=MARK).get_json()["state"] == "succeeded"
    assert not client.get("/api/v1/jobs?state=review").get_json()["jobs"]


def test_an_action_that_the_appliance_refuses_says_why(client: FlaskClient) -> None:
    answer = client.post("/api/v1/jobs/1/retry", headers=MARK)
    assert (answer.status_code, error_of(answer)) == (409, "wrong_state")
    assert client.post("/api/v1/jobs/77/retry", headers=MARK).status_code == 404


@pytest.mark.parametrize(
    "body", ["[]", "{", '"x"', '{"model": 3}', '{"model": "../x"}', '{"file": "/etc/passwd"}']
)
def test_a_wrong_body_is_answered_400(house: House, body: str) -> None:
    answer = house.client().post("/api/v1/jobs/2/retry", data=body, headers=MARK)
    assert (answer.status_code, error_of(answer)) == (400, "bad_request")
    assert house.appliance.retried == []


def test_a_huge_body_is_refused(client: FlaskClient) -> None:
    answer = client.post("/api/v1/pause", data=b" " * 20_000, headers=MARK)
    assert (answer.status_code, error_of(answer)) == (413, "request_entity_too_large")


def test_pause_and_resume_tell_the_state(client: FlaskClient) -> None:
    assert client.post("/api/v1/pause", headers=MARK).get_json() == {"state": "paused"}
    assert client.get("/api/v1/status").get_json()["state"] == "paused"
    assert client.post("/api/v1/resume", json={}).get_json() == {"state": "working"}


def test_what_the_page_shows_of_jobs_comes_in_one_answer(client: FlaskClient) -> None:
    recent = client.get("/api/v1/recent").get_json()
    assert [one["id"] for one in recent["results"]] == [4, 1]
    assert [one["id"] for one in recent["attention"]] == [3, 2]


def test_the_last_hour_comes_minute_by_minute_and_is_kept_for_seconds(house: House) -> None:
    client = house.client()
    told = client.get("/api/v1/history").get_json()
    assert (told["seconds"], len(told["slots"])) == (60.0, 60)
    assert told["slots"][-1] == {
        "finished": 3,
        "failed": 1,
        "mean_seconds": 1.25,
        "longest_seconds": 2.0,
    }
    house.clock.time += 9
    client.get("/api/v1/history")
    assert house.appliance.histories == 1
    house.clock.time += 2
    client.get("/api/v1/history")
    assert house.appliance.histories == 2
