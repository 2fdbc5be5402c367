"""What the ledger makes of the files it is told of, and which output names they get."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest
from fakes import ManualClock
from ledger_jobs import (
    FOLDER,
    PENDING,
    SUCCEEDED,
    a_result,
    claim_one,
    failed,
    finished,
    given_up,
    put_away,
    source,
)

from edge_matting.core.errors import Truncated
from edge_matting.core.jobs import Job, Original, Place, Signature, Source
from edge_matting.ledger import Enqueued, Ledger


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
