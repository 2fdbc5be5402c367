"""What lies in ``in/`` is counted, also while nothing can be taken in; what left is withdrawn."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import ManualClock

from edge_matting.config import parse_settings
from edge_matting.core.states import JobState
from edge_matting.daemon.intake import CHECK_SECONDS, Intake
from edge_matting.ledger import Ledger

PLENTY = 1e9
"""More free megabytes than any disk has: asked for, the disk is full."""


class Desk:
    def __init__(self, root: Path, *, min_free_mb: float = 0.0) -> None:
        self.root = root
        self.clock = ManualClock()
        self.ledger = Ledger.open(root / "ledger.sqlite", clock=self.clock, max_attempts=3)
        self.intake = self.start(min_free_mb)

    def start(self, min_free_mb: float) -> Intake:
        settings = parse_settings(
            {
                "state_dir": str(self.root),
                "hot_folders": [{"path": str(self.root / "hot")}],
                "intake": {"watch": "polling", "rescan_seconds": 1},
                "limits": {"min_free_mb": min_free_mb},
            },
            self.root,
        )
        intake = Intake(settings.hot_folders[0], settings, self.ledger, self.clock, lambda: None)
        intake.prepare()
        return intake

    def restart(self, min_free_mb: float) -> None:
        self.intake.stop()
        self.intake = self.start(min_free_mb)

    def drop(self, *names: str) -> None:
        for name in names:
            (self.intake.folder.inbox / name).write_bytes(name.encode())

    def turn(self, seconds: float = CHECK_SECONDS + 1) -> None:
        """Time goes on, and the main loop turns a few times."""
        for _ in range(3):
            self.clock.time += seconds
            self.intake.step()

    def count(self, state: JobState) -> int:
        return self.ledger.counts()[state]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.intake.stop()
    desk.ledger.close()


def test_photos_that_come_while_the_disk_is_full_are_counted_and_taken_when_there_is_room(
    desk: Desk,
) -> None:
    desk.restart(PLENTY)
    desk.drop("a.jpg", "b.jpg")
    desk.turn()
    assert desk.intake.problem is not None
    assert (desk.intake.arriving, desk.count(JobState.PENDING)) == (2, 0)
    desk.restart(0.0)
    desk.turn()
    assert (desk.intake.arriving, desk.count(JobState.PENDING)) == (0, 2)


def test_jobs_of_before_a_restart_are_not_counted_twice(desk: Desk) -> None:
    desk.drop("a.jpg", "b.jpg")
    desk.turn()
    desk.restart(PLENTY)
    desk.drop("c.jpg")
    desk.turn()
    assert (desk.intake.arriving, desk.count(JobState.PENDING)) == (1, 2)


def test_photos_that_are_taken_away_while_they_wait_are_withdrawn(desk: Desk) -> None:
    desk.drop("a.jpg", "b.jpg", "c.jpg")
    desk.turn()
    (desk.intake.folder.inbox / "a.jpg").unlink()
    (desk.intake.folder.inbox / "b.jpg").rename(desk.root / "b.jpg")
    desk.turn()
    assert (desk.count(JobState.PENDING), desk.count(JobState.WITHDRAWN)) == (1, 2)
    assert desk.count(JobState.FAILED) == 0
    shutil.move(desk.root / "b.jpg", desk.intake.folder.inbox / "b.jpg")
    desk.turn()
    assert desk.count(JobState.PENDING) == 2


def test_a_folder_that_is_gone_withdraws_nothing(desk: Desk) -> None:
    desk.drop("a.jpg")
    desk.turn()
    desk.intake.folder.path.rename(desk.root / "unmounted")
    desk.turn()
    assert desk.intake.problem is not None
    assert (desk.count(JobState.PENDING), desk.count(JobState.WITHDRAWN)) == (1, 0)


def test_companions_of_a_photo_stay_where_they_are_and_are_no_jobs(desk: Desk) -> None:
    companions = ("IMG_1.xmp", "IMG_1.AAE", "IMG_1.THM", "IMG_1.MOV")
    desk.drop("IMG_1.jpg", *companions)
    desk.turn()
    assert desk.count(JobState.PENDING) == 1
    assert all((desk.intake.folder.inbox / name).is_file() for name in companions)
