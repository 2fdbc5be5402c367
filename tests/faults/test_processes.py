"""Processes, signals, housekeeping and starts: tried again, in their own time, with a sentence."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes import ManualClock
from harness import PHOTO, RunningAppliance
from ledger_jobs import failed_jobs

from edge_matting.config import Settings
from edge_matting.core.engine_identity import EngineIdentity
from edge_matting.daemon import engine_process
from edge_matting.daemon.engine_process import EngineProcess
from edge_matting.daemon.engine_supervision import ENDED_UNHEALTHY, EngineSupervision
from edge_matting.daemon.housekeeping import Housekeeping
from edge_matting.daemon.wakeup import WakeUp
from edge_matting.engine.jobs.hotfolder_source import HotFolderSource
from edge_matting.ledger import Ledger
from tools.waiting import wait_for


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAppliance]:
    box = RunningAppliance(tmp_path_factory.mktemp("box")).start()
    yield box
    if box.process is not None:
        box.stop()


def test_an_engine_that_cannot_be_forked_is_tried_again_and_leaks_nothing(
    settings: Settings, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B9."""

    def refuse(*_arguments: object, **_options: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(engine_process.subprocess, "Popen", refuse)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="temporarily"):
        EngineProcess(settings, lambda: None)
    supervision = EngineSupervision(settings, ledger, lambda: None, EngineIdentity())
    for _ in range(3):
        supervision._start_at = 0.0
        supervision.step()
    assert len(os.listdir("/proc/self/fd")) == before
    assert "temporarily unavailable" in str(supervision.problem())


def test_engines_that_end_again_and_again_are_unhealthy_however_they_end(
    settings: Settings, ledger: Ledger
) -> None:
    """B1: with a status of their own, ready each time, and without a photo."""

    def launch(*_arguments: object) -> SimpleNamespace:
        events = SimpleNamespace(
            ready={"session": {}}, finished=0, reused=0, made=0, adapted={}, problem=None,
            started=time.monotonic(), silent_seconds=lambda _now: 0.0,
        )  # fmt: skip
        return SimpleNamespace(
            events=events, pid=1, tell=lambda _line: None, close=lambda: None,
            returncode=lambda: 1, death_is_the_photos_fault=lambda: True,
            was_killed_for_memory=lambda: False, stopped_by_signal=lambda: False,
        )  # fmt: skip

    supervision = EngineSupervision(settings, ledger, lambda: None, EngineIdentity(), launch)
    for _ in range(2 * ENDED_UNHEALTHY):
        supervision._start_at = 0.0
        supervision.step()
    assert supervision.ended_in_a_row >= ENDED_UNHEALTHY
    assert supervision.is_hopeless()


def test_a_handler_only_wakes_and_no_storm_of_signals_is_lost_or_locks() -> None:
    """B10: signals while the main thread is inside the wait, from a thread and from outside."""
    code = """
import os, signal, threading
from edge_matting.daemon.wakeup import WakeUp
wakeup = WakeUp()
wakeup.take_signals((signal.SIGTERM, signal.SIGHUP))
def storm():
    for _ in range(20000):
        os.kill(os.getpid(), signal.SIGHUP)
        wakeup.nudge()
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=storm, daemon=True).start()
came = set()
while signal.SIGTERM not in came:
    came |= wakeup.wait(30.0)
print(sorted(map(int, came)))
"""
    done = subprocess.run(
        ["/usr/bin/env", "python", "-c", code], capture_output=True, text=True, timeout=60,
        check=False, env={**os.environ, "PATH": f"{Path(os.sys.executable).parent}:/usr/bin:/bin"},
    )  # fmt: skip
    assert done.stdout.strip() == f"[{int(signal.SIGHUP)}, {int(signal.SIGTERM)}]", done.stderr


def test_a_storm_of_sighups_neither_stops_work_nor_the_stop(box: RunningAppliance) -> None:
    """B10."""
    assert box.process is not None
    stop = threading.Event()

    def storm() -> None:
        while not stop.is_set():
            os.kill(box.process.pid, signal.SIGHUP)  # type: ignore[union-attr]
            time.sleep(0.0005)

    thread = threading.Thread(target=storm)
    thread.start()
    try:
        box.drop("storm.jpg")
        wait_for((box.outbox / "storm.png").exists, box.log)
        reads = box.log().count("configuration unchanged")
        time.sleep(5.0)
        assert box.log().count("configuration unchanged") - reads <= 10
    finally:
        stop.set()
        thread.join()
    assert box.stop() == 0
    box.start()


def test_an_idle_wait_costs_nothing_and_a_nudge_ends_it() -> None:
    wakeup = WakeUp()
    threading.Timer(0.1, wakeup.nudge).start()
    begin = time.monotonic()
    assert wakeup.wait(30.0) == frozenset()
    assert time.monotonic() - begin < 20.0
    wakeup.nudge()
    wakeup.nudge()
    assert wakeup.wait(30.0) == frozenset()


def test_housekeeping_keeps_up_with_any_pace_and_in_its_own_thread(
    settings: Settings, ledger: Ledger, clock: ManualClock
) -> None:
    """B8: more than a thousand in one round, and nobody waits for it."""
    folder = settings.hot_folders[0]
    names = [f"{number}.jpg" for number in range(1500)]
    failed_jobs(settings, ledger, names)
    HotFolderSource(ledger, settings, clock).put_away_all(lambda: None)
    HotFolderSource(ledger, settings, clock).put_away_all(lambda: None)
    assert len(os.listdir(folder.failed)) == 3000
    settings = settings.model_copy(
        update={"retention": settings.retention.model_copy(update={"failed_days": 1.0})}
    )
    housekeeping = Housekeeping(settings, ledger, clock)
    clock.time += 3 * 86400.0
    housekeeping.start()
    wait_for(lambda: os.listdir(folder.failed) == [], lambda: f"{len(os.listdir(folder.failed))}")
    housekeeping.stop()
    assert {thread.name for thread in threading.enumerate()} & {"housekeeping"} == set()


def test_an_upload_whose_publishing_failed_once_can_be_finished(
    box: RunningAppliance,
) -> None:
    """B12: ``in/`` cannot be written for a moment."""
    data = PHOTO.read_bytes()
    _, upload = box.post("/api/v1/uploads", {"name": "upload.jpg", "size": len(data)})
    address = f"/api/v1/uploads/{upload['id']}?offset=0"
    (staged,) = box.inbox.glob(".edge-matting-*.tmp")
    staged.rename(box.inbox / ".aside")
    assert box.put(address, data)[0] >= 400
    (box.inbox / ".aside").rename(staged)
    status, report = box.put(address, data)
    assert (status, report["file"]) == (200, "upload.jpg")
    wait_for((box.outbox / "upload.png").exists, box.log)


# -- starts ----------------------------------------------------------------------------


def test_a_state_folder_that_cannot_be_used_is_a_sentence_and_status_2(
    appliance: Callable[..., RunningAppliance],
) -> None:
    """E2."""
    box = appliance()
    box.state_dir.write_bytes(b"")
    done = box.refused()
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert str(box.state_dir) in done.stderr
    box.state_dir.unlink()
    box.state_dir.mkdir()
    (box.state_dir / "daemon.lock").mkdir()
    done = box.refused()
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "daemon.lock" in done.stderr
