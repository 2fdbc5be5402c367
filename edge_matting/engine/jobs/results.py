"""Results of hot-folder jobs: looked up in the ledger, published into ``out/`` or ``review/``."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from edge_matting import __version__
from edge_matting.core.clock import Clock
from edge_matting.core.jobs import Claim, JobSource, Output, Result, StoredResult
from edge_matting.core.states import JobState
from edge_matting.engine.jobs.folders import Folders
from edge_matting.engine.loop import Computed
from edge_matting.publish import (
    EncodedOutput,
    build_sidecar,
    copy_result,
    publish_result,
    remove_result,
    remove_stale,
)

log = logging.getLogger(__name__)


class ClaimLost(Exception):
    """The claim was given to another while this one worked; its work is thrown away."""


@dataclass(frozen=True, slots=True)
class HotFolderResults:
    """`pipeline.Results` for one claim."""

    claim: Claim
    jobs: JobSource
    folders: Folders
    previews_dir: Path
    clock: Clock
    computed: Computed
    may_reuse: bool

    @property
    def reuses(self) -> bool:
        return self.may_reuse

    def root(self, state: JobState) -> Path:
        return self.folders.results(self.claim.job.folder, state)

    def find(self, sha256: str, recipe_key: str, model_sha256: str) -> StoredResult | None:
        return self.jobs.find_result(sha256, recipe_key, model_sha256)

    def reuse(self, stored: StoredResult, result: Result) -> Result | None:
        origin = self._origin(stored)
        if origin is None:
            return None
        self._check_claim()
        job = self.claim.job
        outputs = copy_result(
            origin,
            stored.result.outputs,
            self.root(stored.state),
            job.stem,
            lambda copies: self._sidecar(result, copies),
        )
        if outputs is None:
            return None
        self._replace_earlier(stored.state, outputs)
        if stored.job_id:
            self._copy_preview(stored.job_id)
        return replace(result, outputs=outputs)

    def _origin(self, stored: StoredResult) -> Path | None:
        """What the stored outputs are relative to; None for a folder that nobody knows now."""
        if stored.root is not None:
            return Path(stored.root)
        if not self.folders.known(stored.folder):
            return None
        return self.folders.results(stored.folder, stored.state)

    def publish(self, state: JobState, files: tuple[EncodedOutput, ...], result: Result) -> Result:
        self.computed()
        self._check_claim()
        job = self.claim.job
        root = self.folders.results(job.folder, state)
        outputs = publish_result(
            root, job.stem, files, lambda published: self._sidecar(result, published)
        )
        self._replace_earlier(state, outputs)
        return replace(result, outputs=outputs)

    @property
    def shows_previews(self) -> bool:
        return True

    def preview(self, jpeg: bytes) -> None:
        """Kept for the page alone, so not synced; without room there is no preview."""
        path = self.previews_dir / f"{self.claim.job.id}.jpg"
        hidden = path.with_suffix(".tmp")
        try:
            hidden.write_bytes(jpeg)
            hidden.replace(path)
        except OSError as error:
            log.debug("no preview of job %d: %s", self.claim.job.id, error)

    def _copy_preview(self, job_id: int) -> None:
        try:
            self.preview((self.previews_dir / f"{job_id}.jpg").read_bytes())
        except OSError:
            return  # trimmed meanwhile: the page shows none

    def _check_claim(self) -> None:
        if not self.jobs.holds(self.claim):
            raise ClaimLost

    def _sidecar(self, result: Result, outputs: tuple[Output, ...]) -> bytes:
        return build_sidecar(
            self.claim.job, replace(result, outputs=outputs), self.clock.now(), __version__
        )

    def _replace_earlier(self, state: JobState, outputs: tuple[Output, ...]) -> None:
        """Remove what the new result replaces; a doubted one never removes a good one."""
        job = self.claim.job
        earlier = self.jobs.previous_outputs(job.folder, job.source, job.id)
        if earlier is None or not self.folders.known(earlier.folder):
            return
        root = self.folders.results(earlier.folder, earlier.state)
        if earlier.state is state:
            remove_stale(root, earlier.result.outputs, outputs)
        elif earlier.state is JobState.REVIEW:
            remove_result(root, job.stem, earlier.result.outputs)
