"""Train an exported network further on the wider mix.

    python -m tools.training.further --from models/default/matting_mobilenetv2_unet.onnx \\
        --base WORK/set --taught WORK/taught --work RUN --hours 0.8 --seed 1

One schedule (warm-up, cosine). Started again it goes on at the last checkpoint; SIGTERM ends it
with one. Two runs with different seeds end apart by chance; `tools.training.mean` averages their
ends, and the mean is better than either.
"""

from __future__ import annotations

import argparse
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from tools.training.dataset import training_views
from tools.training.network import EXPANSIONS, MattingNet
from tools.training.store import Store
from tools.training.train import PIXELS_A_BATCH, WARM_BATCHES, Trainer, keep_memory
from tools.training.validation import Case
from tools.training.warm_start import load_exported, measure_norms
from tools.training.wider import SHARES, Sets, WiderBatches

SIZES = [256, 320, 320]
DECAY = 0.998  # of the moving average: it forgets the beginning of a short run
ENCODER_RATE = 0.25


class Further(Trainer):
    """The trainer of the base sets, fed with the wider mix."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self.averaged.decay = DECAY
        encoder, decoder = self.optimizer.param_groups
        encoder["peak"] = ENCODER_RATE * decoder["peak"]

    def _begin(self) -> MattingNet:
        """From the exported file, whose blocks are as wide as `--expansions` says."""
        options = self.options
        plain = cast("Any", MattingNet(attention=options.attention, expansions=options.expansions))
        net: MattingNet = plain.to(memory_format=torch.channels_last)
        load_exported(net, options.from_onnx)
        measure_norms(
            net, training_views(Store(options.base), options.side, WARM_BATCHES, options.seed)
        )
        self.say(f"weights of {options.from_onnx.name}, layout {net.layout}")
        return net

    def batches(self, stage: Any) -> Iterator[tuple[Tensor, Tensor]]:
        """Endless; ``stage`` is not looked at: every size is there from the beginning."""
        del stage
        options = self.options
        seed = options.seed * 1_000_003 + self.progress.step
        sets = Sets(options.base, options.taught)
        stream = WiderBatches(sets, seed, PIXELS_A_BATCH, options.sizes, options.shares)
        return iter(
            DataLoader(
                stream,
                batch_size=None,
                num_workers=1,
                prefetch_factor=4,
                multiprocessing_context="spawn",
            )
        )

    def check(self, pictures: list[Case]) -> None:
        """Nothing: measuring would take minutes of the run; `kinds.measure` does it afterwards."""


def shares_of(changes: list[str]) -> dict[str, float]:
    """SHARES with KIND=SHARE put in."""
    shares = dict(SHARES)
    for change in changes:
        kind, _, share = change.partition("=")
        if kind not in shares:
            raise SystemExit(f"--share {change}: the kinds are {', '.join(shares)}")
        shares[kind] = float(share)
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--from", dest="from_onnx", type=Path, required=True, metavar="FILE.onnx")
    parser.add_argument("--base", type=Path, required=True, help="set of tools.training.store")
    parser.add_argument("--taught", type=Path, help="set of tools.training.teachers.agreement")
    parser.add_argument("--work", type=Path, required=True, help="checkpoint and log")
    parser.add_argument("--hours", type=float, default=0.8)
    parser.add_argument("--learning-rate", type=float, default=8e-4, help="peak, of the decoder")
    parser.add_argument(
        "--freeze", type=int, default=3, metavar="N", help="encoder parts as they are"
    )
    parser.add_argument("--share", action="append", default=[], metavar="KIND=SHARE")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="SIDE")
    parser.add_argument("--side", type=int, default=320, help="that the network is planned for")
    parser.add_argument(
        "--expansions",
        type=float,
        nargs=len(EXPANSIONS),
        default=EXPANSIONS,
        metavar="N",
        help="of the file's blocks, as tools.training.train has them",
    )
    parser.add_argument("--attention", action="store_true", help="the network has it (quality)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    options.shares = shares_of(options.share)
    options.width, options.schedules = 1.0, 1
    options.targets, options.int8, options.teacher = "soft", False, None
    options.work.mkdir(parents=True, exist_ok=True)
    link = options.work / "set"
    if not link.exists():
        link.symlink_to(options.base.resolve())
    keep_memory()
    trainer = Further(options)
    signal.signal(signal.SIGTERM, lambda *_: trainer.stop())
    trainer.run()


if __name__ == "__main__":
    main()
