"""One claim from beginning to end: do the photo, record the outcome, put the original away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from edge_matting.core.durable import blocked
from edge_matting.core.engine_identity import JOB_SOURCE
from edge_matting.core.errors import (
    DeviceLost,
    DiskFull,
    EdgeMattingError,
    FolderUnavailable,
    InternalFault,
    JobError,
    JobSourceError,
    JobSourceUnavailable,
    ModelError,
    OutOfMemory,
    PermanentError,
    ResourcesShort,
    SessionError,
    SourceGrows,
    TemporaryError,
    TooSlow,
    Truncated,
    UnfitModel,
)
from edge_matting.core.jobs import Claim, Done, Failed, Job, Outcome
from edge_matting.core.logs import about_job, shown
from edge_matting.core.model_ids import current_id
from edge_matting.core.reasons import Reason
from edge_matting.core.states import JobState
from edge_matting.engine.decode_watch import DecodeWatch
from edge_matting.engine.jobs.delivery import deliver
from edge_matting.engine.jobs.source import ClaimLost, JobSource, PhotoStore
from edge_matting.engine.loop import Computed
from edge_matting.engine.models.pool import ModelPool
from edge_matting.pipeline import Tools, for_recipe

log = logging.getLogger(__name__)

RECORD_AGAIN_SECONDS = 2.0

_PLACE_CODES = frozenset({DiskFull.code, FolderUnavailable.code})


class WorkReporter(Protocol):
    """The part of the engine's reporter that a worker uses."""

    def progress(self, stage: str) -> None:
        """The calling thread has begun a stage."""

    def rest(self) -> None:
        """The calling thread has nothing to do."""

    def finished(self, *, reused: bool) -> None:
        """A photo got its result."""

    def obstacle(self, place: str, what: Reason | None) -> None:
        """What keeps work in ``place`` from being done; None: nothing."""


@dataclass(frozen=True, slots=True)
class EngineHooks:
    """What a worker asks of its engine, and which of its findings concern the whole engine."""

    stopping: Callable[[], bool]
    device_lost: Callable[[DeviceLost], None]
    out_of_memory: Callable[[str], None]
    abandon: Callable[[], None] = lambda: None
    """End this process at once: a thread of it cannot be stopped otherwise."""


@dataclass(frozen=True, slots=True)
class Supply:
    """Where a worker gets jobs, photos and models from."""

    jobs: JobSource
    photos: PhotoStore
    models: ModelPool
    default_model: str  # for jobs that ask for no other
    model_of_task: Callable[[str], str | None] = lambda _task: None
    """A model for another task than the default model's; None where there is none."""


class Worker:
    """Does claims; one instance serves all worker threads."""

    def __init__(self, supply: Supply, reporter: WorkReporter, hooks: EngineHooks) -> None:
        self._jobs = supply.jobs
        self._photos = supply.photos
        self._models = supply.models
        self._default_model = supply.default_model
        self._model_of_task = supply.model_of_task
        self._reporter = reporter
        self._hooks = hooks
        self._claims: dict[int, Claim] = {}  # in work, by thread
        self._watch = DecodeWatch(self._too_slow)

    def perform(self, claim: Claim, computed: Computed) -> None:
        """Do one claim; every error ends as the job's outcome.

        ``computed`` is called when only the disk is needed any more, if it comes so far.
        """
        self._reporter.progress("start")
        self._claims[threading.get_ident()] = claim
        try:
            with about_job(claim.job.id):
                self._do(claim, computed)
        finally:
            del self._claims[threading.get_ident()]
            self._reporter.rest()

    def _do(self, claim: Claim, computed: Computed) -> None:
        outcome = self._outcome(claim, computed)
        job = None if outcome is None else self._record(claim, outcome)
        if job is not None and outcome is not None:
            _log_outcome(job, outcome)
            self._reporter.obstacle(job.folder, _place_problem(job, outcome))
            if isinstance(outcome, Done):
                self._reporter.finished(reused=outcome.result.cache != "miss")
            self._photos.put_away(job)

    def _outcome(self, claim: Claim, computed: Computed) -> Outcome | None:
        begin = time.perf_counter()
        try:
            return self._process(claim, computed)
        except ClaimLost:
            log.info("%s: the claim was given to another; nothing was changed", _name(claim.job))
            return None
        except (EdgeMattingError, MemoryError, OSError) as error:
            meaning = self._meaning(claim.job, error)
            self._report_device(meaning)
            return Failed(meaning, seconds=round(time.perf_counter() - begin, 4))
        except Exception as error:
            # A mistake of ours must cost this photo its attempt, never the whole engine.
            log.exception("%s: internal fault", _name(claim.job))
            return Failed(InternalFault(f"{_name(claim.job)}: {type(error).__name__}: {error}"))

    def _meaning(self, job: Job, error: Exception) -> JobError:
        """What the error says about the photo."""
        match error:
            case Truncated() if self._photos.may_still_grow(job):
                return SourceGrows(error.message)
            case JobError():
                return error
            case MemoryError():
                return OutOfMemory(f"{_name(job)}: not enough memory")
            case JobSourceError():
                return JobSourceUnavailable(error.message)  # nothing about the photo
            case OSError():
                return _refused(job, error)
            case _:
                return InternalFault(f"{_name(job)}: {error}")

    def _report_device(self, error: JobError) -> None:
        if isinstance(error, DeviceLost):
            self._hooks.device_lost(error)
        if isinstance(error, OutOfMemory):
            self._hooks.out_of_memory(error.message)

    def _process(self, claim: Claim, computed: Computed) -> Done:
        # The model first: a photo's bytes do not wait in memory while one is loaded.
        asked = claim.job.model
        tools = self._models.tools(self._default_model) if asked is None else self._asked(asked)
        size = claim.job.signature.size
        with tools.gate.reading(size, lambda: self._reporter.progress("wait")):
            self._reporter.progress("read")
            photo = self._photos.open(claim)
            tools = for_recipe(photo.task.recipe, tools, self._tools_of_task)
            tools = replace(tools, decoding=self._watch.decoding)
            return deliver(photo.task, tools, photo.results, computed)

    def _too_slow(self, thread: int, seconds: float) -> None:
        """Give up a photo whose decoder does not end, and with it this process.

        The others in work go back to the queue as if never claimed.
        """
        claims = dict(self._claims)
        claim = claims.pop(thread, None)
        if claim is None:
            return
        error = TooSlow(f"{_name(claim.job)}: {seconds:.0f} processor seconds were not enough")
        try:
            job = self._jobs.finish(claim, Failed(error, seconds=round(seconds, 1)))
            for other in claims.values():
                self._jobs.release(other)
        except JobSourceError as fault:
            log.error("%s: it cannot be given up yet: %s", _name(claim.job), fault)
            return  # the watch calls again
        if job is not None:
            _log_outcome(job, Failed(error))
            self._photos.put_away(job)
        self._hooks.abandon()

    def _asked(self, model_id: str) -> Tools:
        """A model that the job or its recipe asks for; ``UnfitModel`` where it cannot be had."""
        try:
            return self._models.tools(current_id(model_id))
        except (ModelError, SessionError) as error:
            raise UnfitModel(f"model {model_id}: {error}") from error

    def _tools_of_task(self, task: str) -> Tools:
        model_id = self._model_of_task(task)
        if model_id is None:
            raise UnfitModel(f"the recipe asks for {task}, and there is no model for it")
        return self._asked(model_id)

    def _record(self, claim: Claim, outcome: Outcome) -> Job | None:
        """Record the outcome, again and again while its source cannot; None: left to recovery."""
        logged = False
        while True:
            try:
                job = self._jobs.finish(claim, outcome)
            except JobSourceError as error:
                self._reporter.obstacle(JOB_SOURCE, error.reason)
                if not logged:
                    log.error("%s: the outcome cannot be recorded yet: %s", _name(claim.job), error)
                logged = True
                self._reporter.progress("record")
                if self._hooks.stopping():
                    return None
                threading.Event().wait(RECORD_AGAIN_SECONDS)
            else:
                self._reporter.obstacle(JOB_SOURCE, None)
                return job


def _refused(job: Job, error: OSError) -> JobError:
    """A full disk or too few descriptors are nobody's fault; the rest may be one of ours."""
    meaning = blocked(error, _name(job))
    if isinstance(meaning, DiskFull | ResourcesShort):
        return meaning
    log.error("%s: %s", _name(job), error, exc_info=error)
    return InternalFault(f"{_name(job)}: {type(error).__name__}: {error}")


def _name(job: Job) -> str:
    return f"job {job.id} {shown(job.source)}"


def _place_problem(job: Job, outcome: Outcome) -> Reason | None:
    """What keeps the job's folder from being worked in, as far as this outcome shows."""
    waits = job.state is JobState.PENDING and job.code in _PLACE_CODES
    return outcome.error.reason if waits and isinstance(outcome, Failed) else None


def _log_outcome(job: Job, outcome: Outcome) -> None:
    """One log line for each outcome."""
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
