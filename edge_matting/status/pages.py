"""The page itself, its assets, the health checks and the metrics."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Final

from flask import (
    Blueprint,
    Response,
    current_app,
    render_template,
    request,
    send_from_directory,
)
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from edge_matting.status.ports import ActionRefused, Appliance
from edge_matting.status.render import dump
from edge_matting.status.texts import TEXTS

ASSETS: Final = MappingProxyType(
    {
        "page.css": "text/css",
        "page.js": "text/javascript",
        "icon.svg": "image/svg+xml",
    }
)
"""All that ``/static/`` gives out; a name that is not here is never looked for on disk."""


class Pages:
    """The answers behind the routes; each method is one route."""

    def __init__(self, appliance: Appliance, metrics: CollectorRegistry) -> None:
        self._appliance = appliance
        self._metrics = metrics

    def blueprint(self) -> Blueprint:
        pages = Blueprint("pages", __name__)
        pages.get("/")(self.page)
        pages.get("/static/<name>")(self.asset)
        pages.get("/healthz")(self.healthz)
        pages.get("/readyz")(self.readyz)
        pages.get("/metrics")(self.metrics)
        return pages

    def page(self) -> Response:
        language = request.accept_languages.best_match(list(TEXTS)) or "en"
        html = render_template("page.html", language=language, t=TEXTS[language])
        answer = Response(html, mimetype="text/html")
        answer.headers["Cache-Control"] = "no-cache"
        answer.headers["Content-Language"] = language
        answer.vary.add("Accept-Language")
        return answer

    def asset(self, name: str) -> Response:
        if name not in ASSETS:
            raise ActionRefused("not_found", "no such asset", HTTPStatus.NOT_FOUND)
        folder = Path(current_app.root_path, "static")
        return send_from_directory(folder, name, mimetype=ASSETS[name])

    def healthz(self) -> Response:
        return _verdict("healthy", "stuck", self._appliance.health())

    def readyz(self) -> Response:
        return _verdict("ready", "not_ready", self._appliance.readiness())

    def metrics(self) -> Response:
        text = generate_latest(self._metrics)
        return Response(
            text, content_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"}
        )


def _verdict(good: str, bad: str, reasons: tuple[str, ...]) -> Response:
    answer = Response(
        dump({"status": bad if reasons else good, "reasons": reasons}),
        HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK,
        mimetype="application/json",
    )
    answer.headers["Cache-Control"] = "no-store"
    return answer
