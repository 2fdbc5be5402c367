"""A reviewed result that a person found good, moved from ``review/`` to ``out/``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge_matting.core.clock import iso_utc
from edge_matting.core.jobs import Output
from edge_matting.publish.results import (
    copy_result,
    remove_result,
    renamed_outputs,
    result_intact,
)
from edge_matting.publish.sidecar import as_json, read_sidecar, sidecar_name


def accept_result(
    review: Path, out: Path, stem: str, outputs: tuple[Output, ...], accepted_at: float
) -> tuple[Output, ...] | None:
    """Move the result; None where ``review/`` no longer holds it complete.

    Published in ``out/`` first, removed from ``review/`` then, so it is always whole in one of
    the two; called again after a crash it finishes. The sidecar's verdict becomes ``ok``, its
    reasons stay. Raises ``DiskFull``, ``FolderUnavailable``.
    """
    description = _described(review / sidecar_name(stem))
    if description is None:
        return _finish(review, out, stem, outputs)

    accepted = renamed_outputs(stem, outputs)
    sidecar = _accepted(description, accepted, accepted_at)
    if not copy_result(review, outputs, out, stem, sidecar):
        return None
    remove_result(review, stem, outputs)
    return accepted


def _finish(
    review: Path, out: Path, stem: str, outputs: tuple[Output, ...]
) -> tuple[Output, ...] | None:
    """The rest of an acceptance whose review sidecar is gone already."""
    description = _described(out / sidecar_name(stem))
    if description is None or not result_intact(out, outputs):
        return None
    remove_result(review, stem, outputs)
    return outputs


def _described(path: Path) -> dict[str, Any] | None:
    """The content of a sidecar of ours, which has a verdict."""
    content = read_sidecar(path)
    return content if content and isinstance(content.get("quality"), dict) else None


def _accepted(description: dict[str, Any], outputs: Sequence[Output], accepted_at: float) -> bytes:
    quality = {**description["quality"], "verdict": "ok"}
    files = [asdict(output) for output in outputs]
    changed = {"outputs": files, "quality": quality, "accepted_at": iso_utc(accepted_at)}
    return as_json({**description, **changed})
