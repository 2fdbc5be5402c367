"""A stranger's model is tried in a process of its own: whatever it does ends in a sentence."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import onnx
import psutil
import pytest
import yaml
from graphs import save, write_model
from onnx import TensorProto, helper

from edge_matting.cli.main import main
from edge_matting.core.errors import ModelError
from edge_matting.onboarding.normalisation import Normalisation, normalisation_of
from edge_matting.onboarding.propose import OnboardingOptions
from tools.waiting import wait_for

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


class Box:
    """A configuration of its own, and `models add` as a user runs it."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.models = root / "state" / "models"
        self.config = root / "config.yaml"
        self.config.write_text(
            yaml.safe_dump({"state_dir": "state", "hot_folders": [{"path": "hot"}]})
        )
        self._capsys = capsys

    def add(self, path: Path, *options: str) -> tuple[int, str]:
        status = main(["models", "-c", str(self.config), "add", str(path), *options])
        told = self._capsys.readouterr()
        return status, told.out + told.err

    def manifest(self, model_id: str) -> dict[str, object]:
        return yaml.safe_load((self.models / model_id / "manifest.yaml").read_text())

    def refuses(self, path: Path, *options: str, words: str) -> None:
        status, told = self.add(path, *options)
        assert status == 1, told
        assert "Traceback" not in told
        (sentence,) = [line for line in told.splitlines() if line.startswith("edge-matting: ")]
        assert str(path) in sentence
        assert words in sentence
        assert not self.models.exists() or list(self.models.iterdir()) == []


@pytest.fixture
def box(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Box:
    return Box(tmp_path, capsys)


def photo(*shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info("x", FLOAT, shape)


def matte(*shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info("y", FLOAT, shape)


def endless(path: Path) -> Path:
    """Adds 0 to the mean of the channels, 2^62 times."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["still_going"]),
            helper.make_node("Add", ["before", "nothing"], ["after"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", INT64, []),
            helper.make_tensor_value_info("going", BOOL, []),
            helper.make_tensor_value_info("before", FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("still_going", BOOL, []),
            helper.make_tensor_value_info("after", FLOAT, None),
        ],
        [helper.make_tensor("nothing", FLOAT, [1], [0.0])],
    )
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[1], keepdims=1),
        helper.make_node("Loop", ["turns", "true", "m"], ["y"], body=body),
    ]
    constants = [
        helper.make_tensor("turns", INT64, [], [2**62]),
        helper.make_tensor("true", BOOL, [], [True]),
    ]
    size = (1, 3, 64, 64)
    return save(
        helper.make_graph(nodes, "g", [photo(*size)], [matte(1, 1, 64, 64)], constants), path
    )


def greedy(path: Path, gigabytes: int) -> Path:
    """Makes a tensor of that size of each photo and takes its mean."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[1], keepdims=1),
        helper.make_node("Expand", ["m", "shape"], ["large"]),
        helper.make_node("ReduceMean", ["large"], ["y"], axes=[0], keepdims=1),
    ]
    copies = gigabytes * 2**30 // (4 * 512 * 512)
    shape = helper.make_tensor("shape", INT64, [4], [copies, 1, 512, 512])
    size = (1, 3, 512, 512)
    return save(
        helper.make_graph(nodes, "g", [photo(*size)], [matte(1, 1, 512, 512)], [shape]), path
    )


def test_a_model_that_never_answers_is_ended(box: Box, tmp_path: Path) -> None:
    box.refuses(
        endless(tmp_path / "m.onnx"), "--seconds", "3", words="it took more than 3 s to read and"
    )
    alive = [
        child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE
    ]
    assert [child for child in alive if "model_trial" in child.cmdline()] == []


def test_a_model_that_wants_more_memory_than_it_may_take_is_refused(
    box: Box, tmp_path: Path
) -> None:
    box.refuses(greedy(tmp_path / "m.onnx", 40), "--memory-mb", "1500", words="memory")


def test_a_model_for_enormous_photos_is_refused_before_any_is_made(
    box: Box, tmp_path: Path
) -> None:
    path = write_model(tmp_path / "m.onnx", size=(200_000, 200_000))
    box.refuses(path, words="it takes photos of 200000 x 200000; 64 megapixels are the most")
    free = write_model(tmp_path / "free.onnx", size=("h", "w"))
    box.refuses(free, "--size", "200000x200000", words="64 megapixels are the most")


def test_a_model_that_kills_its_process_is_told(box: Box, tmp_path: Path) -> None:
    """What a crash of the runtime, or the kernel out of memory, does."""
    ended: list[int] = []

    def crash() -> None:
        trial = wait_for(trial_process, "the trial's process")
        ended.append(trial.pid)
        trial.send_signal(signal.SIGSEGV)

    killer = threading.Thread(target=crash)
    killer.start()
    box.refuses(endless(tmp_path / "m.onnx"), words="it crashes the runtime (SIGSEGV)")
    killer.join()
    assert ended


def trial_process() -> psutil.Process | None:
    for child in psutil.Process().children():
        if "edge_matting.cli.model_trial" in child.cmdline():
            return child
    return None


def test_a_model_whose_mattes_are_all_far_off_is_refused_with_what_to_set(
    box: Box, tmp_path: Path
) -> None:
    """The brightness of a photo is no matte, however it is fed."""
    path = write_model(tmp_path / "m.onnx", size=(64, 64))
    box.refuses(path, words="name what its makers say: --preset, or --mean and --std")
    status, told = box.add(path, "--preset", "unit")
    assert status == 0, told


def test_means_and_deviations_can_be_given(box: Box, tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx", size=(64, 64))
    given = ("--mean", "123.7,116.3,103.5", "--std", "58.4,57.1,57.4", "--channels", "bgr")
    status, told = box.add(path, *given)
    assert status == 0, told
    fed = box.manifest("m")["input"]
    assert isinstance(fed, dict)
    assert fed["range"] == [0.0, 255.0]
    assert fed["mean"] == [123.7, 116.3, 103.5]
    assert (fed["std"], fed["channels"]) == ([58.4, 57.1, 57.4], "bgr")


def test_means_of_at_most_one_are_of_pixels_from_0_to_1() -> None:
    assert normalisation_of(None, None, None) is None
    assert normalisation_of((0.5,) * 3, None, None) == Normalisation(mean=(0.5,) * 3)
    assert normalisation_of(None, (58.0,) * 3, "bgr") == Normalisation(
        (0.0, 255.0), std=(58.0,) * 3, channels="bgr"
    )
    with pytest.raises(ModelError, match="greater than 0"):
        normalisation_of(None, (0.0, 1.0, 1.0), None)


def test_what_the_user_said_survives_its_way_to_the_process() -> None:
    said = OnboardingOptions("unit", "y", (64, 32), Normalisation(mean=(0.1, 0.2, 0.3)))
    assert OnboardingOptions.from_json(json.loads(json.dumps(said.as_json()))) == said


def test_a_pipe_in_place_of_a_model_holds_nobody(box: Box, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    os.mkfifo(path)
    status, told = box.add(path)
    assert status == 1
    assert "Traceback" not in told
