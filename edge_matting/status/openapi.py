"""The interface as an OpenAPI document, checked against the running app by the tests."""

from __future__ import annotations

from edge_matting.status.interfaces import PART_BYTES
from edge_matting.status.openapi_schemas import (
    BINARY,
    MAYBE_TEXT,
    STATES,
    TEXT,
    YES_NO,
    Schema,
    reference,
    schemas,
)
from edge_matting.status.request_validation import MAX_ID, MODEL_ID


def openapi_document(version: str) -> Schema:
    """OpenAPI 3.1; ``version`` is the program's."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "edge-matting",
            "version": version,
            "description": "Reading is for everybody who reaches the port. Actions, thumbnails and "
            "results need the token, or come from this machine while none is set. Actions carry "
            "the header X-Requested-With: edge-matting, or a JSON body.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}],
        "paths": {**_reading(), **_of_one_job(), **_actions(), **_transfer()},
        "components": {
            "schemas": schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _reading() -> Schema:
    return {
        "/healthz": {"get": _health("Whether it makes progress or is idle")},
        "/readyz": {"get": _health("Whether photos can be worked on now")},
        "/metrics": {
            "get": _operation("Metrics for Prometheus", _body("text/plain", TEXT), fails=(503,))
        },
        "/api/v1/openapi.json": {
            "get": _operation("This document", _json({"type": "object"}), fails=())
        },
        "/api/v1/status": {"get": _cached("The whole appliance at this moment", "Status")},
        "/api/v1/recent": {"get": _cached("The newest results, failures and reviews", "Recent")},
        "/api/v1/history": {"get": _cached("The last hour, minute by minute", "History")},
        "/api/v1/jobs": {
            "get": {
                **_cached("Jobs, newest first, in pages", "Jobs"),
                "parameters": [
                    _asked("state", STATES),
                    _asked("limit", {"type": "integer", "minimum": 1, "maximum": 500}),
                    _asked("before", {"type": "integer", "minimum": 1, "maximum": MAX_ID}),
                ],
            }
        },
        "/api/v1/session": {
            "get": _operation("What this visitor may do", _json(reference("Session")), fails=()),
            "post": _operation(
                "Change the token for a cookie",
                _json(reference("Session")),
                body=_object({"token": TEXT}, needed=["token"]),
                fails=(400, 401, 403, 413),
            ),
            "delete": {
                **_action(
                    "End this session, or all of them", reference("Session"), fails=(400, 401, 403)
                ),
                "parameters": [
                    _asked("everywhere", {"type": "integer", "minimum": 0, "maximum": 1})
                ],
            },
        },
    }


def _of_one_job() -> Schema:
    job = "/api/v1/jobs/{job}"
    position = _in_path("position", {"type": "integer", "minimum": 0, "maximum": 99})
    return {
        job: _with_job({"get": _cached("One job with its result", "JobWithResult", (404,))}),
        f"{job}/preview": _with_job(
            {"get": _file("The photo and its cut-out side by side", "image/jpeg", BINARY)}
        ),
        f"{job}/sidecar": _with_job(
            {"get": _file("The sidecar beside the result", "application/json", {"type": "object"})}
        ),
        f"{job}/files/{{position}}": _with_job(
            {"get": _file("One of the job's outputs", "*/*", BINARY)}, position
        ),
        f"{job}/retry": _with_job(
            {
                "post": _action(
                    "Put a failed or reviewed job back in the queue",
                    reference("Job"),
                    body=_object({"model": {"type": "string", "pattern": f"^{MODEL_ID.pattern}$"}}),
                    fails=(400, 401, 403, 404, 409, 413),
                )
            }
        ),
        f"{job}/accept": _with_job(
            {
                "post": _action(
                    "Move a reviewed result to out/",
                    reference("Job"),
                    fails=(400, 401, 403, 404, 409, 413),
                )
            }
        ),
    }


def _actions() -> Schema:
    state = _object({"state": reference("ApplianceState")}, needed=["state"])
    return {
        "/api/v1/pause": {"post": _action("Claim no further jobs", state)},
        "/api/v1/resume": {"post": _action("Claim jobs again", state)},
    }


def _transfer() -> Schema:
    begin = _object(
        {
            "name": {"type": "string", "minLength": 1},
            "size": {"type": "integer", "minimum": 1, "maximum": MAX_ID},
            "recipe": MAYBE_TEXT,
            "folder": {"type": "integer", "minimum": 0, "maximum": MAX_ID},
            "parameters": {
                "type": ["object", "null"],
                "description": "Keys of the recipe with other values, for this photo alone; "
                "format is the first output's",
            },
        },
        needed=["name", "size"],
    )
    offset = _asked("offset", {"type": "integer", "minimum": 0, "maximum": MAX_ID})
    upload = _in_path("upload", TEXT)
    part = _action(
        f"Append a part of at most {PART_BYTES} bytes",
        reference("Upload"),
        fails=(400, 401, 403, 404, 409, 413),
    )
    part["requestBody"] = {
        "required": True,
        "content": {"application/octet-stream": {"schema": BINARY}},
    }
    archive = _file("Results of chosen jobs, or of a day, as one ZIP", "application/zip", BINARY)
    archive["responses"]["400"] = _error()
    archive["parameters"] = [
        _asked("jobs", {"type": "string", "pattern": r"^[0-9]+(,[0-9]+)*$"}),
        _asked("day", {"type": "string", "format": "date"}),
        _asked("since", {"type": "string", "format": "date-time"}),
        _asked("until", {"type": "string", "format": "date-time"}),
    ]
    return {
        "/api/v1/uploads": {
            "post": _action(
                "Begin to send a photo",
                reference("Upload"),
                body=begin,
                success="201",
                fails=(400, 401, 403, 413, 507),
            )
        },
        "/api/v1/uploads/{upload}": {
            "parameters": [upload],
            "put": {**part, "parameters": [offset]},
            "delete": _action(
                "Give an upload up",
                _object({"cancelled": YES_NO}, needed=["cancelled"]),
                fails=(401, 403, 404),
            ),
        },
        "/api/v1/results.zip": {"get": archive},
    }


# Pieces


def _object(properties: Schema, needed: list[str] | None = None) -> Schema:
    told: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return told if needed is None else {**told, "required": needed}


def _body(kind: str, schema: Schema) -> Schema:
    return {"description": "As asked for", "content": {kind: {"schema": schema}}}


def _json(schema: Schema) -> Schema:
    return _body("application/json", schema)


def _error() -> Schema:
    return {
        "description": "Not done; the message says why",
        "content": {"application/json": {"schema": reference("Error")}},
    }


def _operation(
    summary: str,
    answer: Schema,
    *,
    body: Schema | None = None,
    success: str = "200",
    fails: tuple[int, ...],
) -> Schema:
    responses = {success: answer} | {str(code): _error() for code in (*fails, 421, 503)}
    told: Schema = {"summary": summary, "responses": responses}
    if body is not None:
        told["requestBody"] = {"content": {"application/json": {"schema": body}}}
    return told


def _action(
    summary: str,
    answer: Schema,
    *,
    body: Schema | None = None,
    success: str = "200",
    fails: tuple[int, ...] = (400, 401, 403, 413),
) -> Schema:
    told = _operation(
        summary, _json(answer), body=body or _object({}), success=success, fails=fails
    )
    if success == "200" and body is None:
        told["requestBody"]["required"] = False
    return told


def _cached(summary: str, name: str, fails: tuple[int, ...] = ()) -> Schema:
    told = _operation(summary, _json(reference(name)), fails=(400, *fails))
    told["responses"]["304"] = {"description": "Not changed since the ETag sent along"}
    return told


def _file(summary: str, kind: str, schema: Schema) -> Schema:
    told = _operation(summary, _body(kind, schema), fails=(401, 403, 404))
    told["responses"]["304"] = {"description": "Not changed since the ETag sent along"}
    return told


def _health(summary: str) -> Schema:
    told = _operation(summary, _json(reference("Verdict")), fails=())
    told["responses"]["503"] = {**_json(reference("Verdict")), "description": "Not so; the reasons"}
    return told


def _asked(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "schema": schema}


def _in_path(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _with_job(operations: Schema, *more: Schema) -> Schema:
    job = _in_path("job", {"type": "integer", "minimum": 1, "maximum": MAX_ID})
    return {"parameters": [job, *more], **operations}
