"""Training further on the wider mix: every kind can be drawn, and a run resumes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("cv2")

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = ROOT / "models" / "default" / "matting_mobilenetv2_unet.onnx"


def make_sets(work: Path) -> tuple[Path, Path]:
    """A base set with something of every group to train on, and a set of labelled photos."""
    from tools.training.store import PHOTOS
    from tools.training.teachers.agreement import EASY, HARD, pack

    rng = np.random.default_rng(3)
    kinds = [(group, 7) for group in PHOTOS] + [("objects", 4), ("backgrounds", 3)]
    names = {"objects": "cup", "backgrounds": "scene"}
    items, offset = [], 0
    (work / "set").mkdir(parents=True)
    with (work / "set" / "pixels.bin").open("wb") as out:
        for group, channels in kinds:
            for number in range(2):
                pixels = rng.integers(0, 90, (160, 120, channels)).astype(np.uint8)
                pixels[40:150, 40:80, :3] |= 128
                if channels > 3:
                    pixels[..., 3] = 0
                    pixels[40:150, 40:80, 3] = 255
                name = f"{names.get(group, group)}_{number:02d}"
                place = {"name": name, "shape": pixels.shape, "offset": offset}
                items.append({"group": group, "validation": False, "soft": True, **place})
                out.write(pixels.tobytes())
                offset += pixels.size
            if group == "backgrounds":  # shelves lie among them
                items.append({**items[-1], "name": "shelf_00"})
    items += [{**item, "validation": True} for item in items]
    (work / "set" / "index.json").write_text(json.dumps(items))
    photo = rng.integers(0, 255, (90, 120, 4)).astype(np.uint8)
    pack(work / "taught", iter([(EASY, "one", photo), (HARD, "two", photo)]))
    return work / "set", work / "taught"


def test_every_kind_of_sample_can_be_drawn(tmp_path: Path) -> None:
    from tools.training.wider import SHARES, Sets, Wider

    base, taught = make_sets(tmp_path)
    for kind in SHARES:
        wider = Wider(Sets(base, taught), np.random.default_rng(1), {kind: 1.0})
        for _ in range(4):
            rgb, alpha = wider.draw(96)
            assert rgb.shape == (96, 96, 3)
            assert alpha.shape == (96, 96)
            assert rgb.dtype == alpha.dtype == np.uint8


def test_without_labelled_photos_their_share_goes_to_the_other_kinds(tmp_path: Path) -> None:
    from tools.training.wider import SHARES, Sets, Wider

    base, _ = make_sets(tmp_path)
    wider = Wider(Sets(base), np.random.default_rng(1), dict(SHARES))
    assert "taught" not in wider.kinds
    assert wider.shares.sum() == pytest.approx(1)


@pytest.mark.slow
def test_a_run_goes_on_where_it_stopped_and_ends_with_its_schedule(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training needs torch")
    pytest.importorskip("onnx", reason="reading the file needs onnx")
    from tools.training.checkpoint import load

    base, taught = make_sets(tmp_path)
    command = [sys.executable, "-m", "tools.training.further", "--from", str(DEFAULT)]
    command += ["--base", str(base), "--taught", str(taught), "--work", str(tmp_path / "run")]
    command += ["--side", "64", "--sizes", "64", "--hours", "0.002"]
    first = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "done" in first.stdout
    state = load(tmp_path / "run" / "checkpoint.pt")
    assert state["progress"]["schedules"] == 1
    assert state["progress"]["samples"] > 0
    state["progress"].update(schedules=0, spent=6.0, budget=7.2)  # as if stopped before its end
    import torch

    torch.save(state, tmp_path / "run" / "checkpoint.pt")
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "resumed" in second.stdout
    again = load(tmp_path / "run" / "checkpoint.pt")["progress"]
    assert again["schedules"] == 1
    assert again["samples"] > state["progress"]["samples"]
