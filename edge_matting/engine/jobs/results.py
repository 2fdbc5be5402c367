"""Results of hot-folder jobs: looked up in the ledger, published into ``out/`` or ``review/``."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from edge_matting import __version__
from edge_matting.config import Settings
from edge_matting.core.anchored import AnchoredFile, AnchoredFolder
from edge_matting.core.clock import Clock
from edge_matting.core.errors import SourceChanged
from edge_matting.core.jobs import Claim, Job, Output, Place, Result, Signature, StoredResult
from edge_matting.core.logs import shown
from edge_matting.core.states import JobState
from edge_matting.engine.jobs.folders import Folders
from edge_matting.engine.jobs.source import ClaimLost, EarlierResults, JobSource
from edge_matting.pipeline import FinishedPhoto
from edge_matting.publish import (
    copy_result,
    describe_result,
    publish_result,
    remove_result,
    remove_stale,
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
        outputs = copy_result(
            origin,
            stored.result.outputs,
            self._door(stored.state),
            self.claim.job.stem,
            self._description(result),
            earlier=self._earlier(stored.state),
            is_ours=self._is_ours,
        )
        if outputs is None:
            return None
        self._replace_earlier(stored.state, outputs)
        if stored.job_id:
            self._copy_thumbnail(stored.job_id)
        return self._stored(stored.state, replace(result, outputs=outputs))

    def publish(self, photo: FinishedPhoto) -> StoredResult:
        job = self.claim.job
        _check_unchanged(self.folders.original(job), settled_signature(job))
        self._check_claim()
        outputs = publish_result(
            self._door(photo.state),
            job.stem,
            photo.files,
            self._description(photo.result),
            earlier=self._earlier(photo.state),
            is_ours=self._is_ours,
        )
        self._replace_earlier(photo.state, outputs)
        return self._stored(photo.state, replace(photo.result, outputs=outputs))

    def keep_thumbnail(self, jpeg: bytes) -> None:
        """Kept for the page alone, so not synced; without room there is none."""
        path = self._thumbnail(self.claim.job.id)
        hidden = path.with_suffix(".tmp")
        try:
            hidden.write_bytes(jpeg)
            hidden.replace(path)
        except OSError as error:
            log.debug("no thumbnail of job %d: %s", self.claim.job.id, error)

    def _origin(self, stored: StoredResult) -> AnchoredFolder | None:
        """What the stored outputs are relative to; None for a folder that nobody knows now."""
        if stored.root is not None:
            return AnchoredFolder(Path(stored.root))
        if not self.folders.known(stored.folder):
            return None
        return self.folders.results_door(stored.folder, stored.state)

    def _door(self, state: JobState) -> AnchoredFolder:
        return self.folders.results_door(self.claim.job.folder, state)

    def _previous(self) -> StoredResult | None:
        """The result that this one replaces."""
        job = self.claim.job
        earlier = self.records.previous_outputs(job.folder, job.source, job.id)
        return earlier if earlier is not None and self.folders.known(earlier.folder) else None

    def _earlier(self, state: JobState) -> tuple[Output, ...]:
        """The files of that result which lie where ones of ``state`` do."""
        earlier = self._previous()
        return earlier.result.outputs if earlier is not None and earlier.state is state else ()

    def _is_ours(self, sidecar: Mapping[str, Any]) -> bool:
        """In a hot folder a newer photo of the same name replaces the older one's result."""
        return bool(sidecar.get("source") == self.claim.job.source)

    def _stored(self, state: JobState, result: Result) -> StoredResult:
        job = self.claim.job
        root = self.folders.results(job.folder, state)
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

    def _description(self, result: Result) -> Mapping[str, Any]:
        return describe_result(self.claim.job, result, self.clock.now(), __version__)

    def _replace_earlier(self, state: JobState, outputs: Sequence[Output]) -> None:
        """Remove what the new result replaces; a doubted one never removes a good one."""
        earlier = self._previous()
        if earlier is None:
            return
        root = self._door(earlier.state)
        if earlier.state is state:
            remove_stale(root, earlier.result.outputs, outputs)
        elif earlier.state is JobState.REVIEW:
            remove_result(root, self.claim.job.stem, earlier.result.outputs)


def settled_signature(job: Job) -> Signature | None:
    """What the original must look like; one that was put away keeps its content, not its inode."""
    return job.signature if job.original.place is Place.IN else None


def _check_unchanged(file: AnchoredFile, signature: Signature | None) -> None:
    """A source replaced while it was in work gets no output of its old content."""
    if signature is None:
        return
    now = file.status()
    if now is None or not signature.agrees(now):
        raise SourceChanged(f"{shown(file.shown)}: changed while it was in work")
