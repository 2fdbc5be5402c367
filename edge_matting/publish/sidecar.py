"""``STEM.json``: what was done to a photo; it is written last, so it means complete."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from edge_matting.core.clock import iso_utc
from edge_matting.core.jobs import Job, Result


def sidecar_name(stem: str) -> str:
    """The sidecar of a result, relative to the folder that holds the results."""
    return f"{stem}.json"


def build_sidecar(job: Job, result: Result, finished_at: float, version: str) -> bytes:
    """The sidecar of ``result``, whose outputs are the published ones.

    ``finished_at`` is in seconds since the epoch.
    """
    return as_json(
        {
            "job": job.id,
            "source": job.source,
            "source_sha256": result.sha256,
            "source_size": result.source_size,
            "outputs": [asdict(output) for output in result.outputs],
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
    )


def as_json(content: Mapping[str, Any]) -> bytes:
    """JSON in ASCII: names with undecodable bytes survive as escapes. NaN is refused."""
    return (json.dumps(content, indent=1, ensure_ascii=True, allow_nan=False) + "\n").encode()
