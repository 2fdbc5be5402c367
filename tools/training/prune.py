"""A narrower network from a trained one: of every layer the channels with the largest weights stay.

Li et al., "Pruning Filters for Efficient ConvNets" (2017). Channels that are added to each other
(residual blocks, the two halves of an upward step) are chosen together. The result needs training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tools.training.network import EXPANSIONS, InvertedResidual, MattingNet, UpStep


@dataclass(frozen=True)
class Link:
    """A convolution between two sets of channels that are chosen as one; None: all stay.

    `extra` input channels behind those of `reads` always stay.
    """

    name: str
    reads: str | None
    gives: str | None
    extra: int = 0


def _encoder(net: MattingNet) -> Iterator[Link]:
    yield Link("encoder.stem", None, "stem")
    reads = "stem"
    for i, stage in enumerate(net.encoder.stages):
        gives = f"stage{i}"
        assert isinstance(stage, nn.Sequential)
        for j, block in enumerate(stage):
            assert isinstance(block, InvertedResidual)
            name, inner = f"encoder.stages.{i}.{j}", f"inner{i}.{j}"
            if block.expand is None:
                inner = reads
            else:
                yield Link(f"{name}.expand", reads, inner)
            yield Link(f"{name}.depthwise", inner, inner)
            yield Link(f"{name}.project", inner, gives)
            reads = gives


def _separable(name: str, reads: str, gives: str) -> Iterator[Link]:
    yield Link(f"{name}.0", reads, reads)
    yield Link(f"{name}.3", reads, gives)


def links(net: MattingNet) -> Iterator[Link]:
    """Every convolution of the network, with the sets of channels between which it stands."""
    yield from _encoder(net)
    yield Link("context.narrow.0", "stage6", "around")
    yield Link("context.whole", "around", "around")
    yield from _separable("context.around", "around", "context")
    reads = "context"
    for size, skip in ((16, "stage4"), (8, "stage2"), (4, "stage1"), (2, "stage0")):
        step = net.get_submodule(f"up{size}")
        assert isinstance(step, UpStep)
        yield Link(f"up{size}.narrow", reads, f"sum{size}")
        yield Link(f"up{size}.skip", skip, f"sum{size}", extra=12 if size == 2 else 0)
        yield from _separable(f"up{size}.refine", f"sum{size}", f"up{size}")
        reads = f"up{size}"
    yield Link("head", "up2", None)
    yield Link("coarse_head", "up8", None)


def _convolution(net: MattingNet, name: str) -> nn.Conv2d:
    found = net.get_submodule(name)
    assert isinstance(found, nn.Conv2d)
    return found


def _norm(net: MattingNet, link: Link) -> tuple[str, nn.BatchNorm2d] | None:
    """The batch norm behind a convolution, by name."""
    parent, _, place = link.name.rpartition(".")
    if place.isdigit():
        behind = f"{parent}.{int(place) + 1}"
    elif place == "skip":
        behind = f"{parent}.normal"
    else:
        return None
    norm = net.get_submodule(behind)
    return (behind, norm) if isinstance(norm, nn.BatchNorm2d) else None


def _sizes(net: MattingNet) -> dict[str, int]:
    """How many channels each set has."""
    return {k.gives: _convolution(net, k.name).out_channels for k in links(net) if k.gives}


def _importance(net: MattingNet) -> dict[str, Tensor]:
    """Of each set, a score for each channel: weights that make it and that read it, L1, each layer
    scaled to a mean of 1."""
    scores = {name: torch.zeros(size) for name, size in _sizes(net).items()}
    for link in links(net):
        weight = _convolution(net, link.name).weight.detach().abs()
        if link.gives is not None:
            made = weight.sum((1, 2, 3))
            behind = _norm(net, link)
            if behind is not None and behind[1].running_var is not None:
                made = made * behind[1].weight.detach().abs() / behind[1].running_var.sqrt()
            scores[link.gives] += made / made.mean().clamp_min(1e-12)
        if link.reads is not None and link.reads != link.gives:
            read = weight.sum((0, 2, 3))[: len(scores[link.reads])]
            scores[link.reads] += read / read.mean().clamp_min(1e-12)
    return scores


@torch.no_grad()
def pruned(
    net: MattingNet, width: float = 1.0, expansions: Sequence[float] = EXPANSIONS
) -> MattingNet:
    """The same network with the most important channels: `width` times as wide (0 to 1), the blocks
    of each stage of the encoder `expansions` times as wide inside as outside."""
    small = MattingNet(width, expansions=expansions)
    if net.layout != {**small.layout, "width": 1.0, "expansions": EXPANSIONS}:
        raise ValueError(f"a network of the plain layout can be made narrower, not {net.layout}")
    scores, sizes = _importance(net), _sizes(small)
    kept = {name: score.topk(sizes[name]).indices.sort().values for name, score in scores.items()}
    state, wanted = net.state_dict(), small.state_dict()
    for link in links(net):
        rows = None if link.gives is None else kept[link.gives]
        for part in ("weight", "bias"):
            name = f"{link.name}.{part}"
            if name in state:
                value = state[name] if rows is None else state[name][rows]
                wanted[name] = _columns(link, value, kept, wanted[name])
        behind = _norm(net, link)
        if behind is not None:
            for part in ("weight", "bias", "running_mean", "running_var"):
                wanted[f"{behind[0]}.{part}"] = state[f"{behind[0]}.{part}"][rows]
    small.load_state_dict(wanted)
    return small


def _columns(link: Link, value: Tensor, kept: dict[str, Tensor], like: Tensor) -> Tensor:
    """The input channels that stay, of a weight; a bias and a depthwise weight have none."""
    if value.ndim == 1 or link.reads is None or like.shape == value.shape:
        return value
    columns = kept[link.reads]
    if link.extra:
        behind = torch.arange(value.shape[1] - link.extra, value.shape[1])
        columns = torch.cat((columns, behind))
    return value[:, columns]
