"""What the pipeline knows of an inference runtime: one narrow protocol."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from edge_matting.core.model_io import ModelInput
from edge_matting.core.providers import PROCESSOR
from edge_matting.models.graph.facts import GraphFacts
from edge_matting.models.manifest import Manifest

Tensor = npt.NDArray[Any]


SMALL_BOARD_BYTES: Final = 12 << 30
"""Up to this much GPU memory it is given out sparingly."""

_ARENA_SHARE: Final = 0.8
_UNIFIED_ARENA_SHARE: Final = 0.4


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """Memory that a GPU can use."""

    total_bytes: int
    unified: bool = False  # shared with the processor, as on a Jetson

    @property
    def is_small(self) -> bool:
        return self.unified or self.total_bytes <= SMALL_BOARD_BYTES

    @property
    def arena_bytes(self) -> int:
        """Limit of the arena; contexts and the libraries' workspaces come on top of it."""
        share = _UNIFIED_ARENA_SHARE if self.unified else _ARENA_SHARE
        return int(self.total_bytes * share)


@dataclass(frozen=True, slots=True)
class GpuUse:
    """The card that a session may use, and where engines compiled for it are kept."""

    name: str = ""  # with its compute capability: what a compiled engine depends on
    memory: GpuMemory | None = None
    engine_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """What a session is wanted for; a runtime leaves what it has no use for."""

    provider: str = PROCESSOR
    precision: str | None = None  # of the computation; None: the file's own
    threads: int = 0  # 0 leaves their number to the runtime
    resolution: tuple[int, int] | None = None  # width, height; None: what the model was made for
    batch: int = 1  # the largest that ``run`` will be given
    gpu: GpuUse | None = None


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """What a session is, and where it really runs."""

    backend: str  # names of ``core.providers``, here and in the next three
    requested_provider: str
    actual_provider: str
    precision: str
    resolution: tuple[int, int]  # width, height of the model's input
    reason: str | None  # why the actual provider is not the requested one
    nodes: tuple[tuple[str, int], ...] = ()  # graph nodes by provider, where the runtime tells


class Session(Protocol):
    """A loaded model; not for use by several threads at once unless it says so."""

    def run(self, batch: Tensor) -> Tensor:
        """The matte output for a batch of input tensors, N x C x h x w or N x h x w x C.

        Raises ``OutOfMemory``, ``DeviceLost`` or ``InferenceFailed``.
        """

    def warm(self) -> None:
        """Run once on an empty picture, so that the first photo does not wait."""

    def describe(self) -> SessionInfo:
        """Where and how it runs."""

    def close(self) -> None:
        """Give the memory back; the session cannot run any more."""


class RuntimePlugin(Protocol):
    """The module ``plugin`` of a runtime's folder."""

    def open_session(self, manifest: Manifest, path: Path, request: SessionRequest) -> Session:
        """A session of the model file at ``path``, which is verified.

        A provider that cannot be had is no error: ``describe`` says what was had instead, and why.
        """

    def available_providers(self) -> tuple[str, ...]:
        """Providers that the installed build contains; ``StartError`` without the library."""

    def version(self) -> str:
        """The library's version."""

    def read_graph(self, path: Path) -> GraphFacts:
        """What a file in one of its formats tells of itself; ``ModelError`` for another."""


def constant_arrays(spec: ModelInput) -> dict[str, Tensor]:
    """The inputs beside the photo that are the same at every run, by name."""
    return {
        each.name: np.full(each.shape, each.value, np.dtype(each.dtype)) for each in spec.constants
    }
