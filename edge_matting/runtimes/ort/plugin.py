"""onnxruntime as the registry uses it (``runtimes.session.RuntimePlugin``)."""

from __future__ import annotations

from pathlib import Path

from edge_matting.core.errors import SessionError
from edge_matting.models.graph.facts import GraphFacts
from edge_matting.models.graph.onnx_reader import read_onnx
from edge_matting.models.manifest import Manifest
from edge_matting.runtimes.ort import session
from edge_matting.runtimes.session import Session, SessionRequest


def open_session(manifest: Manifest, path: Path, request: SessionRequest) -> Session:
    """Raises what ``OrtSession`` raises, and ``SessionError`` for bf16."""
    if request.precision == "bf16":
        raise SessionError("onnxruntime does not compute in bf16", hint="use fp32, fp16 or int8")
    return session.OrtSession(
        manifest,
        path,
        provider=request.provider,
        precision=request.precision,
        threads=request.threads,
        resolution=request.resolution,
        batch=request.batch,
        gpu=request.gpu,
    )


def available_providers() -> tuple[str, ...]:
    return session.available_providers()


def version() -> str:
    return session.runtime_version()


def read_graph(path: Path) -> GraphFacts:
    return read_onnx(path)
