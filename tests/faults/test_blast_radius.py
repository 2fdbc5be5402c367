"""One file, one folder, one failed system call: nobody else loses a turn, and it is told."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Iterator

import pytest
from fakes import ManualClock
from harness import RunningAppliance
from ledger_jobs import failed_jobs

from edge_matting.config import Settings
from edge_matting.core import renames
from edge_matting.core.jobs import Place
from edge_matting.core.states import JobState
from edge_matting.daemon.intake import Intake
from edge_matting.engine.jobs.hotfolder_source import HotFolderSource
from edge_matting.ledger import Ledger
from tools.waiting import wait_for

EVERY_ERROR = sorted(errno.errorcode)


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
    """B2: as NTFS does with a colon."""
    opened = os.open

    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    def open_others(name: str, flags: int, *arguments: int, **options: int) -> int:
        if name == "a:b.jpg" and flags & os.O_CREAT:
            refuse()
        return opened(name, flags, *arguments, **options)

    monkeypatch.setattr(renames, "renameat2", refuse)
    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "open", open_others)
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
    wait_for((box.outbox / "after.png").exists, box.log)
    wait_for(lambda: "begun anew" in box.log(), box.log)
    box.wait_ready()
    box.drop("later.jpg")
    wait_for((box.outbox / "later.png").exists, box.log)
    assert os.listdir(box.failed) == []
    assert not [job for job in box.jobs() if job.state is JobState.FAILED]
    assert "later.jpg" in {job.source for job in box.jobs()}
    assert box.check() == []
