"""``STEM.json``: what was done to a photo; it is written last, so it means complete."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from edge_matting.core.anchored import AnchoredFolder
from edge_matting.core.beneath import components
from edge_matting.core.clock import iso_utc
from edge_matting.core.jobs import Job, Output, Result

MAX_BYTES: Final = 4 << 20
"""Ours are of a few thousand bytes; what is larger is not one."""


def sidecar_name(stem: str) -> str:
    """The sidecar of a result, relative to the folder that holds the results."""
    return f"{stem}.json"


def published_stem(stem: str, outputs: Sequence[Output]) -> str:
    """The stem that the outputs were published under, a numbered one where ``stem`` was taken."""
    if not outputs:
        return stem
    return outputs[0].file.removesuffix(f".{outputs[0].format}")


def read_sidecar(root: AnchoredFolder, stem: str) -> dict[str, Any] | None:
    """The sidecar's content; None where there is none, or something that is none of ours.

    Raises a ``TemporaryError`` when it cannot be looked at.
    """
    content = read_json(root, sidecar_name(stem))
    return content if content is not None and isinstance(content.get("outputs"), list) else None


def read_json(root: AnchoredFolder, relative: str) -> dict[str, Any] | None:
    """The object in a small JSON file below ``root``, which anybody may have written."""
    data = root.read(relative, MAX_BYTES)
    if data is None:
        return None
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):  # no JSON, or nested without end
        return None
    return content if isinstance(content, dict) else None


def sidecar_outputs(content: Mapping[str, Any]) -> tuple[Output, ...]:
    """The outputs that a sidecar lists; empty where it is not one of ours."""
    try:
        outputs = tuple(
            Output(*(str(item[key]) for key in ("file", "kind", "format", "sha256")))
            for item in content["outputs"]
        )
        for output in outputs:
            components(output.file)  # raises where it leads out of the folder
    except (KeyError, TypeError, ValueError):
        return ()
    return outputs


def describe_result(job: Job, result: Result, finished_at: float, version: str) -> dict[str, Any]:
    """The sidecar's content but for the outputs, which get their names as they are published.

    ``finished_at`` is in seconds since the epoch.
    """
    return {
        "job": job.id,
        "source": job.source,
        "source_sha256": result.sha256,
        "source_size": result.source_size,
        "outputs": [],
        "recipe": job.recipe,
        "parameters": None if job.parameters is None else json.loads(job.parameters),
        "recipe_key": result.recipe_key,
        "model": {"id": result.model_id, "sha256": result.model_sha256},
        "execution": asdict(result.execution),
        "cache": result.cache,
        "cache_evidence": dict(result.cache_evidence),
        "quality": asdict(result.quality),
        "ground": None if result.ground is None else asdict(result.ground),
        "notes": list(result.notes),
        "seconds": dict(result.seconds),
        "attempts": job.attempts,
        "finished_at": iso_utc(finished_at),
        "version": version,
    }


def sidecar_of(description: Mapping[str, Any], outputs: Sequence[Output]) -> bytes:
    """The sidecar of a described result whose outputs are these."""
    return as_json({**description, "outputs": [asdict(output) for output in outputs]})


def as_json(content: Mapping[str, Any]) -> bytes:
    """JSON in ASCII: names with undecodable bytes survive as escapes. NaN is refused."""
    return (json.dumps(content, indent=1, ensure_ascii=True, allow_nan=False) + "\n").encode()
