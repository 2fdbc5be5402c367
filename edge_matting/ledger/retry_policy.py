"""Where a job goes when its attempt ends without a result: pure decisions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from edge_matting.core.errors import EngineCrashed, JobError, SourceGone, TemporaryError
from edge_matting.core.jobs import Job, Place
from edge_matting.core.states import JobState
from edge_matting.ledger.rows import message_text

LONGEST_RETRY_DELAY: Final = 300.0
LONGEST_REFUNDED_DELAY: Final = 60.0


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """How a running job is put back, or given up."""

    state: JobState  # PENDING, FAILED or WITHDRAWN
    attempts: int
    delays: int  # how often in all it was put off without being counted
    alone: bool
    delay: float
    code: str | None
    message: str | None


def refunded(job: Job, delays: int) -> RetryDecision:
    """Back in the queue as if never claimed."""
    return RetryDecision(
        JobState.PENDING, job.attempts - 1, delays, job.alone, 0.0, job.code, job.message
    )


def sent_alone(job: Job, delays: int) -> RetryDecision:
    """One of several that an engine died with: innocent so far, but to be tried by itself."""
    return replace(refunded(job, delays), alone=True)


def after_crash(job: Job, delays: int, max_attempts: int) -> RetryDecision:
    """The only one that an engine died with: the attempt counts."""
    error = EngineCrashed(f"the engine died while working on {job.source}")
    return replace(_counted(job, delays, error, max_attempts), alone=True)


def after_error(job: Job, delays: int, error: JobError, max_attempts: int) -> RetryDecision:
    if isinstance(error, SourceGone) and job.original.place is Place.IN:
        return replace(_given_up(job, delays, error), state=JobState.WITHDRAWN)
    if not isinstance(error, TemporaryError):
        return _given_up(job, delays, error)
    if error.refund:
        return _put_off(job, delays + 1, error)
    return _counted(job, delays, error, max_attempts)


def _counted(job: Job, delays: int, error: JobError, max_attempts: int) -> RetryDecision:
    given_up = _given_up(job, delays, error)
    if job.attempts >= max_attempts:
        return given_up
    delay = _doubled(job.attempts, LONGEST_RETRY_DELAY)
    return replace(given_up, state=JobState.PENDING, delay=delay)


def _put_off(job: Job, delays: int, error: JobError) -> RetryDecision:
    delay = _doubled(delays, LONGEST_REFUNDED_DELAY)
    given_up = _given_up(job, delays, error)
    return replace(given_up, state=JobState.PENDING, attempts=job.attempts - 1, delay=delay)


def _given_up(job: Job, delays: int, error: JobError) -> RetryDecision:
    message = message_text(str(error))
    return RetryDecision(JobState.FAILED, job.attempts, delays, job.alone, 0.0, error.code, message)


def _doubled(times: int, longest: float) -> float:
    """2 s, 4 s, 8 s, ... up to ``longest``."""
    return min(2.0 ** min(times, 16), longest)
