"""Go on from a shipped ONNX file where no checkpoint was kept.

The exporter folds a batch norm into the convolution before it, so the file has no statistics of
that norm any more. They are measured again: with mean m and variance v of the folded convolution's
output without bias, a norm of gain sqrt(v + eps) and offset bias + m leaves the function as it was,
and in training the batch's own statistics stand close to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from tools.training.network import MattingNet

PREFIX, BIAS = "net.", "_bias"  # as tools.export names them: `net.X.weight`, `net.X.weight_bias`


def _arrays(path: Path) -> dict[str, Tensor]:
    import onnx
    from onnx import numpy_helper

    return {
        tensor.name.removeprefix(PREFIX): torch.from_numpy(numpy_helper.to_array(tensor).copy())
        for tensor in onnx.load(path).graph.initializer
        if tensor.name.startswith(PREFIX)
    }


def _folded(net: nn.Module) -> Iterator[tuple[str, nn.Conv2d, nn.BatchNorm2d]]:
    """Each convolution whose batch norm follows it directly: what the exporter folds."""
    for name, block in net.named_modules():
        if isinstance(block, nn.Sequential):
            parts = list(block.named_children())
            for (at, first), (_, second) in pairwise(parts):
                if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                    yield f"{name}.{at}", first, second


@torch.no_grad()
def _load(net: MattingNet, arrays: dict[str, Tensor]) -> None:
    """Every weight; norms that were folded become a plain offset for now."""
    state = net.state_dict()
    taken = {name: array for name, array in arrays.items() if not name.endswith(BIAS)}
    for name, array in taken.items():
        if name not in state or state[name].shape != array.shape:
            raise ValueError(f"{name}: {tuple(array.shape)} does not fit the network")
        state[name].copy_(array)
    for name, _, norm in _folded(net):
        norm.running_mean = torch.zeros_like(norm.bias)
        norm.running_var = torch.full_like(norm.bias, 1 - norm.eps)
        norm.weight.fill_(1)
        norm.bias.copy_(arrays[f"{name}.weight{BIAS}"])
        taken[f"{name}.norm"] = norm.bias
    missing = {n for n, _ in net.named_parameters()} - set(taken)
    missing -= {n for n in missing if n.startswith("coarse_head.")}
    norms = {id(norm) for _, _, norm in _folded(net)}
    for name, module in net.named_modules():
        if id(module) in norms:
            missing -= {f"{name}.weight", f"{name}.bias"}
    if missing:
        raise ValueError(f"the file lacks {', '.join(sorted(missing))}")


@torch.no_grad()
def _measure(net: MattingNet, images: Iterable[Tensor]) -> None:
    """Give the folded norms the statistics of what passes them on `images`."""
    sums: dict[str, list[Any]] = {name: [0.0, 0.0, 0] for name, _, _ in _folded(net)}

    def watch(name: str) -> Any:
        def hook(_: nn.Module, __: Any, out: Tensor) -> None:
            total = sums[name]
            total[0] = total[0] + out.double().sum((0, 2, 3))
            total[1] = total[1] + out.double().square().sum((0, 2, 3))
            total[2] += out.numel() // out.shape[1]

        return hook

    hooks = [conv.register_forward_hook(watch(name)) for name, conv, _ in _folded(net)]
    for image in images:
        net(image)
    for hook in hooks:
        hook.remove()
    for name, _, norm in _folded(net):
        total, squares, count = sums[name]
        mean = total / count
        variance = (squares / count - mean.square()).clamp_min(0)
        norm.running_mean = mean.float()
        norm.running_var = variance.float()
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.add_(mean)


def load_onnx(net: MattingNet, path: Path, images: Iterable[Tensor]) -> None:
    """Weights of a file that tools.export wrote; `images` are batches Nx3xHxW in [-1, 1].

    The head at 1/8 is not in the file: it begins at zero, so that it does not disturb what is
    learned already.
    """
    was_training = net.training
    net.eval()
    _load(net, _arrays(path))
    _measure(net, images)
    with torch.no_grad():
        net.coarse_head.weight.zero_()
        cast("Tensor", net.coarse_head.bias).zero_()
    net.train(was_training)
