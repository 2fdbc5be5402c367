"""Photos in and results out over HTTP: uploads, single files, sidecars, ZIP archives.

No path comes from the client: results are named by job and number, uploads by an id of ours.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from http import HTTPStatus
from itertools import chain
from typing import Any, Final

from flask import Blueprint, Response, request

from edge_matting.core.anchored import AnchoredFile, AnchoredFolder
from edge_matting.core.errors import TemporaryError
from edge_matting.core.jobs import Job
from edge_matting.core.reasons import Reason
from edge_matting.core.states import JobState
from edge_matting.publish import published_stem, sidecar_name
from edge_matting.status.archive import ArchiveEntry, archive_name, zip_stream
from edge_matting.status.interfaces import PART_BYTES, ActionRefused, ApplianceInterface, JobReader
from edge_matting.status.render import plain
from edge_matting.status.request_validation import (
    JOB,
    MAX_ID,
    bad_request,
    body_object,
    fresh_json,
    number,
    only,
)
from edge_matting.status.security import Guard
from edge_matting.status.wsgi_bridge import SMALL_BYTES

DOWNLOADS_AT_ONCE: Final = 6
"""Large files and archives together: a slow receiver holds one of the server's twelve threads, and
the page needs the others."""

RETRY_SECONDS: Final = 5

MAX_SELECTED: Final = 500
DAY_SECONDS: Final = 24 * 3600.0
WITH_RESULT: Final = frozenset({JobState.SUCCEEDED, JobState.REVIEW})
FORMATS: Final = {"png": "image/png", "webp": "image/webp", "jpg": "image/jpeg"}


class Transfer:
    """The answers behind the routes; each method is one route."""

    def __init__(self, appliance: ApplianceInterface, jobs: JobReader, guard: Guard) -> None:
        self._appliance = appliance
        self._jobs = jobs
        self._guard = guard
        self._downloads = threading.BoundedSemaphore(DOWNLOADS_AT_ONCE)

    def blueprint(self) -> Blueprint:
        api = Blueprint("transfer", __name__, url_prefix="/api/v1")
        api.post("/uploads")(self.begin)
        api.put("/uploads/<upload_id>")(self.add)
        api.delete("/uploads/<upload_id>")(self.cancel)
        api.get(f"{JOB}/files/<int(max=99):position>")(self.file)
        api.get(f"{JOB}/sidecar")(self.sidecar)
        api.get("/results.zip")(self.archive)
        return api

    # -- in ---------------------------------------------------------------------------

    def begin(self) -> Response:
        self._guard.check_action(request)
        given = body_object({"name", "size", "recipe", "folder", "parameters"})
        name, recipe = given.get("name"), given.get("recipe")
        if not (isinstance(name, str) and (recipe is None or isinstance(recipe, str))):
            raise bad_request("name and recipe: expected text")
        parameters = given.get("parameters") or {}
        if not isinstance(parameters, dict):
            raise bad_request("parameters: expected keys with values")
        size, folder = _whole("size", given.get("size")), _whole("folder", given.get("folder", 0))
        report = self._appliance.begin_upload(name, size, recipe, folder, parameters)
        answer = fresh_json(plain(report))
        answer.status_code = HTTPStatus.CREATED
        return answer

    def add(self, upload_id: str) -> Response:
        self._guard.check_action(request)
        only({"offset"}, set(request.args))
        offset = number("offset", request.args.get("offset", "0"), least=0, most=MAX_ID)
        request.max_content_length = PART_BYTES
        data = request.get_data(cache=False)
        return fresh_json(plain(self._appliance.add_to_upload(upload_id, offset or 0, data)))

    def cancel(self, upload_id: str) -> Response:
        self._guard.check_action(request)
        self._appliance.cancel_upload(upload_id)
        return fresh_json({"cancelled": True})

    # -- out --------------------------------------------------------------------------

    def file(self, job_id: int, position: int) -> Response:
        """One output of a job, by its position in the job's ``outputs``."""
        self._check_reader()
        job, folder = self._with_result(job_id)
        if position >= len(job.outputs):
            raise _missing(f"job {job_id} has {len(job.outputs)} outputs")
        output = job.outputs[position]
        kind = FORMATS.get(output.format, "application/octet-stream")
        return self._sent(folder.file(output.file), kind)

    def sidecar(self, job_id: int) -> Response:
        self._check_reader()
        job, folder = self._with_result(job_id)
        name = sidecar_name(published_stem(job.stem, job.outputs))
        return self._sent(folder.file(name), "application/json")

    def archive(self) -> Response:
        """The outputs and sidecars of some jobs, or of all that succeeded on a day."""
        self._check_reader()
        only({"jobs", "day", "since", "until"}, set(request.args))
        listed, day = request.args.get("jobs"), request.args.get("day")
        if (listed is None) == (day is None):
            raise bad_request("name either jobs=1,2,3 or day=2026-01-31")
        ids = _ids(listed) if listed is not None else self._finished_on(_span(day or ""))
        name = f"edge-matting-{day or time.strftime('%Y-%m-%d')}.zip"
        self._take_slot()
        answer = Response(zip_stream(self._entries(ids)), mimetype="application/zip")
        answer.call_on_close(self._downloads.release)
        _as_download(answer, name)
        return answer

    def _sent(self, file: AnchoredFile, mimetype: str) -> Response:
        """A file below a folder of ours; no link is followed."""
        chunks = file.chunks()
        try:
            status = file.status()
            first = next(chunks, b"")
        except (OSError, TemporaryError) as error:
            raise _missing("the file is no longer there") from error
        size = 0 if status is None else status.st_size
        large = size > SMALL_BYTES
        if large:
            self._take_slot()
        answer = Response(chain([first], chunks), mimetype=mimetype)
        if large:
            answer.call_on_close(self._downloads.release)
        answer.content_length = size
        _as_download(answer, archive_name(file.relative).rpartition("/")[2])
        return answer

    def _take_slot(self) -> None:
        if not self._downloads.acquire(blocking=False):
            raise ActionRefused(
                "busy",
                Reason("downloads_busy", n=DOWNLOADS_AT_ONCE),
                HTTPStatus.SERVICE_UNAVAILABLE,
                retry_seconds=RETRY_SECONDS,
            )

    def _entries(self, ids: list[int]) -> Iterator[ArchiveEntry]:
        for job_id in ids:
            job = self._jobs.get(job_id)
            if job is None or job.state not in WITH_RESULT:
                continue
            folder = self._appliance.results_folder(job)
            if folder is not None:
                yield from _entries_of(job, folder)

    def _finished_on(self, span: tuple[float, float]) -> list[int]:
        """Ids only: a busy day has many jobs, and they are read while the archive is sent."""
        return [job_id for job_id, _ in self._jobs.finished(*span)]

    def _with_result(self, job_id: int) -> tuple[Job, AnchoredFolder]:
        job = self._jobs.get(job_id)
        if job is None:
            raise ActionRefused(
                "no_such_job", Reason("no_such_job", job=job_id), HTTPStatus.NOT_FOUND
            )
        folder = self._appliance.results_folder(job) if job.state in WITH_RESULT else None
        if folder is None:
            raise _missing(f"job {job_id} has no result now")
        return job, folder

    def _check_reader(self) -> None:
        """Photos are for the trusted, and no foreign page may set off a download."""
        self._guard.check_not_embedded(request)
        self._guard.check_trusted(request)


def _entries_of(job: Job, folder: AnchoredFolder) -> Iterator[ArchiveEntry]:
    # The job's number leads, for two hot folders may hold results of the same name.
    moment = job.finished_at or job.updated_at
    sidecar = sidecar_name(published_stem(job.stem, job.outputs))
    for file in (*(output.file for output in job.outputs), sidecar):
        yield ArchiveEntry(folder.file(file), f"{job.id}/{archive_name(file)}", moment)


def _as_download(answer: Response, name: str) -> None:
    answer.headers["Cache-Control"] = "private, no-cache"
    plain_name = "".join(c if (c.isascii() and c.isalnum()) or c in "._-" else "_" for c in name)
    answer.headers.set("Content-Disposition", "attachment", filename=plain_name)
    if plain_name != name:
        answer.headers["Content-Disposition"] += f"; filename*=UTF-8''{_percent(name)}"


def _percent(name: str) -> str:
    keep = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
    return "".join(chr(b) if b in keep else f"%{b:02X}" for b in name.encode())


def _ids(listed: str) -> list[int]:
    ids = [number("jobs", part, most=MAX_ID) or 0 for part in listed.split(",")]
    if len(ids) > MAX_SELECTED:
        raise bad_request(f"jobs: at most {MAX_SELECTED}")
    return list(dict.fromkeys(ids))


def _span(day: str) -> tuple[float, float]:
    """The day, or what of it ``since`` and ``until`` say: a browser may be in another time zone."""
    begin, end = _day(day)
    since, until = request.args.get("since"), request.args.get("until")
    if since is None and until is None:
        return begin, end
    span = _moment("since", since or ""), _moment("until", until or "")
    if not -DAY_SECONDS <= span[0] - begin <= DAY_SECONDS or span[1] - span[0] > 2 * DAY_SECONDS:
        raise bad_request("since and until: expected the bounds of that day in some time zone")
    return span


def _moment(name: str, text: str) -> float:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError, OSError):
        raise bad_request(f"{name}: expected a moment such as 2026-01-31T23:00:00Z") from None


def _day(text: str) -> tuple[float, float]:
    """A day of the appliance's own time zone, as moments since the epoch."""
    try:
        begin = datetime.strptime(text, "%Y-%m-%d").astimezone()
        end = (begin.replace(tzinfo=None) + timedelta(days=1)).astimezone()
        return begin.timestamp(), end.timestamp()
    except (ValueError, OverflowError, OSError):
        raise bad_request("day: expected a date such as 2026-01-31") from None


def _whole(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_ID:
        raise bad_request(f"{name}: expected a whole number from 0")
    return value


def _missing(message: str) -> ActionRefused:
    return ActionRefused("no_result", message, HTTPStatus.NOT_FOUND)
