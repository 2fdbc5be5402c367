"""The OpenAPI document against the app: thousands of questions, right ones and wrong ones."""

from __future__ import annotations

import json
import re
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from status_fixture import House

from edge_matting.status.openapi import openapi_document

CHECKED = {
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
}
METHODS = {"get", "post", "put", "delete"}


def test_the_document_names_every_route_of_the_app(client: FlaskClient) -> None:
    rules = {
        (re.sub(r"<[^>]*?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in client.application.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.rule.startswith(("/static", "/jobs")) and rule.rule != "/"
    }
    paths = openapi_document("1")["paths"]
    told = {
        (path.replace("{job}", "{job_id}").replace("{upload}", "{upload_id}"), method)
        for path, operations in paths.items()
        for method in METHODS & set(operations)
    }
    assert told == rules


def test_the_document_is_given_out(client: FlaskClient) -> None:
    answer = client.get("/api/v1/openapi.json")
    assert answer.get_json()["openapi"] == "3.1.0"
    assert answer.get_json() == json.loads(json.dumps(openapi_document("0.1.0")))


def run(house: House, calls: int) -> int:
    """Ask that many generated questions, valid and invalid ones; how many were asked.

    Where an operation has only a few different questions, the others get its share.
    """
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", house.client().application)
    modes = schemathesis.GenerationMode
    open_ended = [
        (result.ok(), mode)
        for result in schema.get_all_operations()
        for mode in (modes.POSITIVE, modes.NEGATIVE)
    ]
    asked = 0
    for turn in count():
        quota = max(2, -(-(calls - asked) // len(open_ended)))
        answers = [(pair, _ask(*pair, quota, turn)) for pair in open_ended]
        asked += sum(number for _, number in answers)
        open_ended = [pair for pair, number in answers if number >= quota]
        if asked >= calls:
            break
    return asked


def _ask(operation: Any, mode: Any, examples: int, turn: int) -> int:
    from schemathesis.checks import CHECKS

    wanted = [check for check in CHECKS.get_all() if check.__name__ in CHECKED]
    assert len(wanted) == len(CHECKED)
    asked = 0

    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @seed(turn)
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        nonlocal asked
        asked += 1
        case.call_and_validate(checks=wanted, headers={"X-Requested-With": "edge-matting"})

    try:
        ask()
    except Unsatisfiable:
        pass  # no question of this kind can be made: nothing to get wrong in it
    return asked


def _with_results(house: House, root: Path) -> House:
    out = root / "out"
    out.mkdir()
    house.appliance.results = out
    return house


@pytest.mark.filterwarnings("ignore")  # of the many packages behind schemathesis
def test_no_question_breaks_the_document(house: House, tmp_path: Path) -> None:
    assert run(_with_results(house, tmp_path), 200) >= 200


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_thousand_questions_break_nothing(house: House, tmp_path: Path) -> None:
    assert run(_with_results(house, tmp_path), 2000) >= 2000
