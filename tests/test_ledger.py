"""What the ledger promises to the daemon and to the engine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import ManualClock

from edge_matting.core.errors import (
    DiskFull,
    JobError,
    LedgerError,
    NotAnImage,
    SourceGone,
    Truncated,
)
from edge_matting.core.jobs import (
    Claim,
    Done,
    Execution,
    Failed,
    Job,
    JobSource,
    Original,
    Output,
    Place,
    Quality,
    Result,
    Signature,
    Slot,
    Source,
    StoredResult,
)
from edge_matting.core.states import JobState
from edge_matting.ledger import Enqueued, Ledger

FOLDER = "/srv/hot"
YEAR = 365 * 86400.0
PENDING, RUNNING, SUCCEEDED, REVIEW, FAILED = JobState


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: ManualClock) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.sqlite", clock=clock, max_attempts=3) as opened:
        yield opened
        assert opened.check() == []


def source(path: str = "a.jpg", version: int = 1, folder: str = FOLDER) -> Source:
    return Source(folder, path, Signature(100, version, 7), "cutout")


def a_result(
    *files: str, sha256: str = "s", cache: str = "miss", reasons: tuple[str, ...] = ()
) -> Result:
    return Result(
        sha256=sha256,
        source_size=(640, 480),
        outputs=tuple(Output(file, "cutout", "png", "0" * 64) for file in files),
        recipe_key="r",
        model_id="default",
        model_sha256="m",
        execution=Execution("ort", "cpu", "fp32", (512, 512), 1),
        cache=cache,
        quality=Quality("review" if reasons else "ok", reasons, 0.4, 0.01, 0.1),
        seconds={"decode": 0.5, "total": 1.5},
    )


def claim_one(ledger: Ledger) -> Claim:
    (claim,) = ledger.claim(1)
    return claim


def finished(ledger: Ledger, claim: Claim, state: JobState, result: Result | None = None) -> Job:
    job = ledger.finish(claim, Done(state, result or a_result("a.png")))
    assert job is not None
    return job


def failed(ledger: Ledger, claim: Claim, error: JobError) -> Job:
    job = ledger.finish(claim, Failed(error))
    assert job is not None
    return job


def put_away(ledger: Ledger, job: Job, place: Place = Place.DONE) -> Job:
    assert ledger.moved(job, Original(place, job.source))
    moved = ledger.get(job.id)
    assert moved is not None
    return moved


def given_up(ledger: Ledger, path: str = "a.jpg", version: int = 1) -> Job:
    """A failed job with its original in failed/."""
    ledger.enqueue([source(path, version)])
    job = failed(ledger, claim_one(ledger), NotAnImage("not a picture"))
    return put_away(ledger, job, Place.FAILED)


def reviewed(ledger: Ledger) -> Job:
    ledger.enqueue([source()])
    result = a_result("a.png", reasons=("no_subject", "flat"))
    return put_away(ledger, finished(ledger, claim_one(ledger), REVIEW, result))


def test_the_ledger_is_a_job_source(ledger: Ledger) -> None:
    jobs: JobSource = ledger
    assert jobs.claim(1) == []


# Intake.


def test_a_new_file_becomes_a_pending_job(ledger: Ledger, clock: ManualClock) -> None:
    assert ledger.enqueue([source("sub/a.jpg")]) == Enqueued(1, 0, 0, ())
    assert ledger.get(1) == Job(
        id=1,
        folder=FOLDER,
        source="sub/a.jpg",
        signature=Signature(100, 1, 7),
        recipe="cutout",
        state=PENDING,
        attempts=0,
        alone=False,
        stem="sub/a",
        original=Original(Place.IN, "sub/a.jpg"),
        created_at=clock.time,
        updated_at=clock.time,
    )


def test_a_file_seen_again_is_known_while_it_waits_runs_or_lies_finished(ledger: Ledger) -> None:
    known = Enqueued(0, 0, 1, ())
    ledger.enqueue([source()])
    assert ledger.enqueue([source()]) == known
    claim = claim_one(ledger)
    assert ledger.enqueue([source()]) == known
    job = finished(ledger, claim, SUCCEEDED)
    assert ledger.enqueue([source()]) == known
    ledger.stays(job)
    assert ledger.enqueue([source()]) == known


def test_the_same_file_dropped_again_after_its_original_was_moved_is_a_new_job(
    ledger: Ledger,
) -> None:
    ledger.enqueue([source()])
    put_away(ledger, finished(ledger, claim_one(ledger), SUCCEEDED))
    assert ledger.enqueue([source()]).added == 1


def test_a_waiting_job_follows_its_file(ledger: Ledger, clock: ManualClock) -> None:
    ledger.enqueue([source()])
    failed(ledger, claim_one(ledger), Truncated("short"))
    assert ledger.claim(1) == []
    clock.time += 1
    assert ledger.enqueue([replace(source(version=2), recipe="other")]) == Enqueued(0, 1, 0, ())
    job = claim_one(ledger).job
    assert (job.id, job.signature.mtime_ns, job.recipe, job.attempts) == (1, 2, "other", 1)
    assert (job.code, job.message) == (None, None)


def test_new_content_of_a_photo_in_work_has_to_wait(ledger: Ledger) -> None:
    ledger.enqueue([source()])
    claim = claim_one(ledger)
    newer = source(version=2)
    assert ledger.enqueue([newer]) == Enqueued(0, 0, 0, (newer,))
    finished(ledger, claim, SUCCEEDED)
    assert ledger.enqueue([newer]).added == 1


def test_a_waiting_retry_is_not_turned_to_another_photo(ledger: Ledger) -> None:
    job = given_up(ledger)
    ledger.retry(job.id)
    for again in (source(), source(version=2)):
        assert ledger.enqueue([again]).busy == (again,)
    assert claim_one(ledger).job.original == Original(Place.FAILED, "a.jpg")


def test_all_files_of_a_scan_are_taken_or_none(ledger: Ledger) -> None:
    class Unplugged(RuntimeError):
        pass

    class Files(list[Source]):
        def __iter__(self) -> Iterator[Source]:
            yield source("a.jpg")
            raise Unplugged

    with pytest.raises(Unplugged):
        ledger.enqueue(Files())
    assert ledger.counts()[PENDING] == 0
    assert ledger.enqueue([source("a.jpg")]).added == 1


@pytest.mark.parametrize(
    "path",
    [
        b"caf\xe9.jpg",
        b"new\nline \"'<script>.jpg",
        "\N{CAT}.jpg".encode(),
        b"-rf.jpg",
        b"x" * 251 + b".jpg",
    ],
)
def test_any_file_name_comes_back_as_it_was(ledger: Ledger, path: bytes) -> None:
    name = os.fsdecode(path)
    ledger.enqueue([source(name, folder=os.fsdecode(b"/srv/\xff"))])
    claim = claim_one(ledger)
    assert os.fsencode(claim.job.source) == path
    assert os.fsencode(claim.job.folder) == b"/srv/\xff"
    job = finished(ledger, claim, SUCCEEDED, a_result(f"{claim.job.stem}.png"))
    assert job.outputs[0].file == f"{claim.job.stem}.png"
    assert put_away(ledger, job).original == Original(Place.DONE, name)


def test_inodes_and_times_beyond_64_bits_are_kept(ledger: Ledger) -> None:
    odd = replace(source(), signature=Signature(2**40, 2**63 + 5, 2**64 - 1))
    ledger.enqueue([odd])
    assert claim_one(ledger).job.signature == odd.signature
    assert ledger.enqueue([odd]).known == 1


def test_sources_never_share_an_output_name(ledger: Ledger) -> None:
    paths = ["a.jpg", "a.png", "a.alpha.jpg", "b.trimap.png", "b.jpg", "sub/a.jpg", "a~png.gif"]
    ledger.enqueue([source(path) for path in paths])
    stems = {job.source: job.stem for job in ledger.jobs(None, 100)}
    assert stems == {
        "a.jpg": "a",
        "a.png": "a~png",
        "a.alpha.jpg": "a.alpha~jpg",
        "b.trimap.png": "b.trimap",
        "b.jpg": "b~jpg",
        "sub/a.jpg": "sub/a",
        "a~png.gif": "a~png~gif",
    }


def test_each_hot_folder_has_names_of_its_own(ledger: Ledger) -> None:
    ledger.enqueue([source("a.jpg", folder="/one"), source("a.png", folder="/two")])
    assert {job.stem for job in ledger.jobs(None, 9)} == {"a"}


def test_a_source_keeps_its_output_name_for_ever(ledger: Ledger, clock: ManualClock) -> None:
    ledger.enqueue([source("a.jpg"), source("a.png")])
    for claim in ledger.claim(2):
        put_away(ledger, finished(ledger, claim, SUCCEEDED))
    ledger.enqueue([source("a.png", 2), source("a.jpg", 2)])
    assert [claim.job.stem for claim in ledger.claim(2)] == ["a~png", "a"]


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
    ledger.recover_after_restart()
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
    assert ledger.has_work()
    assert ledger.next_due() is not None
    assert [claim.job.source for claim in ledger.claim(2)] == ["old.jpg", "new.jpg"]


def test_a_delay_ends_when_the_clock_jumps_back(ledger: Ledger, clock: ManualClock) -> None:
    ledger.enqueue([source()])
    failed(ledger, claim_one(ledger), DiskFull("full"))
    assert not ledger.has_work()
    clock.time -= YEAR
    assert ledger.has_work()
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


def test_a_file_that_somebody_took_away_fails(ledger: Ledger) -> None:
    ledger.enqueue([source()])
    assert failed(ledger, claim_one(ledger), SourceGone("gone")).code == "source_gone"


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
    assert ledger.retry_failed() == 0


def test_a_retry_is_refused_while_the_original_is_on_its_way_or_gone(ledger: Ledger) -> None:
    ledger.enqueue([source()])
    job = failed(ledger, claim_one(ledger), NotAnImage("no"))
    with pytest.raises(LedgerError, match="not put away yet"):
        ledger.retry(job.id)
    ledger.moved(job, Original(Place.GONE, ""))
    with pytest.raises(LedgerError, match=r"gone \(drop the photo again\)"):
        ledger.retry(job.id)
    assert ledger.retry_failed() == 0


def test_all_failed_jobs_are_retried_at_once(ledger: Ledger) -> None:
    given_up(ledger, "a.jpg")
    given_up(ledger, "b.jpg")
    assert ledger.retry_failed() == 2
    assert len(ledger.claim(9)) == 2


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
    assert (ledger.oldest_pending(), ledger.next_due(), ledger.has_work()) == (None, None, False)
    began = clock.time
    ledger.enqueue([source("a.jpg"), source("b.jpg"), source("c.jpg")])
    clock.time += 10
    first, second = ledger.claim(2)
    assert ledger.oldest_pending() == began
    assert (ledger.next_due(), ledger.has_work()) == (began, True)
    finished(ledger, first, SUCCEEDED)
    clock.time += 60
    failed(ledger, second, NotAnImage("no"))
    assert ledger.counts() == {PENDING: 1, RUNNING: 0, SUCCEEDED: 1, REVIEW: 0, FAILED: 1}
    assert ledger.rate(30) == {SUCCEEDED: 0, REVIEW: 0, FAILED: 1}
    assert ledger.rate(90) == {SUCCEEDED: 1, REVIEW: 0, FAILED: 1}
    claim_one(ledger)
    assert (ledger.oldest_pending(), ledger.next_due(), ledger.has_work()) == (None, None, True)


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
        Slot(0, 0, None, None),
        Slot(1, 0, timed, timed),
        Slot(2, 1, timed, timed),
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


# Upkeep.


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


def test_a_folder_is_known_once_it_had_a_job(ledger: Ledger) -> None:
    assert not ledger.knows(FOLDER)
    ledger.enqueue([source()])
    assert ledger.knows(FOLDER)
    assert not ledger.knows("/other")


def test_names_of_lost_results_are_adopted_where_they_are_free(ledger: Ledger) -> None:
    names = [("a.jpg", "a"), ("b/c.png", "b/c"), ("a.png", "a")]
    assert ledger.adopt(FOLDER, names) == 2
    assert ledger.adopt(FOLDER, names) == 0
    ledger.enqueue([source("a.png")])
    assert claim_one(ledger).job.stem == "a~png"
    assert ledger.check() == []
    assert ledger.damage() == []


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
        assert [job.id for job in first.recover_after_restart().returned] == [theirs.job.id]
