"""Photos are neither lost nor overwritten: what users of such programs have really met."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from harness import PHOTO, RunningAppliance
from PIL import Image

from edge_matting.core.states import JobState
from tools.waiting import wait_for

PHOTOS = sorted(PHOTO.parent.glob("portrait-*.jpg"))
FLAT = (200, 180, 160)


def process(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    config = cwd.parent / f"{cwd.name}.yaml"
    config.write_text(f"state_dir: {cwd.parent / 'state'}\ndevice: {{measure: never}}\n")
    command = [sys.executable, "-m", "edge_matting", "process", "-c", str(config)]
    return subprocess.run(
        [*command, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def doubtful() -> bytes:
    """A photo without a subject."""
    written = io.BytesIO()
    Image.new("RGB", (400, 300), FLAT).save(written, "JPEG")
    return written.getvalue()


def sidecars(root: Path) -> dict[str, dict]:
    found = {}
    for path in sorted(root.rglob("*.json")):
        content = json.loads(path.read_bytes())
        if isinstance(content, dict) and "source_sha256" in content:
            found[str(path.relative_to(root))] = content
    return found


def check_results(root: Path, count: int) -> None:
    """So many results, each with the bytes that its sidecar names."""
    found = sidecars(root)
    assert len(found) == count, sorted(map(str, root.rglob("*")))
    for content in found.values():
        for output in content["outputs"]:
            file = output["file"]
            assert any(
                digest(folder / file) == output["sha256"]
                for folder in (root, root / "review")
                if (folder / file).is_file()
            ), file


# -- the one-shot command --------------------------------------------------------------


def test_the_one_shot_command_never_writes_over_its_own_input(tmp_path: Path) -> None:
    """A1: ``process photo.png -o .`` and ``process *.jpg -o . --format jpg``."""
    here = tmp_path / "photos"
    here.mkdir()
    Image.open(PHOTO).resize((256, 256)).save(here / "photo.png")
    for number, photo in enumerate(PHOTOS[:2]):
        shutil.copy(photo, here / f"{number}.jpg")
    before = {path.name: digest(path) for path in here.iterdir()}
    assert process("photo.png", "-o", ".", cwd=here).returncode == 0
    jpegs = sorted(path.name for path in here.glob("?.jpg"))
    assert process(*jpegs, "-o", ".", "--format", "jpg", cwd=here).returncode == 0
    assert {name: digest(here / name) for name in before} == before
    check_results(here, 3)
    # Once more over all that matches now: results of the first time are no photos.
    again = sorted(path.name for path in here.glob("*.jpg"))
    rerun = process(*again, "-o", ".", "--format", "jpg", "--json", cwd=here)
    assert json.loads(rerun.stdout)["skipped"] == 2
    assert {name: digest(here / name) for name in before} == before
    check_results(here, 3)


def test_two_cards_with_the_same_names_leave_the_results_of_both(tmp_path: Path) -> None:
    """A2: identity is the content, not a relative name."""
    for card, photo in (("card1", PHOTOS[0]), ("card2", PHOTOS[1])):
        (tmp_path / card).mkdir()
        shutil.copy(photo, tmp_path / card / "IMG_0001.jpg")
    out = tmp_path / "OUT"
    for _ in range(2):
        for card in ("card1", "card2"):
            assert process(card, "-o", out, cwd=tmp_path).returncode == 0
        check_results(out, 2)
    made_from = {content["source_sha256"] for content in sidecars(out).values()}
    assert made_from == {digest(PHOTOS[0]), digest(PHOTOS[1])}


def test_a_doubted_photo_and_a_good_one_below_review_both_get_their_results(
    tmp_path: Path,
) -> None:
    """A3: ``in/a.jpg`` is doubted, ``in/review/a.jpg`` is good."""
    (tmp_path / "in/review").mkdir(parents=True)
    (tmp_path / "in/a.jpg").write_bytes(doubtful())
    shutil.copy(PHOTO, tmp_path / "in/review/a.jpg")
    out = tmp_path / "OUT"
    for _ in range(2):
        assert process("in", "-o", out, cwd=tmp_path).returncode == 0
        check_results(out, 2)


def test_foreign_files_and_retouched_results_outlive_the_one_shot_command(tmp_path: Path) -> None:
    """A4, on the command line."""
    shutil.copy(PHOTO, tmp_path / "x.jpg")
    out = tmp_path / "OUT"
    out.mkdir()
    (out / "x.png").write_bytes(b"my own drawing")
    (out / "x.json").write_text('{"mine": true}')
    assert process("x.jpg", "-o", out, cwd=tmp_path).returncode == 0
    assert (out / "x.png").read_bytes() == b"my own drawing"
    assert (out / "x.json").read_text() == '{"mine": true}'
    check_results(out, 1)
    (made,) = (content["outputs"][0]["file"] for content in sidecars(out).values())
    (out / made).write_bytes(b"hours of work")
    assert process("x.jpg", "-o", out, cwd=tmp_path).returncode == 0
    assert (out / made).read_bytes() == b"hours of work"


# -- the appliance --------------------------------------------------------------------


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAppliance]:
    """One appliance for all tests that need none of their own."""
    box = RunningAppliance(
        tmp_path_factory.mktemp("box"),
        intake={"settle_seconds": 0.3, "rescan_seconds": 1.0, "stalled_seconds": 3.0},
    ).start()
    yield box
    if box.process is not None:
        box.stop()


def finished(box: RunningAppliance, source: str, number: int = 1):
    """The newest job of a source, once so many of its jobs rest."""

    def resting():
        jobs = [job for job in box.jobs() if job.source == source]
        with box.ledger() as ledger:
            moving = {job.id for job in ledger.misplaced(1000)}
        ended = [job for job in jobs if job.finished_at and job.id not in moving]
        return ended[-1] if len(ended) >= number and len(ended) == len(jobs) else None

    return wait_for(resting, lambda: f"{source}: {box.jobs()}\n{box.log()}")


def test_a_foreign_file_in_out_keeps_its_name(box: RunningAppliance) -> None:
    """A4, in the appliance."""
    (box.outbox / "foreign.png").write_bytes(b"my own drawing")
    (box.outbox / "foreign.json").write_text('{"mine": true}')
    box.drop("foreign.jpg")
    job = finished(box, "foreign.jpg")
    assert job.state is JobState.SUCCEEDED
    assert (box.outbox / "foreign.png").read_bytes() == b"my own drawing"
    assert (box.outbox / "foreign.json").read_text() == '{"mine": true}'
    assert [output.file for output in job.outputs] == ["foreign~2.png"]
    assert digest(box.outbox / "foreign~2.png") == job.outputs[0].sha256
    assert box.get(f"/api/v1/jobs/{job.id}/sidecar")[1]["source"] == "foreign.jpg"


def test_a_retouched_result_outlives_the_same_photo_and_a_newer_one(box: RunningAppliance) -> None:
    """A4: retouched by hand, then the same photo again, then another of its name."""
    box.drop("retouched.jpg")
    finished(box, "retouched.jpg")
    (box.outbox / "retouched.png").write_bytes(b"hours of work")
    for number, data in enumerate((None, PHOTOS[0].read_bytes(), PHOTOS[1].read_bytes()), 2):
        box.drop("retouched.jpg", data)
        job = finished(box, "retouched.jpg", number)
        assert job.state in {JobState.SUCCEEDED, JobState.REVIEW}
        assert (box.outbox / "retouched.png").read_bytes() == b"hours of work"
    newest = box.outbox if job.state is JobState.SUCCEEDED else box.review
    assert digest(newest / job.outputs[0].file) == job.outputs[0].sha256


@pytest.mark.parametrize("kind", ["bmp", "tiff"])
def test_a_preallocated_file_waits_for_its_writer(box: RunningAppliance, kind: str) -> None:
    """A5: the full size first, half of it, a pause, the rest."""
    data = picture(kind)
    name = f"preallocated.{kind}"
    with (box.inbox / name).open("wb", buffering=0) as file:
        file.truncate(len(data))
        file.write(data[: len(data) // 2])
        time.sleep(2.5)  # far longer than it takes a silent file to settle
        assert not [job for job in box.jobs() if job.source == name]
        file.write(data[len(data) // 2 :])
    job = finished(box, name)
    assert job.attempts == 1
    assert job.sha256 == hashlib.sha256(data).hexdigest()
    assert (box.done / name).read_bytes() == data


def test_a_file_is_not_deleted_under_its_writer(appliance: Callable[..., RunningAppliance]) -> None:
    """A5 with ``originals: delete``."""
    box = appliance(hot_folders=[{"path": "hot", "originals": "delete"}]).start()
    data = picture("tiff")
    with (box.inbox / "a.tiff").open("wb", buffering=0) as file:
        file.truncate(len(data))
        file.write(data[: len(data) // 2])
        time.sleep(2.5)
        assert (box.inbox / "a.tiff").exists()
        file.write(data[len(data) // 2 :])
    assert finished(box, "a.tiff").sha256 == hashlib.sha256(data).hexdigest()
    assert not (box.inbox / "a.tiff").exists()
    assert len(list(box.outbox.glob("*.png"))) + len(list(box.review.glob("*.png"))) == 1


def test_half_a_jpeg_that_somebody_still_writes_costs_no_attempt(box: RunningAppliance) -> None:
    """A6: half, silence, the rest through the same descriptor."""
    data = PHOTO.read_bytes()
    with (box.inbox / "half.jpg").open("wb", buffering=0) as file:
        file.write(data[: len(data) // 2])
        time.sleep(2.5)
        file.write(data[len(data) // 2 :])
    job = finished(box, "half.jpg")
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 1)
    assert not (box.failed / "half.jpg").exists()


def test_a_failed_original_that_is_completed_is_taken_again(box: RunningAppliance) -> None:
    """A6: the complete photo lies in ``failed/``."""
    data = PHOTO.read_bytes()
    box.drop("completed.jpg", data[: len(data) // 2])
    job = finished(box, "completed.jpg")
    assert (job.state, job.code) == (JobState.FAILED, "truncated")
    with (box.failed / "completed.jpg").open("ab") as file:
        file.write(data[len(data) // 2 :])

    def succeeded():
        job = finished(box, "completed.jpg")
        return job if job.state is JobState.SUCCEEDED else None

    job = wait_for(succeeded, box.log)
    assert job.sha256 == hashlib.sha256(data).hexdigest()
    assert sorted(os.listdir(box.failed)) == []
    assert (box.done / "completed.jpg").read_bytes() == data


def test_a_doubted_result_that_was_retouched_is_accepted_as_it_is(box: RunningAppliance) -> None:
    """A10: Accept."""
    box.drop("accepted.jpg", doubtful())
    job = finished(box, "accepted.jpg")
    assert job.state is JobState.REVIEW
    (box.review / "accepted.png").write_bytes(b"retouched by hand")
    status, body = box.post(f"/api/v1/jobs/{job.id}/accept")
    assert status == 200, body
    assert (box.outbox / "accepted.png").read_bytes() == b"retouched by hand"
    content = json.loads((box.outbox / "accepted.json").read_bytes())
    assert content["edited"] is True
    assert content["outputs"][0]["sha256"] == hashlib.sha256(b"retouched by hand").hexdigest()
    assert not (box.review / "accepted.png").exists()


def test_a_retry_never_writes_over_a_retouched_result(box: RunningAppliance) -> None:
    """A10: Retry."""
    box.drop("retried.jpg", doubtful() + b" ")
    job = finished(box, "retried.jpg")
    assert job.state is JobState.REVIEW
    (box.review / "retried.png").write_bytes(b"retouched by hand")
    assert box.post(f"/api/v1/jobs/{job.id}/retry")[0] == 200
    job = finished(box, "retried.jpg")
    assert (box.review / "retried.png").read_bytes() == b"retouched by hand"
    assert [output.file for output in job.outputs] == ["retried~2.png"]


def picture(kind: str) -> bytes:
    """An uncompressed picture of a few hundred kilobytes whose last bytes are not zero."""
    pixels = np.asarray(Image.open(PHOTO).convert("RGB").resize((400, 400))) | 1
    written = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(written, kind.upper())
    return written.getvalue()


# -- file systems without case, with coarse times --------------------------------------


@pytest.fixture
def fat(tmp_path: Path) -> Iterator[Path]:
    """A file system of cameras and sticks: no case, no links, coarse times, no owners."""
    image, folder = tmp_path / "fat.img", tmp_path / "fat"
    folder.mkdir()
    image.write_bytes(b"")
    os.truncate(image, 64 << 20)
    found = subprocess.run(
        ["losetup", "-f", "--show", str(image)], capture_output=True, text=True, check=False
    )
    device = found.stdout.strip()
    if found.returncode:
        pytest.skip("no loop device can be had here")
    try:
        for make, mount in (
            (["mkfs.exfat"], ["mount", "-t", "exfat"]),
            (["mkfs.exfat"], ["mount.exfat-fuse"]),
            (["mkfs.vfat"], ["mount", "-t", "vfat"]),
        ):
            if all(map(done, ([*make, device], [*mount, device, str(folder)]))):
                break
        else:
            pytest.skip("neither exFAT nor FAT can be mounted here")
        yield folder
        subprocess.run(["umount", "-l", str(folder)], check=True)
    finally:
        subprocess.run(["losetup", "-d", device], check=False)


def done(command: list[str]) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_names_are_compared_as_the_file_system_compares_them(
    appliance: Callable[..., RunningAppliance], fat: Path
) -> None:
    """A7 and A8: the results and originals of ``IMG.JPG`` and ``img.jpg``, each taken once."""
    box = appliance()
    box.folder.mkdir()
    for name in ("out", "done"):
        (fat / name).mkdir()
        (box.folder / name).symlink_to(fat / name)
    box.start()
    box.drop("IMG.JPG", PHOTOS[0].read_bytes())
    finished(box, "IMG.JPG")
    box.drop("img.jpg", PHOTOS[1].read_bytes())
    finished(box, "img.jpg")
    time.sleep(3.0)  # time enough to take a photo twice
    jobs = box.jobs()
    assert len(jobs) == 2
    check_results(box.outbox, 2)
    originals = {digest(path) for path in box.done.iterdir()}
    assert originals == {digest(PHOTOS[0]), digest(PHOTOS[1])}


def test_photos_on_a_file_system_without_stable_inodes_are_done_once(
    appliance: Callable[..., RunningAppliance], fat: Path
) -> None:
    """A9: ``originals: keep``, and the result retouched by hand."""
    box = appliance(hot_folders=[{"path": "hot", "originals": "keep"}])
    box.folder.mkdir()
    (fat / "in").mkdir()
    (box.folder / "in").symlink_to(fat / "in")
    box.start()
    box.drop("a.jpg")
    finished(box, "a.jpg")
    (box.outbox / "a.png").write_bytes(b"hours of work")
    box.stop()
    subprocess.run(["umount", str(fat)], check=True)
    device = subprocess.run(
        ["losetup", "-j", str(fat.with_suffix(".img"))], capture_output=True, text=True, check=True
    ).stdout.partition(":")[0]
    assert done(["mount.exfat-fuse", device, str(fat)]) or done(["mount", device, str(fat)])
    box.start()
    time.sleep(4.0)
    assert len(box.jobs()) == 1
    assert (box.outbox / "a.png").read_bytes() == b"hours of work"
