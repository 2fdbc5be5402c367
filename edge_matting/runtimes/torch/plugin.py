"""PyTorch as the registry uses it (``runtimes.session.RuntimePlugin``)."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from edge_matting.models.graph.facts import GraphFacts
from edge_matting.models.manifest import Manifest
from edge_matting.runtimes.session import Session, SessionRequest
from edge_matting.runtimes.torch import session


def open_session(manifest: Manifest, path: Path, request: SessionRequest) -> Session:
    """Raises what ``TorchSession`` raises; batch and memory are torch's own affair."""
    return session.TorchSession(
        manifest,
        path,
        provider=request.provider,
        precision=request.precision,
        threads=request.threads,
        resolution=request.resolution,
    )


def available_providers() -> tuple[str, ...]:
    return session.available_providers()


def version() -> str:
    return metadata.version("torch")


def read_graph(path: Path) -> GraphFacts:
    return session.read_torch(path)
