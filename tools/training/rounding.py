"""Activations rounded in training as the int8 file rounds them, so that the weights bear it.

Quantisation-aware training (Jacob et al., CVPR 2018): each activation passes forward in 256 steps
between the least and the largest value seen, backward as if it were not rounded. Only what
`tools.quantise` puts into int8 is rounded; weights are not, for their steps are per channel and
small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tools.training.network import InvertedResidual, MattingNet, UpStep

FIRST_STAGE = 2  # of the encoder that is int8, as in tools.quantise
LOOK_EVERY = 16  # steps between two looks at the range
KEEP = 0.9  # of the range known, at each look
Activation = Callable[[Tensor], Tensor]


def _linear(x: Tensor) -> Tensor:
    return x


class Rounded:
    """A forward hook that rounds what a module gives, behind the activation that follows it."""

    def __init__(self, activation: Activation) -> None:
        self.activation = activation
        self.calls = 0
        self.low, self.high = 0.0, 0.0

    def __call__(self, module: nn.Module, _inputs: Any, out: Tensor) -> Tensor | None:
        if not module.training:
            return None
        out = self.activation(out)
        if self.calls % LOOK_EVERY == 0:
            self._look(out.detach())
        self.calls += 1
        scale = max(self.high - self.low, 1e-6) / 255
        return torch.fake_quantize_per_tensor_affine(
            out, scale, min(255, max(0, round(-self.low / scale))), 0, 255
        )

    def _look(self, out: Tensor) -> None:
        low, high = min(0.0, float(out.amin())), max(0.0, float(out.amax()))
        keep = KEEP if self.calls else 0.0
        self.low = keep * self.low + (1 - keep) * low
        self.high = keep * self.high + (1 - keep) * high


def imitate_int8(net: MattingNet) -> None:
    """Round the activations of ``net`` while it trains; what it computes in evaluation stays."""
    for module, activation in _points(net):
        module.register_forward_hook(Rounded(activation))


def _points(net: MattingNet) -> Iterator[tuple[nn.Module, Activation]]:
    """Modules whose output is an int8 tensor, with the activation between; idempotent ones only."""
    yield net.encoder.stages[FIRST_STAGE - 1], _linear
    for stage in list(net.encoder.stages)[FIRST_STAGE:]:
        for block in stage.modules():
            if isinstance(block, InvertedResidual):
                yield from ((c, functional.relu6) for c in block.convolutions()[:-1])
                yield block.project, _linear
                if block.residual:
                    yield block, _linear
    yield net.context.whole, _linear
    yield from ((m, _linear) for m in net.context.modules() if isinstance(m, nn.ReLU))
    for step in (net.up16, net.up8, net.up4):
        assert isinstance(step, UpStep)
        yield step.normal, functional.relu
        yield from ((m, _linear) for m in step.refine if isinstance(m, nn.ReLU))
