"""Runtimes, providers and precisions are tables: nothing else names an entry, one can be added."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from copied_package import CopiedPackage, copied_package
from harness import PHOTO

from edge_matting.config import parse_settings
from edge_matting.core.errors import ConfigError
from edge_matting.core.providers import (
    PRECISIONS,
    PROCESSOR,
    PROVIDERS,
    RUNTIMES,
    choose_runtime,
    computed_precisions,
    device_class,
    is_processor,
    runtime_with,
)
from edge_matting.runtimes.environment import prepare_environment
from edge_matting.runtimes.registry import plugin

PACKAGE = Path(__file__).parents[2] / "edge_matting"

MAY_NAME_THEM = {
    "core/providers.py": "the tables",
    "runtimes/ort/": "a plug-in speaks of its own providers",
    "runtimes/torch/": "a plug-in speaks of its own providers",
    "models/graph/": "readers say which precision a file's number types are",
    "device/": "names that the kernel gives: cpu in /proc/stat, cgroups and thermal zones",
    "status/metrics.py": "cpu is a label there: of seconds, of loads and of sensors",
    "cli/bench.py": "cpu is the key of the processor's name in the report",
}


def named(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and node.value in (*PROVIDERS, *RUNTIMES, *PRECISIONS):
            yield f"{path.relative_to(PACKAGE)}:{node.lineno}: {node.value!r}"


def test_no_module_beside_the_tables_and_the_plug_ins_names_a_provider() -> None:
    files = [path for path in PACKAGE.rglob("*.py") if "data" not in path.parts]
    assert len(files) > 200
    found = [
        line
        for path in files
        if not str(path.relative_to(PACKAGE)).startswith(tuple(MAY_NAME_THEM))
        for line in named(path)
    ]
    assert found == []


def test_the_tables_hang_together() -> None:
    for provider in PROVIDERS.values():
        assert set(provider.precisions) <= set(PRECISIONS)
        assert provider.meanwhile is None or provider.meanwhile in PROVIDERS
    for runtime in RUNTIMES.values():
        assert set(runtime.computes) <= set(PROVIDERS)
        assert set(runtime.reads) <= set(RUNTIMES)
        assert all(set(each) <= set(PRECISIONS) for each in runtime.computes.values())
        assert plugin(runtime.name).open_session


def test_the_processor_is_the_last_resort_and_an_unknown_provider_is_not_it() -> None:
    assert is_processor(PROCESSOR)
    assert not is_processor("XNNPACKExecutionProvider")
    assert device_class("XNNPACKExecutionProvider") == "XNNPACKExecutionProvider"
    assert computed_precisions("torch", "tensorrt") == ()


@pytest.mark.parametrize(
    ("wanted", "accelerator", "offered", "chosen"),
    [
        ("auto", "auto", ["ort"], "ort"),
        ("auto", "auto", ["torch", "ort"], "torch"),
        ("torch", "auto", ["ort"], "ort"),
        ("torch", "cuda", ["ort", "torch"], "torch"),
        ("auto", "tensorrt", ["torch", "ort"], "ort"),
        ("auto", "tensorrt", ["torch"], "torch"),
    ],
)
def test_the_runtime_is_the_wanted_one_where_the_model_has_a_file_for_it(
    wanted: str, accelerator: str, offered: list[str], chosen: str
) -> None:
    assert choose_runtime(wanted, accelerator, offered) == chosen
    assert runtime_with(PROCESSOR, chosen) == chosen


def test_an_accelerator_that_the_table_does_not_have_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_settings({"device": {"accelerator": "openvino:GPU"}}, Path("/"))
    (fault,) = caught.value.faults
    known = "'auto', 'tensorrt', 'cuda' or 'cpu'"
    assert fault == f"device.accelerator: expected {known}, got 'openvino:GPU'"


def test_what_the_user_set_in_the_environment_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    prepare_environment("ort")
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    prepare_environment("ort")
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "0"


PLUGIN = '''
"""A throw-away runtime: onnxruntime, as if it ran on a device of its own."""

from dataclasses import replace

from edge_matting.runtimes.ort import plugin as inner


class MirrorSession:
    def __init__(self, session, requested):
        self._session, self._requested = session, requested
        self.run, self.warm, self.close = session.run, session.warm, session.close

    def describe(self):
        return replace(
            self._session.describe(),
            backend="mirror",
            requested_provider=self._requested,
            actual_provider="mirror:GPU",
            nodes=(),
        )


def open_session(manifest, path, request):
    session = inner.open_session(manifest, path, replace(request, provider="cpu"))
    return MirrorSession(session, request.provider)


def available_providers():
    return ("mirror:GPU",)


def version():
    return "1.0"


read_graph = inner.read_graph
'''

RUNTIME = """
            Runtime(
                "mirror",
                "mirror",
                plugin="edge_matting.runtimes.mirror.plugin",
                computes={"mirror:GPU": ()},
                reads=("ort",),
            ),"""

PROVIDER = """
            Provider("mirror:GPU", "the mirror", DeviceKind.GPU, ("fp32",), automatic=False),"""


def run(package: CopiedPackage, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "edge_matting", *words],
        env={**os.environ, **package.env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_runtime_added_in_one_place_is_planned_opened_and_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = copied_package(tmp_path / "package")
    package.add("runtimes/mirror/__init__.py", "")
    package.add("runtimes/mirror/plugin.py", PLUGIN)
    table = "core/providers.py"
    package.insert(table, '                marks=(b"PK",),\n            ),', RUNTIME)
    comment = "            # int8 on CUDA and fp16 on a processor are computed through casts,"
    package.insert(table, f"{comment} slower than fp32.", PROVIDER)
    monkeypatch.chdir(tmp_path)  # so that no process imports the project's own package
    config = tmp_path / "config.yaml"
    device = {"accelerator": "mirror:GPU"}
    config.write_text(json.dumps({"state_dir": "state", "device": device}))
    wanted = ("-c", str(config))
    told: dict[str, Any] = json.loads(run(package, "profile", "--json", *wanted))
    plan, execution = told["plan"], told["execution"]
    assert (plan["backend"], plan["provider"], plan["precision"]) == (
        "mirror",
        "mirror:GPU",
        "fp32",
    )
    assert plan["fallbacks"]["providers"] == ["mirror:GPU", "cpu"]
    assert (execution["backend"], execution["actual_provider"]) == ("mirror", "mirror:GPU")
    assert execution["reason"] is None
    assert execution["cpu_seconds"] > 0  # the processor was timed beside it, by onnxruntime
    run(package, "process", str(PHOTO), "-o", str(tmp_path / "out"), *wanted)
    sidecar = json.loads((tmp_path / "out" / "astronaut.json").read_text())
    assert sidecar["execution"]["provider"] == "mirror:GPU"
    assert sorted(package.touched) == [
        "core/providers.py",
        "runtimes/mirror/__init__.py",
        "runtimes/mirror/plugin.py",
    ]
