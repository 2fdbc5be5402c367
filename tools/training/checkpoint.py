"""What a training run leaves behind: one file, written whole or not at all."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tools.training.network import MattingNet


class Averaged:
    """Exponential moving average of weights and batch-norm statistics (Polyak, Ruppert)."""

    def __init__(self, net: MattingNet, decay: float = 0.999) -> None:
        self.net = copy.deepcopy(net).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, net: MattingNet, step: int) -> None:
        """Early steps are forgotten faster, so the average is useful from the start."""
        keep = min(self.decay, (1 + step) / (10 + step))
        theirs_by_name = net.state_dict()
        for name, ours in self.net.state_dict().items():
            theirs = theirs_by_name[name]
            if ours.dtype.is_floating_point:
                ours.lerp_(theirs, 1 - keep)
            else:
                ours.copy_(theirs)


@dataclass
class Progress:
    """How far a run is. `spent` and `budget` are seconds of the present schedule; `schedules` are
    complete."""

    step: int = 0
    samples: int = 0
    spent: float = 0.0
    budget: float = 0.0
    total: float = 0.0
    schedules: int = 0
    figures: list[dict[str, Any]] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Of the present schedule, 0 to 1."""
        return min(1.0, self.spent / self.budget) if self.budget > 0 else 0.0

    def complete(self) -> None:
        """End the present schedule; the next one begins at 0."""
        self.schedules += 1
        self.spent = 0.0


def save(
    path: Path,
    net: MattingNet,
    averaged: Averaged,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
) -> None:
    """Beside first, then renamed: a crash leaves the last whole checkpoint."""
    state = {
        "layout": net.layout,
        "net": net.state_dict(),
        "averaged": averaged.net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "progress": vars(progress),
    }
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)


def load(path: Path) -> dict[str, Any]:
    """Tensors and plain values only (`weights_only`)."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def averaged_net(path: Path) -> tuple[MattingNet, Progress]:
    """The network to ship from a checkpoint, in evaluation mode."""
    state = load(path)
    weights: dict[str, Tensor] = state["averaged"]
    net = MattingNet(**state["layout"])
    net.load_state_dict(weights)
    return net.eval(), Progress(**state["progress"])
