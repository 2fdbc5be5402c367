"""What came with a request, checked: every value has a type and a bound."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, Final

from flask import Response, request

from edge_matting.core.states import JobState
from edge_matting.status.interfaces import ActionRefused
from edge_matting.status.render import dump

MAX_ID: Final = 2**63 - 1  # SQLite's integers end there
JOB: Final = f"/jobs/<int(max={MAX_ID}):job_id>"
MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def fresh_json(body: dict[str, Any]) -> Response:
    """An answer that nobody keeps."""
    answer = Response(dump(body), mimetype="application/json")
    answer.headers["Cache-Control"] = "no-store"
    return answer


def bad_request(message: str) -> ActionRefused:
    return ActionRefused("bad_request", message, HTTPStatus.BAD_REQUEST)


def only(known: set[str], given: set[str]) -> None:
    """Refuse names that mean nothing here: a mistyped one must not pass as unset."""
    if given - known:
        expected = ", ".join(sorted(known)) or "nothing"
        raise bad_request(f"unknown: {', '.join(sorted(given - known))}; expected: {expected}")


def state_asked(text: str | None) -> JobState | None:
    """The job state named, or None for all."""
    if text is None:
        return None
    try:
        return JobState(text)
    except ValueError:
        raise bad_request(
            f"state: expected one of {', '.join(s.value for s in JobState)}"
        ) from None


def number(name: str, text: str | None, *, least: int = 1, most: int) -> int | None:
    """The whole number in ``text``; None where nothing was said."""
    if text is None:
        return None
    plain_digits = text.isascii() and text.isdigit() and len(text) <= 19
    if not (plain_digits and least <= int(text) <= most):
        raise bad_request(f"{name}: expected a whole number from {least} to {most}")
    return int(text)


def body_object(known: set[str]) -> dict[str, Any]:
    """The JSON object sent along; nothing sent is an empty one."""
    if not request.get_data():
        return {}
    try:
        body = request.get_json(force=True, silent=True)
    except RecursionError:  # the parser's own bound
        raise bad_request("the JSON is nested too deeply") from None
    if not isinstance(body, dict):
        raise bad_request("expected a JSON object")
    only(known, set(body))
    return body


def model_asked(given: object) -> str | None:
    """A model's id, well formed; whether there is one is for the appliance to say."""
    if given is None:
        return None
    if not (isinstance(given, str) and MODEL_ID.fullmatch(given)):
        raise bad_request("model: expected a model's id, as 'edge-matting models list' shows it")
    return given
