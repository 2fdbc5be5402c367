"""``/api/v1``: status, jobs, previews and actions, in JSON."""

from __future__ import annotations

import re
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from flask import Blueprint, Response, request, send_from_directory

from edge_matting.core.jobs import Job
from edge_matting.core.states import JobState
from edge_matting.status.answers import Answer, Answers
from edge_matting.status.ports import ActionRefused, Appliance, JobReader
from edge_matting.status.render import dump, job_json, quiet, result_json, status_json
from edge_matting.status.security import Guard, forget

MAX_LIMIT: Final = 500
DEFAULT_LIMIT: Final = 50
RECENT_RESULTS: Final = 12
RECENT_ATTENTION: Final = 20
HISTORY_SLOTS: Final = 60
HISTORY_SECONDS: Final = 60.0
HISTORY_FRESH_SECONDS: Final = 10.0  # it reads an hour of jobs, and its bars stand for minutes
MAX_ID: Final = 2**63 - 1  # SQLite's integers end there
JOB = f"/jobs/<int(max={MAX_ID}):job_id>"
MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Api:
    """The answers behind the routes; each method is one route."""

    def __init__(
        self,
        appliance: Appliance,
        jobs: JobReader,
        guard: Guard,
        answers: Answers,
        previews_dir: Path,
    ) -> None:
        self._appliance = appliance
        self._jobs = jobs
        self._guard = guard
        self._answers = answers
        self._previews = previews_dir.absolute()

    def blueprint(self) -> Blueprint:
        api = Blueprint("api", __name__, url_prefix="/api/v1")
        api.get("/status")(self.status)
        api.get("/recent")(self.recent)
        api.get("/history")(self.history)
        api.get("/jobs")(self.jobs)
        api.get(JOB)(self.job)
        api.get(f"{JOB}/preview")(self.preview)
        api.post(f"{JOB}/retry")(self.retry)
        api.post(f"{JOB}/accept")(self.accept)
        api.post("/pause")(self.pause)
        api.post("/resume")(self.resume)
        api.get("/session")(self.session)
        api.post("/session")(self.login)
        api.delete("/session")(self.logout)
        return api

    def status(self) -> Response:
        def make() -> Answer:
            body = status_json(self._appliance.snapshot(), self._appliance.readiness())
            return Answer.of(dump(body), dump(quiet(body)))

        return self._answers.get("status", make).response()

    def jobs(self) -> Response:
        _only({"state", "limit", "before"}, set(request.args))
        state = _state(request.args.get("state"))
        limit = _number("limit", request.args.get("limit"), most=MAX_LIMIT) or DEFAULT_LIMIT
        before = _number("before", request.args.get("before"), most=MAX_ID)

        def make() -> Answer:
            found = list(self._jobs.jobs(state, limit + 1, before))
            page = found[:limit]
            more = page[-1].id if len(found) > limit else None
            return Answer.of(dump({"jobs": [self._tell(j) for j in page], "next_before": more}))

        return self._answers.get(("jobs", state, limit, before), make).response()

    def recent(self) -> Response:
        """What the page shows of jobs, in one answer: a question a list would be three."""
        _only(set(), set(request.args))

        def make() -> Answer:
            results = self._jobs.jobs(JobState.SUCCEEDED, RECENT_RESULTS, None)
            doubted = [
                *self._jobs.jobs(JobState.FAILED, RECENT_ATTENTION, None),
                *self._jobs.jobs(JobState.REVIEW, RECENT_ATTENTION, None),
            ]
            attention = sorted(doubted, key=lambda job: job.id, reverse=True)[:RECENT_ATTENTION]
            body = {
                "results": [self._tell(job) for job in results],
                "attention": [self._tell(job) for job in attention],
            }
            return Answer.of(dump(body))

        return self._answers.get("recent", make).response()

    def history(self) -> Response:
        """The last hour, minute by minute, oldest first."""
        _only(set(), set(request.args))

        def make() -> Answer:
            slots = self._jobs.history(HISTORY_SLOTS, HISTORY_SECONDS)
            return Answer.of(dump({"seconds": HISTORY_SECONDS, "slots": slots}))

        return self._answers.get("history", make, HISTORY_FRESH_SECONDS).response()

    def job(self, job_id: int) -> Response:
        job = self._find(job_id)
        result = self._jobs.result(job_id)
        told = None if result is None else result_json(result)
        return Answer.of(dump({**self._tell(job), "result": told})).response()

    def preview(self, job_id: int) -> Response:
        """The picture that the engine left; nothing of the path comes from the client."""
        self._guard.check_trusted(request)
        self._find(job_id)
        if not self._has_preview(job_id):
            raise ActionRefused("no_preview", f"job {job_id} has none", HTTPStatus.NOT_FOUND)
        picture = send_from_directory(self._previews, f"{job_id}.jpg", mimetype="image/jpeg")
        picture.headers["Cache-Control"] = "private, no-cache"
        return picture

    def retry(self, job_id: int) -> Response:
        self._check_action()
        model = _model(_body({"model"}).get("model"))
        self._find(job_id)
        return self._acted(self._tell(self._appliance.retry(job_id, model)))

    def accept(self, job_id: int) -> Response:
        self._check_action()
        _body(set())
        self._find(job_id)
        return self._acted(self._tell(self._appliance.accept(job_id)))

    def pause(self) -> Response:
        self._check_action()
        _body(set())
        self._appliance.pause()
        return self._acted({"state": self._appliance.snapshot().state})

    def resume(self) -> Response:
        self._check_action()
        _body(set())
        self._appliance.resume()
        return self._acted({"state": self._appliance.snapshot().state})

    def session(self) -> Response:
        """What this visitor may do; the page shows its buttons by it."""
        return _json(
            {"token_set": self._guard.token is not None, "trusted": self._guard.trusts(request)}
        )

    def login(self) -> Response:
        """Change the token, entered on the page, for a cookie."""
        self._guard.check_same_site(request)
        given = _body({"token"}).get("token")
        if not (isinstance(given, str) and self._guard.is_token(given.strip())):
            raise ActionRefused("wrong_token", "this is not the token", HTTPStatus.UNAUTHORIZED)
        answer = _json({"token_set": True, "trusted": True})
        self._guard.remember(answer)
        return answer

    def logout(self) -> Response:
        self._guard.check_same_site(request)
        answer = _json({"token_set": self._guard.token is not None, "trusted": False})
        forget(answer)
        return answer

    def _check_action(self) -> None:
        self._guard.check_same_site(request)
        self._guard.check_trusted(request)

    def _acted(self, body: dict[str, Any]) -> Response:
        self._answers.clear()
        return _json(body)

    def _find(self, job_id: int) -> Job:
        job = self._jobs.get(job_id)
        if job is None:
            raise ActionRefused("no_such_job", f"there is no job {job_id}", HTTPStatus.NOT_FOUND)
        return job

    def _tell(self, job: Job) -> dict[str, Any]:
        address = f"/api/v1/jobs/{job.id}/preview" if self._has_preview(job.id) else None
        return job_json(job, preview=address)

    def _has_preview(self, job_id: int) -> bool:
        return (self._previews / f"{job_id}.jpg").is_file()


def _json(body: dict[str, Any]) -> Response:
    answer = Response(dump(body), mimetype="application/json")
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _bad(message: str) -> ActionRefused:
    return ActionRefused("bad_request", message, HTTPStatus.BAD_REQUEST)


def _only(known: set[str], given: set[str]) -> None:
    if given - known:
        expected = ", ".join(sorted(known)) or "nothing"
        raise _bad(f"unknown: {', '.join(sorted(given - known))}; expected: {expected}")


def _state(text: str | None) -> JobState | None:
    if text is None:
        return None
    try:
        return JobState(text)
    except ValueError:
        raise _bad(f"state: expected one of {', '.join(s.value for s in JobState)}") from None


def _number(name: str, text: str | None, *, most: int) -> int | None:
    if text is None:
        return None
    plain_digits = text.isascii() and text.isdigit() and len(text) <= 19
    if not (plain_digits and 1 <= int(text) <= most):
        raise _bad(f"{name}: expected a whole number from 1 to {most}")
    return int(text)


def _body(known: set[str]) -> dict[str, Any]:
    """The JSON object sent along; nothing sent is an empty one."""
    if not request.get_data():
        return {}
    body = request.get_json(force=True, silent=True)
    if not isinstance(body, dict):
        raise _bad("expected a JSON object")
    _only(known, set(body))
    return body


def _model(given: object) -> str | None:
    if given is None:
        return None
    if not (isinstance(given, str) and MODEL_ID.fullmatch(given)):
        raise _bad("model: expected a model's id, as 'edge-matting models list' shows it")
    return given
