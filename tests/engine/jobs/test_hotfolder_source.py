"""Jobs from the ledger, photos and results in hot folders."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from disk_calls import disk_calls
from harness import PHOTO
from ledger_jobs import a_result

from edge_matting.config import parse_settings
from edge_matting.core.clock import SystemClock
from edge_matting.core.errors import FolderUnavailable, SourceChanged, UnfitParameters
from edge_matting.core.jobs import Claim, Done, EncodedOutput, Job, Place, Signature, Source
from edge_matting.core.states import JobState
from edge_matting.engine.jobs.hotfolder_source import HotFolderSource
from edge_matting.engine.jobs.source import ClaimLost
from edge_matting.hotfolder.layout import prepare
from edge_matting.ledger import Ledger
from edge_matting.pipeline import FinishedPhoto

CUTOUT = EncodedOutput("cutout", "png", b"the cut-out")
ALPHA = EncodedOutput("alpha", "png", b"the matte")
SUCCEEDED, REVIEW = JobState.SUCCEEDED, JobState.REVIEW


class Box:
    """A ledger and a hot folder; results are what a test says."""

    def __init__(self, root: Path) -> None:
        self.settings = parse_settings(
            {
                "state_dir": str(root / "state"),
                "hot_folders": [{"path": str(root / "hot")}],
                "limits": {"min_free_mb": 0},
            },
            root,
        )
        (root / "state").mkdir()
        self.folder = self.settings.hot_folders[0]
        prepare(self.folder)
        self.ledger = Ledger.open(self.settings.ledger_path, clock=SystemClock(), max_attempts=3)
        self.source = HotFolderSource(self.ledger, self.settings, SystemClock())

    def drop(self, name: str = "a.jpg", content: bytes = b"", parameters: str = "") -> Claim:
        path = self.folder.inbox / name
        path.write_bytes(content or PHOTO.read_bytes())
        signature = Signature.of(path.lstat())
        if parameters:
            self.ledger.announce(str(self.folder.path), signature, parameters)
        self.ledger.enqueue([Source(str(self.folder.path), name, signature, "cutout")])
        (claim,) = self.source.claim(1)
        return claim

    def publish(self, claim: Claim, state: JobState, *files: EncodedOutput) -> Job:
        """A photo done with that outcome, its original put away."""
        finished = FinishedPhoto(state, files or (CUTOUT,), replace(a_result(), outputs=()))
        stored = self.source.open(claim).results.publish(finished)
        job = self.source.finish(claim, Done(stored.state, stored.result))
        assert job is not None
        self.source.put_away(job)
        return job

    def results(self) -> list[str]:
        found = [*self.folder.outbox.iterdir(), *self.folder.review.iterdir()]
        return sorted(str(path.relative_to(self.folder.path)) for path in found)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path)
    yield made
    assert made.ledger.check() == []
    made.ledger.close()


def test_a_photo_is_opened_by_value(box: Box) -> None:
    photo = box.source.open(box.drop(parameters='{"feather":2.0}'))
    assert (photo.task.name, photo.task.data) == ("a.jpg", PHOTO.read_bytes())
    assert photo.task.recipe.feather == 2.0
    assert photo.task.max_pixels == box.settings.limits.max_pixels
    assert photo.task.thumbnail


def test_parameters_that_no_longer_fit_the_recipe_are_the_photos_fault(box: Box) -> None:
    claim = box.drop(parameters='{"nonsense":1}')
    with pytest.raises(UnfitParameters, match=r"a\.jpg"):
        box.source.open(claim)


def test_nothing_is_handed_out_while_no_folder_can_be_worked_in(box: Box) -> None:
    box.drop("a.jpg")
    box.ledger.enqueue([Source(str(box.folder.path), "b.jpg", Signature(1, 1, 1), "cutout")])
    box.folder.path.rename(box.folder.path.with_name("away"))
    assert list(box.source.claim(5)) == []
    box.folder.path.with_name("away").rename(box.folder.path)
    assert len(box.source.claim(5)) == 1


def test_a_photo_that_is_gone_with_its_whole_folder_is_not_gone(box: Box) -> None:
    claim = box.drop()
    box.folder.path.rename(box.folder.path.with_name("away"))
    with pytest.raises(FolderUnavailable, match="is not there"):
        box.source.open(claim)
    box.folder.path.with_name("away").rename(box.folder.path)


@pytest.mark.parametrize("change", ["replaced", "removed"])
def test_a_photo_replaced_while_it_was_in_work_gets_no_output_of_its_old_content(
    box: Box, change: str
) -> None:
    claim = box.drop()
    photo = box.source.open(claim)
    (box.folder.inbox / "a.jpg").unlink()
    if change == "replaced":
        (box.folder.inbox / "a.jpg").write_bytes(b"another")
    with pytest.raises(SourceChanged, match="while it was in work"):
        photo.results.publish(FinishedPhoto(SUCCEEDED, (CUTOUT,), a_result()))
    assert box.results() == []


def test_a_retry_reads_its_original_where_it_was_put(box: Box) -> None:
    job = box.publish(box.drop(), REVIEW)
    assert box.ledger.retry(job.id) is not None
    (claim,) = box.source.claim(1)
    assert claim.job.original.place is Place.DONE
    assert box.source.open(claim).task.data == PHOTO.read_bytes()
    box.publish(claim, SUCCEEDED)
    assert box.results() == ["out/a.json", "out/a.png"]


def test_whose_claim_was_given_to_another_publishes_nothing(box: Box) -> None:
    claim = box.drop()
    results = box.source.open(claim).results
    box.ledger.recover_after_engine_death(guilty=False)
    with pytest.raises(ClaimLost):
        results.publish(FinishedPhoto(SUCCEEDED, (CUTOUT,), a_result()))
    assert box.results() == []


def test_outputs_that_the_newer_photo_of_the_name_lacks_go(box: Box) -> None:
    box.publish(box.drop(), SUCCEEDED, CUTOUT, ALPHA)
    box.publish(box.drop(content=b"another photo"), SUCCEEDED, CUTOUT)
    assert box.results() == ["out/a.json", "out/a.png"]


def test_a_good_result_takes_the_doubted_one_of_the_name_away(box: Box) -> None:
    box.publish(box.drop(), REVIEW, CUTOUT, ALPHA)
    box.publish(box.drop(content=b"a better photo"), SUCCEEDED)
    assert box.results() == ["out/a.json", "out/a.png"]


def test_a_doubted_result_never_takes_a_good_one_away(box: Box) -> None:
    """What a person may already use stays; the doubted one lies beside it until it is accepted."""
    box.publish(box.drop(), SUCCEEDED, CUTOUT, ALPHA)
    box.publish(box.drop(content=b"a worse photo"), REVIEW)
    good = ["out/a.alpha.png", "out/a.json", "out/a.png"]
    assert box.results() == [*good, "review/a.json", "review/a.png"]
    assert json.loads((box.folder.outbox / "a.json").read_bytes())["quality"]["verdict"] == "ok"


def test_a_copy_of_a_doubted_result_takes_no_good_one_away_either(box: Box) -> None:
    doubted = box.publish(box.drop("other.jpg"), REVIEW)
    box.publish(box.drop(), SUCCEEDED, CUTOUT, ALPHA)
    again = box.drop(content=b"a worse photo")
    stored = box.ledger.find_result("s", "r", "m")
    assert stored is not None
    stored = replace(stored, state=REVIEW, job_id=doubted.id)
    results = box.source.open(again).results
    review = replace(stored.result, outputs=doubted.outputs)
    copied = results.copy(replace(stored, result=review), stored.result)
    assert copied is not None
    assert copied.root == str(box.folder.review)
    assert box.results()[:3] == ["out/a.alpha.png", "out/a.json", "out/a.png"]


def test_a_result_is_on_the_disk_and_in_the_ledger_before_its_original_leaves_the_inbox(
    box: Box,
) -> None:
    """CASES 16, without another process: what is synced, in which order."""
    claim = box.drop()
    steps: list[str] = []

    def observe(call: str, path: Path) -> None:
        job = box.ledger.get(claim.job.id)
        assert job is not None
        there = "in" if (box.folder.inbox / "a.jpg").exists() else "away"
        steps.append(f"{call} {path.name}: {job.state.value}, {there}".replace(*hidden(path)))

    with disk_calls(observe):
        box.publish(claim, SUCCEEDED)
    assert steps == [
        "sync *: running, in",
        "sync out: running, in",
        "sync *: running, in",
        "sync out: running, in",
        "sync done: succeeded, away",
        "sync in: succeeded, away",
    ]


def hidden(path: Path) -> tuple[str, str]:
    return (path.name, "*") if path.name.startswith(".") else ("", "")


def test_originals_that_two_engines_could_move_are_moved_under_their_lock(box: Box) -> None:
    lock = threading.Lock()
    box.source = HotFolderSource(box.ledger, box.settings, SystemClock(), lock)
    held: dict[str, bool] = {}
    with disk_calls(lambda _call, path: held.update({path.name: lock.locked()})):
        box.publish(box.drop(), SUCCEEDED)
    assert (held["out"], held["done"], lock.locked()) == (False, True, False)
