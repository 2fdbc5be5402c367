"""Results of hot-folder jobs: looked up in the ledger, published into ``out/`` or ``review/``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from edge_matting import __version__
from edge_matting.config import Settings
from edge_matting.core.clock import Clock
from edge_matting.core.errors import SourceChanged
from edge_matting.core.jobs import Claim, Job, Output, Place, Result, Signature, StoredResult
from edge_matting.core.logs import shown
from edge_matting.core.states import JobState
from edge_matting.engine.jobs.folders import Folders
from edge_matting.engine.jobs.source import ClaimLost, EarlierResults, JobSource
from edge_matting.pipeline import FinishedPhoto
from edge_matting.publish import (
    build_sidecar,
    copy_result,
    named_outputs,
    publish_result,
    remove_result,
    remove_stale,
    renamed_outputs,
)

log = logging.getLogger(__name__)


class JobsAndResults(JobSource, EarlierResults, Protocol):
    """The part of the ledger that publishing needs."""


@dataclass(frozen=True, slots=True)
class HotFolderResults:
    """`Results` of one claim."""

    claim: Claim
    records: JobsAndResults
    folders: Folders
    settings: Settings
    clock: Clock

    @property
    def reuses(self) -> bool:
        """Who asks for another model by a retry wants to see what that model makes."""
        return self.claim.job.model is None and self.settings.cache.enabled

    def find(self, sha256: str, recipe_key: str, model_sha256: str) -> StoredResult | None:
        return self.records.find_result(sha256, recipe_key, model_sha256)

    def copy(self, stored: StoredResult, result: Result) -> StoredResult | None:
        origin = self._origin(stored)
        if origin is None:
            return None
        self._check_claim()
        job = self.claim.job
        root = self.folders.results(job.folder, stored.state)
        copied = replace(result, outputs=renamed_outputs(job.stem, stored.result.outputs))
        sidecar = self._sidecar(copied)
        if not copy_result(origin, stored.result.outputs, root, job.stem, sidecar):
            return None
        self._replace_earlier(stored.state, copied.outputs)
        if stored.job_id:
            self._copy_thumbnail(stored.job_id)
        return self._stored(stored.state, copied, root)

    def publish(self, photo: FinishedPhoto) -> StoredResult:
        job = self.claim.job
        _check_unchanged(self.folders.original(job), settled_signature(job))
        self._check_claim()
        root = self.folders.results(job.folder, photo.state)
        result = replace(photo.result, outputs=named_outputs(job.stem, photo.files))
        publish_result(root, job.stem, result.outputs, photo.files, self._sidecar(result))
        self._replace_earlier(photo.state, result.outputs)
        return self._stored(photo.state, result, root)

    def keep_thumbnail(self, jpeg: bytes) -> None:
        """Kept for the page alone, so not synced; without room there is none."""
        path = self._thumbnail(self.claim.job.id)
        hidden = path.with_suffix(".tmp")
        try:
            hidden.write_bytes(jpeg)
            hidden.replace(path)
        except OSError as error:
            log.debug("no thumbnail of job %d: %s", self.claim.job.id, error)

    def _origin(self, stored: StoredResult) -> Path | None:
        """What the stored outputs are relative to; None for a folder that nobody knows now."""
        if stored.root is not None:
            return Path(stored.root)
        if not self.folders.known(stored.folder):
            return None
        return self.folders.results(stored.folder, stored.state)

    def _stored(self, state: JobState, result: Result, root: Path) -> StoredResult:
        job = self.claim.job
        return StoredResult(state, job.folder, result, job.id, str(root))

    def _copy_thumbnail(self, job_id: int) -> None:
        try:
            self.keep_thumbnail(self._thumbnail(job_id).read_bytes())
        except OSError:
            return  # trimmed meanwhile: the page shows none

    def _thumbnail(self, job_id: int) -> Path:
        return self.settings.thumbnails_dir / f"{job_id}.jpg"

    def _check_claim(self) -> None:
        if not self.records.holds(self.claim):
            raise ClaimLost

    def _sidecar(self, result: Result) -> bytes:
        return build_sidecar(self.claim.job, result, self.clock.now(), __version__)

    def _replace_earlier(self, state: JobState, outputs: Sequence[Output]) -> None:
        """Remove what the new result replaces; a doubted one never removes a good one."""
        job = self.claim.job
        earlier = self.records.previous_outputs(job.folder, job.source, job.id)
        if earlier is None or not self.folders.known(earlier.folder):
            return
        root = self.folders.results(earlier.folder, earlier.state)
        if earlier.state is state:
            remove_stale(root, earlier.result.outputs, outputs)
        elif earlier.state is JobState.REVIEW:
            remove_result(root, job.stem, earlier.result.outputs)


def settled_signature(job: Job) -> Signature | None:
    """What the original must look like; one that was put away keeps its content, not its inode."""
    return job.signature if job.original.place is Place.IN else None


def _check_unchanged(path: Path, signature: Signature | None) -> None:
    """A source replaced while it was in work gets no output of its old content."""
    if signature is None:
        return
    try:
        now = Signature.of(path.lstat())
    except OSError:
        now = None
    if now != signature:
        raise SourceChanged(f"{shown(path)}: changed while it was in work")
