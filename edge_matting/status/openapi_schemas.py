"""What the answers of the interface hold, as OpenAPI schemas."""

from __future__ import annotations

from typing import Any, Final

from edge_matting.core.states import JobState
from edge_matting.status.interfaces import ApplianceState

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
CODED: Final[Schema] = {
    "type": "object",
    "description": "A reason by its code and values, beside its English sentence",
    "properties": {"code": TEXT, "values": {"type": "object"}},
    "required": ["code", "values"],
}
MAYBE_CODED: Final[Schema] = {"oneOf": [CODED, {"type": "null"}]}
ALL_CODED: Final[Schema] = {"type": "array", "items": CODED}
STATES: Final[Schema] = {"type": "string", "enum": [state.value for state in JobState]}
BINARY: Final[Schema] = {"type": "string", "format": "binary"}


def reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def full(properties: Schema) -> Schema:
    """An answer of ours: every property is there; later versions may add some."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def schemas() -> Schema:
    """Every schema by its name."""
    counts = full({state.value: WHOLE for state in JobState})
    slot = {
        "finished": WHOLE,
        "failed": WHOLE,
        "mean_seconds": MAYBE_NUMBER,
        "longest_seconds": MAYBE_NUMBER,
    }
    return {
        "Error": full({"error": full({"code": TEXT, "message": TEXT})}),
        "Verdict": full({"status": TEXT, "reasons": TEXTS, "reasons_coded": ALL_CODED}),
        "State": {"type": "string", "enum": [state.value for state in ApplianceState]},
        "Session": full({"token_set": YES_NO, "trusted": YES_NO}),
        "Status": full(_status(counts)),
        "Job": full(_job()),
        "JobWithResult": full({**_job(), "result": {"type": ["object", "null"]}}),
        "Jobs": full({"jobs": _list("Job"), "next_before": MAYBE_WHOLE}),
        "Recent": full({"results": _list("Job"), "attention": _list("Job")}),
        "History": full({"seconds": NUMBER, "slots": {"type": "array", "items": full(slot)}}),
        "Upload": full(
            {
                "id": TEXT,
                "name": TEXT,
                "size": WHOLE,
                "received": WHOLE,
                "part_bytes": WHOLE,
                "file": MAYBE_TEXT,
                "job": MAYBE_WHOLE,
            }
        ),
    }


def _list(name: str) -> Schema:
    return {"type": "array", "items": reference(name)}


def _status(counts: Schema) -> Schema:
    queue = {
        "counts": counts,
        "arriving": WHOLE,
        "oldest_pending_seconds": MAYBE_NUMBER,
        "eta_seconds": MAYBE_NUMBER,
    }
    rates = dict.fromkeys(("last_minute", "last_10_minutes", "last_hour"), MAYBE_NUMBER)
    folder = {
        "path": TEXT,
        "recipe": TEXT,
        "watch": TEXT,
        "watch_coded": CODED,
        "free_bytes": MAYBE_WHOLE,
        "problem": MAYBE_TEXT,
        "problem_coded": MAYBE_CODED,
    }
    return {
        "state": reference("State"),
        "by_itself": TEXT,
        "by_itself_coded": CODED,
        "to_do": TEXT,
        "to_do_coded": CODED,
        "paused": YES_NO,
        "reasons": TEXTS,
        "reasons_coded": ALL_CODED,
        "ready": YES_NO,
        "not_ready": TEXTS,
        "not_ready_coded": ALL_CODED,
        "version": TEXT,
        "started_at": MOMENT,
        "uptime_seconds": NUMBER,
        "plan": {"type": ["object", "null"]},
        "device": {"type": "object"},
        "vitals": {"type": "object"},
        "execution": {"type": ["object", "null"]},
        "queue": full(queue),
        "rates": full(rates),
        "cache": full(
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
        "folders": {"type": "array", "items": full(folder)},
        "engine": full(
            {"pid": MAYBE_WHOLE, "restarts": WHOLE, "last_progress_seconds": MAYBE_NUMBER}
        ),
        "finished": counts,
        "preparing": {"type": ["object", "null"]},
        "adaptation": {"type": "object"},
        "models": TEXTS,
        "recipes": {"type": "array", "items": {"type": "object"}},
        "plates": {
            "type": "array",
            "items": full({"camera": TEXT, "photos": WHOLE, "since": MOMENT, "updated": MOMENT}),
        },
        "max_file_bytes": WHOLE,
        "state_free_bytes": MAYBE_WHOLE,
    }


def _job() -> Schema:
    output = {"file": TEXT, "kind": TEXT, "format": TEXT, "sha256": MAYBE_TEXT}
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
        "original": full({"place": TEXT, "path": TEXT}),
        "model": MAYBE_TEXT,
        "parameters": {"type": ["object", "null"]},
        "code": MAYBE_TEXT,
        "message": MAYBE_TEXT,
        "sha256": MAYBE_TEXT,
        "outputs": {"type": "array", "items": full(output)},
        "created_at": MOMENT,
        "updated_at": MOMENT,
        "finished_at": MAYBE_MOMENT,
        "seconds": MAYBE_NUMBER,
        "preview": MAYBE_TEXT,
        "reasons": TEXTS,
        "reasons_coded": ALL_CODED,
    }
