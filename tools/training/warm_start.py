"""The network with the weights of an exported ONNX file, to go on training or to export it again.

The exporter folds a batch norm into the convolution before it, so the file has no statistics of
that norm any more. `load_exported` makes it a norm that only adds the bias. For training the
statistics are measured again (`measure_norms`): with mean m and variance v of the convolution's
output, a gain of sqrt(v + eps) and an offset of bias + m leave the function as it was, and the
statistics of a training batch stand close to m and v.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tools.training.network import Attention, MattingNet, UpStep

PREFIX, FOLDED, PIXELS = "net.", ".weight_bias", ".pixels"  # as tools.training.export names them
ATTENTION = ".attend."


def load_exported(net: MattingNet, path: Path) -> None:
    """Take the weights of a file that tools.training.export wrote; the function becomes the file's.

    The head at 1/8 is not in the file: it begins at zero, so that in training it does not disturb
    what was learned. Where the network has attention and the file has none, that begins as it was
    made: it changes nothing.
    """
    import onnx
    from onnx import numpy_helper

    weights = {
        tensor.name.removeprefix(PREFIX): torch.from_numpy(numpy_helper.to_array(tensor).copy())
        for tensor in onnx.load(str(path)).graph.initializer
        if tensor.name.startswith(PREFIX)
    }
    for name in [name for name in weights if name.endswith(PIXELS)]:
        pixels = weights.pop(name)  # 2x2 with stride 2: back to 1x1 over pixels moved to depth
        whole = f"{name.removesuffix(PIXELS)}.weight"
        weights[whole] = torch.cat((weights[whole], pixels.reshape(len(pixels), -1, 1, 1)), 1)
    head = weights.get("head.weight")
    if head is not None and head.shape[0] == 16:  # 4x4 with stride 2: what its first pixels read
        first = [0, 1, 4, 5]
        weights["head.weight"] = head[first, :, :3, :3]
        weights["head.bias"] = weights["head.bias"][first]
    for name, norm in _folded(net, weights):
        bias = weights.pop(f"{name}{FOLDED}")
        behind = _behind(name)
        weights[f"{behind}.bias"] = bias
        weights[f"{behind}.weight"] = torch.full_like(bias, (1.0 + norm.eps) ** 0.5)
        weights[f"{behind}.running_mean"] = torch.zeros_like(bias)
        weights[f"{behind}.running_var"] = torch.ones_like(bias)
    if not any(ATTENTION in name for name in weights):
        weights |= {n: v for n, v in net.state_dict().items() if ATTENTION in n}
    for name, value in net.coarse_head.state_dict().items():
        weights[f"coarse_head.{name}"] = torch.zeros_like(value)
    counters = {n: v for n, v in net.state_dict().items() if n.endswith("num_batches_tracked")}
    try:
        net.load_state_dict({**counters, **weights})
    except RuntimeError as error:
        raise ValueError(f"{path} is not of this network: {error}") from None


def _behind(convolution: str) -> str:
    """`context.narrow.0` -> `context.narrow.1`: the norm that the exporter folded into it."""
    parent, place = convolution.rsplit(".", 1)
    return f"{parent}.{int(place) + 1}"


def _folded(net: nn.Module, weights: Iterable[str]) -> list[tuple[str, nn.BatchNorm2d]]:
    """The convolutions that took in a norm, and that norm."""
    found = []
    for name in [name.removesuffix(FOLDED) for name in weights if name.endswith(FOLDED)]:
        norm = net.get_submodule(_behind(name))
        assert isinstance(norm, nn.BatchNorm2d)
        found.append((name, norm))
    return found


@torch.no_grad()
def measure_norms(net: MattingNet, images: Iterable[Tensor]) -> None:
    """Give every norm the statistics of what passes it on `images`, the function staying.

    `images` are batches Nx3xHxW in [-1, 1].
    """
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    sums: dict[nn.Module, list[Any]] = {norm: [0.0, 0.0, 0] for norm in norms}

    def watch(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        total, seen = sums[norm], inputs[0].double()
        total[0] = total[0] + seen.sum((0, 2, 3))
        total[1] = total[1] + seen.square().sum((0, 2, 3))
        total[2] += seen.numel() // seen.shape[1]

    _overheard(net, norms, watch, images)
    for norm in norms:
        total, squares, count = sums[norm]
        _restate(norm, total / count, squares / count)


def _restate(norm: nn.BatchNorm2d, mean: Tensor, square: Tensor) -> None:
    """The same function with `mean` and the variance of E[x^2] = `square`, both (C,) float64."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    variance = (square - mean.square()).clamp_min(0)
    factor = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    norm.bias.add_(((mean - norm.running_mean) * factor).float())
    norm.weight.copy_((variance + norm.eps).sqrt() * factor)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)


@torch.no_grad()
def between(one: Path, other: Path, share: float, *, attention: bool = False) -> MattingNet:
    """The network whose weights lie at `share` (0 to 1) of the way between two exported files.

    Of a network and what it became by further training: Wortsman et al., "Robust fine-tuning of
    zero-shot models" (2022). It forgets less than the latter. Of `attention` that only the latter
    has, what squeezes is taken whole: before, nothing read it.
    """
    start, end = MattingNet(attention=attention), MattingNet(attention=attention)
    load_exported(start, one)
    load_exported(end, other)
    towards, state = end.state_dict(), start.state_dict()
    read = any(bool(value.any()) for name, value in state.items() if f"{ATTENTION}excite" in name)
    for name, value in state.items():
        if f"{ATTENTION}squeeze" in name and not read:
            value.copy_(towards[name])
        elif value.dtype.is_floating_point:
            value.lerp_(towards[name], share)
    return start.eval()


@torch.no_grad()
def without_attention(net: MattingNet, images: Iterable[Tensor]) -> MattingNet:
    """The same network with what attention says on average, over `images`, as fixed factors.

    `images` are batches Nx3xHxW in [-1, 1]. A factor is positive, so it passes the ReLU between and
    goes into the norm before. Where attention hardly depends on the picture, this costs nothing.
    """
    steps = {name: m for name, m in net.named_modules() if isinstance(m, UpStep)}
    said: dict[nn.Module, list[Tensor]] = {m: [] for m in net.modules() if isinstance(m, Attention)}

    def hear(gate: Attention, inputs: tuple[Tensor, ...]) -> None:
        said[gate].append(gate.factors(inputs[0]).flatten(1))

    _overheard(net, said, hear, images)
    layout: dict[str, Any] = {**net.layout, "attention": False}
    plain = MattingNet(**layout)
    plain.load_state_dict({n: v for n, v in net.state_dict().items() if ATTENTION not in n})
    for name, step in steps.items():
        assert step.attend is not None
        factors = torch.cat(said[step.attend]).mean(0)
        refine = plain.get_submodule(f"{name}.refine")
        norm = [m for m in refine.modules() if isinstance(m, nn.BatchNorm2d)][-1]
        norm.weight.mul_(factors)
        norm.bias.mul_(factors)
    return plain.eval()


def _overheard(
    net: MattingNet,
    modules: Iterable[nn.Module],
    hear: Callable[..., None],
    images: Iterable[Tensor],
) -> None:
    """Run `images` through the network as it is used, `hear(module, inputs)` before each module."""
    hooks = [module.register_forward_pre_hook(hear) for module in modules]
    was_training = net.training
    net.eval()
    for image in images:
        net(image)
    net.train(was_training)
    for hook in hooks:
        hook.remove()
