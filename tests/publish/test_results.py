"""Results: whole or not at all, sidecar last, never another's."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from disk_calls import disk_calls
from fakes import AWKWARD_NAMES

from edge_matting.core.anchored import AnchoredFolder
from edge_matting.core.durable import TEMPORARY_PREFIX
from edge_matting.core.errors import DiskFull, FolderUnavailable
from edge_matting.core.jobs import (
    EncodedOutput,
    Execution,
    Job,
    Original,
    Output,
    Place,
    Quality,
    Result,
    Signature,
)
from edge_matting.core.naming import stem_candidates
from edge_matting.core.states import JobState
from edge_matting.core.walks import sweep_temporaries
from edge_matting.publish import (
    accept_result,
    copy_result,
    describe_result,
    publish_result,
    remove_result,
    remove_stale,
    result_intact,
    results,
)
from edge_matting.publish.publication import roll_back
from edge_matting.publish.sidecar import sidecar_of

CUTOUT = EncodedOutput("cutout", "png", b"cutout pixels")
ALPHA = EncodedOutput("alpha", "tiff", b"alpha pixels")
PREVIEW = EncodedOutput("preview", "jpg", b"preview pixels")


def job(source: str = "sub/a.jpg", stem: str = "sub/a") -> Job:
    return Job(
        id=7,
        folder="/hot",
        source=source,
        signature=Signature(10, 20, 30),
        recipe="cutout",
        state=JobState.RUNNING,
        attempts=2,
        alone=False,
        stem=stem,
        original=Original(Place.IN, source),
    )


def result(outputs: tuple[Output, ...] = (), verdict: str = "ok") -> Result:
    return Result(
        sha256="5a" * 32,
        source_size=(640, 480),
        outputs=outputs,
        recipe_key="0123456789abcdef",
        model_id="default",
        model_sha256="b0" * 32,
        execution=Execution("ort", "cpu", "fp32", (512, 512), 4),
        cache="miss",
        quality=Quality(verdict, ("no_subject",) if verdict == "review" else (), 0.25, 0.1, 0.0),
        seconds={"decode": 0.1, "total": 1.5},
        notes=("several frames",),
    )


def description(verdict: str = "ok") -> dict[str, Any]:
    return describe_result(job(), result(verdict=verdict), 1_700_000_000.0, "1.2.3")


SIDECAR, REVIEW_SIDECAR = description(), description("review")


def tree(root: Path) -> list[str]:
    """Every file but the journal of a publication that died."""
    found = (path for path in root.rglob("*") if path.is_file())
    return sorted(
        str(path.relative_to(root)) for path in found if not path.name.endswith(".publishing")
    )


# -- sidecar --------------------------------------------------------------------------


def test_the_sidecar_has_the_keys_of_the_interface() -> None:
    outputs = (Output("sub/a.png", "cutout", "png", "c0" * 32),)
    content = json.loads(
        sidecar_of(describe_result(job(), result(), 1_700_000_000.5, "1.2.3"), outputs)
    )
    assert content == {
        "job": 7,
        "source": "sub/a.jpg",
        "source_sha256": "5a" * 32,
        "source_size": [640, 480],
        "outputs": [{"file": "sub/a.png", "kind": "cutout", "format": "png", "sha256": "c0" * 32}],
        "recipe": "cutout",
        "parameters": None,
        "recipe_key": "0123456789abcdef",
        "model": {"id": "default", "sha256": "b0" * 32},
        "execution": {
            "backend": "ort",
            "provider": "cpu",
            "precision": "fp32",
            "resolution": [512, 512],
            "batch": 4,
        },
        "cache": "miss",
        "cache_evidence": {},
        "quality": {
            "verdict": "ok",
            "reasons": [],
            "coverage": 0.25,
            "uncertain_fraction": 0.1,
            "border_contact": 0.0,
            "predicted_error": None,
            "doubted": None,
        },
        "ground": None,
        "notes": ["several frames"],
        "seconds": {"decode": 0.1, "total": 1.5},
        "attempts": 2,
        "finished_at": "2023-11-14T22:13:20.500Z",
        "version": "1.2.3",
    }


@pytest.mark.parametrize("source", AWKWARD_NAMES)
def test_the_sidecar_is_plain_ascii_and_names_survive_it(source: str) -> None:
    raw = sidecar_of(describe_result(job(source), result(), 0.0, "1"), ())
    assert raw.isascii()
    assert json.loads(raw)["source"] == source


# -- publish --------------------------------------------------------------------------


def test_outputs_are_named_after_stem_kind_and_format(tmp_path: Path) -> None:
    outputs = publish_result(AnchoredFolder(tmp_path), "sub/a", [CUTOUT, ALPHA, PREVIEW], SIDECAR)
    assert tree(tmp_path) == ["sub/a.alpha.tiff", "sub/a.json", "sub/a.png", "sub/a.preview.jpg"]
    assert outputs[1] == Output(
        "sub/a.alpha.tiff", "alpha", "tiff", hashlib.sha256(ALPHA.data).hexdigest()
    )
    assert json.loads((tmp_path / "sub/a.json").read_bytes())["outputs"][0]["file"] == "sub/a.png"
    assert result_intact(AnchoredFolder(tmp_path), outputs)


@pytest.mark.parametrize("source", AWKWARD_NAMES)
def test_any_source_name_can_be_published(tmp_path: Path, source: str) -> None:
    stem = next(stem_candidates(source))
    outputs = publish_result(AnchoredFolder(tmp_path), stem, [CUTOUT, ALPHA], SIDECAR)
    assert result_intact(AnchoredFolder(tmp_path), outputs)
    assert len(os.listdir(tmp_path)) == 3


def test_a_stem_with_dots_keeps_them(tmp_path: Path) -> None:
    publish_result(AnchoredFolder(tmp_path), "holiday 12.30", [CUTOUT], SIDECAR)
    assert tree(tmp_path) == ["holiday 12.30.json", "holiday 12.30.png"]


def test_the_old_sidecar_goes_first_and_the_new_one_comes_last_each_step_synced(
    tmp_path: Path,
) -> None:
    """Where a sidecar lies, its outputs are complete and match it, after a power cut too."""
    root, folder = AnchoredFolder(tmp_path), tmp_path.name
    steps: list[tuple[str, str, str]] = []

    def observe(call: str, path: Path) -> None:
        there = [name for name in tree(tmp_path) if not name.startswith(".")]
        shown = "*" if path.name.startswith(".") else path.name
        steps.append((call, shown, " ".join(there)))

    earlier = publish_result(root, "a", [CUTOUT], SIDECAR)
    with disk_calls(observe):
        publish_result(root, "a", [CUTOUT, ALPHA], SIDECAR, earlier=earlier)
    assert steps == [
        ("sync", "*", "a.json a.png"),  # the new output, under a hidden name
        ("remove", "a.json", "a.png"),
        ("sync", folder, "a.png"),
        ("sync", folder, "a.alpha.tiff a.png"),
        ("sync", "*", "a.alpha.tiff a.png"),  # the sidecar, under a hidden name
        ("sync", folder, "a.alpha.tiff a.json a.png"),
    ]


def test_a_root_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FolderUnavailable, match="unmounted"):
        publish_result(AnchoredFolder(tmp_path / "unmounted"), "sub/a", [CUTOUT], SIDECAR)
    assert os.listdir(tmp_path) == []


def test_a_full_disk_leaves_no_sidecar_and_no_temporary_and_can_be_repeated(
    tmp_path: Path,
) -> None:
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)],
            check=False,
            capture_output=True,
        ).returncode
    ):
        pytest.skip("only root can mount the small disk that this test fills")
    try:
        large = EncodedOutput("alpha", "png", bytes(1 << 20))
        with pytest.raises(DiskFull, match="cannot write into"):
            publish_result(AnchoredFolder(tmp_path), "a", [CUTOUT, large], SIDECAR)
        assert tree(tmp_path) == []
        outputs = publish_result(AnchoredFolder(tmp_path), "a", [CUTOUT, ALPHA], SIDECAR)
        assert result_intact(AnchoredFolder(tmp_path), outputs)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


# -- stale and removed results ---------------------------------------------------------


def test_outputs_that_a_new_result_lacks_are_removed(tmp_path: Path) -> None:
    earlier = publish_result(AnchoredFolder(tmp_path), "a", [CUTOUT, ALPHA], SIDECAR)
    new = publish_result(AnchoredFolder(tmp_path), "a", [CUTOUT], SIDECAR, earlier=earlier)
    remove_stale(AnchoredFolder(tmp_path), earlier, new)
    remove_stale(AnchoredFolder(tmp_path), earlier, new)
    assert tree(tmp_path) == ["a.json", "a.png"]


def test_a_result_in_another_folder_keeps_nothing_here(tmp_path: Path) -> None:
    for name in ("review", "out"):
        (tmp_path / name).mkdir()
    earlier = publish_result(AnchoredFolder(tmp_path / "review"), "a", [CUTOUT], SIDECAR)
    new = publish_result(AnchoredFolder(tmp_path / "out"), "a", [CUTOUT], SIDECAR)
    remove_stale(
        AnchoredFolder(tmp_path / "review"), earlier, new, AnchoredFolder(tmp_path / "out")
    )
    assert tree(tmp_path) == ["out/a.json", "out/a.png", "review/a.json"]


def test_a_result_is_removed_with_its_sidecar_and_again_without_harm(tmp_path: Path) -> None:
    outputs = publish_result(AnchoredFolder(tmp_path), "sub/a", [CUTOUT, ALPHA], SIDECAR)
    remove_result(AnchoredFolder(tmp_path), "sub/a", outputs)
    remove_result(AnchoredFolder(tmp_path), "sub/a", outputs)
    assert tree(tmp_path) == []
    remove_result(AnchoredFolder(tmp_path / "gone"), "sub/a", outputs)


# -- copies ---------------------------------------------------------------------------


def test_the_same_bytes_under_a_new_name_get_copies_of_their_own(tmp_path: Path) -> None:
    stored = publish_result(AnchoredFolder(tmp_path), "a", [CUTOUT, ALPHA], SIDECAR)
    copies = copy_result(
        AnchoredFolder(tmp_path), stored, AnchoredFolder(tmp_path), "sub/b", SIDECAR
    )
    assert copies is not None
    assert [copy.file for copy in copies] == ["sub/b.png", "sub/b.alpha.tiff"]
    assert result_intact(AnchoredFolder(tmp_path), copies)
    assert (tmp_path / "sub/b.json").exists()
    assert not (tmp_path / "a.png").samefile(tmp_path / "sub/b.png")


def test_a_result_that_lies_where_it_belongs_gets_a_new_sidecar_only(tmp_path: Path) -> None:
    stored = publish_result(AnchoredFolder(tmp_path), "a", [CUTOUT], SIDECAR)
    inode = (tmp_path / "a.png").stat().st_ino
    again = copy_result(
        AnchoredFolder(tmp_path), stored, AnchoredFolder(tmp_path), "a", REVIEW_SIDECAR
    )
    assert again == stored
    assert (tmp_path / "a.png").stat().st_ino == inode
    assert json.loads((tmp_path / "a.json").read_bytes())["quality"]["verdict"] == "review"


@pytest.mark.parametrize("harm", ["altered", "missing", "folder", "symlink", "fifo"])
def test_a_stored_result_that_is_not_as_published_is_not_used(tmp_path: Path, harm: str) -> None:
    stored = publish_result(AnchoredFolder(tmp_path), "a", [CUTOUT, ALPHA], SIDECAR)
    path = tmp_path / "a.alpha.tiff"
    path.rename(tmp_path / "aside")
    if harm == "altered":
        path.write_bytes(b"edited")
    elif harm == "folder":
        path.mkdir()
    elif harm == "symlink":
        path.symlink_to(tmp_path / "aside")
    elif harm == "fifo":
        os.mkfifo(path)
    assert (
        copy_result(AnchoredFolder(tmp_path), stored, AnchoredFolder(tmp_path), "b", SIDECAR)
        is None
    )
    assert not (tmp_path / "b.png").exists()


def test_a_result_without_outputs_is_not_intact(tmp_path: Path) -> None:
    assert not result_intact(AnchoredFolder(tmp_path), ())


def test_a_stored_file_that_changes_during_the_copy_gets_no_final_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = publish_result(AnchoredFolder(tmp_path), "a", [CUTOUT, ALPHA], SIDECAR)
    monkeypatch.setattr(results, "result_intact", lambda _root, _outputs: True)
    (tmp_path / "a.alpha.tiff").write_bytes(b"edited after the check")
    assert (
        copy_result(AnchoredFolder(tmp_path), stored, AnchoredFolder(tmp_path), "b", SIDECAR)
        is None
    )
    assert tree(tmp_path) == ["a.alpha.tiff", "a.json", "a.png"]


# -- accept ---------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    review, out = tmp_path / "review", tmp_path / "out"
    review.mkdir()
    out.mkdir()
    return review, out


def test_an_accepted_result_moves_to_out_with_a_new_verdict(folders: tuple[Path, Path]) -> None:
    review, out = folders
    outputs = publish_result(AnchoredFolder(review), "sub/a", [CUTOUT, ALPHA], REVIEW_SIDECAR)
    assert (
        accept_result(
            AnchoredFolder(review), AnchoredFolder(out), "sub/a", outputs, 1_700_000_000.0
        )
        == outputs
    )
    assert tree(review) == []
    assert result_intact(AnchoredFolder(out), outputs)
    content = json.loads((out / "sub/a.json").read_bytes())
    assert content["quality"]["verdict"] == "ok"
    assert content["quality"]["reasons"] == ["no_subject"]
    assert content["accepted_at"] == "2023-11-14T22:13:20.000Z"
    assert [entry["file"] for entry in content["outputs"]] == ["sub/a.png", "sub/a.alpha.tiff"]


def test_accepting_twice_is_the_same_as_once(folders: tuple[Path, Path]) -> None:
    review, out = folders
    outputs = publish_result(AnchoredFolder(review), "a", [CUTOUT], REVIEW_SIDECAR)
    assert accept_result(AnchoredFolder(review), AnchoredFolder(out), "a", outputs, 0.0) == outputs
    assert accept_result(AnchoredFolder(review), AnchoredFolder(out), "a", outputs, 9.0) == outputs
    assert tree(out) == ["a.json", "a.png"]


@pytest.mark.parametrize("died_after", ["copy", "sidecar", "first output"])
def test_an_acceptance_that_died_is_finished_by_the_next(
    folders: tuple[Path, Path], died_after: str
) -> None:
    review, out = folders
    outputs = publish_result(AnchoredFolder(review), "a", [CUTOUT, ALPHA], REVIEW_SIDECAR)
    copy_result(AnchoredFolder(review), outputs, AnchoredFolder(out), "a", SIDECAR)
    if died_after != "copy":
        (review / "a.json").unlink()
    if died_after == "first output":
        (review / "a.png").unlink()
    assert accept_result(AnchoredFolder(review), AnchoredFolder(out), "a", outputs, 0.0) == outputs
    assert tree(review) == []
    assert result_intact(AnchoredFolder(out), outputs)


@pytest.mark.parametrize("harm", ["output gone", "all gone", "sidecar broken", "sidecar not ours"])
def test_a_reviewed_result_that_is_not_whole_is_not_accepted(
    folders: tuple[Path, Path], harm: str
) -> None:
    review, out = folders
    outputs = publish_result(AnchoredFolder(review), "a", [CUTOUT], REVIEW_SIDECAR)
    if harm in ("output gone", "all gone"):
        (review / "a.png").unlink()
    if harm == "all gone":
        (review / "a.json").unlink()
    if harm.startswith("sidecar"):
        (review / "a.json").write_text("{" if harm == "sidecar broken" else "[1]")
    assert accept_result(AnchoredFolder(review), AnchoredFolder(out), "a", outputs, 0.0) is None
    assert tree(out) == []


@pytest.mark.parametrize("harm", ["fifo", "folder", "link", "endless", "huge"])
def test_what_is_planted_for_a_sidecar_is_no_sidecar(
    folders: tuple[Path, Path], tmp_path: Path, harm: str
) -> None:
    review, out = folders
    outputs = publish_result(AnchoredFolder(review), "a", [CUTOUT], REVIEW_SIDECAR)
    planted = review / "a.json"
    planted.rename(tmp_path / "aside")
    if harm == "fifo":
        os.mkfifo(planted)
    elif harm == "folder":
        planted.mkdir()
    elif harm == "link":
        planted.symlink_to(tmp_path / "aside")
    else:
        planted.write_bytes(b"[" * 1_000_000 if harm == "endless" else b" " * (5 << 20))
    assert accept_result(AnchoredFolder(review), AnchoredFolder(out), "a", outputs, 0.0) is None
    assert tree(out) == []


def test_a_retouched_result_is_accepted_as_it_is_now(folders: tuple[Path, Path]) -> None:
    review, out = folders
    outputs = publish_result(AnchoredFolder(review), "a", [CUTOUT, ALPHA], REVIEW_SIDECAR)
    (review / "a.png").write_bytes(b"retouched by hand")
    accepted = accept_result(
        AnchoredFolder(review), AnchoredFolder(out), "a", outputs, 0.0, job_id=7
    )
    assert accepted is not None
    assert (out / "a.png").read_bytes() == b"retouched by hand"
    content = json.loads((out / "a.json").read_bytes())
    assert content["edited"] is True
    assert content["outputs"][0]["sha256"] == accepted[0].sha256 != outputs[0].sha256
    assert tree(review) == []
    assert (
        accept_result(AnchoredFolder(review), AnchoredFolder(out), "a", outputs, 9.0, job_id=7)
        == accepted
    )


# -- what others made -----------------------------------------------------------------


@pytest.mark.parametrize("theirs", ["a.png", "a.json", "a.alpha.tiff"])
@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_a_file_of_somebody_else_keeps_its_name(tmp_path: Path, theirs: str, kind: str) -> None:
    if kind == "file":
        (tmp_path / theirs).write_bytes(b'{"foreign": true}')
    elif kind == "folder":
        (tmp_path / theirs).mkdir()
    else:
        (tmp_path / theirs).symlink_to("/nowhere")
    before = (tmp_path / theirs).lstat()
    for _ in range(2):
        outputs = publish_result(AnchoredFolder(tmp_path), "a", [CUTOUT, ALPHA], SIDECAR)
        assert [output.file for output in outputs] == ["a~2.png", "a~2.alpha.tiff"]
        assert result_intact(AnchoredFolder(tmp_path), outputs)
        remove_result(AnchoredFolder(tmp_path), "a", outputs)
    after = (tmp_path / theirs).lstat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert tree(tmp_path) == ([theirs] if kind == "file" else [])


def test_a_result_edited_by_hand_stays_when_the_photo_is_done_again(tmp_path: Path) -> None:
    earlier = publish_result(AnchoredFolder(tmp_path), "a", [CUTOUT, ALPHA], SIDECAR)
    (tmp_path / "a.png").write_bytes(b"hours of work")
    newer = [replace(CUTOUT, data=b"newer pixels")]
    new = publish_result(
        AnchoredFolder(tmp_path),
        "a",
        newer,
        SIDECAR,
        earlier=earlier,
        is_ours=lambda _content: True,
    )
    remove_stale(AnchoredFolder(tmp_path), earlier, new)
    assert [output.file for output in new] == ["a~2.png"]
    assert (tmp_path / "a.png").read_bytes() == b"hours of work"
    again = publish_result(
        AnchoredFolder(tmp_path), "a", [CUTOUT], SIDECAR, earlier=new, is_ours=lambda _content: True
    )
    assert [output.file for output in again] == ["a~2.png"]


def test_a_name_taken_in_the_last_moment_is_left_alone(tmp_path: Path) -> None:
    class Racing(type(AnchoredFolder(tmp_path))):  # type: ignore[misc]
        def stage(self, folder, data, mode=0o666):
            staged = super().stage(folder, data, mode)
            (tmp_path / "a.alpha.tiff").write_bytes(b"another's")
            return staged

    outputs = publish_result(Racing(tmp_path), "a", [CUTOUT, ALPHA], SIDECAR)
    assert [output.file for output in outputs] == ["a~2.png", "a~2.alpha.tiff"]
    assert (tmp_path / "a.alpha.tiff").read_bytes() == b"another's"
    assert not (tmp_path / "a.png").exists()


def test_a_planted_link_leads_no_result_astray(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/models").symlink_to(tmp_path / "state")
    outputs = publish_result(AnchoredFolder(tmp_path / "out"), "models/evil/a", [CUTOUT], SIDECAR)
    assert outputs[0].file == "models~2/evil/a.png"
    assert os.listdir(tmp_path / "state") == []


def test_a_sidecar_that_names_files_elsewhere_removes_nothing_there(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"x")
    (tmp_path / "out").mkdir()
    listed = {"file": "../victim", "kind": "cutout", "format": "png", "sha256": "00"}
    (tmp_path / "out/a.json").write_text(json.dumps({"outputs": [listed]}))
    publish_result(
        AnchoredFolder(tmp_path / "out"), "a", [CUTOUT], SIDECAR, is_ours=lambda _content: True
    )
    assert victim.read_bytes() == b"x"


# -- killed at any moment --------------------------------------------------------------

PUBLISHER = """
import hashlib, os, sys
from pathlib import Path
from edge_matting.core.anchored import AnchoredFolder
from edge_matting.core.jobs import EncodedOutput
from edge_matting.publish import publish_result, remove_stale

root = AnchoredFolder(Path(sys.argv[1]))
earlier = {}
print("ready", flush=True)
for number in range(10**9):
    stem = f"sub/{number % 5}"
    pixels = os.urandom(1000 + 60_000 * (number % 3))
    data = hashlib.sha256(pixels).digest() + pixels
    files = [EncodedOutput("cutout", "png", data), EncodedOutput("alpha", "png", data)]
    files = files[: 1 + number % 2]
    outputs = publish_result(
        root, stem, files, {"number": number}, earlier=earlier.get(stem, ())
    )
    remove_stale(root, earlier.get(stem, ()), outputs)
    earlier[stem] = outputs
"""


@pytest.mark.parametrize("seed", range(3))
def test_no_kill_leaves_a_truncated_file_under_a_final_name(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    sidecars = 0
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", PUBLISHER, str(tmp_path)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.15))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        sidecars += check_published(tmp_path)
    roll_back(AnchoredFolder(tmp_path))
    sweep_temporaries(AnchoredFolder(tmp_path))
    assert not [name for name in tree(tmp_path) if TEMPORARY_PREFIX in name]
    assert sidecars > 0


def check_published(root: Path) -> int:
    """Every final name is whole, every sidecar tells the truth; the number of sidecars."""
    sidecars = 0
    for name in tree(root):
        if TEMPORARY_PREFIX in name:
            continue
        content = (root / name).read_bytes()
        if name.endswith(".json"):
            sidecars += 1
            listed = json.loads(content)["outputs"]
            for file, sha256 in ((one["file"], one["sha256"]) for one in listed):
                assert hashlib.sha256((root / file).read_bytes()).hexdigest() == sha256
        else:
            assert hashlib.sha256(content[32:]).digest() == content[:32]
    return sidecars
