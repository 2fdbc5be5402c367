"""The mean of the weights that several runs reached: better than any of them.

    python -m tools.training.mean RUN FILE.onnx=0.5 --base WORK/set --to MEAN

A RUN is the `--work` of `tools.training.further`, a file what `tools.training.export` wrote; each
counts as much as the number behind it says, one without. All must have begun at the same weights:
Wortsman et al., "Model soups" (2022). MEAN becomes a folder that `tools.training.export --work`
reads.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any, cast

import torch

from tools.training.checkpoint import Progress, averaged_net
from tools.training.export import to_onnx
from tools.training.network import MattingNet, UpStep
from tools.training.warm_start import load_exported


def part_of(text: str) -> tuple[Path, float]:
    """`PATH=SHARE` or `PATH`."""
    path, _, share = text.partition("=")
    return Path(path), float(share or 1)


@torch.no_grad()
def in_one_scale(net: MattingNet) -> None:
    """Fold the norm behind each sum of the decoder into what is summed; the function stays.

    The sum may be of any scale, for the norm takes it back: two runs drift apart in it, and the
    mean of their weights would be of neither.
    """
    for step in [m for m in net.modules() if isinstance(m, UpStep)]:
        norm = cast("Any", step.normal)
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()
        for summed in (step.narrow, step.skip):
            summed.weight.mul_(factor[:, None, None, None])
        norm.bias.sub_(norm.running_mean * factor)
        norm.running_mean.zero_()
        norm.running_var.fill_(1.0)
        norm.weight.fill_((1.0 + norm.eps) ** 0.5)


@torch.no_grad()
def mean_of(parts: list[tuple[Path, float]], *, attention: bool) -> tuple[MattingNet, Progress]:
    """The network between runs and exported files, norms folded, and what the runs saw in all."""
    total, progress = sum(share for _, share in parts), Progress()
    state: dict[str, Any] = {}
    for path, share in parts:
        net = MattingNet(attention=attention)
        if path.is_dir():
            reached, seen = averaged_net(path / "checkpoint.pt")
            progress.samples += seen.samples
            progress.step += seen.step
            progress.total += seen.total
            with tempfile.TemporaryDirectory() as scratch:
                to_onnx(reached, Path(scratch) / "run.onnx")  # its norms are folded by that
                load_exported(net, Path(scratch) / "run.onnx")
        else:
            load_exported(net, path)
        in_one_scale(net)
        for name, value in net.state_dict().items():
            if value.dtype.is_floating_point:
                state[name] = state.get(name, 0) + value * (share / total)
            else:
                state[name] = value
    mean = MattingNet(attention=attention)
    mean.load_state_dict(state)
    return mean.eval(), progress


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("parts", nargs="+", metavar="RUN|FILE.onnx[=SHARE]")
    parser.add_argument("--base", type=Path, required=True, help="set of tools.training.store")
    parser.add_argument("--to", type=Path, required=True, metavar="MEAN")
    parser.add_argument("--attention", action="store_true", help="the network has it (quality)")
    options = parser.parse_args()
    net, progress = mean_of([part_of(text) for text in options.parts], attention=options.attention)
    options.to.mkdir(parents=True, exist_ok=True)
    link = options.to / "set"
    if not link.exists():
        link.symlink_to(options.base.resolve())
    state = {"layout": net.layout, "averaged": net.state_dict(), "progress": vars(progress)}
    torch.save(state, options.to / "checkpoint.pt")
    to_onnx(net, options.to / "mean.onnx")
    print(f"{options.to / 'mean.onnx'}: the mean of {len(options.parts)}")


if __name__ == "__main__":
    main()
