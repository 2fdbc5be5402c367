"""Which backend runs a file: the one place where both are known."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from edge_matting.core.errors import ModelError, SessionError
from edge_matting.models.graph.facts import GraphFacts
from edge_matting.models.graph.onnx_reader import read_onnx
from edge_matting.models.manifest import Manifest, ModelFile
from edge_matting.runtimes.ort import session as ort
from edge_matting.runtimes.session import Session
from edge_matting.runtimes.torch import session as torch_session

_NO_MODELS: Final = (
    (0, b"\x80", "a pickle, which is not loaded here"),
    (0, b"\x89HDF", "an HDF5 file of Keras"),
    (4, b"TFL3", "a TensorFlow Lite file"),
    (8, b'{"', "a safetensors file, which holds weights without their network"),
)
"""Offset, first bytes and words for what people also call a model."""


def open_session(
    manifest: Manifest,
    path: Path,
    part: ModelFile,
    *,
    provider: str = "cpu",
    precision: str | None = None,
    threads: int = 0,
    resolution: tuple[int, int] | None = None,
    batch: int = 1,
    gpu: ort.GpuUse | None = None,
) -> Session:
    """A session of ``part``, one of the manifest's files, that lies at ``path`` and is verified.

    The arguments are those of the plan; ``gpu`` and ``batch`` matter to onnxruntime alone. Raises
    what the backend raises.
    """
    if part.backend == "torch":
        return torch_session.TorchSession(
            manifest,
            path,
            provider=provider,
            precision=precision,
            threads=threads,
            resolution=resolution,
        )
    if precision == "bf16":
        raise SessionError("onnxruntime does not compute in bf16", hint="use fp32, fp16 or int8")
    return ort.OrtSession(
        manifest,
        path,
        provider=provider,
        precision=precision,
        threads=threads,
        resolution=resolution,
        batch=batch,
        gpu=gpu,
    )


def backend_of(manifest: Manifest, wanted: str) -> str:
    """The backend that ``device.backend`` means for a model: that of its main file for ``auto``,
    and where the model has no file for the wanted one."""
    offered = [part.backend for part in manifest.files]
    return wanted if wanted in offered else offered[0]


def available_providers(backend: str) -> tuple[str, ...]:
    """Providers that the installed build of a backend's runtime contains; ``StartError`` where it
    is not installed."""
    if backend == "torch":
        return torch_session.available_providers()
    return ort.available_providers()


def read_graph(path: Path) -> GraphFacts:
    """What the file tells of itself, by its content and not its name."""
    with path.open("rb") as file:
        start = file.read(16)
    if start.startswith(b"PK"):
        return torch_session.read_torch(path)
    for offset, mark, words in _NO_MODELS:
        if start[offset:].startswith(mark):
            raise ModelError(
                f"{path}: {words}", hint="export the network as ONNX or with torch.export.save"
            )
    return read_onnx(path)
