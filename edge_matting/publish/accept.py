"""A reviewed result that a person found good, moved from ``review/`` to ``out/``."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from edge_matting.core.anchored import AnchoredFolder
from edge_matting.core.clock import iso_utc
from edge_matting.core.jobs import Output
from edge_matting.core.naming import numbered_stem
from edge_matting.publish.publication import digest_of
from edge_matting.publish.results import copy_result, remove_result, result_intact
from edge_matting.publish.sidecar import (
    published_stem,
    read_sidecar,
    sidecar_name,
    sidecar_outputs,
)

_LOOKED_AT: Final = 100
"""So many numbered names are looked at for an acceptance that died."""


def accept_result(
    review: AnchoredFolder,
    out: AnchoredFolder,
    stem: str,
    outputs: tuple[Output, ...],
    accepted_at: float,
    *,
    job_id: int | None = None,
    earlier: Sequence[Output] = (),
) -> tuple[Output, ...] | None:
    """Move the result; None where ``review/`` no longer holds all its files.

    Published in ``out/`` first, removed from ``review/`` then, so it is always whole in one of
    the two; called again after a crash it finishes. The sidecar's verdict becomes ``ok``, its
    reasons stay. A file that was retouched in ``review/`` is accepted as it is now, and the
    sidecar says so. ``earlier`` is what the photo's last good result left in ``out/``. Raises
    ``DiskFull``, ``FolderUnavailable`` and other ``TemporaryError``.
    """
    description = read_sidecar(review, published_stem(stem, outputs))
    if description is None or not isinstance(description.get("quality"), dict):
        return _finish(review, out, stem, outputs, job_id)
    found = _as_they_are(review, outputs)
    if found is None:
        return None

    source = description.get("source")
    description = _accepted(description, accepted_at, edited=found != outputs)
    accepted = copy_result(
        review,
        found,
        out,
        stem,
        description,
        earlier=earlier,
        is_ours=lambda content: content.get("source") == source,
    )
    if accepted is not None:
        review.remove(sidecar_name(published_stem(stem, outputs)))
        remove_result(review, stem, found)
    return accepted


def _as_they_are(review: AnchoredFolder, outputs: tuple[Output, ...]) -> tuple[Output, ...] | None:
    """The outputs with the digests that the files have now; None where one is missing."""
    digests = [digest_of(review, output.file) for output in outputs]
    found = tuple(
        replace(output, sha256=digest)
        for output, digest in zip(outputs, digests, strict=True)
        if digest is not None
    )
    return found if found and len(found) == len(outputs) else None


def _finish(
    review: AnchoredFolder,
    out: AnchoredFolder,
    stem: str,
    outputs: tuple[Output, ...],
    job_id: int | None,
) -> tuple[Output, ...] | None:
    """The rest of an acceptance whose review sidecar is gone already."""
    folder, name = posixpath.split(stem)
    for number in range(1, _LOOKED_AT):
        candidate = posixpath.join(folder, numbered_stem(name, number))
        if out.status(sidecar_name(candidate)) is None:
            return None
        accepted = _accepted_before(out, candidate, outputs, job_id)
        if accepted is not None:
            in_review = [
                replace(output, sha256=one.sha256)
                for output, one in zip(outputs, accepted, strict=True)
            ]
            remove_result(review, stem, in_review)
            return accepted
    return None


def _accepted_before(
    out: AnchoredFolder, stem: str, outputs: tuple[Output, ...], job_id: int | None
) -> tuple[Output, ...] | None:
    content = read_sidecar(out, stem)
    listed = () if content is None else sidecar_outputs(content)
    if content is None or len(listed) != len(outputs) or not result_intact(out, listed):
        return None
    same = [output.sha256 for output in listed] == [output.sha256 for output in outputs]
    ours = "accepted_at" in content and job_id is not None and content.get("job") == job_id
    return listed if same or ours else None


def _accepted(description: dict[str, Any], accepted_at: float, *, edited: bool) -> dict[str, Any]:
    quality = {**description["quality"], "verdict": "ok"}
    accepted = {**description, "quality": quality, "accepted_at": iso_utc(accepted_at)}
    return {**accepted, "edited": True} if edited else accepted
