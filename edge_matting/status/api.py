"""``/api/v1``: status, jobs, thumbnails and actions, in JSON."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from flask import Blueprint, Response, request, send_from_directory

from edge_matting.core.clock import Clock
from edge_matting.core.jobs import Job
from edge_matting.core.reasons import Reason
from edge_matting.core.states import JobState
from edge_matting.status.interfaces import ActionRefused, ApplianceInterface, JobReader
from edge_matting.status.openapi import openapi_document
from edge_matting.status.poll_rate import PollRate
from edge_matting.status.redaction import public, short_names
from edge_matting.status.render import dump, job_json, quiet, result_json, status_json
from edge_matting.status.request_validation import (
    JOB,
    MAX_ID,
    body_object,
    fresh_json,
    model_asked,
    number,
    only,
    state_asked,
)
from edge_matting.status.response_cache import CachedResponse, ResponseCache
from edge_matting.status.security import COOKIE, Guard, forget, remember

MAX_LIMIT: Final = 500
DEFAULT_LIMIT: Final = 50
RECENT_RESULTS: Final = 12
RECENT_ATTENTION: Final = 20
HISTORY_SECONDS: Final = 60  # a bar of the page's charts
HISTORY_FRESH_SECONDS: Final = 10.0


class Api:
    """The answers behind the routes; each method is one route."""

    def __init__(
        self,
        appliance: ApplianceInterface,
        jobs: JobReader,
        *,
        guard: Guard,
        answers: ResponseCache,
        thumbnails_dir: Path,
        clock: Clock,
    ) -> None:
        self._appliance = appliance
        self._jobs = jobs
        self._guard = guard
        self._answers = answers
        self._crowd = PollRate(clock)
        self._thumbnails = thumbnails_dir.absolute()

    def blueprint(self) -> Blueprint:
        api = Blueprint("api", __name__, url_prefix="/api/v1")
        api.get("/status")(self.status)
        api.get("/openapi.json")(self.openapi)
        api.get("/recent")(self.recent)
        api.get("/history")(self.history)
        api.get("/jobs")(self.jobs)
        api.get(JOB)(self.job)
        api.get(f"{JOB}/preview")(self.thumbnail)
        api.post(f"{JOB}/retry")(self.retry)
        api.post(f"{JOB}/accept")(self.accept)
        api.post("/pause")(self.pause)
        api.post("/resume")(self.resume)
        api.get("/session")(self.session)
        api.post("/session")(self.login)
        api.delete("/session")(self.logout)
        return api

    def status(self) -> Response:
        trusted = self._guard.trusts(request)

        def make() -> CachedResponse:
            snapshot = self._appliance.snapshot()
            body = status_json(snapshot, self._appliance.readiness())
            if not trusted:
                recipes = body["recipes"]
                body = public(body, short_names(folder.path for folder in snapshot.folders))
                body["recipes"] = recipes  # what can be chosen is no secret
            return CachedResponse.of(dump(body), dump(quiet(body)))

        answer = self._answers.get(("status", trusted), make).response()
        pause = self._crowd.pause(request.headers.get("X-Page", ""))
        answer.headers["X-Poll-Seconds"] = f"{pause:.0f}"
        return answer

    def jobs(self) -> Response:
        only({"state", "limit", "before"}, set(request.args))
        state = state_asked(request.args.get("state"))
        limit = number("limit", request.args.get("limit"), most=MAX_LIMIT) or DEFAULT_LIMIT
        before = number("before", request.args.get("before"), most=MAX_ID)

        def make() -> CachedResponse:
            found = list(self._jobs.jobs(state, limit + 1, before))
            page = found[:limit]
            more = page[-1].id if len(found) > limit else None
            return self._seen({"jobs": [self._tell(j) for j in page], "next_before": more})

        key = ("jobs", state, limit, before, self._guard.trusts(request))
        return self._answers.get(key, make).response()

    def openapi(self) -> Response:
        def make() -> CachedResponse:
            return CachedResponse.of(dump(openapi_document(self._appliance.snapshot().version)))

        return self._answers.get("openapi", make).response()

    def recent(self) -> Response:
        """What the page shows of jobs, in one answer: a question a list would be three."""
        only(set(), set(request.args))

        def make() -> CachedResponse:
            results = self._jobs.jobs(JobState.SUCCEEDED, RECENT_RESULTS, None)
            failed = self._jobs.jobs(JobState.FAILED, RECENT_ATTENTION, None)
            doubted = self._jobs.jobs(JobState.REVIEW, RECENT_ATTENTION, None)
            attention = _both_kinds(failed, doubted, RECENT_ATTENTION)
            body = {
                "results": [self._tell(job) for job in results],
                "attention": [self._tell(job) for job in attention],
            }
            return self._seen(body)

        return self._answers.get(("recent", self._guard.trusts(request)), make).response()

    def history(self) -> Response:
        """The last hour, minute by minute, oldest first."""
        only(set(), set(request.args))

        def make() -> CachedResponse:
            slots = self._appliance.history(HISTORY_SECONDS)
            return CachedResponse.of(dump({"seconds": HISTORY_SECONDS, "slots": slots}))

        return self._answers.get("history", make, HISTORY_FRESH_SECONDS).response()

    def job(self, job_id: int) -> Response:
        job = self._find(job_id)
        result = self._jobs.result(job_id)
        trusted = self._guard.trusts(request)
        shown = None if result is None or not trusted else result_json(result)
        return self._seen({**self._tell(job), "result": shown}).response()

    def thumbnail(self, job_id: int) -> Response:
        """The picture that the engine left; nothing of the path comes from the client."""
        self._guard.check_trusted(request)
        self._find(job_id)
        if not self._has_thumbnail(job_id):
            raise ActionRefused("no_preview", f"job {job_id} has none", HTTPStatus.NOT_FOUND)
        picture = send_from_directory(self._thumbnails, f"{job_id}.jpg", mimetype="image/jpeg")
        # With ?v= the page names the job's last change: another picture has another address.
        kept = "max-age=86400" if "v" in request.args else "no-cache"
        picture.headers["Cache-Control"] = f"private, {kept}"
        return picture

    def retry(self, job_id: int) -> Response:
        self._guard.check_action(request)
        model = model_asked(body_object({"model"}).get("model"))
        self._find(job_id)
        return self._acted(self._tell(self._appliance.retry(job_id, model)))

    def accept(self, job_id: int) -> Response:
        self._guard.check_action(request)
        body_object(set())
        self._find(job_id)
        return self._acted(self._tell(self._appliance.accept(job_id)))

    def pause(self) -> Response:
        self._guard.check_action(request)
        body_object(set())
        self._appliance.pause()
        return self._acted({"state": self._appliance.snapshot().state})

    def resume(self) -> Response:
        self._guard.check_action(request)
        body_object(set())
        self._appliance.resume()
        return self._acted({"state": self._appliance.snapshot().state})

    def session(self) -> Response:
        """What this visitor may do; the page shows its buttons by it."""
        return fresh_json(
            {"token_set": self._guard.token is not None, "trusted": self._guard.trusts(request)}
        )

    def login(self) -> Response:
        """Change the token, entered on the page, for a cookie."""
        self._guard.check_same_site(request)
        session = self._guard.log_in(request, body_object({"token"}).get("token"))
        answer = fresh_json({"token_set": True, "trusted": True})
        remember(answer, session)
        return answer

    def logout(self) -> Response:
        """End this session, or with ``everywhere`` the sessions of every browser."""
        self._guard.check_same_site(request)
        only({"everywhere"}, set(request.args))
        if number("everywhere", request.args.get("everywhere"), least=0, most=1):
            self._guard.check_trusted(request)
            self._guard.sessions.end_all()
        self._guard.sessions.end(request.cookies.get(COOKIE, ""))
        answer = fresh_json({"token_set": self._guard.token is not None, "trusted": False})
        forget(answer)
        return answer

    def _seen(self, body: dict[str, Any]) -> CachedResponse:
        """``body`` as the one who asks may read it."""
        if not self._guard.trusts(request):
            folders = self._appliance.snapshot().folders
            body = public(body, short_names(folder.path for folder in folders))
        return CachedResponse.of(dump(body))

    def _acted(self, body: dict[str, Any]) -> Response:
        self._answers.clear()
        return fresh_json(body)

    def _find(self, job_id: int) -> Job:
        job = self._jobs.get(job_id)
        if job is None:
            raise ActionRefused(
                "no_such_job", Reason("no_such_job", job=job_id), HTTPStatus.NOT_FOUND
            )
        return job

    def _tell(self, job: Job) -> dict[str, Any]:
        address = f"/api/v1/jobs/{job.id}/preview" if self._has_thumbnail(job.id) else None
        return job_json(job, thumbnail=address)

    def _has_thumbnail(self, job_id: int) -> bool:
        return (self._thumbnails / f"{job_id}.jpg").is_file()


def _both_kinds(failed: Sequence[Job], doubted: Sequence[Job], most: int) -> list[Job]:
    """The newest of both, newest first; many of one kind leave half the places to the other."""
    of_failed = failed[: max(most // 2, most - len(doubted))]
    of_doubted = doubted[: most - len(of_failed)]
    return sorted((*of_failed, *of_doubted), key=lambda job: job.id, reverse=True)
