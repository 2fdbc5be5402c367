"""One hot folder's way into the ledger, step by step with a clock of the test's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from fakes import ManualClock
from harness import PHOTO

from edge_matting.config import parse_settings
from edge_matting.core.states import JobState
from edge_matting.daemon.intake import CHECK_SECONDS, Intake
from edge_matting.ledger import Ledger


@pytest.fixture
def intake(tmp_path: Path, ledger: Ledger, clock: ManualClock) -> Intake:
    """Of a folder whose rescan does not come by itself."""
    settings = parse_settings(
        {
            "hot_folders": [{"path": str(tmp_path / "hot")}],
            "intake": {"watch": "native", "rescan_seconds": 86400, "settle_seconds": 0.5},
            "limits": {"min_free_mb": 0},
        },
        tmp_path,
    )
    (tmp_path / "hot" / "in").mkdir(parents=True)
    return Intake(settings.hot_folders[0], settings, ledger, clock, wake=lambda: None)


def waiting(ledger: Ledger) -> list[str]:
    return [job.source for job in ledger.jobs(JobState.PENDING, 99)]


def steps(intake: Intake, clock: ManualClock, seconds: float) -> None:
    for _ in range(int(seconds / 0.5)):
        intake.step()
        clock.time += 0.5


def test_a_folder_that_returns_is_scanned_at_once(
    intake: Intake, ledger: Ledger, clock: ManualClock
) -> None:
    steps(intake, clock, 2.0)
    other_disk = intake.folder.path.with_name("other_disk")  # whose files raise no event here
    (other_disk / "in").mkdir(parents=True)
    shutil.copy(PHOTO, other_disk / "in" / "a.jpg")
    intake.folder.path.rename(intake.folder.path.with_name("away"))
    steps(intake, clock, 2 * CHECK_SECONDS)
    assert intake.problem is not None
    other_disk.rename(intake.folder.path)
    try:
        steps(intake, clock, 2 * CHECK_SECONDS + 2.0)
        assert intake.problem is None
        assert waiting(ledger) == ["a.jpg"]
    finally:
        intake.stop()
