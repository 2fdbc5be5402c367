"""``NAME.error.json`` beside a photo in ``failed/``: why it lies there."""

from __future__ import annotations

from typing import Final

from edge_matting.core.anchored import AnchoredFolder
from edge_matting.core.clock import iso_utc
from edge_matting.core.errors import JobError
from edge_matting.core.jobs import Job
from edge_matting.core.naming import fit
from edge_matting.publish.sidecar import MAX_BYTES, as_json, read_json

REPORT_SUFFIX: Final = ".error.json"


def build_report(job: Job, failed_at: float, version: str, hint: str | None = None) -> bytes:
    """``NAME.error.json``: why a photo lies in ``failed/``; times in seconds since the epoch."""
    return as_json(
        {
            "source": job.source,
            "code": job.code,
            "message": job.message,
            "hint": _hint(job.code) if hint is None else hint,
            "attempts": job.attempts,
            "failed_at": iso_utc(failed_at),
            "first_seen": iso_utc(job.created_at),
            "version": version,
        }
    )


def report_may_lie_at(root: AnchoredFolder, original: str, job: Job, report: bytes) -> bool:
    """Whether the report's name beside ``original`` is free, or has a report of the job."""
    name = _report_name(original)
    if root.status(name) is None or _is_report(root, name, job):
        return True
    return root.read(name, MAX_BYTES) == report  # put there by a call that was cut short


def write_report(root: AnchoredFolder, original: str, job: Job, report: bytes) -> None:
    """Put the report beside the original, unless somebody else's file lies there."""
    if report_may_lie_at(root, original, job, report):
        root.write(_report_name(original), report, replace=True)


def remove_report(root: AnchoredFolder, original: str, job: Job) -> None:
    """Remove the report beside an original that lies, or lay, in ``failed/``."""
    name = _report_name(original)
    if _is_report(root, name, job):
        root.remove(name)


def _is_report(root: AnchoredFolder, name: str, job: Job) -> bool:
    content = read_json(root, name)
    return content is not None and content.get("source") == job.source and "code" in content


def _report_name(original: str) -> str:
    folder, slash, name = original.rpartition("/")
    return folder + slash + fit(name, REPORT_SUFFIX)


def _hint(code: str | None) -> str:
    """The default hint of the error class with this code."""
    classes: list[type[JobError]] = [JobError]
    for kind in classes:
        classes += kind.__subclasses__()
    return next((kind.default_hint for kind in classes if kind.code == code), "")
