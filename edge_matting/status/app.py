"""The Flask application: routes put together, every answer guarded, every error JSON."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Final

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from edge_matting.core.clock import Clock
from edge_matting.core.errors import EdgeMattingError
from edge_matting.core.reasons import Reason
from edge_matting.status.api import Api
from edge_matting.status.interfaces import ActionRefused, ApplianceInterface, JobReader
from edge_matting.status.pages import Pages
from edge_matting.status.redaction import public_text
from edge_matting.status.render import coded, dump
from edge_matting.status.response_cache import ResponseCache
from edge_matting.status.security import HEADERS, Guard
from edge_matting.status.transfer import Transfer

log = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 16 * 1024
LOG_EVERY_SECONDS: Final = 60.0
MAX_FAULTS: Final = 100


def create_app(
    appliance: ApplianceInterface,
    jobs: JobReader,
    *,
    thumbnails_dir: Path,
    token: str | None,
    clock: Clock,
    allowed_hosts: Iterable[str],
    sessions_file: Path | None = None,
) -> Flask:
    """The status page of one appliance.

    ``token`` comes from ``security.read_token``, ``allowed_hosts`` from ``security.usual_hosts``;
    ``ConfigError`` for a token too short to protect anything. Sessions are kept in
    ``sessions_file`` over a restart.
    """
    guard = Guard.of(token, allowed_hosts, clock, sessions_file)
    app = Flask("edge_matting.status", static_folder=None)  # assets by name only, see pages.py
    app.url_map.strict_slashes = True
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.register_blueprint(Pages(appliance, jobs, guard).blueprint())
    app.register_blueprint(
        Api(
            appliance,
            jobs,
            guard=guard,
            answers=ResponseCache(clock),
            thumbnails_dir=thumbnails_dir,
            clock=clock,
        ).blueprint()
    )
    app.register_blueprint(Transfer(appliance, jobs, guard).blueprint())
    app.before_request(lambda: guard.check_host(request))
    app.after_request(_harden)
    _answer_errors(app, Faults(clock), guard)
    return app


def _harden(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _answer_errors(app: Flask, faults: Faults, guard: Guard) -> None:
    def unavailable(error: EdgeMattingError) -> Response:
        """The appliance could not answer for a reason it knows, such as a locked ledger."""
        if guard.trusts(request):
            return error_json(error.code, error.what, HTTPStatus.SERVICE_UNAVAILABLE)
        return error_json(error.code, public_text(str(error)), HTTPStatus.SERVICE_UNAVAILABLE)

    app.register_error_handler(ActionRefused, _refused)
    app.register_error_handler(EdgeMattingError, unavailable)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, faults.answer)


def error_json(code: str, message: str, status: int) -> Response:
    """The one form of every error; ``error_coded`` beside it to word it in another language."""
    told: dict[str, object] = {"error": {"code": code, "message": message}}
    if isinstance(message, Reason):
        told["error_coded"] = coded(message)
    body = dump(told)
    answer = Response(body, int(status), mimetype="application/json")
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _refused(error: ActionRefused) -> Response:
    answer = error_json(error.code, error.message, error.http_status)
    if error.http_status == HTTPStatus.UNAUTHORIZED:
        answer.headers["WWW-Authenticate"] = 'Bearer realm="edge-matting"'
    if error.retry_seconds is not None:
        answer.headers["Retry-After"] = str(error.retry_seconds)
    return answer


def _http(error: HTTPException) -> Response:
    code = error.name.lower().replace(" ", "_")
    answer = error_json(code, error.description or error.name, error.code or 500)
    kept = [(name, value) for name, value in error.get_headers() if name in ("Allow", "Location")]
    answer.headers.extend(kept)
    return answer


class Faults:
    """ResponseCache what nobody foresaw; pages poll, so the log tells each kind once a minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: dict[tuple[str, str], float] = {}

    def answer(self, error: Exception) -> Response:
        kind = (request.endpoint or "", type(error).__name__)
        now = self._clock.monotonic()
        if now - self._told.get(kind, -LOG_EVERY_SECONDS) >= LOG_EVERY_SECONDS:
            if len(self._told) >= MAX_FAULTS:
                self._told.clear()
            self._told[kind] = now
            log.error("status page: %s failed", request.endpoint, exc_info=error)
        message = "the status page failed here; the log says why"
        return error_json("internal_error", message, HTTPStatus.INTERNAL_SERVER_ERROR)
