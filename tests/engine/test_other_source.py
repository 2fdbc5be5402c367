"""The engine with jobs from memory: no ledger, no hot folder, the real pipeline and model."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_model import ResultShelf
from harness import PHOTO

from edge_matting.config import Recipe, Settings
from edge_matting.core.clock import SystemClock
from edge_matting.core.errors import JobSourceError
from edge_matting.core.exit_codes import CLEAN
from edge_matting.core.jobs import Claim, Done, Failed, Job, Original, Outcome, Place, Signature
from edge_matting.core.states import JobState
from edge_matting.device import VitalsReader, probe_device
from edge_matting.engine.channel import Reporter
from edge_matting.engine.engine import Device, Engine, EngineParts
from edge_matting.engine.factory import open_catalog, planning_for
from edge_matting.engine.jobs.source import OpenedPhoto
from edge_matting.pipeline import PhotoTask
from tools.waiting import wait_until

RECIPE = Recipe.model_validate({"outputs": ({"kind": "alpha"}, {"kind": "composite"})})


class MemorySource:
    """`JobSource` and `PhotoStore` over photos in memory; results stay there too."""

    def __init__(self, photos: Sequence[bytes]) -> None:
        self.photos = dict(enumerate(photos))
        self.shelves = {number: ResultShelf() for number in self.photos}
        self.outcomes: dict[int, Outcome] = {}
        self.put_away_jobs: list[int] = []
        self.faults = 1  # times that a claim fails first
        self._waiting = deque(self.photos)
        self._lock = threading.Lock()

    def claim(self, limit: int) -> list[Claim]:
        with self._lock:
            if self.faults:
                self.faults -= 1
                raise JobSourceError("the broker does not answer")
            taken = [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]
        return [Claim(self._job(number), f"token {number}") for number in taken]

    def holds(self, claim: Claim) -> bool:
        return claim.job.id not in self.outcomes

    def finish(self, claim: Claim, outcome: Outcome) -> Job | None:
        self.outcomes[claim.job.id] = outcome
        return replace(claim.job, state=JobState.SUCCEEDED)

    def release(self, claim: Claim) -> bool:
        self._waiting.append(claim.job.id)
        return True

    def open(self, claim: Claim) -> OpenedPhoto:
        number = claim.job.id
        task = PhotoTask(claim.job.source, self.photos[number], RECIPE, 10**8)
        return OpenedPhoto(task, self.shelves[number])

    def put_away(self, job: Job) -> None:
        self.put_away_jobs.append(job.id)

    def put_away_all(self, progress: Callable[[], None]) -> None:
        """Nothing waits."""

    def may_still_grow(self, job: Job) -> bool:
        return False

    def _job(self, number: int) -> Job:
        return Job(
            id=number,
            folder="memory",
            source=f"{number}.jpg",
            signature=Signature(0, 0, 0),
            recipe="by value",
            state=JobState.RUNNING,
            attempts=1,
            alone=False,
            stem=f"{number}",
            original=Original(Place.IN, f"{number}.jpg"),
        )


@pytest.fixture
def reporter() -> Iterator[Reporter]:
    read_end, write_end = os.pipe()
    yield Reporter(write_end)
    os.close(read_end)
    os.close(write_end)


def engine_of(source: MemorySource, state_dir: Path, reporter: Reporter) -> Engine:
    settings = Settings(state_dir=state_dir)
    profile = probe_device()
    device = Device(profile, VitalsReader(), planning_for(settings, profile))
    catalog = open_catalog(settings)
    return Engine(
        EngineParts(source, source, reporter, SystemClock(), settings, catalog, None, device)
    )


def test_the_engine_works_for_a_source_without_ledger_and_folders(
    tmp_path: Path, reporter: Reporter
) -> None:
    source = MemorySource([PHOTO.read_bytes(), b"no image", PHOTO.read_bytes() + b"again"])
    engine = engine_of(source, tmp_path, reporter)
    ended: list[int] = []
    thread = threading.Thread(target=lambda: ended.append(engine.run()))
    thread.start()
    try:
        wait_until(lambda: len(source.outcomes) == 3, 60, 0.05)
    finally:
        engine.commands["stop"]()
        thread.join(30)
    assert ended == [CLEAN]
    assert sorted(source.put_away_jobs) == [0, 1, 2]
    assert isinstance(source.outcomes[1], Failed)
    assert source.outcomes[1].error.code == "not_an_image"
    for number in (0, 2):
        done = source.outcomes[number]
        assert isinstance(done, Done)
        assert (done.state, done.result.model_id) == (JobState.SUCCEEDED, "default")
        (photo,) = source.shelves[number].published
        alpha = cv2.imdecode(np.frombuffer(photo.files[0].data, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert 0.2 < (alpha > 128).mean() < 0.9
    assert list(tmp_path.iterdir()) == []
