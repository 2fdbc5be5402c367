"""Photos sent through the page: written part by part into ``in/``, then taken like any other.

Parts, because the web server holds each request's body in memory: what an upload costs does not
depend on the photo's size or on how many clients are slow. The daemon only copies bytes; whether
they are a picture is found out by the engine.
"""

from __future__ import annotations

import logging
import posixpath
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from edge_matting.config import HotFolder, Settings, adjusted, canonical
from edge_matting.core.anchored import MAX_SAME_NAME, AnchoredFolder
from edge_matting.core.clock import Clock
from edge_matting.core.errors import (
    ConfigError,
    FolderUnavailable,
    LedgerError,
    PathRefused,
)
from edge_matting.core.jobs import Signature, Source
from edge_matting.core.logs import shown
from edge_matting.core.naming import numbered
from edge_matting.core.reasons import Reason
from edge_matting.hotfolder.condition import folder_problem, free_bytes
from edge_matting.hotfolder.filesystems import has_stable_inodes
from edge_matting.hotfolder.ignore import is_ignored
from edge_matting.hotfolder.layout import recipe_for
from edge_matting.ledger import Ledger
from edge_matting.status.interfaces import PART_BYTES, ActionRefused, UploadReport

log = logging.getLogger(__name__)

MAX_OPEN: Final = 32
IDLE_SECONDS: Final = 60.0
"""An upload whose sender is silent for so long is given up and its file removed."""

MAX_NAME_BYTES: Final = 240  # of the file system's 255; the rest is for ~2 and the sidecar's ending


@dataclass(slots=True)
class _Upload:
    id: str
    name: str
    size: int
    folder: str  # relative to in/
    inbox: AnchoredFolder
    hot: HotFolder
    parameters: str | None
    touched: float
    temporary: str | None = None  # relative to in/
    received: int = 0
    file: str | None = None
    job: int | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def staged(self) -> str:
        """Where the parts are written; every upload that can be found has such a file."""
        assert self.temporary is not None
        return self.temporary

    def report(self) -> UploadReport:
        return UploadReport(
            self.id, self.name, self.size, self.received, PART_BYTES, self.file, self.job
        )


class Uploads:
    """Open uploads under one set of settings. Raises ``ActionRefused`` with what to do instead,
    ``DiskFull`` and ``FolderUnavailable``."""

    def __init__(
        self, settings: Settings, ledger: Ledger, clock: Clock, wake: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._clock = clock
        self._wake = wake
        self._open: dict[str, _Upload] = {}
        self._lock = threading.Lock()

    def begin(
        self,
        name: str,
        size: int,
        recipe: str | None,
        folder: int,
        parameters: Mapping[str, Any] | None = None,
    ) -> UploadReport:
        """Reserve a place; ``folder`` counts the hot folders from 0, ``recipe`` None is its own."""
        hot = self._folder(folder)
        _check_name(name)
        self._check_size(size, hot)
        target = self._target(hot, recipe)
        text = self._checked(recipe or hot.recipe, parameters)
        inbox = hot.door(hot.inbox)
        if inbox.make_folders(target) != target:
            raise _bad(f"recipe: something else than a folder is called {target} in {hot.inbox}")
        upload = _Upload(
            id=secrets.token_hex(16),
            name=name,
            size=size,
            folder=target,
            inbox=inbox,
            hot=hot,
            parameters=text,
            touched=self._clock.monotonic(),
        )
        with self._lock:
            if len(self._open) >= MAX_OPEN:
                raise ActionRefused(
                    "busy", Reason("uploads_busy", n=MAX_OPEN), HTTPStatus.SERVICE_UNAVAILABLE
                )
            self._open[upload.id] = upload
        try:
            upload.temporary = inbox.stage(target, b"")
        except BaseException:
            self._drop(upload)
            raise
        return upload.report()

    def add(self, upload_id: str, offset: int, data: bytes) -> UploadReport:
        """Append a part; the last one makes the file appear in ``in/``."""
        upload = self._find(upload_id)
        with upload.lock:
            if offset != upload.received or not data or offset + len(data) > upload.size:
                raise ActionRefused(
                    "wrong_part",
                    Reason("upload_part", received=upload.received, size=upload.size),
                )
            upload.touched = self._clock.monotonic()
            complete = offset + len(data) == upload.size
            upload.inbox.write_at(upload.staged, data, offset, synced=complete)
            if complete:  # before it counts: a last part that got no name is sent again
                upload.file = self._publish(upload)
            upload.received += len(data)
            if complete:
                self._drop(upload)
        return upload.report()

    def cancel(self, upload_id: str) -> None:
        upload = self._find(upload_id)
        with upload.lock:
            self._drop(upload)

    def step(self) -> None:
        """Give up what nobody goes on with."""
        now = self._clock.monotonic()
        with self._lock:
            idle = [one for one in self._open.values() if now - one.touched > IDLE_SECONDS]
        for upload in idle:
            with upload.lock:
                self._drop(upload)

    def close(self) -> None:
        """Give up everything, for other settings come."""
        with self._lock:
            left: Sequence[_Upload] = list(self._open.values())
        for upload in left:
            with upload.lock:
                self._drop(upload)

    # -- pieces -----------------------------------------------------------------------

    def _folder(self, number: int) -> HotFolder:
        try:
            hot = self._settings.hot_folders[number]
        except IndexError:
            raise _bad(f"folder: there are {len(self._settings.hot_folders)}") from None
        problem = folder_problem(hot, self._settings.limits.min_free_mb)
        if problem is not None:
            raise ActionRefused("folder_unavailable", problem, HTTPStatus.SERVICE_UNAVAILABLE)
        return hot

    def _check_size(self, size: int, hot: HotFolder) -> None:
        limits = self._settings.limits
        if not 0 < size <= limits.max_file_mb * 1e6:
            raise ActionRefused(
                "too_large",
                Reason("upload_size", megabytes=limits.max_file_mb),
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            )
        with self._lock:
            coming = sum(one.size - one.received for one in self._open.values())
        free = free_bytes(hot.inbox)
        if free is not None and free - coming - size < limits.min_free_mb * 1e6:
            raise ActionRefused(
                "disk_full", Reason("upload_space"), HTTPStatus.INSUFFICIENT_STORAGE
            )

    def _target(self, hot: HotFolder, recipe: str | None) -> str:
        """The folder below ``in/``."""
        if recipe is None or recipe == hot.recipe:
            return ""
        if recipe not in self._settings.recipes:
            known = ", ".join(self._settings.recipes)
            raise _bad(f"recipe: there is no {recipe}; known: {known}")
        return recipe

    def _checked(self, recipe: str, parameters: Mapping[str, Any] | None) -> str | None:
        """Their canonical text; a photo is not sent for nothing, so they are tried at once."""
        try:
            text = canonical(parameters or {})
            adjusted(self._settings.recipes[recipe], text)
        except ConfigError as error:
            raise _bad("; ".join(f"parameters: {fault}" for fault in error.faults)) from error
        return text

    def _find(self, upload_id: str) -> _Upload:
        with self._lock:
            upload = self._open.get(upload_id)
        if upload is None:
            raise ActionRefused("no_such_upload", Reason("upload_unknown"), HTTPStatus.NOT_FOUND)
        return upload

    def _publish(self, upload: _Upload) -> str:
        """Give the file its name; one that is waiting there already is never replaced.

        Its parameters are in the ledger before: from the rename on the intake may take it.
        """
        signature = self._signature(upload)
        if upload.parameters is not None:
            self._ledger.announce(str(upload.hot.path), signature, upload.parameters)
        for number in range(1, MAX_SAME_NAME):
            name = numbered(upload.name, number)
            try:
                upload.inbox.put(upload.staged, posixpath.join(upload.folder, name), replace=False)
            except FileExistsError:
                continue
            upload.inbox.sync(upload.folder)
            upload.job = self._job_of(upload, name, signature)
            self._wake()
            return name
        raise PathRefused(f"{upload.name}: {MAX_SAME_NAME} files have this name")

    def _signature(self, upload: _Upload) -> Signature:
        status = upload.inbox.status(upload.staged)
        if status is None:
            raise FolderUnavailable(f"{upload.inbox.shown(upload.staged)} is gone")
        return Signature.of(status, stable_inode=has_stable_inodes(upload.hot.inbox))

    def _job_of(self, upload: _Upload, name: str, signature: Signature) -> int | None:
        """The job of the finished file, made at once: it is whole, there is nothing to wait for."""
        hot = upload.hot
        path = posixpath.join(upload.folder, name)
        recipe = recipe_for(path, self._settings.recipes, hot.recipe)
        try:
            self._ledger.enqueue([Source(str(hot.path), path, signature, recipe)])
            job = self._ledger.newest(str(hot.path), path)
        except LedgerError as error:
            log.warning("%s: uploaded, and no job yet: %s", shown(name), error)
            return None  # the intake finds the file
        return job.id if job is not None and job.signature == signature else None

    def _drop(self, upload: _Upload) -> None:
        with self._lock:
            self._open.pop(upload.id, None)
        if upload.temporary is not None:  # unless it has its name already
            upload.inbox.discard(upload.temporary)


def _check_name(name: str) -> None:
    """One plain path component that the intake does not ignore."""
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        raise _bad("name: not valid Unicode") from None
    if not name or "/" in name or "\0" in name or is_ignored(name):
        raise _bad("name: a file name without a folder, and not one of a temporary or hidden file")
    if len(encoded) > MAX_NAME_BYTES:
        raise _bad(f"name: at most {MAX_NAME_BYTES} bytes")


def _bad(message: str) -> ActionRefused:
    return ActionRefused("bad_request", message, HTTPStatus.BAD_REQUEST)
