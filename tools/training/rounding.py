"""Activations rounded in training as the int8 file rounds them, so that the weights bear it.

Quantisation-aware training (Jacob et al., CVPR 2018): each activation passes forward in 256 steps
(the nearest power of two of their size) between the least and the largest value seen, backward as
if it were not rounded. Only what `tools.training.quantise` puts into int8 is rounded; weights are
not, for their steps are per channel and small.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from tools.training.network import KEPT_IN_FP32, InvertedResidual, MattingNet, UpStep

FIRST_STAGE = sum(part.startswith("encoder.stages.") for part in KEPT_IN_FP32)  # in int8
LOOK_EVERY = 16  # steps between two looks at the range
KEEP = 0.9  # of the range known, at each look
Bounds = tuple[float, float]
LINEAR, RELU, RELU6 = (-math.inf, math.inf), (0.0, math.inf), (0.0, 6.0)


class _Straight(torch.autograd.Function):
    """Rounded forward, the gradient as it is.

    torch's own fake quantisation took eight times as long as a ReLU6 there, both ways.
    """

    @staticmethod
    def forward(_context: Any, x: Tensor, step: float) -> Tensor:
        # Beside a number of this size the steps of float32 are `step`, a power of two.
        large = 1.5 * 2**23 * step
        return (x + large).sub_(large)

    @staticmethod
    def backward(_context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


class Rounded:
    """A forward hook that rounds what a module gives.

    ``bounds`` are those of the activation that follows: it keeps the gradient where it is flat.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.calls = 0
        self.low, self.high = 0.0, 0.0

    def __call__(self, module: nn.Module, _inputs: Any, out: Tensor) -> Tensor | None:
        if not module.training:
            return None
        if self.calls % LOOK_EVERY == 0:
            self._look(out.detach())
        self.calls += 1
        step = 2.0 ** round(math.log2(max(self.high - self.low, 1e-6) / 255))
        rounded: Tensor = _Straight.apply(out, step)
        return rounded

    def _look(self, out: Tensor) -> None:
        low = max(self.bounds[0], min(0.0, float(out.amin())))
        high = min(self.bounds[1], max(0.0, float(out.amax())))
        keep = KEEP if self.calls else 0.0
        self.low = keep * self.low + (1 - keep) * low
        self.high = keep * self.high + (1 - keep) * high


def imitate_int8(net: MattingNet) -> None:
    """Round the activations of ``net`` while it trains; what it computes in evaluation stays."""
    for module, bounds in _points(net):
        module.register_forward_hook(Rounded(bounds))


def _points(net: MattingNet) -> Iterator[tuple[nn.Module, Bounds]]:
    """Modules whose output is an int8 tensor, perhaps behind an activation of these bounds."""
    yield net.encoder.stages[FIRST_STAGE - 1], LINEAR
    for stage in list(net.encoder.stages)[FIRST_STAGE:]:
        for block in stage.modules():
            if isinstance(block, InvertedResidual):
                yield from ((c, RELU6) for c in block.convolutions()[:-1])
                yield block.project, LINEAR
                if block.residual:
                    yield block, LINEAR
    yield net.context.whole, LINEAR
    yield from ((m, LINEAR) for m in net.context.modules() if isinstance(m, nn.ReLU))
    for step in (net.up16, net.up8, net.up4):
        assert isinstance(step, UpStep)
        yield step.normal, RELU
        yield from ((m, LINEAR) for m in step.refine if isinstance(m, nn.ReLU))
