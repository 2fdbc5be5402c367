"""Jobs of the ledger whose photos lie in hot folders: the source of an appliance on one machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from edge_matting.config import HotFolder, Settings
from edge_matting.core.anchored import AnchoredFile
from edge_matting.core.clock import Clock
from edge_matting.core.errors import FolderUnavailable, JobError, SourceGone
from edge_matting.core.jobs import Claim, Job, Outcome, Place
from edge_matting.core.writers import has_writer
from edge_matting.engine.jobs.folders import Folders
from edge_matting.engine.jobs.originals import OriginalMover
from edge_matting.engine.jobs.recipes import recipe_of
from edge_matting.engine.jobs.results import HotFolderResults, settled_signature
from edge_matting.engine.jobs.source import EarlierResults, JobSource, OpenedPhoto, Originals
from edge_matting.hotfolder.condition import folder_problem, space_problem
from edge_matting.pipeline import PhotoTask
from edge_matting.pipeline.read_source import read_source


class Records(JobSource, Originals, EarlierResults, Protocol):
    """What hot folders need of their ledger."""


class HotFolderSource:
    """`JobSource` and `PhotoStore` over a ledger and the hot folders of the settings."""

    def __init__(
        self,
        records: Records,
        settings: Settings,
        clock: Clock,
        moving: AbstractContextManager[object] | None = None,
    ) -> None:
        """``moving`` is held while an original is moved; None: there is no other engine."""
        self._records = records
        self._settings = settings
        self._clock = clock
        self._folders = Folders(settings.hot_folders)
        self._mover = OriginalMover(records, self._folders, clock, _missing, moving)

    # -- `JobSource` --------------------------------------------------------------------

    def claim(self, limit: int) -> Sequence[Claim]:
        """Nothing while there is no folder to work in: it would come back unharmed."""
        return () if self._has_problem() else self._records.claim(limit)

    def holds(self, claim: Claim) -> bool:
        return self._records.holds(claim)

    def finish(self, claim: Claim, outcome: Outcome) -> Job | None:
        return self._records.finish(claim, outcome)

    def release(self, claim: Claim) -> bool:
        return self._records.release(claim)

    # -- `PhotoStore` -------------------------------------------------------------------

    def open(self, claim: Claim) -> OpenedPhoto:
        job, limits = claim.job, self._settings.limits
        folder = self._folders.of(job.folder)
        recipe = recipe_of(job, folder, self._settings)
        data = self._read(self._folders.original(job), job, folder)
        task = PhotoTask(job.source, data, recipe, limits.max_pixels, thumbnail=True)
        results = HotFolderResults(claim, self._records, self._folders, self._settings, self._clock)
        return OpenedPhoto(task, results)

    def put_away(self, job: Job) -> None:
        self._mover.put_away(job)

    def put_away_all(self, progress: Callable[[], None]) -> None:
        self._mover.put_away_all(progress=progress)

    def may_still_grow(self, job: Job) -> bool:
        if job.original.place is not Place.IN:
            return False
        try:
            descriptor = self._folders.original(job).open()
        except (OSError, JobError):
            return False
        try:
            if has_writer(descriptor) is False:
                return False
            changed = os.fstat(descriptor).st_mtime
        finally:
            os.close(descriptor)
        now = self._clock.now()
        silent = now - max(job.created_at, min(changed, now))
        return silent < self._settings.intake.stalled_seconds

    # -- pieces -------------------------------------------------------------------------

    def _read(self, file: AnchoredFile, job: Job, folder: HotFolder) -> bytes:
        max_bytes = int(self._settings.limits.max_file_mb * 1e6)
        try:
            return read_source(file, settled_signature(job), max_bytes)
        except SourceGone as error:
            problem = _missing(folder)
            if problem is None:
                raise
            # Not the photo went, its whole folder did: unmounted or moved away, it may come back.
            raise FolderUnavailable(problem) from error

    def _has_problem(self) -> bool:
        """Whether all folders have a problem, or there is no room to record an outcome."""
        room = self._settings.limits.min_free_mb
        folders = self._settings.hot_folders
        if all(folder_problem(folder, room) is not None for folder in folders):
            return True
        return space_problem(self._settings.state_dir, room) is not None


def _missing(folder: HotFolder) -> str | None:
    """Why the folder cannot be worked in; a full disk is no reason."""
    return folder_problem(folder, 0.0)
