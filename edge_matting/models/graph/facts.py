"""What a model file tells of itself, whichever format it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_matting.core.providers import FULL_PRECISION, runtime_of_format


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """An input or output of a graph; ``None`` stands for a free side."""

    name: str
    shape: tuple[int | None, ...] | None  # None: not even the number of axes is told
    dtype: str  # float32, float16, uint8, ...

    def __str__(self) -> str:
        sides = "unknown" if self.shape is None else "x".join(str(s or "?") for s in self.shape)
        return f"{self.name} ({sides} {self.dtype})"


@dataclass(frozen=True, slots=True)
class GraphFacts:
    """Inputs, outputs and structure of a model, read without running it."""

    format: str  # one of those that ``core.providers.RUNTIMES`` names
    inputs: tuple[TensorFacts, ...]  # without those that have a value in the file
    outputs: tuple[TensorFacts, ...]
    operators: Mapping[str, int] = field(default_factory=dict)  # how often each occurs
    first_stride: int | None = None  # of the first convolution
    makers: Mapping[str, str] = field(default_factory=dict)  # operator behind each output
    precision: str = FULL_PRECISION  # of the weights

    @property
    def backend(self) -> str:
        return runtime_of_format(self.format)

    def count(self, *operators: str) -> int:
        return sum(self.operators.get(name, 0) for name in operators)
