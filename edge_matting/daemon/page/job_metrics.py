"""What was finished, read from the ledger: counts since the start, and the last hour."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from typing import Final, Protocol

from prometheus_client import Histogram, Metric

from edge_matting.core.clock import Clock
from edge_matting.core.jobs import Job, Result, TimeBucket
from edge_matting.core.states import FINISHED, JobState
from edge_matting.daemon.page.last_hour import HOUR, LastHour
from edge_matting.status.interfaces import WorkReport

SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
END_TO_END: Final = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 43200.0)
BATCH: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)

OVERLAP_SECONDS: Final = 15.0
"""A moment is taken before it is committed, which may wait 10 s for the other process."""


class FinishedJobs(Protocol):
    """The part of the ledger that is counted."""

    def finished(self, after: float, until: float, /) -> list[tuple[int, float]]:
        """Ids and moments of the jobs that finished in that time."""

    def history(self, slots: int, width: float, /) -> Sequence[TimeBucket]:
        """What finished in each of the last ``slots`` stretches of ``width`` seconds."""

    def get(self, job_id: int, /) -> Job | None: ...

    def result(self, job_id: int, /) -> Result | None: ...


class JobMetrics:
    """Counts each finished job once; ``step`` by the main loop, ``report`` by anybody.

    The ledger is asked instead of the engine, whose messages may be lost and whose counts die
    with it.
    """

    def __init__(self, jobs: FinishedJobs, clock: Clock) -> None:
        self._jobs = jobs
        self._clock = clock
        self._begin = clock.now()
        self._last = self._begin
        self._seen: dict[tuple[int, float], None] = {}
        self._lock = threading.Lock()
        self._hour = LastHour((), self._begin)
        self._hour_known = False  # the ledger is asked at the first step
        self._finished: Counter[tuple[JobState, str]] = Counter()
        self._cache: Counter[str] = Counter()
        self._made_seconds = self._saved_seconds = 0.0
        self._end_to_end = _histogram("end_to_end_seconds", "From taken in to finished", END_TO_END)
        self._seconds = _histogram(
            "job_seconds", "Time in work of a finished job, last attempt", SECONDS
        )
        self._batch = _histogram("batch_size", "Photos through the model together", BATCH)
        self._stages = _histogram("stage_seconds", "Time of one stage of a photo", SECONDS, "stage")

    def step(self) -> None:
        """Count what finished since the last time. Raises ``LedgerError``; nothing is lost then."""
        now = self._clock.now()
        set_back = now < self._last
        if set_back:  # go on from there
            self._begin = min(self._begin, now)
        if set_back or not self._hour_known:
            self._hour = LastHour(self._jobs.history(HOUR, 1.0), now)
            self._hour_known = True
        after = max(min(self._last, now) - OVERLAP_SECONDS, self._begin)
        seen: dict[tuple[int, float], None] = {}
        for key in self._jobs.finished(after, now):
            if key not in self._seen:
                self._count(*key)
            seen[key] = None
        self._seen, self._last = seen, now

    def finished(self) -> dict[JobState, int]:
        """Jobs finished since the start, by the state they ended in."""
        with self._lock:
            return {
                state: sum(n for (ended, _), n in self._finished.items() if ended is state)
                for state in FINISHED
            }

    def finished_within(self, seconds: float) -> int:
        """Jobs that finished in the last ``seconds``, at most an hour, before the start too."""
        with self._lock:
            return self._hour_now().finished(seconds)

    def history(self, width: int) -> list[TimeBucket]:
        """The last hour in stretches of ``width`` seconds, oldest first."""
        with self._lock:
            return self._hour_now().slots(width)

    def saved_seconds(self) -> float | None:
        """Work that the cache saved, by the mean of the photos that were made."""
        with self._lock:
            return round(self._saved_seconds, 1) if self._made() else None

    def report(self) -> WorkReport:
        with self._lock:
            return WorkReport(
                finished=dict(self._finished),
                cache=dict(self._cache),
                histograms=tuple(map(_family, self._histograms())),
            )

    def _histograms(self) -> tuple[Histogram, ...]:
        return self._end_to_end, self._seconds, self._batch, self._stages

    def _count(self, job_id: int, finished_at: float) -> None:
        job, result = self._jobs.get(job_id), self._jobs.result(job_id)
        if job is None or job.finished_at != finished_at:
            return  # put back in the queue meanwhile; it will finish again
        with self._lock:
            self._finished[job.state, job.code or ""] += 1
            if job.state is JobState.WITHDRAWN:
                return  # nobody worked on it: it is no part of any pace
            failed = job.state is JobState.FAILED
            self._hour_now().add(finished_at, job.seconds, failed=failed)
            self._end_to_end.observe(max(0.0, finished_at - job.created_at))
            if job.seconds is not None:
                self._seconds.observe(job.seconds)
            if result is not None:
                self._count_result(result)

    def _hour_now(self) -> LastHour:
        self._hour.move_to(self._clock.now())
        return self._hour

    def _count_result(self, result: Result) -> None:
        self._cache[_answer(result)] += 1
        seconds = result.seconds.get("total")
        if seconds is not None and result.cache == "miss":
            self._made_seconds += seconds
        elif seconds is not None and self._made():
            self._saved_seconds += max(0.0, self._made_seconds / self._made() - seconds)
        if result.cache == "exact":
            return  # a copy: its execution and stages are those of another job
        if result.cache == "miss":
            self._batch.observe(result.execution.batch)
        for stage, seconds in result.seconds.items():
            if stage != "total":
                self._stages.labels(stage).observe(seconds)

    def _made(self) -> int:
        """Photos that went through the model."""
        return self._cache["miss"] + self._cache["rejected"]


def _histogram(name: str, text: str, bounds: tuple[float, ...], *labels: str) -> Histogram:
    """One that no registry knows: the page's collector gives it out."""
    return Histogram(f"edge_matting_{name}", text, labels, buckets=bounds, registry=None)


def _family(histogram: Histogram) -> Metric:
    """What it has counted; the moment of its making is the appliance's start, told elsewhere."""
    (family,) = histogram.collect()
    family.samples = [each for each in family.samples if not each.name.endswith("_created")]
    return family


def _answer(result: Result) -> str:
    """What the cache said; a photo that was near another and refused has the distances."""
    return "rejected" if result.cache == "miss" and result.cache_evidence else result.cache
