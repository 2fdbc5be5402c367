"""Which runtime runs a file: its plug-in, found in the table and imported when it is needed."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Final, cast

from edge_matting.core.errors import ModelError
from edge_matting.core.providers import (
    AUTO,
    MAIN_RUNTIME,
    PROCESSOR,
    RUNTIMES,
    choose_runtime,
    reads,
)
from edge_matting.models.graph.facts import GraphFacts
from edge_matting.models.manifest import Manifest, ModelFile
from edge_matting.runtimes.environment import prepare_environment
from edge_matting.runtimes.session import GpuUse, RuntimePlugin, Session, SessionRequest

_NO_MODELS: Final = (
    (0, b"\x80", "a pickle, which is not loaded here"),
    (0, b"\x89HDF", "an HDF5 file of Keras"),
    (4, b"TFL3", "a TensorFlow Lite file"),
    (8, b'{"', "a safetensors file, which holds weights without their network"),
)
"""Offset, first bytes and words for what people also call a model."""


def plugin(runtime: str) -> RuntimePlugin:
    """The module that runs models with that runtime, its library's environment set."""
    prepare_environment(runtime)
    return cast("RuntimePlugin", importlib.import_module(RUNTIMES[runtime].plugin))


def open_session(
    manifest: Manifest,
    path: Path,
    part: ModelFile,
    *,
    backend: str | None = None,
    provider: str = PROCESSOR,
    precision: str | None = None,
    threads: int = 0,
    resolution: tuple[int, int] | None = None,
    batch: int = 1,
    gpu: GpuUse | None = None,
) -> Session:
    """A session of ``part``, one of the manifest's files, that lies at ``path`` and is verified.

    The arguments are those of the plan; what a runtime has no use for it leaves. ``backend`` is
    used where it reads the file, else the file's own. Raises what the runtime raises.
    """
    able = backend is not None and reads(backend, part.backend)
    runtime = backend if backend is not None and able else part.backend
    request = SessionRequest(provider, precision, threads, resolution, batch, gpu)
    return plugin(runtime).open_session(manifest, path, request)


def backend_of(manifest: Manifest, wanted: str, accelerator: str = AUTO) -> str:
    """The runtime that ``device.backend`` and ``device.accelerator`` mean for a model."""
    return choose_runtime(wanted, accelerator, [part.backend for part in manifest.files])


def available_providers(backend: str) -> tuple[str, ...]:
    """Providers that the installed build of a runtime contains; ``StartError`` where it is not
    installed."""
    return plugin(backend).available_providers()


def runtime_version(backend: str) -> str:
    """Its label and version, such as ``onnxruntime 1.32.0``."""
    return f"{RUNTIMES[backend].label} {plugin(backend).version()}"


def read_graph(path: Path) -> GraphFacts:
    """What the file tells of itself, by its content and not its name."""
    with path.open("rb") as file:
        start = file.read(16)
    for name, entry in RUNTIMES.items():
        if start.startswith(entry.marks):
            return plugin(name).read_graph(path)
    for offset, mark, words in _NO_MODELS:
        if start[offset:].startswith(mark):
            raise ModelError(
                f"{path}: {words}", hint="export the network as ONNX or with torch.export.save"
            )
    return plugin(MAIN_RUNTIME).read_graph(path)
