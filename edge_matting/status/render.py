"""Values into JSON that every parser takes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from edge_matting.core.clock import iso_utc
from edge_matting.core.jobs import Job, Result
from edge_matting.core.reasons import WORDS, Reason
from edge_matting.core.states import JobState
from edge_matting.status.interfaces import StatusSnapshot


def display(text: str) -> str:
    r"""``text`` as valid Unicode: an undecodable byte of a file name shows as ``\xff``.

    Lone surrogates cannot be encoded in UTF-8 and are no valid JSON for strict parsers. The
    name need not be found by this text: the API names jobs by number only.
    """
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        raw = text.encode("utf-8", "backslashreplace")
    return raw.decode("utf-8", "backslashreplace")


def plain(value: Any) -> Any:
    """Frozen values as plain JSON values; a number that is none becomes null."""
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        body = {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        told = {f"{name}_coded": coded(getattr(value, name)) for name in _reasons(type(value))}
        return body | told
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return display(str(value)) if isinstance(value, (str, Path)) else value


@cache
def _reasons(kind: type) -> tuple[str, ...]:
    """The fields of a dataclass that hold reasons; an answer has ``NAME_coded`` beside them."""
    return tuple(field.name for field in fields(kind) if "Reason" in str(field.type))


def coded(value: Any) -> Any:
    """Reasons by code and values, for clients that word them in their own language."""
    if isinstance(value, (list, tuple)):
        return [coded(item) for item in value]
    return None if value is None else plain(Reason.of(value).coded())


def dump(value: Any) -> bytes:
    """ASCII JSON, one line."""
    return json.dumps(plain(value), allow_nan=False, separators=(",", ":")).encode() + b"\n"


def status_json(snapshot: StatusSnapshot, not_ready: tuple[Reason, ...]) -> dict[str, Any]:
    """The answer of ``/api/v1/status``."""
    body: dict[str, Any] = plain(snapshot)
    body["device"] = body.pop("profile")
    body["started_at"] = iso_utc(snapshot.started_at)
    for plate in body["plates"]:
        plate["since"], plate["updated"] = iso_utc(plate["since"]), iso_utc(plate["updated"])
    body["queue"]["counts"] = every_state(snapshot.queue.counts)
    body["finished"] = every_state(snapshot.finished)
    body["ready"] = not not_ready
    body["not_ready"] = plain(not_ready)
    body["not_ready_coded"] = coded(not_ready)
    return body


def every_state(counts: Mapping[JobState, int]) -> dict[str, int]:
    """A count for each state, also for those that no job is in."""
    return {state.value: counts.get(state, 0) for state in JobState}


def job_json(job: Job, *, thumbnail: str | None) -> dict[str, Any]:
    """A job as the API tells it; ``thumbnail`` is the address of its small picture."""
    body: dict[str, Any] = plain(job)
    body["size"] = body.pop("signature")["size"]
    for moment in ("created_at", "updated_at", "finished_at"):
        body[moment] = None if body[moment] is None else iso_utc(body[moment])
    body["parameters"] = None if job.parameters is None else json.loads(job.parameters)
    body["preview"] = thumbnail
    reasons = reasons_of(job)
    body["reasons"], body["reasons_coded"] = plain(reasons), coded(reasons)
    return body


def reasons_of(job: Job) -> tuple[Reason, ...]:
    """Why the job failed, waits or is doubted, and what to do, worded by its codes."""
    if job.code is None or job.state is JobState.SUCCEEDED:
        return ()
    codes = [job.code]
    if job.state is JobState.REVIEW:  # the gate's reasons, the first of which is the job's code
        codes = (job.message or job.code).split(", ")
    known = [code for code in codes if code in WORDS]
    if not known:
        return (Reason.of(job.message or job.code),)
    hints = [f"hint_{code}" for code in known if f"hint_{code}" in WORDS]
    return tuple(map(Reason, [*known, *hints]))


def result_json(result: Result) -> dict[str, Any]:
    """A job's result, worded as in its sidecar."""
    body: dict[str, Any] = plain(result)
    body["model"] = {"id": body.pop("model_id"), "sha256": body.pop("model_sha256")}
    return body


def quiet(status: dict[str, Any]) -> dict[str, Any]:
    """The status without what changes although nothing happens, to make its ETag from.

    Readings that flicker are rounded to what a person would call a change.
    """
    steady = {
        key: _coarse(key, value) if isinstance(value, (int, float)) else value
        for key, value in status.items()
        if key != "uptime_seconds"
    }
    steady["engine"] = {**status["engine"], "last_progress_seconds": None}
    steady["vitals"] = {
        key: _coarse(key, value)
        for key, value in status["vitals"].items()
        if not key.startswith("taken_")
    }
    steady["folders"] = [
        {**folder, "free_bytes": _coarse("free_bytes", folder["free_bytes"])}
        for folder in status["folders"]
    ]
    return steady


STEPS = {"bytes": 100 * 2**20, "percent": 5, "celsius": 2, "milliwatts": 2000, "hz": 10**8}
"""What a person would call a change, by the unit that a reading's name ends in."""


def _coarse(key: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_coarse(key, item) for item in value]
    if isinstance(value, dict):
        return {name: _coarse(name, item) for name, item in value.items()}
    step = STEPS.get(key.rpartition("_")[2])
    if step is None or isinstance(value, (bool, str)) or value is None:
        return value
    return round(value / step) * step
