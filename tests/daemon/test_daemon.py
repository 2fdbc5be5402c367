"""The daemon's parts that a whole appliance shows too slowly: upkeep, actions, deaths."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from pathlib import Path

import pytest
from fakes import ManualClock
from harness import PHOTO, files
from publishing import publish

from edge_matting.cli.main import main
from edge_matting.config import parse_settings
from edge_matting.core.durable import temporary_name
from edge_matting.core.errors import LedgerError, NotAnImage
from edge_matting.core.jobs import (
    Done,
    EncodedOutput,
    Execution,
    Failed,
    Place,
    Quality,
    Result,
    Signature,
    Source,
)
from edge_matting.core.states import JobState
from edge_matting.daemon.engine_process import EngineProcess, oom_kills
from edge_matting.daemon.housekeeping import (
    DAY,
    FIRST_SECONDS,
    KEPT_ENGINES,
    KEPT_THUMBNAILS,
    PERIOD_SECONDS,
    Housekeeping,
)
from edge_matting.daemon.page.actions import Actions
from edge_matting.engine.jobs.hotfolder_source import HotFolderSource
from edge_matting.hotfolder.layout import prepare
from edge_matting.ledger import Ledger
from edge_matting.models import shipped_models_dir
from edge_matting.status.interfaces import ActionRefused
from tools.waiting import wait_for

SHA256 = hashlib.sha256(PHOTO.read_bytes()).hexdigest()


class Box:
    """A ledger and a hot folder with finished jobs in them; no process runs."""

    def __init__(self, root: Path, **retention: float) -> None:
        self.clock = ManualClock()
        self.settings = parse_settings(
            {
                "state_dir": str(root / "state"),
                "hot_folders": [{"path": str(root / "hot")}],
                "retention": retention,
            },
            root,
        )
        self.settings.thumbnails_dir.mkdir(parents=True)
        self.folder = self.settings.hot_folders[0]
        prepare(self.folder)
        self.ledger = Ledger.open(self.settings.ledger_path, clock=self.clock, max_attempts=3)
        self.source = HotFolderSource(self.ledger, self.settings, self.clock)

    def finish(self, name: str, state: JobState) -> int:
        """A job that ended so, its original put away."""
        path = self.folder.inbox / name
        path.write_bytes(PHOTO.read_bytes())
        source = Source(str(self.folder.path), name, Signature.of(path.lstat()), "cutout")
        self.ledger.enqueue([source])
        (claim,) = self.ledger.claim(1)
        if state is JobState.FAILED:
            job = self.ledger.finish(claim, Failed(NotAnImage("no picture")))
        else:
            job = self.ledger.finish(claim, Done(state, self._result(claim.job.stem, state)))
        assert job is not None
        self.source.put_away(job)
        return job.id

    def _result(self, stem: str, state: JobState) -> Result:
        root = self.folder.review if state is JobState.REVIEW else self.folder.outbox
        picture = EncodedOutput("cutout", "png", b"a picture")
        content = {"source_sha256": SHA256, "quality": {"verdict": "review"}}
        outputs = publish(root, stem, [picture], content)
        execution = Execution("ort", "cpu", "fp32", (320, 320), 1)
        quality = Quality("review", ("no_subject",), 0.0, 0.0, 0.0)
        return Result(
            SHA256,
            (1, 1),
            outputs,
            "key",
            "default",
            "m",
            execution,
            "miss",
            quality,
            {"total": 1.0},
        )


@pytest.fixture
def make_box(tmp_path):
    made = []

    def make(**retention: float) -> Box:
        made.append(Box(tmp_path, **retention))
        return made[-1]

    yield make
    for box in made:
        box.ledger.close()


def test_retention_deletes_only_what_is_ours_and_old_enough(make_box):
    box = make_box(done_days=7, failed_days=30, history_days=365)
    box.finish("a.jpg", JobState.SUCCEEDED)
    box.finish("bad.jpg", JobState.FAILED)
    (box.folder.done / "somebodys.jpg").write_bytes(b"not ours")
    (box.folder.failed / "somebodys.jpg").write_bytes(b"not ours")
    upkeep = Housekeeping(box.settings, box.ledger, box.clock)
    for days, done, failed in (
        (1, ["a.jpg", "somebodys.jpg"], ["bad.jpg", "bad.jpg.error.json", "somebodys.jpg"]),
        (8, ["somebodys.jpg"], ["bad.jpg", "bad.jpg.error.json", "somebodys.jpg"]),
        (31, ["somebodys.jpg"], ["somebodys.jpg"]),
    ):
        box.clock.time = 1_800_000_000.0 + days * DAY
        upkeep.step()
        assert (files(box.folder.done), files(box.folder.failed)) == (done, failed)
    assert len(box.ledger.jobs(None, 9)) == 2
    box.clock.time = 1_800_000_000.0 + 400 * DAY
    upkeep.step()
    assert box.ledger.jobs(None, 9) == []
    assert files(box.folder.outbox) == ["a.json", "a.png"]
    assert box.ledger.check() == []


def test_nothing_is_deleted_unless_asked_for(make_box):
    box = make_box()
    box.finish("a.jpg", JobState.SUCCEEDED)
    upkeep = Housekeeping(box.settings, box.ledger, box.clock)
    box.clock.time += 364 * DAY
    upkeep.step()
    assert files(box.folder.done) == ["a.jpg"]
    assert len(box.ledger.jobs(None, 9)) == 1


def test_an_original_that_somebody_replaced_is_not_deleted(make_box):
    box = make_box(done_days=1)
    box.finish("a.jpg", JobState.SUCCEEDED)
    (box.folder.done / "a.jpg").write_bytes(b"somebody's own file now")
    box.clock.time += 2 * DAY
    Housekeeping(box.settings, box.ledger, box.clock)._delete_originals(Place.DONE, 1)
    assert files(box.folder.done) == ["a.jpg"]


def test_thumbnails_are_trimmed_to_the_newest(make_box):
    box = make_box()
    for number in range(KEPT_THUMBNAILS + 3):
        (box.settings.thumbnails_dir / f"{number}.jpg").touch()
    upkeep = Housekeeping(box.settings, box.ledger, box.clock)
    upkeep.step()
    assert (box.settings.thumbnails_dir / "0.jpg").exists()
    box.clock.time += FIRST_SECONDS
    upkeep.step()
    left = sorted(int(path.stem) for path in box.settings.thumbnails_dir.iterdir())
    assert left == list(range(3, KEPT_THUMBNAILS + 3))


def test_the_compiled_engines_used_last_are_kept(make_box):
    box = make_box()
    upkeep = Housekeeping(box.settings, box.ledger, box.clock)
    upkeep._trim_engines()
    for number in range(KEPT_ENGINES + 2):
        folder = box.settings.engines_dir / str(number)
        folder.mkdir(parents=True)
        (folder / "model.engine").touch()
        os.utime(folder, (number, number))
    os.utime(box.settings.engines_dir / "0", (10**6, 10**6))  # used again
    box.clock.time += FIRST_SECONDS
    upkeep.step()
    left = {path.name for path in box.settings.engines_dir.iterdir()}
    assert left == {"0", *(str(number) for number in range(3, KEPT_ENGINES + 2))}


def test_what_a_killed_engine_left_unfinished_is_removed_within_hours(make_box, caplog):
    caplog.set_level("INFO", "edge_matting")
    box = make_box()
    leftover = box.folder.outbox / temporary_name()
    leftover.write_bytes(b"half a result")
    os.utime(leftover, (box.clock.time, box.clock.time))
    upkeep = Housekeeping(box.settings, box.ledger, box.clock)
    box.clock.time += FIRST_SECONDS
    upkeep.step()
    assert leftover.exists()
    box.clock.time += PERIOD_SECONDS
    upkeep.step()
    assert not leftover.exists()
    assert "1 unfinished files of killed engines removed" in caplog.text


def test_upkeep_survives_a_ledger_that_cannot_be_used(make_box, caplog):
    box = make_box(done_days=1)
    upkeep = Housekeeping(box.settings, box.ledger, box.clock)
    box.clock.time += DAY
    box.ledger.close()
    upkeep.step()
    assert "cannot be" in caplog.text


def test_a_reviewed_result_is_accepted_once(make_box):
    box = make_box()
    job_id = box.finish("a.jpg", JobState.REVIEW)
    actions = Actions(box.ledger, box.clock)
    assert actions.accept(job_id, [box.folder]).state is JobState.SUCCEEDED
    assert files(box.folder.outbox) == ["a.json", "a.png"]
    assert files(box.folder.review) == []
    with pytest.raises(ActionRefused, match="succeeded, not in review"):
        actions.accept(job_id, [box.folder])


def test_an_action_that_cannot_be_done_says_why(make_box):
    box = make_box()
    actions = Actions(box.ledger, box.clock)
    job_id = box.finish("a.jpg", JobState.REVIEW)
    with pytest.raises(ActionRefused, match="no longer in the configuration"):
        actions.accept(job_id, [])
    for path in box.folder.review.iterdir():
        path.unlink()
    with pytest.raises(ActionRefused, match="no longer in"):
        actions.accept(job_id, [box.folder])
    for call in (lambda: actions.accept(77, [box.folder]), lambda: actions.retry(77, None)):
        with pytest.raises(ActionRefused, match="there is no job 77"):
            call()
    failed = box.finish("b.jpg", JobState.FAILED)
    path = box.folder.inbox / "b.jpg"
    path.write_bytes(b"a newer photo")
    box.ledger.enqueue(
        [Source(str(box.folder.path), "b.jpg", Signature.of(path.lstat()), "cutout")]
    )
    with pytest.raises(ActionRefused, match="newer"):
        actions.retry(failed, None)


@pytest.fixture
def engine(tmp_path):
    """A real engine process on an empty hot folder."""
    settings = parse_settings(
        {"state_dir": str(tmp_path / "state"), "hot_folders": [{"path": str(tmp_path / "hot")}]},
        tmp_path,
    )
    settings.state_dir.mkdir()
    prepare(settings.hot_folders[0])
    process = EngineProcess(settings, lambda: None)
    wait_for(lambda: process.events.ready, "a ready engine")
    yield process
    if process.returncode() is None:
        process.kill()
    process.close()


@pytest.mark.parametrize(
    ("number", "guilty"),
    [
        (signal.SIGSEGV, True),
        (signal.SIGABRT, True),
        (signal.SIGKILL, False),  # from outside: the kernel counted no out-of-memory kill
        (signal.SIGTERM, False),
    ],
)
def test_only_a_death_of_its_own_speaks_against_the_photo(engine, number, guilty):
    os.kill(engine.pid, number)
    assert engine.wait(10)
    assert engine.death_is_the_photos_fault() is guilty


def test_a_held_engine_is_told_from_a_hung_one_and_a_stopped_one_is_innocent(engine):
    assert not engine.stopped_by_signal()
    os.kill(engine.pid, signal.SIGSTOP)
    wait_for(engine.stopped_by_signal, "the stop")
    os.kill(engine.pid, signal.SIGCONT)
    engine.tell("stop")
    assert engine.wait(20)
    assert engine.returncode() == 0
    assert not engine.death_is_the_photos_fault()
    engine.tell("wake")  # nobody hears it


def test_the_kernels_count_of_out_of_memory_kills_is_read(tmp_path):
    (tmp_path / "vmstat").write_text("nr_free_pages 1\noom_kill 7\n")
    assert oom_kills(tmp_path / "vmstat") == 7
    assert oom_kills(tmp_path / "none") == 0


def test_status_retry_pause_and_resume_through_a_running_appliance(appliance, capsys):
    box = appliance().start()
    url = box.url() or ""
    config = ["-c", str(box.config_path), "--url", url]
    assert main(["status", *config]) == 0
    assert "idle" in capsys.readouterr().out
    assert box.post("/api/v1/pause")[0] == 200
    box.drop("bad.jpg", b"text")
    wait_for(lambda: box.counts()["pending"] == 1, "the photo in the ledger")
    time.sleep(1.5)
    assert box.counts()["pending"] == 1
    assert main(["status", *config, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "paused"
    assert box.post("/api/v1/resume")[0] == 200
    assert box.wait_finished(1)["failed"] == 1
    job = box.get("/api/v1/jobs")[1]["jobs"][0]["id"]
    wait_for(lambda: (box.status() or {})["models"], "the models")
    status, told = box.post(f"/api/v1/jobs/{job}/retry", {"model": "nope"})
    assert (status, told["error"]["code"]) == (409, "unknown_model")
    assert "known: default" in told["error"]["message"]
    assert main(["retry", str(job), *config]) == 0
    assert main(["retry", "4711", *config]) == 1
    assert "no job 4711" in capsys.readouterr().err
    assert main(["status", "-c", str(box.config_path), "--url", "ftp://x"]) == 3


def test_a_missing_accelerator_is_shown_or_ends_the_start_as_set(appliance):
    box = appliance(device={"accelerator": "cuda", "missing_accelerator": "degrade"})
    box.start(ready=False)
    wait_for(lambda: "cuda was asked for" in " ".join(box.readiness() or []), "the reason")
    assert (box.status() or {})["state"] == "degraded"
    box.stop()
    box.write_config(device={"accelerator": "cuda", "missing_accelerator": "fail"})
    done = box.refused()
    assert done.returncode == 2
    assert "cuda was asked for, cpu is in use" in done.stderr


def test_a_model_whose_file_is_missing_keeps_the_appliance_up_and_not_ready(appliance):
    box = appliance(model="mine")
    folder = box.state_dir / "models" / "mine"
    folder.mkdir(parents=True)
    manifest = (shipped_models_dir() / "small" / "manifest.yaml").read_text("utf-8")
    (folder / "manifest.yaml").write_text(manifest.replace("id: small", "id: mine"))
    box.start(ready=False)
    wait_for(lambda: "cannot be read" in " ".join(box.readiness() or []), "the reason")
    assert box.get("/healthz")[0] == 200
    box.drop("a.jpg")
    wait_for(lambda: box.counts()["pending"] == 1, "the photo in the ledger")


def test_a_ledger_error_while_recovering_is_retried(tmp_path, monkeypatch):
    from edge_matting.daemon.supervisor import Supervisor

    settings = parse_settings({"state_dir": str(tmp_path)}, tmp_path)

    class Full:
        calls = 0

        def recover_after_engine_death(self, *, guilty: bool, owner: str | None = None):
            self.calls += 1
            raise LedgerError("the disk is full")

    ledger = Full()
    supervisor = Supervisor(settings, ledger, lambda: None)
    supervisor.step()
    assert ledger.calls == 1
    assert supervisor.engine is None
    assert "the disk is full" in (supervisor.problem() or "")


def test_the_page_never_extrapolates_its_rate(appliance):
    box = appliance().start()
    box.drop("a.jpg")
    box.wait_finished(1)

    def counted() -> dict[str, float] | None:
        told = box.status() or {}
        return told["rates"] if told.get("finished", {}).get("succeeded") else None

    rates = wait_for(counted, "the daemon counts the photo")
    assert 0 < rates["last_minute"] <= 1
    assert 0 < rates["last_hour"] <= 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look into every folder")
def test_a_sub_folder_that_cannot_be_looked_into_is_shown(appliance):
    box = appliance().start()
    locked = box.inbox / "locked"
    locked.mkdir()
    locked.chmod(0)
    wait_for(
        lambda: "cannot be looked into" in " ".join((box.status() or {})["reasons"]), "the reason"
    )
    locked.chmod(0o755)
    assert box.readiness() == []
