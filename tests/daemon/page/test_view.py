"""What the page is told when something is wrong, without any process running."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes import ManualClock
from status_fixture import job

from edge_matting.config import parse_settings
from edge_matting.core.clock import SystemClock
from edge_matting.core.errors import LedgerError
from edge_matting.core.jobs import Job
from edge_matting.core.reasons import Reason
from edge_matting.core.states import JobState
from edge_matting.daemon.engine_supervision import EngineCondition
from edge_matting.daemon.page.view import LOOP_SECONDS, View
from edge_matting.device import probe_device
from edge_matting.ledger import Ledger
from edge_matting.status.interfaces import ActionRefused, ApplianceState


class FlakyLedger:
    """A real ledger that can be made unreadable."""

    def __init__(self, path: Path) -> None:
        self._ledger = Ledger.open(path, clock=SystemClock(), max_attempts=3)
        self.fault: str | None = None

    def __getattr__(self, name: str) -> Any:
        if self.fault is not None:
            raise LedgerError(self.fault)
        return getattr(self._ledger, name)


def supervisor(**changes: Any) -> SimpleNamespace:
    """Engines that are well, but for the changes."""
    usual: dict[str, Any] = {
        "problem": lambda: None,
        "obstacles": dict,
        "condition": lambda: EngineCondition.READY,
        "is_hopeless": lambda: False,
        "is_partly_unusable": lambda: False,
        "partial_problems": lambda: (),
        "ready": lambda: True,
        "replaced_in_a_row": 0,
        "ended_in_a_row": 0,
        "engine": None,
        "engines": (),
        "restarts": 0,
        "answers": lambda: (0, 0),
        "adapted": Counter,
        "pause": lambda *, paused: None,
        "wake": lambda: None,
    }
    return SimpleNamespace(**usual | changes)


class Desk:
    def __init__(self, root: Path) -> None:
        self.clock = ManualClock()
        self.ledger = FlakyLedger(root / "ledger.sqlite")
        self.settings = parse_settings({"state_dir": str(root)}, root)
        self.view = View(self.ledger, self.clock, probe_device(), lambda: None)  # type: ignore[arg-type]

    def attach(self, **changes: Any) -> View:
        self.view.attach(self.settings, supervisor(**changes), [], "http://x/")  # type: ignore[arg-type]
        self.view.refresh()
        return self.view


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_before_its_parts_are_there_it_is_starting_and_takes_no_uploads(desk: Desk) -> None:
    assert desk.view.readiness() == ("it is starting",)
    assert desk.view.snapshot().state is ApplianceState.STARTING
    assert desk.view.results_folder(a_job()) is None
    with pytest.raises(ActionRefused, match="starting"):
        desk.view.begin_upload("a.jpg", 1, None, 0, {})


def test_all_well_is_ready_healthy_and_idle(desk: Desk) -> None:
    view = desk.attach()
    assert (view.readiness(), view.health()) == ((), ())
    assert view.snapshot().state is ApplianceState.IDLE


def test_a_ledger_that_cannot_be_read_is_not_ready_until_it_can(desk: Desk) -> None:
    view = desk.attach()
    desk.ledger.fault = "ledger.sqlite: disk I/O error"
    view.refresh()
    assert view.readiness() == ("the ledger cannot be used now: ledger.sqlite: disk I/O error",)
    assert "disk I/O error" in view.headline()
    desk.ledger.fault = None
    view.refresh()
    assert view.readiness() == ()


def test_a_main_loop_that_stands_still_is_stuck(desk: Desk) -> None:
    view = desk.attach()
    desk.clock.time += LOOP_SECONDS + 1
    assert "has not moved" in " ".join(view.health())
    assert view.snapshot().state is ApplianceState.STUCK
    view.refresh()
    assert view.health() == ()


def test_an_engine_replaced_again_and_again_is_no_progress_and_not_ready(desk: Desk) -> None:
    trouble: dict[str, Any] = {
        "ready": lambda: False,
        "problem": lambda: Reason("engine_stalled"),
        "condition": lambda: EngineCondition.RECOVERING,
    }
    view = desk.attach(replaced_in_a_row=2, **trouble)
    assert "replaced 2 times" in " ".join(view.health())
    assert view.readiness() == ("the engine was without progress and is being replaced",)
    assert view.snapshot().state is ApplianceState.RECOVERING
    view = desk.attach(replaced_in_a_row=3, is_hopeless=lambda: True, **trouble)
    assert view.snapshot().state is ApplianceState.STUCK


def test_paused_work_has_no_time_left(desk: Desk) -> None:
    view = desk.attach()
    view.pause()
    view.refresh()
    snapshot = view.snapshot()
    assert (snapshot.state, snapshot.queue.eta_seconds) == (ApplianceState.PAUSED, None)
    view.resume()
    assert view.snapshot().state is ApplianceState.IDLE


def a_job() -> Job:
    return replace(job(1, JobState.SUCCEEDED), folder="/nowhere")
