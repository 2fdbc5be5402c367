"""What the pipeline knows of an inference runtime: one narrow protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edge_matting.core.model_io import ModelInput

Tensor = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """What a session is, and where it really runs."""

    backend: str  # ort, torch
    requested_provider: str  # cpu, cuda, tensorrt
    actual_provider: str
    precision: str  # fp32, fp16, int8
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


def constant_arrays(spec: ModelInput) -> dict[str, Tensor]:
    """The inputs beside the photo that are the same at every run, by name."""
    return {
        each.name: np.full(each.shape, each.value, np.dtype(each.dtype)) for each in spec.constants
    }
