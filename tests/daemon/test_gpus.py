"""The whole appliance on GPUs that are not there: several, lost ones, wrong ones, slow ones.

Only the driver's library and onnxruntime's GPU sessions are made up (``fixtures/gpus``).
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import PHOTO, RunningAppliance, files

from edge_matting.core.states import JobState
from tools.waiting import wait_for

ROOT = Path(__file__).parents[2]
FIXTURES = Path(__file__).parents[1] / "fixtures"
STICKY = "CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; hostname=box"
NO_MEMORY = "CUDA failure 2: out of memory ; GPU=0 ; hostname=box"


class GpuBox:
    """An appliance on a machine with GPUs, and what they are to do."""

    def __init__(self, box: RunningAppliance, folder: Path, gpus: int) -> None:
        self.box = box
        self.folder = folder
        path = [FIXTURES / "gpus", FIXTURES, ROOT]
        self.environment = {
            "EDGE_MATTING_FAKE_GPUS": str(gpus),
            "EDGE_MATTING_FAKE_DIR": str(folder),
            "PYTHONPATH": os.pathsep.join(map(str, path)),
        }

    def fault(self, **faults: Any) -> None:
        new = self.folder / "faults.new"
        new.write_text(json.dumps(faults))
        new.rename(self.folder / "faults.json")

    def start(self, *, ready: bool = True) -> None:
        self.box.start(ready=ready, env=self.environment)

    def sessions(self) -> list[list[str]]:
        """Process, provider and shown GPU of each session that was made."""
        path = self.folder / "sessions.txt"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def engines(self) -> dict[str, int]:
        """The newest process on each GPU."""
        found = {}
        for line in self.sessions():
            if len(line) == 3 and line[1] == "CUDAExecutionProvider":
                found[line[2]] = int(line[0])
        return found

    def execution(self) -> dict[str, Any]:
        return (self.box.status() or {}).get("execution") or {}

    def drop(self, *names: str) -> None:
        for name in names:
            self.box.drop(name, PHOTO.read_bytes() + name.encode())


@pytest.fixture
def make(appliance, tmp_path) -> Callable[..., GpuBox]:
    def made(gpus: int, **device: Any) -> GpuBox:
        folder = tmp_path / "fake"
        folder.mkdir()
        return GpuBox(appliance(device=device), folder, gpus)

    return made


def test_two_gpus_get_an_engine_each_and_share_the_queue_even_when_one_dies(make) -> None:
    gpus = make(2, accelerator="cuda")
    gpus.start()
    wait_for(lambda: set(gpus.engines()) == {"GPU-0", "GPU-1"}, "an engine on each GPU")
    names = [f"{number:02}.jpg" for number in range(24)]
    gpus.drop(*names[:12])
    wait_for(lambda: gpus.box.counts()["succeeded"] >= 2, "the first photos")
    killed = gpus.engines()["GPU-1"]
    os.kill(killed, 9)
    gpus.drop(*names[12:])
    counts = gpus.box.wait_finished(24)
    assert counts["succeeded"] == 24
    jobs = gpus.box.jobs()
    assert {job.state for job in jobs} == {JobState.SUCCEEDED}
    assert {job.attempts for job in jobs} == {1}  # what the killed one had in work was refunded
    assert files(gpus.box.done) == names
    assert len([name for name in files(gpus.box.outbox) if name.endswith(".png")]) == 24
    wait_for(lambda: gpus.engines()["GPU-1"] != killed, "a new engine on that GPU")
    assert gpus.box.stop() == 0
    assert "engine 1 started" in gpus.box.log()


@pytest.mark.slow
def test_each_engine_of_several_does_photos(make) -> None:
    gpus = make(2, accelerator="cuda")
    gpus.start()
    wait_for(lambda: (gpus.box.log().count("ready: model default on cuda")) == 2, "both engines")
    before = {pid: cpu_seconds(pid) for pid in gpus.engines().values()}
    gpus.drop(*(f"{number:02}.jpg" for number in range(16)))
    assert gpus.box.wait_finished(16)["succeeded"] == 16
    spent = {pid: cpu_seconds(pid) - before[pid] for pid in before}
    assert len(spent) == 2
    assert min(spent.values()) > 0.2


def cpu_seconds(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
def test_gpus_that_cannot_be_used_leave_the_whole_machine_to_one_engine(make) -> None:
    gpus = make(2, accelerator="cuda")
    gpus.fault(nan=True)
    gpus.start()
    wait_for(lambda: "one engine takes the processor" in gpus.box.log(), "the decision")
    wait_for(lambda: gpus.box.readiness() == [] and gpus.execution(), "readiness")
    assert gpus.execution()["actual"] == "cpu"
    assert "wrong result" in gpus.execution()["cause"]
    gpus.drop("a.jpg")
    assert gpus.box.wait_finished(1)["succeeded"] == 1
    assert "engine 1 started" not in gpus.box.log()


def test_a_lost_device_gets_a_new_process_and_blames_no_photo(make) -> None:
    gpus = make(1, accelerator="cuda")
    gpus.start()
    assert gpus.execution()["actual"] == "cuda"
    pid = gpus.box.engine_pid()
    gpus.fault(**{"raise": STICKY})
    gpus.drop("a.jpg", "b.jpg", "c.jpg")
    wait_for(lambda: "cannot use the GPU any more" in gpus.box.log(), "the loss")
    gpus.fault()
    assert gpus.box.wait_finished(3)["succeeded"] == 3
    assert gpus.box.engine_pid() != pid
    assert {job.attempts for job in gpus.box.jobs()} == {1}
    assert gpus.execution()["actual"] == "cuda"
    assert (gpus.box.status() or {})["engine"]["restarts"] >= 1


@pytest.mark.slow
def test_a_device_that_is_lost_again_and_again_is_left_alone(make) -> None:
    gpus = make(1, accelerator="cuda")
    gpus.start()
    gpus.fault(**{"raise": STICKY})
    gpus.drop("a.jpg")
    assert gpus.box.wait_finished(1)["succeeded"] == 1
    assert gpus.execution()["actual"] == "cpu"
    assert gpus.execution()["requested"] == "cuda"
    assert "3 times in a row" in gpus.execution()["cause"]
    (job,) = gpus.box.jobs()
    assert job.attempts == 1


def test_tensorrt_is_built_beside_the_work_of_cuda(make) -> None:
    gpus = make(1, accelerator="tensorrt")
    gpus.fault(build_seconds=6)
    gpus.start()
    assert gpus.execution()["actual"] == "cuda"
    wait_for(
        lambda: "TensorRT" in str((gpus.box.status() or {}).get("preparing")),
        "progress on the page",
    )
    gpus.drop("a.jpg")
    assert gpus.box.wait_finished(1)["succeeded"] == 1
    wait_for(lambda: gpus.execution()["actual"] == "tensorrt", "TensorRT")
    gpus.drop("b.jpg")
    assert gpus.box.wait_finished(2)["succeeded"] == 2
    providers = {
        name: json.loads((gpus.box.outbox / f"{name}.json").read_text())["execution"]["provider"]
        for name in "ab"
    }
    assert providers == {"a": "cuda", "b": "tensorrt"}
    assert Counter(line[1] for line in gpus.sessions())["TensorrtExecutionProvider"] == 1
    assert not (gpus.box.status() or {}).get("preparing")


@pytest.mark.slow
def test_a_gpu_without_memory_for_the_model_is_left_with_its_reason(make) -> None:
    gpus = make(1, accelerator="cuda", missing_accelerator="degrade")
    gpus.fault(**{"raise": NO_MEMORY})
    gpus.start(ready=False)
    wait_for(gpus.execution, "a session")
    assert (gpus.execution()["requested"], gpus.execution()["actual"]) == ("cuda", "cpu")
    assert "out of memory" in gpus.execution()["cause"]
    assert gpus.box.get("/readyz")[0] == 503
    gpus.drop("a.jpg")
    assert gpus.box.wait_finished(1)["succeeded"] == 1


@pytest.mark.slow
def test_a_long_build_does_not_look_like_a_hang(make) -> None:
    """With 'fail' nothing serves meanwhile, so the engine itself waits for the build."""
    gpus = make(1, accelerator="tensorrt", missing_accelerator="fail")
    gpus.box.write_config(engine={"stall_seconds": 8.0})
    gpus.fault(build_seconds=12)
    begin = time.monotonic()
    gpus.start()
    assert time.monotonic() - begin > 12
    assert gpus.execution()["actual"] == "tensorrt"
    assert (gpus.box.status() or {})["engine"]["restarts"] == 0


@pytest.mark.slow
def test_want_of_memory_in_the_middle_of_work_steps_down_until_the_photo_is_done(make) -> None:
    gpus = make(1, accelerator="cuda")
    gpus.start()
    assert gpus.execution()["actual"] == "cuda"
    gpus.fault(**{"raise": NO_MEMORY})
    gpus.drop("a.jpg")
    assert gpus.box.wait_finished(1, 180)["succeeded"] == 1
    (job,) = gpus.box.jobs()
    assert job.attempts == 1
    wait_for(lambda: gpus.execution()["actual"] == "cpu", "the last step")
    assert gpus.execution()["requested"] == "cuda"
    assert "out of memory" in gpus.execution()["cause"]
