"""What the daemon counts of finished jobs, and how it tells the time left."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import ManualClock
from ledger_jobs import FAILED, SUCCEEDED, failed, finished, source
from status_fixture import RESULT, job

from edge_matting.core.errors import NotAnImage
from edge_matting.core.jobs import Job, Result, TimeBucket
from edge_matting.core.states import JobState
from edge_matting.daemon.engine_process import EngineStatus, hear
from edge_matting.daemon.page.eta import EtaEstimator
from edge_matting.daemon.page.job_metrics import OVERLAP_SECONDS, JobMetrics
from edge_matting.daemon.page.last_hour import HOUR, LastHour
from edge_matting.ledger import Ledger
from edge_matting.status.interfaces import WorkReport


class Finished:
    """Finished jobs as the ledger tells them."""

    def __init__(self) -> None:
        self.rows: dict[int, Job] = {}
        self.results: dict[int, Result] = {}
        self.histories = 0
        self.last_second = TimeBucket(0, 0, None, None)  # as the ledger knew it at the start

    def add(self, number: int, at: float, state=JobState.SUCCEEDED, result=RESULT) -> None:
        self.rows[number] = replace(job(number, state), created_at=at - 4, finished_at=at)
        if state is JobState.SUCCEEDED:
            self.results[number] = result

    def finished(self, after: float, until: float) -> list[tuple[int, float]]:
        moments = [(one.id, one.finished_at or 0.0) for one in self.rows.values()]
        return [(number, at) for number, at in moments if after < at <= until]

    def history(self, slots: int, width: float) -> list[TimeBucket]:
        self.histories += 1
        return [TimeBucket(0, 0, None, None)] * (slots - 1) + [self.last_second]

    def get(self, job_id: int) -> Job | None:
        return self.rows.get(job_id)

    def result(self, job_id: int) -> Result | None:
        return self.results.get(job_id)


@pytest.fixture
def jobs() -> Finished:
    return Finished()


def samples(report: WorkReport) -> dict[tuple[str, tuple[str, ...]], float]:
    """What the histograms have counted, by name and labels."""
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in report.histograms
        for sample in family.samples
    }


def test_each_job_is_counted_once_with_its_reason(clock: ManualClock, jobs: Finished) -> None:
    tally = JobMetrics(jobs, clock)
    clock.time += 10
    jobs.add(1, clock.time)
    jobs.add(2, clock.time - 1, JobState.FAILED)
    for _ in range(3):
        tally.step()
        clock.time += 1
    report = tally.report()
    assert report.finished == {
        (JobState.SUCCEEDED, ""): 1,
        (JobState.FAILED, "truncated"): 1,
    }
    assert tally.finished() == {
        JobState.SUCCEEDED: 1,
        JobState.REVIEW: 0,
        JobState.FAILED: 1,
        JobState.WITHDRAWN: 0,
    }
    counted = samples(report)
    whole = "edge_matting_end_to_end_seconds"
    assert (counted[f"{whole}_count", ()], counted[f"{whole}_sum", ()]) == (2, 8.0)
    assert (counted[f"{whole}_bucket", ("2.5",)], counted[f"{whole}_bucket", ("5.0",)]) == (0, 2)
    assert not any(name.endswith("_created") for name, _ in counted)
    assert report.cache == {"miss": 1}
    assert counted["edge_matting_batch_size_count", ()] == 1


def test_a_commit_that_came_late_is_counted_too(clock: ManualClock, jobs: Finished) -> None:
    tally = JobMetrics(jobs, clock)
    clock.time += 100
    tally.step()
    jobs.add(1, clock.time - OVERLAP_SECONDS + 1)
    tally.step()
    assert tally.finished()[JobState.SUCCEEDED] == 1


def test_what_finished_before_the_start_is_not_counted(clock: ManualClock, jobs: Finished) -> None:
    jobs.add(1, clock.time - 1)
    tally = JobMetrics(jobs, clock)
    clock.time += 1
    tally.step()
    assert tally.report().finished == {}


def test_a_job_finished_again_after_a_retry_counts_again(
    clock: ManualClock, jobs: Finished
) -> None:
    tally = JobMetrics(jobs, clock)
    for _ in range(2):
        clock.time += 30
        jobs.add(1, clock.time)
        tally.step()
    assert tally.finished()[JobState.SUCCEEDED] == 2


def test_a_job_put_back_before_it_could_be_read_is_left_for_its_next_end(
    clock: ManualClock, jobs: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    tally = JobMetrics(jobs, clock)
    clock.time += 1
    jobs.add(1, clock.time)
    monkeypatch.setattr(jobs, "get", lambda _id: None)
    tally.step()
    assert tally.report().finished == {}


def test_a_clock_set_back_by_a_year_does_not_stop_the_counting(
    clock: ManualClock, jobs: Finished
) -> None:
    tally = JobMetrics(jobs, clock)
    clock.time -= 365 * 86400
    tally.step()
    clock.time += 5
    jobs.add(1, clock.time)
    tally.step()
    assert tally.finished()[JobState.SUCCEEDED] == 1


def test_the_last_hour_is_asked_of_the_ledger_once_and_then_counted(
    clock: ManualClock, jobs: Finished
) -> None:
    jobs.last_second = TimeBucket(2, 1, 3.0, 4.0)
    tally = JobMetrics(jobs, clock)
    assert (tally.finished_within(HOUR), len(tally.history(60))) == (0, 60)
    tally.step()
    clock.time += 60
    jobs.add(1, clock.time)
    jobs.add(2, clock.time - 1, JobState.FAILED)
    for _ in range(3):
        tally.step()
    clock.time += 20
    assert [tally.finished_within(s) for s in (20, 30, 79, 90, HOUR)] == [0, 2, 2, 4, 4]
    assert tally.history(60)[-2:] == [TimeBucket(2, 1, 3.0, 4.0), TimeBucket(2, 1, 1.25, 1.25)]
    assert jobs.histories == 1
    clock.time += HOUR
    assert (tally.finished_within(HOUR), len(tally.history(60))) == (0, 60)


def test_the_last_hour_is_asked_for_anew_when_the_clock_was_set_back(
    clock: ManualClock, jobs: Finished
) -> None:
    tally = JobMetrics(jobs, clock)
    tally.step()
    clock.time -= 86400
    jobs.last_second = TimeBucket(5, 0, None, None)
    tally.step()
    assert (tally.finished_within(60), jobs.histories) == (5, 2)


def test_an_hour_counted_here_is_what_the_ledger_would_tell(
    ledger: Ledger, clock: ManualClock
) -> None:
    clock.time = float(int(clock.time))
    hour = LastHour([], clock.time - 1)
    ledger.enqueue([source(f"{number}.jpg") for number in range(40)])
    for number, claim in enumerate(ledger.claim(40)):
        clock.time += number * 7
        state = SUCCEEDED if number % 5 else FAILED
        job = (
            finished(ledger, claim, SUCCEEDED)
            if state is SUCCEEDED
            else failed(ledger, claim, NotAnImage("no"))
        )
        hour.move_to(clock.time)
        hour.add(clock.time, job.seconds, failed=state is FAILED)
    clock.time += 1  # the ledger's stretches end before now, ours with the present second
    assert hour.slots(60) == ledger.history(60, 60.0)
    begun_anew = LastHour(ledger.history(HOUR, 1.0), clock.time - 1)
    assert [slot.finished for slot in begun_anew.slots(60)] == [
        slot.finished for slot in hour.slots(60)
    ]
    assert hour.finished(600) == sum(ledger.rate(600).values())


def test_stages_of_copies_and_batches_of_stored_mattes_are_not_counted(
    clock: ManualClock, jobs: Finished
) -> None:
    tally = JobMetrics(jobs, clock)
    clock.time += 1
    timed = replace(RESULT, seconds={"decode": 0.05, "total": 1.0})
    jobs.add(1, clock.time, result=replace(timed, cache="exact"))
    jobs.add(2, clock.time, result=replace(timed, cache="matte"))
    tally.step()
    counted = samples(tally.report())
    stage = "edge_matting_stage_seconds_bucket"
    # A bound belongs to its bucket; the total is no stage.
    assert (counted[stage, ("decode", "0.025")], counted[stage, ("decode", "0.05")]) == (0, 1)
    assert {labels[0] for name, labels in counted if name == stage} == {"decode"}
    assert counted["edge_matting_batch_size_count", ()] == 0
    assert tally.saved_seconds() is None  # nothing made yet to compare with


def test_the_time_saved_is_what_a_photo_takes_without_the_cache(
    clock: ManualClock, jobs: Finished
) -> None:
    tally = JobMetrics(jobs, clock)
    clock.time += 1
    for number, (cache, seconds) in enumerate(
        [("miss", 2.0), ("miss", 4.0), ("exact", 0.5), ("matte", 9.0)], 1
    ):
        jobs.add(
            number, clock.time, result=replace(RESULT, cache=cache, seconds={"total": seconds})
        )
    tally.step()
    assert tally.saved_seconds() == 2.5


def test_the_time_left_follows_the_pace_of_busy_time_only() -> None:
    pace = EtaEstimator()
    now, finished = 0.0, 0
    pace.look(now, finished, busy=False)
    now += 3600  # an idle hour says nothing about the pace
    for _ in range(10):
        pace.look(now, finished, busy=True)
        now, finished = now + 2, finished + 1
    pace.look(now, finished, busy=True)
    assert pace.seconds_for(30) == pytest.approx(60)
    assert pace.seconds_for(0) is None


def test_a_pause_does_not_slow_the_estimate() -> None:
    pace = EtaEstimator()
    for second in range(10):
        pace.look(second, second, busy=True)
    pace.look(10, 10, busy=False)
    pace.look(1000, 10, busy=True)
    pace.look(1001, 11, busy=True)
    assert pace.seconds_for(11) == pytest.approx(11)


def test_an_old_pace_is_forgotten() -> None:
    pace = EtaEstimator()
    for second in range(1000):
        pace.look(second, second, busy=True)
    for step in range(400):
        pace.look(1000 + step, 1000 + step / 2, busy=True)
    assert pace.seconds_for(1) == pytest.approx(2, rel=0.1)


def test_too_little_to_go_by_gives_no_estimate() -> None:
    pace = EtaEstimator()
    assert pace.seconds_for(10) is None
    pace.look(0, 0, busy=True)
    pace.look(20, 2, busy=True)
    assert pace.seconds_for(10) is None
    pace.look(40, 4, busy=True)
    assert pace.seconds_for(10) == pytest.approx(100)


def test_what_the_engine_prepares_and_which_models_it_has_is_heard() -> None:
    events = EngineStatus()
    hear(events, {"event": "models", "ids": ["default", "mine"]})
    assert events.models == ("default", "mine")
    hear(events, {"event": "preparing", "what": "calibration", "fraction": 0.5})
    assert events.preparing is not None
    assert events.preparing["fraction"] == 0.5
    hear(events, {"event": "preparing", "what": None})
    assert events.preparing is None
