"""The GPU wheel of onnxruntime on a machine without CUDA, in a virtual environment of its own.

Minutes long: the wheel alone has 250 MB. ``EDGE_MATTING_GPU_VENV`` names an environment to use
instead, in which ``pip install .[gpu]`` was run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import PHOTO, RunningAppliance

from edge_matting.runtimes.ort.shared_libraries import driver_problem
from tools.waiting import wait_for

ROOT = Path(__file__).parents[2]
MISSING = "libcublasLt.so."
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),  # the first test waits for the download
    pytest.mark.skipif(driver_problem() is None, reason="this machine has a working CUDA driver"),
]


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """The interpreter of an environment with the GPU wheel and no CUDA."""
    given = os.environ.get("EDGE_MATTING_GPU_VENV")
    if given:
        return Path(given) / "bin" / "python"
    venv = tmp_path_factory.mktemp("gpu") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    done = subprocess.run(
        [venv / "bin" / "pip", "install", "--quiet", f"{ROOT}[gpu]"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"the GPU wheel cannot be installed here: {done.stderr[-300:]}")
    return venv / "bin" / "python"


class GpuAppliance(RunningAppliance):
    """The appliance run by the environment's own interpreter."""

    python: Path

    def command(self) -> list[str]:
        return [
            "env",
            f"PYTHONPATH={ROOT}",
            str(self.python),
            "-m",
            "edge_matting",
            "run",
            "-c",
            str(self.config_path),
        ]


@pytest.fixture
def box(python, tmp_path) -> Iterator[GpuAppliance]:
    box = GpuAppliance(tmp_path)
    box.python = python
    yield box
    if box.process is not None:
        box.kill()


def command(python: Path, box: GpuAppliance, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(python), "-m", "edge_matting", *arguments, "-c", str(box.config_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=box.root,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_warn_works_on_the_processor_and_names_the_missing_library(python, box) -> None:
    box.write_config(device={"accelerator": "cuda", "missing_accelerator": "warn"})
    box.start()
    box.drop("a.jpg")
    assert box.wait_finished(1)["succeeded"] == 1
    status = box.status() or {}
    execution = status["execution"]
    assert (execution["requested"], execution["actual"]) == ("cuda", "cpu")
    assert f"{MISSING}" in execution["cause"]
    assert "is missing" in execution["cause"]
    assert "libcuda.so.1 is missing" in execution["cause"]
    assert any(MISSING in reason for reason in status["reasons"])
    metrics = urllib.request.urlopen(f"{box.url()}/metrics", timeout=10).read().decode()
    assert "edge_matting_execution_missing 1.0" in metrics
    assert MISSING in box.log()
    sidecar = json.loads((box.outbox / "a.json").read_text())
    assert sidecar["execution"]["provider"] == "cpu"


def test_degrade_works_and_is_not_ready(box) -> None:
    box.write_config(device={"accelerator": "cuda", "missing_accelerator": "degrade"})
    box.start(ready=False)
    wait_for(lambda: MISSING in " ".join(box.readiness() or []), "the missing library's name")
    assert (box.status() or {})["state"] == "degraded"
    assert box.get("/readyz")[0] == 503


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_fail_ends_the_start_with_2_and_that_line(python, box, provider) -> None:
    box.write_config(device={"accelerator": provider, "missing_accelerator": "fail"})
    done = command(python, box, "run")
    assert done.returncode == 2
    line = next(line for line in done.stderr.splitlines() if "was asked for" in line)
    assert f"{provider} was asked for, cpu is in use" in line
    assert "libcublas" in line
    assert "is missing" in line


def test_process_says_it_too_and_keeps_its_stdout_clean(python, box, tmp_path) -> None:
    """onnxruntime prints a block of lines on stdout when TensorRT cannot be loaded."""
    box.write_config(device={"accelerator": "tensorrt", "missing_accelerator": "warn"})
    out = tmp_path / "results"
    done = command(python, box, "process", str(PHOTO), "-o", str(out), "--json")
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout)
    assert "is missing" in done.stderr
    box.write_config(device={"accelerator": "tensorrt", "missing_accelerator": "fail"})
    assert command(python, box, "process", str(PHOTO), "-o", str(out / "2")).returncode == 2


def test_doctor_names_it(python, box) -> None:
    box.write_config(device={"accelerator": "cuda"})
    done = command(python, box, "doctor")
    (line,) = [line for line in done.stdout.splitlines() if " accelerator: " in line]
    assert line.startswith("FAIL")
    assert MISSING in line
    assert done.returncode == 1


def test_profile_names_it(python, box) -> None:
    box.write_config(device={"accelerator": "cuda"})
    done = command(python, box, "profile", "--json")
    assert done.returncode == 0
    assert MISSING in json.loads(done.stdout)["execution"]["reason"]
    assert MISSING in command(python, box, "profile").stdout


def test_without_an_accelerator_asked_for_nothing_is_missing(python, box) -> None:
    assert "accelerator" not in box.config.get("device", {})
    done = command(python, box, "doctor")
    (line,) = [line for line in done.stdout.splitlines() if " accelerator: " in line]
    assert line.startswith("ok")


def test_both_wheels_at_once_are_named(python, box, tmp_path) -> None:
    """A second distribution's metadata beside the GPU wheel's, as a dependency would leave it."""
    extra = tmp_path / "site"
    folder = extra / "onnxruntime-1.31.1.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime\nVersion: 1.31.1\n")
    box.write_config(device={"accelerator": "cuda"})
    done = subprocess.run(
        [str(python), "-m", "edge_matting", "doctor", "-c", str(box.config_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(extra)])},
    )
    assert "are both installed and overwrite each other" in done.stdout
