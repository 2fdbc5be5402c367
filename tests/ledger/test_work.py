"""Claims, their outcomes, and what becomes of the jobs of an engine that died."""

from __future__ import annotations

import pytest
from fakes import ManualClock
from ledger_jobs import (
    FAILED,
    FOLDER,
    PENDING,
    REVIEW,
    RUNNING,
    SUCCEEDED,
    WITHDRAWN,
    a_result,
    claim_one,
    failed,
    finished,
    given_up,
    put_away,
    reviewed,
    source,
)

from edge_matting.core.errors import DiskFull, NotAnImage, SourceGone, Truncated
from edge_matting.core.jobs import Done, Failed, Place
from edge_matting.engine.jobs.source import EarlierResults, JobSource, Originals
from edge_matting.ledger import Ledger

YEAR = 365 * 86400.0


def test_the_ledger_hands_out_jobs_and_knows_originals_and_earlier_results(ledger: Ledger) -> None:
    jobs: JobSource = ledger
    originals: Originals = ledger
    earlier: EarlierResults = ledger
    assert jobs.claim(1) == originals.misplaced(1) == []
    assert earlier.find_result("s", "r", "m") is None


# Claims.


def test_claims_come_oldest_first_and_count_the_attempt(ledger: Ledger) -> None:
    ledger.enqueue([source(f"{n}.jpg") for n in range(5)])
    claims = ledger.claim(3)
    assert [claim.job.source for claim in claims] == ["0.jpg", "1.jpg", "2.jpg"]
    assert {(claim.job.state, claim.job.attempts) for claim in claims} == {(RUNNING, 1)}
    assert len({claim.token for claim in claims}) == 3
    assert len(ledger.claim(10**30)) == 2


@pytest.mark.parametrize("limit", [0, -1])
def test_no_claim_is_made_where_none_is_asked_for(ledger: Ledger, limit: int) -> None:
    ledger.enqueue([source()])
    assert ledger.claim(limit) == []
    ledger.claim(1)
    ledger.recover_after_engine_death(guilty=True)
    assert ledger.claim(limit) == []


def test_a_released_job_is_as_if_never_claimed(ledger: Ledger) -> None:
    ledger.enqueue([source()])
    claim = claim_one(ledger)
    assert ledger.holds(claim)
    assert ledger.release(claim)
    assert not ledger.holds(claim)
    assert not ledger.release(claim)
    assert claim_one(ledger).job.attempts == 1


def test_a_stale_claim_changes_nothing(ledger: Ledger) -> None:
    ledger.enqueue([source()])
    stale = claim_one(ledger)
    ledger.recover_after_engine_death(guilty=False)
    fresh = claim_one(ledger)
    assert ledger.finish(stale, Done(SUCCEEDED, a_result("a.png"))) is None
    assert ledger.finish(stale, Failed(NotAnImage("no"))) is None
    assert ledger.get(1) == fresh.job
    assert ledger.holds(fresh)


@pytest.mark.parametrize("jump", [-YEAR, -200.0, 0.0, YEAR])
def test_a_clock_jump_delays_no_waiting_job(
    ledger: Ledger, clock: ManualClock, jump: float
) -> None:
    ledger.enqueue([source("old.jpg")])
    clock.time += jump
    ledger.enqueue([source("new.jpg")])
    assert ledger.next_due() is not None
    assert [claim.job.source for claim in ledger.claim(2)] == ["old.jpg", "new.jpg"]


def test_a_delay_ends_when_the_clock_jumps_back(ledger: Ledger, clock: ManualClock) -> None:
    ledger.enqueue([source()])
    failed(ledger, claim_one(ledger), DiskFull("full"))
    assert ledger.claim(1) == []
    clock.time -= YEAR
    assert len(ledger.claim(1)) == 1


# Outcomes.


def test_a_done_job_keeps_its_whole_result(ledger: Ledger, clock: ManualClock) -> None:
    ledger.enqueue([source()])
    claim = claim_one(ledger)
    clock.time += 3
    result = a_result("a.png", "a.alpha.png")
    job = finished(ledger, claim, SUCCEEDED, result)
    assert (job.state, job.outputs, job.sha256) == (SUCCEEDED, result.outputs, "s")
    assert (job.finished_at, job.seconds, job.code) == (clock.time, 1.5, None)
    assert ledger.result(job.id) == result


def test_a_doubted_job_names_the_reasons(ledger: Ledger) -> None:
    job = reviewed(ledger)
    assert (job.state, job.code, job.message) == (REVIEW, "no_subject", "no_subject, flat")


def test_a_result_cannot_be_recorded_as_a_failure(ledger: Ledger) -> None:
    ledger.enqueue([source()])
    claim = claim_one(ledger)
    with pytest.raises(ValueError, match="cannot be failed"):
        ledger.finish(claim, Done(FAILED, a_result()))
    assert ledger.holds(claim)


def test_a_permanent_error_is_not_tried_again(ledger: Ledger) -> None:
    ledger.enqueue([source()])
    outcome = Failed(NotAnImage("bad\udcff.jpg", hint="export it"), sha256="f", seconds=0.25)
    job = ledger.finish(claim_one(ledger), outcome)
    assert job is not None
    assert (job.state, job.code, job.attempts) == (FAILED, "not_an_image", 1)
    assert job.message == "bad\\udcff.jpg (export it)"
    assert (job.sha256, job.seconds, job.outputs) == ("f", 0.25, ())


def test_a_temporary_error_is_tried_again_ever_later_and_at_most_max_attempts_times(
    ledger: Ledger, clock: ManualClock
) -> None:
    ledger.enqueue([source()])
    for delay in (2.0, 4.0):
        job = failed(ledger, claim_one(ledger), Truncated("short"))
        assert (job.state, job.code) == (PENDING, "truncated")
        assert ledger.next_due() == clock.time + delay
        clock.time += delay - 0.01
        assert ledger.claim(1) == []
        clock.time += 0.01
    job = failed(ledger, claim_one(ledger), Truncated("short"))
    assert (job.state, job.attempts) == (FAILED, 3)


def test_what_is_not_the_photos_fault_is_refunded_for_ever(
    ledger: Ledger, clock: ManualClock
) -> None:
    ledger.enqueue([source()])
    for delay in (2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0):
        job = failed(ledger, claim_one(ledger), DiskFull("full"))
        assert (job.state, job.attempts, job.code) == (PENDING, 0, "disk_full")
        assert ledger.next_due() == clock.time + delay
        clock.time += delay


def test_a_file_listed_just_before_it_was_moved_leaves_no_job(ledger: Ledger) -> None:
    ledger.enqueue([source()])
    put_away(ledger, finished(ledger, claim_one(ledger), SUCCEEDED))
    ledger.enqueue([source()])
    assert ledger.finish(claim_one(ledger), Failed(SourceGone("gone"))) is None
    assert [job.state for job in ledger.jobs(None, 9)] == [SUCCEEDED]
    ledger.enqueue([source(version=2)])
    assert claim_one(ledger).job.id == 3  # an id is never given again


def test_a_file_that_somebody_took_away_is_withdrawn_and_not_failed(ledger: Ledger) -> None:
    ledger.enqueue([source()])
    job = failed(ledger, claim_one(ledger), SourceGone("gone"))
    assert (job.state, job.code, job.original.place) == (WITHDRAWN, "source_gone", Place.GONE)
    assert (ledger.misplaced(9), ledger.retry(job.id)) == ([], None)
    assert ledger.check() == []


def test_a_withdrawn_photo_that_comes_back_is_a_new_job(ledger: Ledger) -> None:
    ledger.enqueue([source()])
    ((number, path),) = ledger.waiting_in(FOLDER)
    assert (path, ledger.withdraw([number]), ledger.withdraw([number])) == ("a.jpg", 1, 0)
    assert ledger.count_new([source()]) == 1
    assert ledger.enqueue([source()]).added == 1
    assert ledger.count_new([source()]) == 0
    assert ledger.counts()[WITHDRAWN] == 1
    assert ledger.check() == []


def test_a_photo_in_work_is_not_withdrawn_under_its_engine(ledger: Ledger) -> None:
    ledger.enqueue([source()])
    claim = claim_one(ledger)
    assert ledger.withdraw([claim.job.id]) == 0
    assert finished(ledger, claim, SUCCEEDED).state is SUCCEEDED


def test_a_retry_whose_original_was_taken_away_fails(ledger: Ledger) -> None:
    given_up(ledger)
    second = given_up(ledger)
    ledger.retry(second.id)
    assert failed(ledger, claim_one(ledger), SourceGone("gone")).state is FAILED


# Recovery.


def test_a_death_without_guilt_is_refunded(ledger: Ledger) -> None:
    ledger.enqueue([source("a.jpg"), source("b.jpg")])
    ledger.claim(2)
    recovered = ledger.recover_after_engine_death(guilty=False)
    assert [(job.state, job.attempts, job.alone) for job in recovered.returned] == [
        (PENDING, 0, False)
    ] * 2
    assert recovered.failed == ()
    assert len(ledger.claim(2)) == 2


def test_after_a_death_with_several_each_is_refunded_and_runs_alone(ledger: Ledger) -> None:
    ledger.enqueue([source("a.jpg"), source("b.jpg")])
    ledger.claim(2)
    recovered = ledger.recover_after_engine_death(guilty=True)
    assert [(job.attempts, job.alone) for job in recovered.returned] == [(0, True)] * 2
    ledger.enqueue([source("c.jpg")])
    first = ledger.claim(9)
    assert [claim.job.source for claim in first] == ["a.jpg"]
    assert ledger.claim(9) == []
    finished(ledger, first[0], SUCCEEDED)
    assert [claim.job.source for claim in ledger.claim(9)] == ["b.jpg"]


def test_a_job_that_runs_alone_waits_until_the_others_are_done(
    ledger: Ledger, clock: ManualClock
) -> None:
    ledger.enqueue([source("poison.jpg")])
    ledger.claim(1)
    ledger.recover_after_engine_death(guilty=True)
    ledger.enqueue([source("b.jpg"), source("c.jpg")])
    neighbour = claim_one(ledger)  # while the poison waits for its delay
    clock.time += 2
    assert ledger.claim(9) == []
    finished(ledger, neighbour, SUCCEEDED)
    assert [claim.job.source for claim in ledger.claim(9)] == ["poison.jpg"]


def test_deaths_of_a_lonely_job_count_until_it_is_given_up(
    ledger: Ledger, clock: ManualClock
) -> None:
    ledger.enqueue([source()])
    for delay in (2.0, 4.0):
        ledger.claim(1)
        (job,) = ledger.recover_after_engine_death(guilty=True).returned
        assert (job.alone, job.code) == (True, "engine_crashed")
        assert ledger.next_due() == clock.time + delay
        clock.time += delay
    ledger.claim(1)
    recovered = ledger.recover_after_engine_death(guilty=True)
    assert recovered.returned == ()
    assert [(job.state, job.code, job.attempts) for job in recovered.failed] == [
        (FAILED, "engine_crashed", 3)
    ]


def test_an_engines_death_gives_back_its_own_jobs_alone(tmp_path):
    path = tmp_path / "ledger.sqlite"
    first = Ledger.open(path, clock=ManualClock(), max_attempts=3, owner="1")
    other = Ledger.open(path, clock=ManualClock(), max_attempts=3, owner="11")
    with first, other:
        for name in ("a.jpg", "b.jpg"):
            first.enqueue([source(name)])
        (mine,) = first.claim(1)
        (theirs,) = other.claim(1)
        recovered = first.recover_after_engine_death(guilty=True, owner="1")
        assert [job.id for job in recovered.returned] == [mine.job.id]
        assert (recovered.returned[0].attempts, recovered.returned[0].alone) == (1, True)
        assert first.holds(theirs)
        assert not first.holds(mine)
        assert [job.id for job in first.recover_after_engine_death(guilty=False).returned] == [
            theirs.job.id
        ]
