"""The benchmark suite: what it compares does the same work, and its arithmetic holds."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tools.bench import performance_report
from tools.bench.appliance import command, environment, write_config
from tools.bench.bare import open_bare
from tools.bench.growth import by_ledger
from tools.bench.machine import ROOT
from tools.bench.photos import make_photos
from tools.bench.rembg_side import MEAN, STD, wrap_model
from tools.bench.throughput import ratios, throughput
from tools.bench.watching import Sample, Watch, pace

MODEL = ROOT / "models" / "default" / "matting_mobilenetv2_unet.onnx"


def test_every_photo_is_different_and_the_same_the_next_time(tmp_path: Path) -> None:
    first = make_photos(tmp_path / "a", 12, size=(320, 240))
    again = make_photos(tmp_path / "b", 12, size=(320, 240))
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in first]
    assert len(set(digests)) == 12
    assert digests == [hashlib.sha256(path.read_bytes()).hexdigest() for path in again]


@pytest.mark.parametrize("recipe", ["plain", "cutout"])
def test_the_bare_loop_makes_what_process_makes(tmp_path: Path, recipe: str) -> None:
    config = write_config(tmp_path)
    photos = make_photos(tmp_path / "photos", 2, size=(640, 480))
    bare, _ = open_bare(config, recipe, tmp_path / "bare")
    for photo in photos:
        bare.do(photo)
    out = tmp_path / "out"
    arguments = command("process", photos[0].parent, "-o", out, "-c", config, "--recipe", recipe)
    subprocess.run([*arguments, "--no-cache"], check=True, env=environment(), capture_output=True)
    for photo in photos:
        (made,) = out.rglob(f"{photo.stem}.png")
        assert made.read_bytes() == (tmp_path / "bare" / f"{photo.stem}.png").read_bytes()
        assert (tmp_path / "bare" / f"{photo.stem}.json").exists()


def test_the_wrapped_model_sees_what_the_model_sees(tmp_path: Path) -> None:
    wrap_model(MODEL, tmp_path / "wrapped.onnx")
    pixels = np.random.default_rng(1).random((1, 3, 64, 64), np.float32)
    mean, std = (np.array(each, np.float32).reshape(1, 3, 1, 1) for each in (MEAN, STD))
    answers = []
    for path, values in (
        (MODEL, (pixels - 0.5) / 0.5),
        (tmp_path / "wrapped.onnx", (pixels - mean) / std),
    ):
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        answers.append(session.run(None, {session.get_inputs()[0].name: values})[0])
    assert np.abs(answers[0] - answers[1]).max() < 1e-3


def test_a_pace_leaves_the_first_photos_out_and_shares_the_processors() -> None:
    watch = Watch(list)
    watch.samples = [Sample(float(t), t * 1.5, t * 1.75, t * 0.25, 0, 0) for t in range(40)]
    made = pace([10.0 + number * 0.5 for number in range(20)], watch)
    assert made.photos_per_second == pytest.approx(2.0)
    assert made.own_ms == pytest.approx(750.0, abs=1)
    assert made.others_ms == pytest.approx(125.0, abs=1)
    assert made.idle_ms == pytest.approx(125.0, abs=1)


def test_the_figures_replace_the_old_ones_and_leave_the_text(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{performance_report.BEGIN}\nold\n{performance_report.END}\nafter\n")
    made = dict.fromkeys(
        ("cpu", "usable_cpus", "file_system", "commit", "date", "load_average", "photos"), "x"
    )
    part = {"made": {**made, "command": "y"}, "result": [{"rows": 1000, "ms": 0.5}]}
    performance_report.write(tmp_path, {"ledger": part})
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| 1,000 | 0.5 |" in text
    assert "old" not in text
    assert performance_report.read(tmp_path) == {"ledger": part}


def test_claim_and_finish_cost_the_same_in_a_long_ledger(tmp_path: Path) -> None:
    few, many = by_ledger(tmp_path, (0, 50_000))
    for name in ("claim_cpu_ms", "finish_cpu_ms"):
        assert many[name] < 2 * few[name] + 0.1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_pipeline_costs_little_beside_its_work(tmp_path: Path) -> None:
    """Far below the targets of docs/performance.md, for other work disturbs a test machine."""
    photos = make_photos(tmp_path / "photos", 40)
    made = throughput(photos, tmp_path, 3, "plain")
    assert ratios(made, "process", "bare loop")["median"] > 0.8
    assert ratios(made, "daemon", "process")["median"] > 0.7
    assert made["daemon"]["own_ms"] < 1.4 * made["bare loop"]["own_ms"]
