"""What the answers hold, as JSON schemas that pydantic makes of the very values that are sent.

``render.py`` sends a value's fields, and beside each reason its code and values; a few fields it
words in another way, which are named here.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import TypeAdapter

from edge_matting.core.jobs import Job, TimeBucket
from edge_matting.core.states import JobState
from edge_matting.status.interfaces import StatusSnapshot, UploadReport

Schema = dict[str, Any]

REF: Final = "#/components/schemas/"
TEXT: Final[Schema] = {"type": "string"}
MAYBE_TEXT: Final[Schema] = {"type": ["string", "null"]}
NUMBER: Final[Schema] = {"type": "number"}
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
ALL_CODED: Final[Schema] = {"type": "array", "items": CODED}
STATES: Final[Schema] = {"type": "string", "enum": [state.value for state in JobState]}
BINARY: Final[Schema] = {"type": "string", "format": "binary"}


def schemas() -> dict[str, Schema]:
    """The components of the document, by name."""
    found: dict[str, Schema] = {}
    for name, kind in (
        ("Status", StatusSnapshot),
        ("Job", Job),
        ("Upload", UploadReport),
        ("TimeBucket", TimeBucket),
    ):
        made = TypeAdapter(kind).json_schema(mode="serialization", ref_template=REF + "{model}")
        parts = made.pop("$defs", {})
        found |= {part: _as_sent(schema) for part, schema in (parts | {name: made}).items()}
    _word_status(found)
    _word_job(found)
    return found | {
        "Error": full({"error": full({"code": TEXT, "message": TEXT})}),
        "Verdict": full({"status": TEXT, "reasons": TEXTS, "reasons_coded": ALL_CODED}),
        "Session": full({"token_set": YES_NO, "trusted": YES_NO}),
        "JobWithResult": full(
            {**found["Job"]["properties"], "result": {"type": ["object", "null"]}}
        ),
        "Jobs": full({"jobs": list_of("Job"), "next_before": MAYBE_WHOLE}),
        "Recent": full({"results": list_of("Job"), "attention": list_of("Job")}),
        "History": full({"seconds": NUMBER, "slots": list_of("TimeBucket")}),
    }


def full(properties: Schema) -> Schema:
    """An answer of ours: every property is there; later versions may add some."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def reference(name: str) -> Schema:
    return {"$ref": REF + name}


def list_of(name: str) -> Schema:
    return {"type": "array", "items": reference(name)}


def _word_status(found: dict[str, Schema]) -> None:
    counts = full({state.value: WHOLE for state in JobState})
    found["QueueReport"]["properties"]["counts"] = counts
    found["PlateNote"]["properties"] |= {"since": MOMENT, "updated": MOMENT}
    fields = found["Status"]["properties"]
    fields["device"] = fields.pop("profile")
    fields |= {"started_at": MOMENT, "finished": counts}
    fields |= {"ready": YES_NO, "not_ready": TEXTS, "not_ready_coded": ALL_CODED}
    found["Status"] = full(fields)


def _word_job(found: dict[str, Schema]) -> None:
    fields = found["Job"]["properties"]
    fields["size"] = found["Signature"]["properties"]["size"]
    del fields["signature"], found["Signature"]
    fields |= {"created_at": MOMENT, "updated_at": MOMENT, "finished_at": MAYBE_MOMENT}
    fields |= {"parameters": {"type": ["object", "null"]}, "preview": MAYBE_TEXT}
    fields |= {"reasons": TEXTS, "reasons_coded": ALL_CODED}
    found["Job"] = full(fields)
    # Digests are for the trusted.
    found["Output"]["properties"]["sha256"] = MAYBE_TEXT


def _as_sent(schema: Schema) -> Schema:
    """An object with every field there, and the codes of its reasons."""
    if "properties" not in schema:
        return schema
    fields = {name: _without_title(field) for name, field in schema["properties"].items()}
    coded = {f"{name}_coded": _coded(field) for name, field in fields.items()}
    sent = fields | {name: field for name, field in coded.items() if field is not None}
    return {**full(sent), "description": schema.get("description", "")}


def _without_title(field: Schema) -> Schema:
    return {key: value for key, value in field.items() if key not in {"title", "default"}}


def _coded(field: Schema) -> Schema | None:
    """What stands beside a field of reasons; None beside any other."""
    if field.get("format") == "reason":
        return CODED
    if "items" in field:
        return ALL_CODED if _coded(field["items"]) else None
    if any(_coded(choice) for choice in field.get("anyOf", ())):
        return {"oneOf": [CODED, {"type": "null"}]}
    return None
