"""One file, one folder, one failed system call: nobody else loses a turn, and it is told."""

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

from edge_matting.config import Settings
from edge_matting.config.settings import HotFolder
from edge_matting.core import renames
from edge_matting.core.engine_identity import EngineIdentity
from edge_matting.core.errors import NotAnImage
from edge_matting.core.jobs import Failed, Place, Signature, Source
from edge_matting.core.states import JobState
from edge_matting.daemon import engine_process
from edge_matting.daemon.engine_process import EngineProcess
from edge_matting.daemon.engine_supervision import ENDED_UNHEALTHY, EngineSupervision
from edge_matting.daemon.housekeeping import Housekeeping
from edge_matting.daemon.intake import Intake
from edge_matting.daemon.wakeup import WakeUp
from edge_matting.engine.jobs.hotfolder_source import HotFolderSource
from edge_matting.hotfolder.layout import prepare
from edge_matting.ledger import Ledger
from tools.waiting import wait_for

EVERY_ERROR = sorted(errno.errorcode)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(
        state_dir=tmp_path / "state", hot_folders=(HotFolder(path=tmp_path / "hot"),)
    )
    settings.state_dir.mkdir()
    prepare(settings.hot_folders[0])
    return settings


@pytest.fixture
def ledger(settings: Settings, clock: ManualClock) -> Iterator[Ledger]:
    with Ledger.open(settings.ledger_path, clock=clock, max_attempts=3) as opened:
        yield opened


def failed_jobs(settings: Settings, ledger: Ledger, names: list[str]) -> None:
    """Photos in ``in/`` that could not be done, and are to be put away."""
    folder = settings.hot_folders[0]
    for name in names:
        path = folder.inbox / name
        path.write_bytes(name.encode())
        source = Source(str(folder.path), name, Signature.of(path.lstat()), "cutout")
        ledger.enqueue([source])
    for claim in ledger.claim(len(names)):
        ledger.finish(claim, Failed(NotAnImage("no picture")))


@pytest.mark.parametrize("number", EVERY_ERROR, ids=errno.errorcode.get)
def test_whatever_the_system_refuses_about_one_original_others_are_put_away(
    settings: Settings,
    ledger: Ledger,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    """B1 and B2, for every error number: the moves of ``bad.jpg`` fail."""
    failed_jobs(settings, ledger, ["bad.jpg", "good.jpg"])
    rename = renames.renameat2

    def refuse(source: renames.Spot, target: renames.Spot, library: object = None) -> None:
        if source.name == "bad.jpg":
            raise OSError(number, os.strerror(number))
        rename(source, target, library)

    monkeypatch.setattr(renames, "renameat2", refuse)
    monkeypatch.setattr(renames, "link", refuse)
    monkeypatch.setattr(renames, "reserve_no_replace", refuse)
    source = HotFolderSource(ledger, settings, clock)
    progress: list[None] = []
    source.put_away_all(lambda: progress.append(None))
    folder = settings.hot_folders[0]
    assert (folder.failed / "good.jpg").exists()
    assert (folder.inbox / "bad.jpg").exists() or (folder.failed / "bad.jpg").exists()
    assert len(progress) == 2  # B11: each original is a sign of life
    assert ledger.check() == []


def test_an_original_that_cannot_be_put_away_says_so_once_and_is_left(
    settings: Settings, ledger: Ledger, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed_jobs(settings, ledger, ["a:b.jpg"])
    refused = OSError(errno.EINVAL, "Invalid argument")
    for call in ("renameat2", "link", "reserve_no_replace"):
        monkeypatch.setattr(renames, call, lambda *_arguments: (_ for _ in ()).throw(refused))
    HotFolderSource(ledger, settings, clock).put_away_all(lambda: None)
    assert ledger.misplaced(9) == []
    (job,) = ledger.jobs(JobState.FAILED, 9)
    assert job.original.place is Place.IN
    assert "Invalid argument" in (job.message or "")


@pytest.mark.parametrize("number", EVERY_ERROR, ids=errno.errorcode.get)
def test_a_folder_that_cannot_be_listed_waits_and_is_told(
    settings: Settings,
    ledger: Ledger,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    """B4: whatever the error number, nothing ends the daemon."""
    if number == errno.ENOENT:
        pytest.skip("then the folder is not there, which other tests look at")
    folder = settings.hot_folders[0]
    (folder.inbox / "a.jpg").write_bytes(b"x")
    settings = settings.model_copy(
        update={"intake": settings.intake.model_copy(update={"watch": "polling"})}
    )
    intake = Intake(folder, settings, ledger, clock, lambda: None)
    intake.prepare()
    scandir = os.scandir

    def refuse(_folder: object) -> object:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "scandir", refuse)
    intake.step()
    assert intake.problem is not None
    assert os.strerror(number) in intake.problem
    monkeypatch.setattr(os, "scandir", scandir)
    for _ in range(4):
        clock.time += 10
        intake.step()
    assert intake.problem is None
    assert len(ledger.jobs(None, 9)) == 1
    intake.stop()


# -- the running appliance -------------------------------------------------------------


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAppliance]:
    box = RunningAppliance(tmp_path_factory.mktemp("box")).start()
    yield box
    if box.process is not None:
        box.stop()


def test_a_tree_of_1200_folders_ends_nothing_and_is_told(
    appliance: Callable[..., RunningAppliance],
) -> None:
    """B3: while it runs, and at the next start."""
    box = appliance().start()
    here = os.open(box.inbox, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    box.drop("one.jpg")
    box.wait_finished(1)
    assert box.stop() == 0
    box.start()
    box.drop("two.jpg")
    box.wait_finished(2)
    assert "folders deep" in " ".join((box.status() or {})["reasons"])
    assert "folders deep" in box.log()
    subprocess.run(["rm", "-rf", str(box.inbox / "d")], check=True)


def test_a_folder_in_the_way_of_a_result_costs_nobody_a_turn(box: RunningAppliance) -> None:
    """B6: ``mkdir out/a.png``, a folder ``q.png/`` beside ``q.jpg``."""
    (box.outbox / "way.png").mkdir()
    box.drop("way.jpg")
    box.drop("q.jpg")
    box.wait_resting(1, "way.jpg")
    box.wait_resting(1, "q.jpg")
    box.drop("q.png/inside.jpg")
    jobs = {**box.wait_resting(1, "q.png/"), **box.wait_resting(1, "way.jpg")}
    assert {job.state for job in jobs.values()} == {JobState.SUCCEEDED}
    assert (box.outbox / jobs["way.jpg"].outputs[0].file).is_file()
    assert (box.outbox / jobs["q.png/inside.jpg"].outputs[0].file).is_file()
    assert box.readiness() == []


def test_a_path_that_fits_in_the_inbox_and_nowhere_else_stops_nobody(
    box: RunningAppliance,
) -> None:
    """B1: 4094 bytes."""
    names = ["d" * 250] * 14
    here = os.open(box.inbox, os.O_RDONLY)
    for name in names:
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    last = "x" * min(255, 4094 - len(os.fsencode(box.inbox)) - 14 * 251 - 1)
    descriptor = os.open(last, os.O_CREAT | os.O_WRONLY, dir_fd=here)
    os.write(descriptor, b"no picture")
    os.close(descriptor)
    os.close(here)
    box.drop("innocent.jpg")
    box.wait_resting(1, "innocent.jpg")
    jobs = box.wait_resting(1, "ddd")
    assert {job.state for job in jobs.values()} == {JobState.FAILED}
    assert (box.outbox / "innocent.png").is_file()
    assert box.readiness() == []
    assert box.get("/healthz")[0] == 200


# -- the ledger's own faults -----------------------------------------------------------


@pytest.mark.parametrize("harm", ["log cut", "deleted", "folder moved away", "replaced"])
def test_a_ledger_that_is_not_the_open_file_any_more_is_noticed_and_costs_no_photo(
    appliance: Callable[..., RunningAppliance], harm: str
) -> None:
    """B13: no good photo ends in ``failed/``, and the appliance knows its jobs again."""
    box = appliance().start()
    box.drop("before.jpg")
    box.wait_finished(1)
    path = box.state_dir / "ledger.sqlite"
    if harm == "log cut":
        os.truncate(path.with_name("ledger.sqlite-wal"), 0)
    elif harm == "deleted":
        for file in box.state_dir.glob("ledger.sqlite*"):
            file.unlink()
    elif harm == "folder moved away":
        box.state_dir.rename(box.root / "elsewhere")
    else:
        path.rename(path.with_name("older"))
        path.write_bytes(b"")
    box.drop("after.jpg")
    wait_for(lambda: (box.outbox / "after.png").exists(), box.log)
    wait_for(lambda: "begun anew" in box.log(), box.log)
    box.wait_ready()
    box.drop("later.jpg")
    wait_for(lambda: (box.outbox / "later.png").exists(), box.log)
    assert os.listdir(box.failed) == []
    assert not [job for job in box.jobs() if job.state is JobState.FAILED]
    assert "later.jpg" in {job.source for job in box.jobs()}
    assert box.check() == []


# -- processes, signals, housekeeping ---------------------------------------------------


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
print(sorted(came))
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
        wait_for(lambda: (box.outbox / "storm.png").exists(), box.log)
        reads = box.log().count("the configuration has not changed")
        time.sleep(5.0)
        assert box.log().count("the configuration has not changed") - reads <= 10
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
    wait_for(lambda: (box.outbox / "upload.png").exists(), box.log)


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


def test_an_appliance_without_standard_streams_works(
    appliance: Callable[..., RunningAppliance],
) -> None:
    """E2: stdout and stderr closed."""
    box = appliance(status={"port": 0})
    command = " ".join([*box.command(), "<&-", ">&-", "2>&-"])
    process = subprocess.Popen(["/bin/sh", "-c", f"exec {command}"], cwd=Path.cwd())
    try:
        wait_for(lambda: box.inbox.is_dir(), lambda: f"in/, {process.poll()}")
        box.drop("a.jpg")
        wait_for(lambda: (box.outbox / "a.png").exists(), lambda: f"out/, {process.poll()}")
    finally:
        process.terminate()
        assert process.wait(30) == 0
