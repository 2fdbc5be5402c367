"""One claim from beginning to end: do the photo, record the outcome, put the original away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from edge_matting.config import Settings
from edge_matting.core.clock import Clock
from edge_matting.core.errors import (
    DeviceLost,
    DiskFull,
    EdgeMattingError,
    FolderUnavailable,
    InternalFault,
    JobError,
    LedgerError,
    OutOfMemory,
    PermanentError,
    SourceGone,
    TemporaryError,
)
from edge_matting.core.jobs import Claim, Done, Failed, Job, JobSource, Outcome, Place
from edge_matting.core.logs import about_job, shown
from edge_matting.core.reasons import Reason
from edge_matting.core.states import JobState
from edge_matting.engine.jobs.folders import Folders
from edge_matting.engine.jobs.originals import Originals
from edge_matting.engine.jobs.recipes import recipe_of
from edge_matting.engine.jobs.results import ClaimLost, HotFolderResults
from edge_matting.engine.loop import Computed
from edge_matting.engine.models.pool import ModelPool
from edge_matting.hotfolder.condition import folder_problem
from edge_matting.pipeline import PhotoTask, process_photo
from edge_matting.pipeline.read_source import read_source

log = logging.getLogger(__name__)

RECORD_AGAIN_SECONDS = 2.0
LEDGER = "ledger"
_PLACE_CODES = frozenset({DiskFull.code, FolderUnavailable.code})


class Worker:
    """Does claims; one instance serves all worker threads."""

    def __init__(
        self,
        *,
        jobs: JobSource,
        settings: Settings,
        models: ModelPool,
        originals: Originals,
        clock: Clock,
        progress: Callable[[str], None],
        rest: Callable[[], None],
        finished: Callable[[bool], None],
        stopping: Callable[[], bool],
        obstacle: Callable[[str, Reason | None], None] = lambda _place, _what: None,
        device_lost: Callable[[DeviceLost], None] = lambda _error: None,
        out_of_memory: Callable[[str], None] = lambda _what: None,
    ) -> None:
        self._jobs = jobs
        self._settings = settings
        self._folders = Folders(settings.hot_folders)
        self._models = models
        self._originals = originals
        self._clock = clock
        self._progress = progress
        self._rest = rest
        self._finished = finished
        self._stopping = stopping
        self._obstacle = obstacle
        self._device_lost = device_lost
        self._out_of_memory = out_of_memory

    def perform(self, claim: Claim, computed: Computed) -> None:
        """Do one claim; every error ends as the job's outcome.

        ``computed`` is called when only the disk is needed any more, if it comes so far.
        """
        self._progress("start")
        try:
            with about_job(claim.job.id):
                self._do(claim, computed)
        finally:
            self._rest()

    def _do(self, claim: Claim, computed: Computed) -> None:
        outcome = self._outcome(claim, computed)
        job = None if outcome is None else self._record(claim, outcome)
        if job is not None and outcome is not None:
            _tell(job, outcome)
            self._obstacle(job.folder, _place_problem(job, outcome))
            if isinstance(outcome, Done):
                self._finished(outcome.result.cache != "miss")
            self._originals.put_away(job)

    def _outcome(self, claim: Claim, computed: Computed) -> Outcome | None:
        begin = time.perf_counter()
        try:
            return self._process(claim, computed)
        except ClaimLost:
            log.info("%s: the claim was given to another; nothing was changed", _name(claim.job))
            return None
        except JobError as error:
            if isinstance(error, DeviceLost):
                self._device_lost(error)
            if isinstance(error, OutOfMemory):
                self._out_of_memory(error.message)
            return Failed(error, seconds=round(time.perf_counter() - begin, 4))
        except MemoryError:
            problem = OutOfMemory(f"{_name(claim.job)}: not enough memory")
            self._out_of_memory(problem.message)
            return Failed(problem)
        except EdgeMattingError as error:
            return Failed(InternalFault(f"{_name(claim.job)}: {error}"))
        except Exception as error:
            # A mistake of ours must cost this photo its attempt, never the whole engine.
            log.exception("%s: internal fault", _name(claim.job))
            return Failed(InternalFault(f"{_name(claim.job)}: {type(error).__name__}: {error}"))

    def _process(self, claim: Claim, computed: Computed) -> Done:
        job, limits = claim.job, self._settings.limits
        folder = self._folders.of(job.folder)
        recipe = recipe_of(job, folder, self._settings)
        tools = self._models.tools(job.model or self._settings.model)
        max_bytes = int(limits.max_file_mb * 1e6)
        # An original that was already put away keeps its content, not its inode.
        signature = job.signature if job.original.place is Place.IN else None
        path = self._folders.original(job)
        self._progress("read")
        try:
            data = read_source(path, signature, max_bytes)
        except SourceGone as error:
            problem = folder_problem(folder, 0.0)
            if problem is None:
                raise
            # Not the photo went, its whole folder did: unmounted or moved away, it may come back.
            raise FolderUnavailable(problem) from error
        task = PhotoTask(
            path=path,
            source=job.source,
            signature=signature,
            recipe=recipe,
            max_pixels=limits.max_pixels,
        )
        results = HotFolderResults(
            claim=claim,
            jobs=self._jobs,
            folders=self._folders,
            previews_dir=self._settings.previews_dir,
            clock=self._clock,
            computed=computed,
            may_reuse=job.model is None and self._settings.cache.enabled,
        )
        return process_photo(task, tools, results, data)

    def _record(self, claim: Claim, outcome: Outcome) -> Job | None:
        """Write the outcome to the ledger, again and again while its disk has no room."""
        told = False
        while True:
            try:
                job = self._jobs.finish(claim, outcome)
            except LedgerError as error:
                self._obstacle(LEDGER, error.reason)
                if not told:
                    log.error("%s: the outcome cannot be recorded yet: %s", _name(claim.job), error)
                told = True
                self._progress("record")
                if self._stopping():
                    return None
                threading.Event().wait(RECORD_AGAIN_SECONDS)
            else:
                self._obstacle(LEDGER, None)
                return job


def _name(job: Job) -> str:
    return f"job {job.id} {shown(job.source)}"


def _place_problem(job: Job, outcome: Outcome) -> Reason | None:
    """What keeps the job's folder from being worked in, as far as this outcome shows."""
    waits = job.state is JobState.PENDING and job.code in _PLACE_CODES
    return outcome.error.reason if waits and isinstance(outcome, Failed) else None


def _tell(job: Job, outcome: Outcome) -> None:
    """One log line an outcome."""
    match outcome:
        case Done(JobState.SUCCEEDED, result):
            files = ", ".join(shown(output.file) for output in result.outputs)
            seconds = result.seconds.get("total", 0.0)
            log.info("done    %s -> %s (%.2f s, %s)", _name(job), files, seconds, result.cache)
        case Done(_, result):
            log.warning("review  %s: %s", _name(job), ", ".join(result.quality.reasons))
        case Failed(error) if job.state is JobState.FAILED:
            log.error("failed  %s: %s: %s", _name(job), error.code, error)
        case Failed(TemporaryError() as error):
            log.warning("later   %s: %s: %s", _name(job), error.code, error)
        case Failed(PermanentError() as error):
            log.error("failed  %s: %s: %s", _name(job), error.code, error)
        case _:
            log.error("%s: %s", _name(job), outcome)
