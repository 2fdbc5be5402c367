"""The page itself, its assets, the health checks and the metrics."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from flask import (
    Blueprint,
    Response,
    current_app,
    redirect,
    render_template,
    request,
    send_from_directory,
)
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from edge_matting.core.reasons import Reason
from edge_matting.status.interfaces import ActionRefused, ApplianceInterface, JobReader
from edge_matting.status.metrics import registry
from edge_matting.status.redaction import public
from edge_matting.status.render import coded, dump, plain
from edge_matting.status.request_validation import JOB
from edge_matting.status.security import Guard
from edge_matting.status.texts import NAMES, TEXTS, reason_texts

ASSETS: Final = MappingProxyType(
    {
        "page.css": "text/css",
        "common.js": "text/javascript",
        "page.js": "text/javascript",
        "charts.js": "text/javascript",
        "upload.js": "text/javascript",
        "parameters.js": "text/javascript",
        "job.js": "text/javascript",
        "icon.svg": "image/svg+xml",
    }
)
"""All that ``/static/`` gives out; a name that is not here is never looked for on disk."""

LANGUAGE_COOKIE: Final = "edge_matting_language"
LANGUAGE_SECONDS: Final = 365 * 24 * 3600


class Pages:
    """The answers behind the routes; each method is one route."""

    def __init__(self, appliance: ApplianceInterface, jobs: JobReader, guard: Guard) -> None:
        self._appliance = appliance
        self._jobs = jobs
        self._guard = guard
        self._metrics = {kind: registry(appliance, jobs, trusted=kind) for kind in (False, True)}

    def blueprint(self) -> Blueprint:
        pages = Blueprint("pages", __name__)
        pages.get("/")(self.page)
        pages.get(JOB)(self.job)
        pages.get("/static/<name>")(self.asset)
        pages.get("/healthz")(self.healthz)
        pages.get("/readyz")(self.readyz)
        pages.get("/metrics")(self.metrics)
        return pages

    def page(self) -> Response:
        return _localised("page.html")

    def job(self, job_id: int) -> Response:
        if self._jobs.get(job_id) is None:
            raise ActionRefused(
                "no_such_job", Reason("no_such_job", job=job_id), HTTPStatus.NOT_FOUND
            )
        return _localised("job.html", job_id=job_id)

    def asset(self, name: str) -> Response:
        if name not in ASSETS:
            raise ActionRefused("not_found", "no such asset", HTTPStatus.NOT_FOUND)
        folder = Path(current_app.root_path, "static")
        return send_from_directory(folder, name, mimetype=ASSETS[name])

    def healthz(self) -> Response:
        return self._health_answer("healthy", "stuck", self._appliance.health())

    def readyz(self) -> Response:
        return self._health_answer("ready", "not_ready", self._appliance.readiness())

    def metrics(self) -> Response:
        text = generate_latest(self._metrics[self._guard.trusts(request)])
        return Response(
            text, content_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"}
        )

    def _health_answer(self, good: str, bad: str, reasons: tuple[Reason, ...]) -> Response:
        body = plain(
            {
                "status": bad if reasons else good,
                "reasons": reasons,
                "reasons_coded": coded(reasons),
            }
        )
        if not self._guard.trusts(request):
            body = public(body, {})
        answer = Response(
            dump(body),
            HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK,
            mimetype="application/json",
        )
        answer.headers["Cache-Control"] = "no-store"
        return answer


def _localised(template: str, **values: Any) -> Response:
    """The page in the language chosen on it, else in the one that the browser asks for."""
    wanted = request.args.get("lang")
    if wanted is not None and wanted in TEXTS:
        return _choose(wanted)
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    language = chosen if chosen in TEXTS else _language_asked_for()
    html = render_template(
        template,
        language=language,
        languages=NAMES.items(),
        t=TEXTS[language],
        reasons=reason_texts(language),
        **values,
    )
    answer = Response(html, mimetype="text/html")
    answer.headers["Cache-Control"] = "no-cache"
    answer.headers["Content-Language"] = language
    answer.vary.update(("Accept-Language", "Cookie"))
    return answer


def _language_asked_for() -> str:
    """The best-liked language we have; werkzeug's own match takes ``en`` before ``zh-CN``."""
    liked = (tag.partition("-")[0].lower() for tag, quality in request.accept_languages if quality)
    return next((primary for primary in liked if primary in TEXTS), "en")


def _choose(language: str) -> Response:
    answer = redirect(request.path, HTTPStatus.SEE_OTHER)
    assert isinstance(answer, Response)
    answer.set_cookie(
        LANGUAGE_COOKIE, language, max_age=LANGUAGE_SECONDS, httponly=True, samesite="Strict"
    )
    return answer
