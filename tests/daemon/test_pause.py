"""A pause outlives the process that was told of it."""

from __future__ import annotations

from pathlib import Path

from edge_matting.daemon.pause import PauseSwitch


def test_a_pause_is_kept_over_a_restart_until_somebody_resumes(tmp_path: Path) -> None:
    path = tmp_path / "paused"
    assert not PauseSwitch(path).is_on
    PauseSwitch(path).set(on=True)
    again = PauseSwitch(path)
    assert again.is_on
    again.set(on=True)  # pausing twice is no fault
    again.set(on=False)
    assert not PauseSwitch(path).is_on
    again.set(on=False)
    assert list(tmp_path.iterdir()) == []


def test_a_pause_that_cannot_be_written_down_still_holds_and_says_so(tmp_path: Path) -> None:
    switch = PauseSwitch(tmp_path / "gone" / "paused")
    switch.set(on=True)
    assert switch.is_on
    assert switch.problem is not None
    assert "cannot be kept for a restart" in switch.problem
    (tmp_path / "gone").mkdir()
    switch.set(on=True)
    assert switch.problem is None


def test_without_a_file_nothing_is_kept() -> None:
    switch = PauseSwitch(None)
    switch.set(on=True)
    assert switch.is_on
    assert not PauseSwitch(None).is_on
