"""Finished jobs: where originals lie, what the operator may do, what is read and for how long."""

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

from edge_matting.core.errors import LedgerError, NotAnImage
from edge_matting.core.jobs import Original, Output, Place, StoredResult, TimeBucket
from edge_matting.core.states import JobState
from edge_matting.ledger import Ledger

# Originals.


def test_a_finished_job_is_misplaced_until_its_original_is_put_away(ledger: Ledger) -> None:
    ledger.enqueue([source("a.jpg"), source("b.jpg")])
    jobs = [finished(ledger, claim, SUCCEEDED) for claim in ledger.claim(2)]
    assert ledger.misplaced(9) == jobs
    assert ledger.misplaced(1) == jobs[:1]
    assert ledger.misplaced(-1) == []
    assert put_away(ledger, jobs[0]).original == Original(Place.DONE, "a.jpg")
    assert ledger.stays(jobs[1], "read-only folder\udcff")
    assert ledger.misplaced(9) == []
    kept = ledger.get(jobs[1].id)
    assert kept is not None
    assert kept.message == "read-only folder\\udcff"


def test_an_original_is_recorded_as_moved_once_and_only_of_a_finished_job(ledger: Ledger) -> None:
    ledger.enqueue([source()])
    claim = claim_one(ledger)
    assert not ledger.moved(claim.job, Original(Place.DONE, "a.jpg"))
    assert not ledger.stays(claim.job)
    job = finished(ledger, claim, SUCCEEDED)
    assert ledger.moved(job, Original(Place.DONE, "a.jpg"))
    assert not ledger.moved(job, Original(Place.DONE, "a~2.jpg"))


def test_an_original_moved_while_its_review_is_accepted_is_looked_at_again(
    ledger: Ledger,
) -> None:
    ledger.enqueue([source()])
    doubted = finished(ledger, claim_one(ledger), REVIEW)
    ledger.accept(doubted.id, ())
    assert not ledger.stays(doubted)
    assert ledger.moved(doubted, Original(Place.DONE, "a.jpg"))
    (job,) = ledger.misplaced(9)
    assert job.original == Original(Place.DONE, "a.jpg")


# Actions.


@pytest.mark.parametrize("make", [given_up, reviewed])
def test_a_retry_begins_afresh_from_where_the_original_lies(ledger: Ledger, make: object) -> None:
    assert callable(make)
    old = make(ledger)
    job = ledger.retry(old.id, model="better")
    assert job is not None
    assert (job.state, job.attempts, job.alone, job.model) == (PENDING, 0, False, "better")
    assert (job.original, job.outputs, job.finished_at) == (old.original, (), None)
    assert job.code == old.code
    assert claim_one(ledger).job.id == old.id


def test_only_failed_and_reviewed_jobs_can_be_retried(ledger: Ledger) -> None:
    assert ledger.retry(1) is None
    assert ledger.retry(10**30) is None
    ledger.enqueue([source()])
    assert ledger.retry(1) is None
    claim = claim_one(ledger)
    assert ledger.retry(1) is None
    finished(ledger, claim, SUCCEEDED)
    assert ledger.retry(1) is None
    assert ledger.accept(1, ()) is None
    assert ledger.accept(2, ()) is None


def test_a_retry_is_refused_when_a_newer_photo_has_the_name(ledger: Ledger) -> None:
    old = given_up(ledger)
    ledger.enqueue([source(version=2)])
    with pytest.raises(LedgerError, match="newer photo of the same name is job 2"):
        ledger.retry(old.id)


def test_a_retry_is_refused_while_the_original_is_on_its_way_or_gone(ledger: Ledger) -> None:
    ledger.enqueue([source()])
    job = failed(ledger, claim_one(ledger), NotAnImage("no"))
    with pytest.raises(LedgerError, match="not put away yet"):
        ledger.retry(job.id)
    ledger.moved(job, Original(Place.GONE, ""))
    with pytest.raises(LedgerError, match=r"gone \(drop the photo again\)"):
        ledger.retry(job.id)


def test_an_accepted_review_succeeds_with_its_verdict_kept(ledger: Ledger) -> None:
    old = reviewed(ledger)
    outputs = (Output("sub/a.png", "cutout", "png", "1" * 64),)
    job = ledger.accept(old.id, outputs)
    assert job is not None
    assert (job.state, job.outputs, job.code, job.message) == (SUCCEEDED, outputs, None, None)
    result = ledger.result(job.id)
    assert result is not None
    assert result.quality.verdict == "review"
    assert ledger.misplaced(9) == [job]


def test_an_outdated_review_cannot_be_accepted(ledger: Ledger) -> None:
    old = reviewed(ledger)
    ledger.enqueue([source(version=2)])
    with pytest.raises(LedgerError, match="outdated"):
        ledger.accept(old.id, ())


# Reading.


def test_jobs_are_listed_newest_first_in_pages(ledger: Ledger) -> None:
    ledger.enqueue([source(f"{n}.jpg") for n in range(5)])
    ledger.claim(2)
    assert [job.id for job in ledger.jobs(None, 2)] == [5, 4]
    assert [job.id for job in ledger.jobs(None, 2, 4)] == [3, 2]
    assert [job.id for job in ledger.jobs(RUNNING, 9)] == [2, 1]
    assert [job.id for job in ledger.jobs(PENDING, 9, 5)] == [4, 3]
    assert [job.id for job in ledger.jobs(None, 10**30, 10**30)] == [5, 4, 3, 2, 1]
    assert ledger.jobs(None, -1) == []
    assert ledger.jobs(None, 9, -(10**30)) == []


def test_what_is_not_there_is_none(ledger: Ledger) -> None:
    assert ledger.get(1) is None
    assert ledger.get(10**30) is None
    assert ledger.result(1) is None
    ledger.enqueue([source()])
    assert ledger.result(1) is None


def test_numbers_for_the_status_page(ledger: Ledger, clock: ManualClock) -> None:
    assert ledger.counts() == dict.fromkeys(JobState, 0)
    assert (ledger.oldest_pending(), ledger.next_due()) == (None, None)
    began = clock.time
    ledger.enqueue([source("a.jpg"), source("b.jpg"), source("c.jpg")])
    clock.time += 10
    first, second = ledger.claim(2)
    assert ledger.oldest_pending() == began
    assert ledger.next_due() == began
    finished(ledger, first, SUCCEEDED)
    clock.time += 60
    failed(ledger, second, NotAnImage("no"))
    assert ledger.counts() == {
        PENDING: 1,
        RUNNING: 0,
        SUCCEEDED: 1,
        REVIEW: 0,
        FAILED: 1,
        WITHDRAWN: 0,
    }
    assert ledger.rate(30) == {SUCCEEDED: 0, REVIEW: 0, FAILED: 1, WITHDRAWN: 0}
    assert ledger.rate(90) == {SUCCEEDED: 1, REVIEW: 0, FAILED: 1, WITHDRAWN: 0}
    claim_one(ledger)
    assert (ledger.oldest_pending(), ledger.next_due()) == (None, None)


def test_what_finished_is_listed_with_its_moment_and_as_a_history(
    ledger: Ledger, clock: ManualClock
) -> None:
    begin = clock.time
    ledger.enqueue([source("a.jpg"), source("b.jpg"), source("c.jpg")])
    first, second, third = ledger.claim(3)
    finished(ledger, first, SUCCEEDED)
    clock.time += 60
    failed(ledger, second, NotAnImage("no"))
    finished(ledger, third, SUCCEEDED)
    assert ledger.finished(begin, clock.time) == [(2, begin + 60), (3, begin + 60)]
    assert ledger.finished(begin - 1, begin) == [(1, begin)]
    clock.time += 30
    timed = a_result().seconds["total"]
    assert ledger.history(3, 60.0) == [
        TimeBucket(0, 0, None, None),
        TimeBucket(1, 0, timed, timed),
        TimeBucket(2, 1, timed, timed),
    ]


def test_the_newest_result_of_the_same_bytes_is_found(ledger: Ledger) -> None:
    ledger.enqueue([source("a.jpg"), source("b.jpg"), source("c.jpg")])
    results = [a_result("a.png"), a_result("b.png"), a_result("c.png", cache="exact")]
    for claim, result in zip(ledger.claim(3), results, strict=True):
        finished(ledger, claim, SUCCEEDED, result)
    assert ledger.find_result("s", "r", "m") == StoredResult(SUCCEEDED, FOLDER, results[1], 2)
    assert ledger.find_result("s", "r", "other") is None


def test_a_result_that_is_made_anew_is_not_found(ledger: Ledger) -> None:
    job = reviewed(ledger)
    assert ledger.find_result("s", "r", "m") is not None
    ledger.retry(job.id)
    assert ledger.find_result("s", "r", "m") is None


def test_the_outputs_that_a_job_replaces_are_known(ledger: Ledger) -> None:
    ledger.enqueue([source()])
    assert ledger.previous_outputs(FOLDER, "a.jpg", 1) is None
    put_away(ledger, finished(ledger, claim_one(ledger), SUCCEEDED))
    given_up(ledger, version=2)
    ledger.enqueue([source(version=3)])
    expected = StoredResult(SUCCEEDED, FOLDER, a_result("a.png"), 1)
    assert ledger.previous_outputs(FOLDER, "a.jpg", 3) == expected
    assert ledger.previous_outputs(FOLDER, "a.jpg", 1) is None
    assert ledger.previous_outputs("/other", "a.jpg", 3) is None


def test_a_retried_review_replaces_its_own_outputs(ledger: Ledger) -> None:
    job = reviewed(ledger)
    result = ledger.result(job.id)
    assert result is not None
    for error in (None, NotAnImage("no")):
        ledger.retry(job.id)
        claim = claim_one(ledger)
        assert ledger.previous_outputs(FOLDER, "a.jpg", job.id) == StoredResult(
            REVIEW, FOLDER, result, job.id
        )
        if error is None:
            put_away(ledger, failed(ledger, claim, NotAnImage("no")), Place.FAILED)
    finished(ledger, claim, SUCCEEDED)
    assert ledger.previous_outputs(FOLDER, "a.jpg", job.id) is None


# Housekeeping.


def test_history_is_pruned_but_what_explains_a_file_stays(
    ledger: Ledger, clock: ManualClock
) -> None:
    for version in (1, 2, 3):
        given_up(ledger, version=version)
    ledger.enqueue([source("kept.jpg")])
    ledger.stays(finished(ledger, claim_one(ledger), SUCCEEDED))
    clock.time += 100
    assert ledger.prune(101) == 0
    assert ledger.prune(99) == 3
    assert [job.id for job in ledger.jobs(None, 9)] == [4]
    ledger.enqueue([source(version=4)])
    assert claim_one(ledger).job.stem == "a"


def test_originals_put_away_long_ago_are_found_by_their_place(
    ledger: Ledger, clock: ManualClock
) -> None:
    ledger.enqueue([source()])
    put_away(ledger, finished(ledger, claim_one(ledger), SUCCEEDED))
    given_up(ledger, version=2)
    clock.time += 100
    before = clock.now() - 50
    assert [job.id for job in ledger.put_away_before(Place.DONE, before, 9)] == [1]
    assert [job.id for job in ledger.put_away_before(Place.FAILED, before, 9)] == [2]
    assert ledger.put_away_before(Place.DONE, clock.now() - 200, 9) == []
