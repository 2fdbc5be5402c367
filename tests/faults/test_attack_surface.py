"""Who may drop photos is not trusted: what a member of the drop group can plant, and what of it
leads out of the hot folder."""

from __future__ import annotations

import io
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import RunningAppliance
from PIL import Image

from tools.waiting import wait_for

ROOT = Path(__file__).parents[2]
SECRET = b"token of the appliance"


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAppliance]:
    box = RunningAppliance(tmp_path_factory.mktemp("box")).start()
    yield box
    if box.process is not None:
        box.stop()


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def fingerprint(folder: Path) -> dict[str, tuple[int, int]]:
    """What is not the appliance's daily work in its state folder."""
    daily = {"ledger.sqlite-wal", "ledger.sqlite-shm", "ledger.sqlite", "paused"}
    return {
        name: (path.stat().st_ino, path.stat().st_size)
        for name, path in ((path.name, path) for path in folder.iterdir())
        if path.is_file() and name not in daily
    }


def test_a_link_in_the_place_of_in_leads_to_nothing(box: RunningAppliance) -> None:
    """C1: the service would move its own ledger and locks to ``failed/``."""
    before = set(os.listdir(box.state_dir))
    aside = box.folder / "in.old"
    box.inbox.rename(aside)
    box.inbox.symlink_to(box.state_dir)
    try:
        wait_for(lambda: "become a link" in " ".join(box.readiness() or []), box.log)
        time.sleep(3.0)
        assert before <= set(os.listdir(box.state_dir))
        assert not [path for path in box.failed.rglob("*") if "sqlite" in path.name]
        assert not [path for path in box.done.rglob("*") if "sqlite" in path.name]
    finally:
        box.inbox.unlink()
        aside.rename(box.inbox)
    box.wait_ready()
    box.drop("after_c1.jpg")
    wait_for((box.outbox / "after_c1.png").exists, box.log)


def test_a_start_with_a_link_to_its_own_files_is_refused(
    appliance: Callable[..., RunningAppliance],
) -> None:
    """C1, while the service is off."""
    box = appliance()
    box.folder.mkdir()
    box.state_dir.mkdir()
    (box.folder / "in").symlink_to(box.state_dir)
    done = box.refused()
    assert done.returncode == 2
    assert "state_dir" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_of_secrets_behind_a_link_is_not_copied(
    box: RunningAppliance, tmp_path: Path
) -> None:
    """C2: on another file system, where a move is a copy."""
    secrets = Path("/dev/shm", f"edge-matting-{os.getpid()}")
    secrets.mkdir()
    (secrets / "secret.jpg").write_bytes(SECRET)
    aside = box.folder / "in.old"
    box.inbox.rename(aside)
    box.inbox.symlink_to(secrets)
    try:
        time.sleep(4.0)
        assert (secrets / "secret.jpg").read_bytes() == SECRET
        assert SECRET not in {*tree(box.failed).values(), *tree(box.done).values()}
    finally:
        box.inbox.unlink()
        aside.rename(box.inbox)
        subprocess.run(["rm", "-rf", str(secrets)], check=True)
    box.wait_ready()


def test_a_sub_folder_swapped_for_a_link_between_look_and_settle(
    box: RunningAppliance, tmp_path: Path
) -> None:
    """C3: a private file of the same name, size and time lies where the link leads."""
    private = tmp_path / "private"
    private.mkdir()
    (private / "a.jpg").write_bytes(SECRET)
    for _ in range(5):
        sub = box.inbox / "sub"
        sub.mkdir(exist_ok=True)
        (sub / "a.jpg").write_bytes(b"x" * len(SECRET))
        time.sleep(0.25)
        sub.rename(box.inbox / ".sub")
        sub.symlink_to(private)
        time.sleep(0.6)
        sub.unlink()
        (box.inbox / ".sub").rename(sub)
        (sub / "a.jpg").unlink(missing_ok=True)
    assert (private / "a.jpg").read_bytes() == SECRET
    assert SECRET not in {*tree(box.failed).values(), *tree(box.done).values()}


@pytest.mark.parametrize("part", ["failed", "out", "done"])
def test_a_link_below_a_folder_for_results_plants_no_model(
    box: RunningAppliance, part: str
) -> None:
    """C4: then photos named like files of a model."""
    name = f"x_{part}"
    (box.folder / part / name).symlink_to(box.state_dir)
    models = (
        set(os.listdir(box.state_dir / "models")) if (box.state_dir / "models").exists() else set()
    )
    box.drop(f"{name}/models/evil/model.onnx", b"not a photo")
    box.drop(f"{name}/models/evil/photo.jpg")
    box.wait_resting(2, f"{name}/")
    left = box.state_dir / "models"
    assert (set(os.listdir(left)) if left.exists() else set()) == models
    assert not (box.state_dir / "models/evil").exists()


def test_a_fifo_in_the_place_of_a_sidecar_stops_nobody(box: RunningAppliance) -> None:
    """C5: then Accept."""
    written = io.BytesIO()
    Image.new("RGB", (400, 300), (200, 180, 160)).save(written, "JPEG")
    box.drop("fifo.jpg", written.getvalue())  # without a subject: to be looked at
    job = box.wait_resting(1, "fifo.jpg")["fifo.jpg"]
    (box.review / "fifo.json").unlink()
    os.mkfifo(box.review / "fifo.json")
    status, body = box.post(f"/api/v1/jobs/{job.id}/accept")
    assert (status, body["error"]["code"]) == (409, "result_missing")
    assert box.get("/healthz")[0] == 200
    assert box.get(f"/api/v1/jobs/{job.id}/sidecar")[0] == 404
    (box.review / "fifo.json").unlink()


def test_a_planted_report_or_journal_leads_nowhere(box: RunningAppliance, tmp_path: Path) -> None:
    """Files that the appliance would write, planted as links before it does."""
    victim = tmp_path / "victim"
    victim.write_bytes(SECRET)
    (box.failed / "text.jpg.error.json").symlink_to(victim)
    (box.outbox / "victim.png").symlink_to(victim)
    (box.outbox / "victim.json").symlink_to(victim)
    box.drop("text.jpg", b"no picture at all")
    box.drop("victim.jpg")
    jobs = box.wait_resting(1, "text.jpg") | box.wait_resting(1, "victim.jpg")
    assert victim.read_bytes() == SECRET
    assert jobs["victim.jpg"].outputs[0].file == "victim~2.png"
    assert (box.failed / "text~2.jpg.error.json").is_file()


def test_an_upload_into_a_linked_recipe_folder_goes_nowhere(
    box: RunningAppliance, tmp_path: Path
) -> None:
    (box.inbox / "passport").symlink_to(tmp_path)
    status, body = box.post("/api/v1/uploads", {"name": "a.jpg", "size": 3, "recipe": "passport"})
    assert (status, body["error"]["code"]) == (400, "bad_request")
    assert os.listdir(tmp_path) == []
    (box.inbox / "passport").unlink()


def test_the_whole_time_nothing_of_its_own_was_touched(box: RunningAppliance) -> None:
    assert box.check() == []
    assert not [name for name in tree(box.folder) if "sqlite" in name or name.endswith(".lock")]
    assert json.loads(json.dumps(box.get("/readyz")[1]))["reasons"] == []


def test_root_writes_into_no_folder_that_others_can_write() -> None:
    """C6: the first cut-out that ``install.sh`` makes is dropped by the service's user."""
    script = (ROOT / "tools/install.sh").read_text()
    sample = script[script.index("first_cutout() {") :]
    sample = sample[: sample.index("\n}\n")]
    uses = [line.strip() for line in sample.splitlines() if "$inbox" in line]
    harmless = ("if [ ! -d $inbox ]", "if ! runuser -u edge-matting -- ", "warn ")
    assert len(uses) == 3
    assert all(line.startswith(harmless) for line in uses), uses


def test_the_installed_hot_folder_keeps_its_group_from_changing_its_parts() -> None:
    """C1: rights that ``systemd-tmpfiles`` gives."""
    lines = (ROOT / "systemd/edge-matting.tmpfiles").read_text().splitlines()
    modes = {line.split()[1]: line.split()[2] for line in lines if line.startswith("d ")}
    assert modes.pop("/srv/edge-matting") == "2750"
    parts = {path.removeprefix("/srv/edge-matting/"): mode for path, mode in modes.items()}
    assert {parts[part] for part in ("in", "out", "review", "done", "failed")} == {"2770"}
