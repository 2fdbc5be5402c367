"""The command line as typed: output, exit status, and what lies on the disk afterwards."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from harness import PHOTO, files

from edge_matting.cli.main import main
from tools.waiting import wait_until


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A configuration of this test's own, found through the environment."""
    config = tmp_path / "config.yaml"
    config.write_text(
        "state_dir: state\nhot_folders: [{path: hot}]\nlimits: {min_free_mb: 1}\n"
        "status: {port: 1}\n"
    )
    monkeypatch.setenv("EDGE_MATTING_CONFIG", str(config))
    return tmp_path


@pytest.fixture
def photos(home):
    """Three photos in two folders."""
    folder = home / "photos"
    (folder / "sub").mkdir(parents=True)
    for number, name in enumerate(["a.jpg", "b.jpg", "sub/a.jpg"]):
        (folder / name).write_bytes(PHOTO.read_bytes() + bytes([number]))
    return folder


def report(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def test_process_mirrors_the_tree_and_a_second_run_has_nothing_to_do(home, photos, capsys):
    out = home / "out"
    assert main(["process", str(photos), "-o", str(out), "--json"]) == 0
    assert report(capsys)["done"] == 3
    expected = ["a.json", "a.png", "b.json", "b.png", "sub/a.json", "sub/a.png"]
    assert files(out) == expected
    before = {name: (out / name).stat().st_mtime_ns for name in expected}
    assert main(["process", str(photos), "-o", str(out), "--json"]) == 0
    again = report(capsys)
    assert (again["done"], again["skipped"]) == (0, 3)
    assert before == {name: (out / name).stat().st_mtime_ns for name in expected}


def test_process_makes_again_what_is_missing_damaged_or_asked_for_differently(home, photos, capsys):
    out = home / "out"
    assert main(["process", str(photos), "-o", str(out), "--json"]) == 0
    capsys.readouterr()
    (out / "a.png").unlink()
    (out / "b.png").write_bytes((out / "b.png").read_bytes()[:100])
    assert main(["process", str(photos), "-o", str(out), "--json"]) == 0
    again = report(capsys)
    assert (again["done"], again["skipped"]) == (2, 1)
    arguments = ["process", str(photos), "-o", str(out), "--json"]
    assert main([*arguments, "--set", "recipes.cutout.refinement=none"]) == 0
    assert report(capsys)["done"] == 3


def test_process_names_the_file_that_failed_and_does_the_others(home, photos, capsys):
    (photos / "text.jpg").write_text("not a photo")
    assert main(["process", str(photos), "-o", str(home / "out")]) == 1
    printed = capsys.readouterr()
    assert "text.jpg: not_an_image" in printed.err
    assert "3 done" in printed.out
    assert "1 failed of 4" in printed.out
    assert len(files(home / "out")) == 6


def test_an_interrupted_run_goes_on_where_it_stopped(home):
    folder = home / "many"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number}.jpg").write_bytes(PHOTO.read_bytes() + bytes([number]))
    command = [sys.executable, "-m", "edge_matting", "process", str(folder), "-o", str(home / "o")]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: list(home.glob("o/*.json")), 60, 0.01)
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "run the same command again to go on" in out
    made = len(list((home / "o").glob("*.json")))
    assert 0 < made < 12
    again = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    counted = json.loads(again.stdout)
    assert (counted["skipped"], counted["done"]) == (made, 12 - made)
    assert len(list((home / "o").glob("*.png"))) == 12


def test_two_sources_never_share_a_name(home, capsys):
    for folder in ("x", "y"):
        (home / folder).mkdir()
        (home / folder / "a.jpg").write_bytes(PHOTO.read_bytes() + folder.encode())
    png = cv2.imencode(".png", cv2.imread(str(PHOTO)))[1].tobytes()
    (home / "x" / "a.png").write_bytes(png)
    paths = [str(home / "x"), str(home / "y")]
    assert main(["process", *paths, "-o", str(home / "out"), "--json"]) == 0
    assert report(capsys)["done"] == 3
    assert [name for name in files(home / "out") if name.endswith(".png")] == [
        "a.png",
        "a~jpg.png",
        "a~png.png",
    ]
    assert main(["process", *paths, "-o", str(home / "out"), "--json"]) == 0
    assert report(capsys)["skipped"] == 3


def test_the_same_bytes_go_through_the_model_once_in_a_run(home, capsys):
    folder = home / "same"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"):
        (folder / name).write_bytes(PHOTO.read_bytes())
    assert main(["process", str(folder), "-o", str(home / "out")]) == 0
    kinds = [json.loads(path.read_text())["cache"] for path in (home / "out").glob("*.json")]
    assert kinds.count("exact") >= 3
    assert main(["process", str(folder), "-o", str(home / "new"), "--no-cache"]) == 0
    kinds = [json.loads(path.read_text())["cache"] for path in (home / "new").glob("*.json")]
    assert kinds == ["miss"] * 5


def test_jpg_gives_a_composite_because_jpeg_has_no_transparency(home, capsys):
    assert main(["process", str(PHOTO), "-o", str(home / "out"), "--format", "jpg"]) == 0
    picture = cv2.imread(str(home / "out" / "astronaut.jpg"))
    assert picture[5, 505].min() > 180  # white where the background was
    sidecar = json.loads((home / "out" / "astronaut.json").read_text())
    assert sidecar["outputs"][0]["kind"] == "composite"


def test_a_doubted_result_goes_to_review(home, capsys):
    folder = home / "plain"
    folder.mkdir()
    cv2.imwrite(str(folder / "grey.png"), np.full((200, 300, 3), 127, np.uint8))
    assert main(["process", str(folder), "-o", str(home / "out"), "--json"]) == 0
    assert report(capsys)["review"] == 1
    assert files(home / "out") == ["review/grey.json", "review/grey.png"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["nowhere", "-o", "out"], "there is no such file or folder"),
        ([".", "-o", "out"], "lies inside"),
        (["config.yaml", "-o", "out", "--recipe", "none"], "no recipe is named so"),
        (["config.yaml", "-o", "out", "--set", "x"], "expected KEY=VALUE"),
    ],
)
def test_bad_arguments_end_with_status_2_and_a_reason(home, monkeypatch, capsys, arguments, word):
    monkeypatch.chdir(home)
    assert main(["process", *arguments]) == 2
    assert word in capsys.readouterr().err
    assert not (home / "out").exists()


def test_an_unknown_model_names_the_known_ones(home, capsys):
    assert main(["process", str(PHOTO), "-o", str(home / "o"), "--model", "nope"]) == 2
    assert "known models: default" in capsys.readouterr().err


def test_check_config_names_faults_and_overlaps(home, capsys):
    assert main(["check-config"]) == 0
    bad = home / "bad.yaml"
    bad.write_text("hot_folders: [{path: a}, {path: a/in}]\n")
    assert main(["check-config", "-c", str(bad)]) == 2
    assert "overlaps hot_folders[0]" in capsys.readouterr().err
    bad.write_text("intake: {watch: nativ}\n")
    assert main(["check-config", "-c", str(bad)]) == 2
    assert "intake.watch: expected 'auto', 'native' or 'polling'" in capsys.readouterr().err


def test_profile_tells_the_plan_and_why(home, capsys):
    assert main(["profile"]) == 0
    assert "because" in capsys.readouterr().out
    assert main(["profile", "--json"]) == 0
    assert report(capsys)["plan"]["provider"] == "cpu"


def test_profile_measures_when_it_is_told_to_and_remembers(home, capsys):
    assert main(["profile"]) == 0
    assert "not yet: at the first start" in capsys.readouterr().out
    assert main(["profile", "--measure", "--json"]) == 0
    measured = report(capsys)["measurements"]
    assert measured["timings"]
    assert main(["profile"]) == 0
    shown = capsys.readouterr().out
    assert "measured here at" in shown
    assert "ms a photo" in shown
    assert main(["profile", "--json"]) == 0
    assert report(capsys)["measurements"] == measured


def test_doctor_tells_one_line_a_check_and_what_is_wrong(home, capsys):
    assert main(["doctor"]) == 1  # the hot folder is not made yet
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("FAIL hot folder") for line in lines)
    for part in ("in", "out", "done", "failed", "review"):
        (home / "hot" / part).mkdir(parents=True)
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("model default: is as its manifest says" in line for line in lines)


def test_models_are_listed_shown_verified_and_only_added_ones_removed(home, capsys):
    assert main(["models", "list"]) == 0
    assert capsys.readouterr().out.startswith("default")
    assert main(["models", "show", "default"]) == 0
    assert "sha256:" in capsys.readouterr().out
    assert main(["models", "verify"]) == 0
    config = str(home / "config.yaml")
    assert main(["models", "verify", "-c", config]) == main(["models", "-c", config, "list"]) == 0
    assert main(["models", "remove", "default"]) == 1
    assert "shipped" in capsys.readouterr().err


def test_an_added_model_that_a_shipped_one_hides_is_told(home, capsys):
    shipped = Path(__file__).parents[2] / "models" / "quality"
    shutil.copytree(shipped, home / "state" / "models" / "quality")
    assert main(["models", "list"]) == 0
    assert "hidden   your model has the name of a shipped one" in capsys.readouterr().out
    assert main(["doctor"]) == 1
    told = [line for line in capsys.readouterr().out.splitlines() if "model quality" in line]
    assert any(line.startswith("FAIL") and "another --id" in line for line in told)


def test_an_added_model_is_tried_used_and_an_altered_one_refused(home, capsys):
    shipped = next((Path(__file__).parents[2] / "models" / "default").glob("*.onnx"))
    own = home / "mine.onnx"
    own.write_bytes(shipped.read_bytes())
    assert main(["models", "add", str(own), "--preset", "half"]) == 0
    assert "added as mine" in capsys.readouterr().out
    assert len(list((home / "state" / "golden").iterdir())) == 1  # its known matte
    assert main(["models", "add", str(own), "--preset", "unit", "--id", "other"]) == 0
    assert len(list((home / "state" / "golden").iterdir())) == 2  # the same file, fed otherwise
    capsys.readouterr()
    assert main(["process", str(PHOTO), "-o", str(home / "o"), "--model", "mine", "--json"]) == 0
    capsys.readouterr()
    copy = home / "state" / "models" / "mine" / "model.onnx"
    copy.write_bytes(copy.read_bytes()[:-1] + b"x")
    assert main(["models", "verify", "mine"]) == 1
    assert "SHA-256" in capsys.readouterr().err
    assert main(["process", str(PHOTO), "-o", str(home / "p"), "--model", "mine"]) == 1
    assert main(["models", "remove", "mine"]) == 0
    assert not copy.exists()


def test_status_without_an_appliance_is_3(home, capsys):
    assert main(["status"]) == 3
    assert "no answer" in capsys.readouterr().err
    assert main(["retry", "1"]) == 1
    assert main(["retry"]) == 2


def test_bench_tells_each_stage(home, capsys):
    assert main(["bench", "--photos", "2", "--json"]) == 0
    figures = report(capsys)
    assert figures["photos_per_second"] > 0
    assert {"decode", "infer", "refine", "encode"} <= figures["stage_seconds_median"].keys()
    assert main(["bench", "--photos", "0"]) == 2


def test_a_closed_pipe_is_no_traceback(home):
    command = f"{sys.executable} -m edge_matting models show default | head -n 0"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, env=os.environ, check=False
    )
    assert "Traceback" not in done.stderr


def test_a_start_without_a_runtime_says_which_extra_to_install(home, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main(["process", str(PHOTO), "-o", str(home / "o")]) == 2
    assert "pip install edge-matting[cpu]" in capsys.readouterr().err


def test_a_built_in_recipe_is_chosen_by_name(home):
    assert main(["process", str(PHOTO), "-o", str(home / "out"), "--recipe", "avatar"]) == 0
    read = cv2.imread(str(home / "out" / "astronaut.png"), cv2.IMREAD_UNCHANGED)
    assert read.shape == (512, 512, 4)
    assert json.loads((home / "out" / "astronaut.json").read_text())["recipe"] == "avatar"


def test_a_format_that_another_output_has_already_is_written_once(home):
    arguments = ["process", str(PHOTO), "-o", str(home / "out"), "--recipe", "shop"]
    assert main([*arguments, "--format", "jpg"]) == 0
    assert sorted(path.name for path in (home / "out").glob("astronaut*")) == [
        "astronaut.jpg",
        "astronaut.json",
    ]


def test_a_format_that_cannot_be_written_is_a_bad_argument(home, capsys, monkeypatch):
    monkeypatch.setattr("edge_matting.config.recipe._writes_avif", lambda: False)
    arguments = ["process", str(PHOTO), "-o", str(home / "out"), "--format", "avif"]
    assert main(arguments) == 2
    assert "--format avif: this installation's Pillow writes no AVIF" in capsys.readouterr().err


def test_native_libraries_leave_the_parallel_work_to_the_photos() -> None:
    """OpenCV runs in the calling thread, and large buffers are used again without page faults."""
    code = """
import resource, cv2, numpy as np
from edge_matting.engine.process_tuning import tune_process
tune_process()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
photo = np.zeros((1080, 1920, 3), np.uint8)
for _ in range(3): cv2.cvtColor(photo, cv2.COLOR_RGB2RGBA)
before = faults()
for _ in range(20): cv2.cvtColor(photo, cv2.COLOR_RGB2RGBA)
print(cv2.getNumThreads(), faults() - before < 2000)  # 40,000 if each buffer were new
"""
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == ["1", "True"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to")
def test_all_threads_share_one_heap_whose_holes_each_can_fill(tmp_path: Path) -> None:
    code = """
import ctypes, sys, threading
from edge_matting.engine.process_tuning import tune_process
tune_process()
all_there = threading.Barrier(5)
def work():
    kept = bytearray(100_000)
    all_there.wait()
    all_there.wait()
    del kept
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
all_there.wait()
library = ctypes.CDLL(None)
library.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(library.fopen(sys.argv[1].encode(), b"w"))
library.malloc_info(0, file)
library.fclose(file)
all_there.wait()
"""
    told = tmp_path / "heaps.xml"
    subprocess.run([sys.executable, "-c", code, told], check=True)
    assert told.read_text().count("<heap nr=") == 1


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to")
def test_free_memory_between_pieces_that_live_on_goes_back_to_the_kernel() -> None:
    code = """
import psutil
from edge_matting.engine.process_tuning import return_free_memory, tune_process
tune_process()
used = lambda: psutil.Process().memory_info().rss / 2**20
large, small = [], []
for _ in range(100):
    large.append(bytearray(2**20))
    large[-1][:] = b"x" * 2**20
    small.append(bytearray(b"x" * 5000))  # each holds back what lies below it
large.clear()
before = used()
return_free_memory()
print(before - used() > 60)
"""
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == ["True"]
