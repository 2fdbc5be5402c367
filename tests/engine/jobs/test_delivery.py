"""From bytes to a published result: made, or copied from an earlier one."""

from __future__ import annotations

import numpy as np
from fake_model import MANIFEST, FakeSession, ResultShelf
from harness import PHOTO

from edge_matting.config import Recipe
from edge_matting.core.jobs import StoredResult
from edge_matting.core.states import JobState
from edge_matting.engine.jobs.delivery import deliver
from edge_matting.pipeline import PhotoTask, PixelBudget, Tools

TASK = PhotoTask("a.jpg", PHOTO.read_bytes(), Recipe(), 10**7, thumbnail=True)


def tools(stages: list[str] | None = None) -> Tools:
    matte = np.zeros((32, 32))
    matte[:, :16] = 1
    noted = stages if stages is not None else []
    return Tools(FakeSession(matte), MANIFEST, PixelBudget(10**6), noted.append)


def test_a_photo_is_digested_made_and_published_and_gives_its_place_up_before_the_disk_is_needed():
    steps: list[str] = []
    shelf = ResultShelf()
    done = deliver(TASK, tools(steps), shelf, lambda: steps.append("computed"))
    assert steps[0] == "digest"
    assert steps[-2:] == ["computed", "publish"]
    assert done.state is JobState.SUCCEEDED
    assert [output.file for output in done.result.outputs] == ["a.png"]
    assert len(shelf.published) == len(shelf.thumbnails) == 1


def test_an_earlier_result_is_copied_or_made_anew_when_it_is_gone():
    first = deliver(TASK, tools(), ResultShelf())
    stored = StoredResult(JobState.REVIEW, "/hot", first.result)
    shelf = ResultShelf(stored)
    again = deliver(TASK, tools(), shelf)
    assert (again.result.cache, again.state, shelf.published) == ("exact", JobState.REVIEW, [])
    shelf = ResultShelf(stored, intact=False)
    anew = deliver(TASK, tools(), shelf)
    assert (anew.result.cache, anew.state) == ("miss", JobState.SUCCEEDED)
    assert len(shelf.published) == 1


def test_a_result_that_is_to_be_made_anew_is_not_looked_for():
    first = deliver(TASK, tools(), ResultShelf())
    shelf = ResultShelf(StoredResult(JobState.SUCCEEDED, "/hot", first.result))
    shelf.reuses = False
    assert deliver(TASK, tools(), shelf).result.cache == "miss"
