"""A model's task is read: an unknown one is refused by name, and one can be added in one place."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from copied_package import CopiedPackage, copied_package
from harness import PHOTO, RunningAppliance

from edge_matting.cli.main import main
from edge_matting.config import BUILT_IN
from edge_matting.core.output_kinds import OUTPUT_KINDS
from edge_matting.core.tasks import MATTING, TASKS
from edge_matting.models import Catalog, shipped_models_dir
from edge_matting.pipeline.tasks import TaskSteps, steps_of


def add_model(state: Path, model_id: str, task: str) -> None:
    """The small model under another id, with a manifest that says it is for ``task``."""
    folder = state / "models" / model_id
    shutil.copytree(shipped_models_dir() / "small", folder)
    (folder / "golden.png").unlink()
    path = folder / "manifest.yaml"
    manifest = yaml.safe_load(path.read_text("utf-8"))
    path.write_text(yaml.safe_dump({**manifest, "id": model_id, "task": task}))


def config(folder: Path, **changes: Any) -> str:
    values = {"state_dir": "state", "hot_folders": [{"path": "hot"}], "status": {"port": 0}}
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({**values, **changes}))
    return str(path)


def test_every_task_of_the_table_has_all_steps_and_every_kind_a_task() -> None:
    steps = [name for name in vars(TaskSteps) if not name.startswith("_")]
    assert len(steps) == 7
    for task in TASKS:
        assert all(callable(getattr(steps_of(task), name)) for name in steps)
    assert all(set(kind.tasks) <= set(TASKS) and kind.tasks for kind in OUTPUT_KINDS.values())
    assert {recipe.tasks for recipe in BUILT_IN.values()} == {(MATTING,)}


@pytest.mark.parametrize("command", ["check-config", "run", "process", "profile"])
def test_a_model_for_an_unknown_task_is_refused_by_the_tasks_name(
    command: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    add_model(tmp_path / "state", "toon", "cartoon")
    words = [command, "-c", config(tmp_path, model="toon")]
    words += [str(PHOTO), "-o", str(tmp_path / "out")] if command == "process" else []
    assert main(words) == (1 if command == "profile" else 2)
    told = capfd.readouterr().err
    assert "task: this version does not know the task 'cartoon'; it knows: matting" in told
    assert not (tmp_path / "out").exists()


def test_the_list_of_models_says_why_one_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_model(tmp_path / "state", "toon", "cartoon")
    assert main(["models", "list", "-c", config(tmp_path)]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("toon")]
    assert "does not know the task 'cartoon'" in line
    catalog = Catalog(shipped_models_dir(), tmp_path / "state" / "models")
    assert catalog.model_for(MATTING) == "default"
    assert catalog.model_for("cartoon") is None


def test_a_retry_with_a_model_that_is_gone_fails_with_a_sentence(
    appliance: Callable[..., RunningAppliance],
) -> None:
    box = appliance().start()
    box.drop("a.jpg", b"no photo at all")
    assert box.wait_finished(1)["failed"] == 1
    job = box.wait_resting(1, "")["a.jpg"]
    with box.ledger() as ledger:  # as if the model was removed after the page had accepted it
        ledger.retry(job.id, model="gone")
    job = box.wait_resting(1, "")["a.jpg"]
    assert (job.state.value, job.code) == ("failed", "unfit_model")
    assert job.message is not None
    assert "there is no model gone" in job.message
    status, answer = box.post(f"/api/v1/jobs/{job.id}/retry", {"model": "preview"})
    assert status == 200, answer  # the former id of small
    job = box.wait_resting(1, "")["a.jpg"]
    assert (job.model, job.code) == ("small", "not_an_image")


STEPS = '''
"""A throw-away task: the edges of a photo, as strong as its model's answer."""

from contextlib import nullcontext

import cv2
import numpy as np

from edge_matting.core.jobs import Quality
from edge_matting.matting import to_tensor
from edge_matting.pipeline.tasks import Judgement, ModelRun


class EdgeSteps:
    def prepare(self, photo, recipe, tools):
        return self.tensor(photo, tools)

    def run(self, photo, prepared, tools, stage):
        with stage("infer"):
            return ModelRun(np.squeeze(tools.session.run(prepared)).astype(np.float32))

    def finish(self, photo, value, recipe):
        grey = cv2.cvtColor(photo.rgb, cv2.COLOR_RGB2GRAY)
        strength = cv2.resize(value, grey.shape[::-1])
        return (cv2.Canny(grey, 60, 160) * np.clip(strength, 0, 1)).astype(np.uint8)

    def judge(self, photo, finished, recipe, tools, *, thumbnail):
        return Judgement(Quality("ok", (), float(finished.mean()) / 255, 0.0, 0.0))

    def add_parts(self, scene, finished):
        scene.parts["edges"] = finished

    def sample(self, photo, tools):
        run = self.run(photo, self.prepare(photo, None, tools), tools, lambda _: nullcontext())
        return self.finish(photo, run.value, None)

    def tensor(self, photo, tools):
        resolution = tools.session.describe().resolution
        return to_tensor(photo.rgb, tools.manifest.input, resolution)[0]


STEPS = EdgeSteps()


def edges_output(*, edges):
    return edges
'''

KIND = """
    OutputKind(
        "edges", make="edge_matting.edges.steps:edges_output", needs=("edges",), tasks=("edges",)
    ),"""


def with_edges(root: Path) -> CopiedPackage:
    package = copied_package(root)
    package.add("edges/__init__.py", "")
    package.add("edges/steps.py", STEPS)
    entry = 'Task("matting", steps="edge_matting.pipeline.matting_steps:MATTING"),'
    text = ' Task("edges", steps="edge_matting.edges.steps:STEPS"),'
    package.insert("core/tasks.py", entry, text)
    package.insert("core/output_kinds.py", "OUTPUT_KINDS: Final = _table(", KIND)
    return package


def run(package: CopiedPackage, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge_matting", *words],
        env={**os.environ, **package.env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_task_added_in_one_place_does_photos_alone_and_mixed_with_matting(
    tmp_path: Path,
    appliance: Callable[..., RunningAppliance],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package = with_edges(tmp_path / "package")
    monkeypatch.chdir(tmp_path)  # so that no process imports the project's own package
    recipes = {
        "edges": {"outputs": [{"kind": "edges"}]},
        "both": {"outputs": [{"kind": "cutout"}, {"kind": "edges"}]},
    }
    path = config(tmp_path, recipes=recipes)
    done = run(package, "check-config", "-c", path)
    assert done.returncode == 2
    assert "recipes.both: there is no model for edges" in done.stderr
    add_model(tmp_path / "state", "outline", "edges")
    assert run(package, "check-config", "-c", path).returncode == 0
    for recipe in recipes:
        words = ("process", str(PHOTO), "--recipe", recipe, "-o", str(tmp_path / recipe))
        done = run(package, *words, "-c", path)
        assert done.returncode == 0, done.stderr
    alone, both = tmp_path / "edges", tmp_path / "both"
    assert {each.name for each in alone.iterdir()} == {"astronaut.png", "astronaut.json"}
    names = {"astronaut.png", "astronaut.edges.png", "astronaut.json"}
    assert {each.name for each in both.iterdir()} == names
    edges = cv2.imread(str(alone / "astronaut.png"), cv2.IMREAD_UNCHANGED)
    assert edges.ndim == 2
    assert edges.any()
    assert np.array_equal(cv2.imread(str(both / "astronaut.edges.png"), -1), edges)
    assert cv2.imread(str(both / "astronaut.png"), -1).shape == (512, 512, 4)
    models = [json.loads((each / "astronaut.json").read_text())["model"] for each in (alone, both)]
    assert [model["id"] for model in models] == ["outline", "default"]
    assert models[0]["sha256"] != models[1]["sha256"]
    box = appliance(recipes={**recipes, "cutout": {}})
    add_model(box.state_dir, "outline", "edges")
    box.start(env=package.env)
    box.drop("both/astronaut.jpg")
    assert box.wait_finished(1)["succeeded"] == 1, box.log()
    made = cv2.imread(str(box.outbox / "both" / "astronaut.edges.png"), -1)
    assert np.array_equal(made, edges)
    assert sorted(package.touched) == [
        "core/output_kinds.py",
        "core/tasks.py",
        "edges/__init__.py",
        "edges/steps.py",
    ]
