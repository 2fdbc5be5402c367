"""The interface as an OpenAPI document, checked against the running app by the tests."""

from __future__ import annotations

from typing import Any, Final

from edge_matting.core.states import JobState
from edge_matting.status.interfaces import PART_BYTES, ApplianceState
from edge_matting.status.request_validation import MAX_ID, MODEL_ID

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
MAYBE_TEXT: Final[Schema] = {"type": ["string", "null"]}
NUMBER: Final[Schema] = {"type": "number"}
MAYBE_NUMBER: Final[Schema] = {"type": ["number", "null"]}
WHOLE: Final[Schema] = {"type": "integer", "minimum": 0}
MAYBE_WHOLE: Final[Schema] = {"type": ["integer", "null"]}
YES_NO: Final[Schema] = {"type": "boolean"}
MOMENT: Final[Schema] = {"type": "string", "format": "date-time"}
MAYBE_MOMENT: Final[Schema] = {"type": ["string", "null"], "format": "date-time"}
TEXTS: Final[Schema] = {"type": "array", "items": TEXT}
STATES: Final[Schema] = {"type": "string", "enum": [state.value for state in JobState]}
BINARY: Final[Schema] = {"type": "string", "format": "binary"}


def openapi_document(version: str) -> Schema:
    """OpenAPI 3.1; ``version`` is the program's."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "edge-matting",
            "version": version,
            "description": "Reading is for everybody who reaches the port. Actions, previews and "
            "results need the token, or come from this machine while none is set. Actions carry "
            "the header X-Requested-With: edge-matting, or a JSON body.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}],
        "paths": {**_reading(), **_of_one_job(), **_actions(), **_transfer()},
        "components": {
            "schemas": _schemas(),
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
            "get": _operation("What this visitor may do", _json(_ref("Session")), fails=()),
            "post": _operation(
                "Change the token for a cookie",
                _json(_ref("Session")),
                body=_object({"token": TEXT}, needed=["token"]),
                fails=(400, 401, 403, 413),
            ),
            "delete": _action("Forget the cookie", _ref("Session"), fails=(403,)),
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
                    _ref("Job"),
                    body=_object({"model": {"type": "string", "pattern": f"^{MODEL_ID.pattern}$"}}),
                    fails=(400, 401, 403, 404, 409, 413),
                )
            }
        ),
        f"{job}/accept": _with_job(
            {
                "post": _action(
                    "Move a reviewed result to out/",
                    _ref("Job"),
                    fails=(400, 401, 403, 404, 409, 413),
                )
            }
        ),
    }


def _actions() -> Schema:
    state = _object({"state": _ref("State")}, needed=["state"])
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
        _ref("Upload"),
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
    ]
    return {
        "/api/v1/uploads": {
            "post": _action(
                "Begin to send a photo",
                _ref("Upload"),
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


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: Schema, needed: list[str] | None = None) -> Schema:
    told: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return told if needed is None else {**told, "required": needed}


def _full(properties: Schema) -> Schema:
    """An answer of ours: every property is there; later versions may add some."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def _body(kind: str, schema: Schema) -> Schema:
    return {"description": "As asked for", "content": {kind: {"schema": schema}}}


def _json(schema: Schema) -> Schema:
    return _body("application/json", schema)


def _error() -> Schema:
    return {
        "description": "Not done; the message says why",
        "content": {"application/json": {"schema": _ref("Error")}},
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
    told = _operation(summary, _json(_ref(name)), fails=(400, *fails))
    told["responses"]["304"] = {"description": "Not changed since the ETag sent along"}
    return told


def _file(summary: str, kind: str, schema: Schema) -> Schema:
    told = _operation(summary, _body(kind, schema), fails=(401, 403, 404))
    told["responses"]["304"] = {"description": "Not changed since the ETag sent along"}
    return told


def _health(summary: str) -> Schema:
    told = _operation(summary, _json(_ref("Verdict")), fails=())
    told["responses"]["503"] = {**_json(_ref("Verdict")), "description": "Not so; the reasons"}
    return told


def _asked(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "schema": schema}


def _in_path(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _with_job(operations: Schema, *more: Schema) -> Schema:
    job = _in_path("job", {"type": "integer", "minimum": 1, "maximum": MAX_ID})
    return {"parameters": [job, *more], **operations}


# What the answers hold


def _schemas() -> Schema:
    counts = _full({state.value: WHOLE for state in JobState})
    slot = {
        "finished": WHOLE,
        "failed": WHOLE,
        "mean_seconds": MAYBE_NUMBER,
        "longest_seconds": MAYBE_NUMBER,
    }
    return {
        "Error": _full({"error": _full({"code": TEXT, "message": TEXT})}),
        "Verdict": _full({"status": TEXT, "reasons": TEXTS}),
        "State": {"type": "string", "enum": [state.value for state in ApplianceState]},
        "Session": _full({"token_set": YES_NO, "trusted": YES_NO}),
        "Status": _full(_status(counts)),
        "Job": _full(_job()),
        "JobWithResult": _full({**_job(), "result": {"type": ["object", "null"]}}),
        "Jobs": _full({"jobs": _list("Job"), "next_before": MAYBE_WHOLE}),
        "Recent": _full({"results": _list("Job"), "attention": _list("Job")}),
        "History": _full({"seconds": NUMBER, "slots": {"type": "array", "items": _full(slot)}}),
        "Upload": _full(
            {
                "id": TEXT,
                "name": TEXT,
                "size": WHOLE,
                "received": WHOLE,
                "part_bytes": WHOLE,
                "file": MAYBE_TEXT,
            }
        ),
    }


def _list(name: str) -> Schema:
    return {"type": "array", "items": _ref(name)}


def _status(counts: Schema) -> Schema:
    queue = {
        "counts": counts,
        "oldest_pending_seconds": MAYBE_NUMBER,
        "eta_seconds": MAYBE_NUMBER,
    }
    rates = dict.fromkeys(("last_minute", "last_10_minutes", "last_hour"), MAYBE_NUMBER)
    folder = {
        "path": TEXT,
        "recipe": TEXT,
        "watch": TEXT,
        "free_bytes": MAYBE_WHOLE,
        "problem": MAYBE_TEXT,
    }
    return {
        "state": _ref("State"),
        "reasons": TEXTS,
        "ready": YES_NO,
        "not_ready": TEXTS,
        "version": TEXT,
        "started_at": MOMENT,
        "uptime_seconds": NUMBER,
        "plan": {"type": ["object", "null"]},
        "device": {"type": "object"},
        "vitals": {"type": "object"},
        "execution": {"type": ["object", "null"]},
        "queue": _full(queue),
        "rates": _full(rates),
        "cache": _full(
            {
                "hits": WHOLE,
                "misses": WHOLE,
                "saved_seconds": MAYBE_NUMBER,
                "entries": WHOLE,
                "memory_bytes": WHOLE,
                "disk_bytes": WHOLE,
                "evictions": WHOLE,
                "problem": MAYBE_TEXT,
            }
        ),
        "folders": {"type": "array", "items": _full(folder)},
        "engine": _full(
            {"pid": MAYBE_WHOLE, "restarts": WHOLE, "last_progress_seconds": MAYBE_NUMBER}
        ),
        "finished": counts,
        "preparing": {"type": ["object", "null"]},
        "adaptation": {"type": "object"},
        "models": TEXTS,
        "recipes": {"type": "array", "items": {"type": "object"}},
        "plates": {
            "type": "array",
            "items": _full({"camera": TEXT, "photos": WHOLE, "since": MOMENT, "updated": MOMENT}),
        },
        "max_file_bytes": WHOLE,
        "state_free_bytes": MAYBE_WHOLE,
    }


def _job() -> Schema:
    output = {"file": TEXT, "kind": TEXT, "format": TEXT, "sha256": TEXT}
    return {
        "id": WHOLE,
        "folder": TEXT,
        "source": TEXT,
        "size": WHOLE,
        "recipe": TEXT,
        "state": STATES,
        "attempts": WHOLE,
        "alone": YES_NO,
        "stem": TEXT,
        "original": _full({"place": TEXT, "path": TEXT}),
        "model": MAYBE_TEXT,
        "parameters": {"type": ["object", "null"]},
        "code": MAYBE_TEXT,
        "message": MAYBE_TEXT,
        "sha256": MAYBE_TEXT,
        "outputs": {"type": "array", "items": _full(output)},
        "created_at": MOMENT,
        "updated_at": MOMENT,
        "finished_at": MAYBE_MOMENT,
        "seconds": MAYBE_NUMBER,
        "preview": MAYBE_TEXT,
    }
