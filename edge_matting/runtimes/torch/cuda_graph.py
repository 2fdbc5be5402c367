"""CUDA graphs for a network of fixed shapes: the whole run is one launch.

Not run on a GPU by its authors so far; tested against a stand-in for ``torch.cuda`` that checks the
order of the calls.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

KEPT: Final = 4
"""Graphs kept, one per shape of the batch; each holds the activations of its run."""

_WARM_RUNS: Final = 3  # cuDNN chooses its algorithms before anything is recorded


@dataclass(frozen=True, slots=True)
class _Recorded:
    graph: Any
    inputs: tuple[Any, ...]
    outputs: Any


class GraphedModule:
    """Calls ``module`` by replaying a recording of its first run at each shape.

    One call at a time: a recording has one set of buffers.
    """

    def __init__(self, torch: Any, module: Callable[..., Any]) -> None:
        self._torch = torch
        self._module = module
        self._lock = threading.Lock()
        self._recorded: OrderedDict[tuple[int, ...], _Recorded] = OrderedDict()

    def __call__(self, *inputs: Any) -> Any:
        """The outputs for ``inputs`` on the GPU, as clones that belong to the caller."""
        shape = tuple(inputs[0].shape)
        with self._lock:
            if shape not in self._recorded:
                self._recorded[shape] = self._record(inputs)
            self._recorded.move_to_end(shape)
            while len(self._recorded) > KEPT:
                self._recorded.popitem(last=False)
            recorded = self._recorded[shape]
            for buffer, given in zip(recorded.inputs, inputs, strict=True):
                buffer.copy_(given)
            recorded.graph.replay()
            return _cloned(recorded.outputs)

    def _record(self, inputs: tuple[Any, ...]) -> _Recorded:
        cuda = self._torch.cuda
        buffers = tuple(each.clone() for each in inputs)
        side = cuda.Stream()
        side.wait_stream(cuda.current_stream())
        with cuda.stream(side):
            for _ in range(_WARM_RUNS):
                self._module(*buffers)
        cuda.current_stream().wait_stream(side)
        graph = cuda.CUDAGraph()
        with cuda.graph(graph):
            outputs = self._module(*buffers)
        return _Recorded(graph, buffers, outputs)


def _cloned(found: Any) -> Any:
    if isinstance(found, dict):
        return {name: _cloned(value) for name, value in found.items()}
    if isinstance(found, (list, tuple)):
        return [_cloned(each) for each in found]
    return found.clone()
