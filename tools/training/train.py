"""Train the default matting model.

    python -m tools.training.train --data DATA --work WORK --hours 1.6 --schedules 2

reads the photo sets under DATA, prepares them once in WORK, and trains for two schedules
(warm-up, cosine) of that length, each on the weights that the one before reached (warm restarts,
Loshchilov, Hutter, 2017), the later ones at half the rate and on pictures of nearly the planned
size. Started again it goes on where the last checkpoint stood. SIGTERM ends it with a checkpoint.
`python -m tools.training.export` follows. With other work on the machine, set
OMP_WAIT_POLICY=passive: threads that wait for each other then sleep instead of spinning.
"""

from __future__ import annotations

import argparse
import ctypes
import math
import multiprocessing
import platform
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from tools.training import checkpoint
from tools.training.checkpoint import Averaged, Progress
from tools.training.dataset import MIX, PHOTOS_MIX, Batches, to_input, training_views
from tools.training.losses import distillation_loss, matting_loss
from tools.training.network import ENCODERS, EXPANSIONS, NORMS, MattingNet, PlainEncoder
from tools.training.prune import pruned
from tools.training.rounding import imitate_int8
from tools.training.store import Store, prepare
from tools.training.validation import Case, cases, figures, stretched
from tools.training.warm_start import load_exported, measure_norms

PIXELS_A_BATCH = 16 * 224 * 224
STAGE_STARTS = (0.0, 0.35, 0.70, 0.92)  # share of the time budget
STAGE_SIZES = [[224, 256, 320], [256, 320], [320, 320, 384], [320]]  # for a planned side of 320
FIRST_SIZES = [[128, 160, 192], [192, 224, 256], [256, 320, 320], [320]]  # ... from ImageNet's
FIRST_BATCH = 16  # pictures at most from ImageNet's: many small steps there teach more than few
LEARNED_BEFORE = 0.15  # of the learning rate, for an encoder that is not at its beginning
WARM_BATCHES = 24  # that measure the statistics of folded batch norms
WARM_UP = 0.02
RESTARTED = 0.5  # of the peak rates in later schedules: the full ones, on small pictures, lost IoU
LOG_STEPS, SAVE_SECONDS, CHECK_SECONDS = 100, 300.0, 900.0
CLIP_NORM = 5.0
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h
SIDE = 320


def stage_sizes(side: int, *, first: bool = False) -> list[list[int]]:
    """Sides of the training samples of each stage, for a network planned for ``side`` pixels.

    A ``first`` training, from ImageNet's encoder, begins on small pictures, of which it sees many.
    """
    stages = FIRST_SIZES if first else STAGE_SIZES
    return [[max(64, round(s * side / SIDE / 32) * 32) for s in sizes] for sizes in stages]


def learning_factor(share: float) -> float:
    """Linear warm-up, then a cosine down to 1 % (Loshchilov, Hutter, 2017), by elapsed time."""
    if share < WARM_UP:
        return max(0.02, share / WARM_UP)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (share - WARM_UP) / (1 - WARM_UP)))


def has_bfloat16() -> bool:
    """Whether this processor computes in bfloat16; emulated, it takes twice as long as fp32."""
    try:
        words = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return False
    return not words.isdisjoint({"avx512_bf16", "amx_bf16", "bf16"})


def _exported(path: Path, *, attention: bool = False) -> MattingNet:
    plain = cast("Any", MattingNet(attention=attention))
    net: MattingNet = plain.to(memory_format=torch.channels_last)
    load_exported(net, path)
    return net


def predictor(net: MattingNet) -> Any:
    """SxSx3 RGB uint8 -> alpha float32 SxS."""

    def predict(rgb: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        with torch.inference_mode():
            logits = net(to_input(torch.from_numpy(np.ascontiguousarray(rgb))[None]))
        return np.asarray(torch.sigmoid(logits)[0, 0].numpy())

    return predict


def keep_memory() -> None:
    """Let glibc keep what tensors give back (mallopt(3)).

    By default each large tensor is mapped anew and its pages are cleared at first touch: an eighth
    of a step at 320 pixels.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


class Trainer:
    """One run: the network, its average, the optimizer, and how far they are."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.path = options.work / "checkpoint.pt"
        torch.manual_seed(options.seed)
        state = checkpoint.load(self.path) if self.path.exists() else None
        net = self._begin() if state is None else MattingNet(**state["layout"])
        self.net: MattingNet = cast("Any", net).to(memory_format=torch.channels_last)
        self.teacher = None if options.teacher is None else _exported(options.teacher).eval()
        for part in (self.net.encoder.stem, *self.net.encoder.stages)[: options.freeze]:
            part.requires_grad_(False)
        self.averaged = Averaged(self.net)  # before the hooks: what is kept is not rounded
        if options.int8:
            imitate_int8(self.net)
        learned = [(n, p) for n, p in self.net.named_parameters() if p.requires_grad]
        encoder = [p for n, p in learned if n.startswith("encoder.")]
        decoder = [p for n, p in learned if not n.startswith("encoder.")]
        rate = options.learning_rate
        slower = 1.0 if self.net.layout["encoder"] == "plain" else LEARNED_BEFORE
        self.optimizer = torch.optim.AdamW(
            [
                {"params": encoder, "lr": rate * slower, "peak": rate * slower},
                {"params": decoder, "lr": rate, "peak": rate},
            ],
            weight_decay=0.01,
        )
        self.progress = Progress()
        self.stopped = False
        self.bfloat16 = has_bfloat16()
        if state is not None:
            self._resume(state)

    def _begin(self) -> MattingNet:
        """From an exported file, made narrower if asked, or with the encoder from ImageNet."""
        options = self.options
        if options.from_onnx is not None:
            net = _exported(options.from_onnx, attention=options.attention)
            if (options.width, *options.expansions) != (1.0, *EXPANSIONS):
                net = pruned(net, options.width, options.expansions)
            store = Store(options.work / "set")
            measure_norms(net, training_views(store, options.side, WARM_BATCHES, options.seed))
            self.say(f"weights of {options.from_onnx.name}, layout {net.layout}")
            return net
        net = MattingNet(
            options.width,
            attention=options.attention,
            norm=options.norm,
            encoder=options.encoder,
        )
        if isinstance(net.encoder, PlainEncoder):
            return net
        weights = torch.load(
            options.data / "weights" / "mobilenet_v2_imagenet.pth", weights_only=True
        )
        net.encoder.load_imagenet(weights)
        return net

    def _resume(self, state: dict[str, Any]) -> None:
        sizes = [
            [len(group["params"]) for group in groups]
            for groups in (state["optimizer"]["param_groups"], self.optimizer.param_groups)
        ]
        if sizes[0] != sizes[1]:
            raise SystemExit(f"{self.path}: was trained with another --freeze; give that one")
        self.net.load_state_dict(state["net"])
        self.averaged.net.load_state_dict(state["averaged"])
        peaks = [g["peak"] for g in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state["optimizer"])
        for group, peak in zip(self.optimizer.param_groups, peaks, strict=True):
            group["peak"] = peak
        self.progress = Progress(**state["progress"])
        progress = self.progress
        if progress.share >= 1.0:  # kept by a version that did not count its schedules
            progress.complete()
        self.say(
            f"resumed at step {progress.step}, {progress.share:.1%} of schedule "
            f"{progress.schedules + 1}"
        )

    def say(self, text: str) -> None:
        line = f"{time.strftime('%H:%M:%S')} {text}"
        print(line, flush=True)
        with (self.options.work / "train.log").open("a") as log:
            log.write(line + "\n")

    def stop(self) -> None:
        """End after the present step, with a checkpoint (SIGTERM)."""
        self.stopped = True

    def save(self) -> None:
        checkpoint.save(self.path, self.net, self.averaged, self.optimizer, self.progress)

    def step(self, rgb: Tensor, alpha: Tensor) -> float:
        """One update from RGB uint8 NxSxSx3 and alpha uint8 NxSxS."""
        factor = learning_factor(self.progress.share)
        if self.progress.schedules > 0:
            factor *= RESTARTED
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        image = to_input(rgb).contiguous(memory_format=torch.channels_last)
        target = alpha[:, None].float() / 255
        if self.options.targets != "soft":
            target = (target >= 0.5).float()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            logits, coarse = self.net.forward_both(image)
        loss = matting_loss(logits, coarse, target)
        if self.teacher is not None:
            with torch.no_grad():
                told = torch.sigmoid(self.teacher(image))
            loss = loss + distillation_loss(logits, told)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), CLIP_NORM)
        self.optimizer.step()
        self.averaged.update(self.net, self.progress.step)
        self.progress.step += 1
        self.progress.samples += len(rgb)
        return float(loss.detach())

    def check(self, pictures: list[Case]) -> None:
        """Measure the averaged weights on the held-out pictures and log the figures."""
        rows = figures(stretched(predictor(self.averaged.net), self.options.side), pictures)
        self.progress.figures.append(
            {"step": self.progress.step, "rows": {r.group: [r.iou, r.mae] for r in rows}}
        )
        self.say("held out: " + "  ".join(f"{r.group} {r.iou:.4f}/{r.mae:.4f}" for r in rows))

    def batches(self, stage: Any) -> Iterator[tuple[Tensor, Tensor]]:
        """Endless batches from one worker process, `stage` (shared) choosing their sizes."""
        first = self.options.from_onnx is None and self.progress.schedules == 0
        stream = Batches(
            self.options.work / "set",
            self.options.seed + self.progress.step,
            PIXELS_A_BATCH,
            stage_sizes(self.options.side, first=first),
            stage,
            most=FIRST_BATCH if first else None,
            mix=PHOTOS_MIX if self.options.targets == "masks" else MIX,
        )
        return iter(
            DataLoader(
                stream,
                batch_size=None,
                num_workers=1,
                prefetch_factor=4,
                multiprocessing_context="spawn",  # a fork would inherit OpenMP's locks
            )
        )

    def log(self, losses: list[float], samples: int, seconds: float) -> None:
        progress = self.progress
        self.say(
            f"step {progress.step}  {progress.share:.1%}  loss {np.mean(losses):.4f}  "
            f"{samples / seconds:.1f} samples/s  {progress.samples} samples"
        )

    def run(self) -> None:
        """Until the schedules are complete; a crash in between loses at most five minutes."""
        progress = self.progress
        if progress.schedules >= self.options.schedules:
            self.say(f"{progress.schedules} schedules are complete; a larger --schedules goes on")
            return
        torch.set_num_threads(self.options.threads)
        pictures = list(cases(Store(self.options.work / "set"), checked=True))
        self.net.train()
        while progress.schedules < self.options.schedules and not self.stopped:
            self._schedule(pictures)
        word = "stopped" if self.stopped else "done"
        self.say(f"{word}: {progress.samples} samples in {progress.total / 60:.0f} minutes")

    def _schedule(self, pictures: list[Case]) -> None:
        """One to its end: the present one where it was begun, or else the next."""
        progress = self.progress
        stage = multiprocessing.get_context("spawn").Value("i", 0)
        batches = self.batches(stage)
        if progress.spent == 0.0:
            progress.budget = self.options.hours * 3600
        last = saved = checked = logged = time.monotonic()
        losses: list[float] = []
        seen = progress.samples
        while progress.share < 1.0 and not self.stopped:
            stage.value = sum(progress.share >= s for s in STAGE_STARTS) - 1
            losses.append(self.step(*next(batches)))
            if progress.step % LOG_STEPS == 0:
                self.log(losses, progress.samples - seen, time.monotonic() - logged)
                losses, logged, seen = [], time.monotonic(), progress.samples
            if time.monotonic() - checked >= CHECK_SECONDS:
                self.check(pictures)
                checked = time.monotonic()
            if time.monotonic() - saved >= SAVE_SECONDS:
                self.save()
                saved = time.monotonic()
            last = self._spend(last)
        if not self.stopped:
            self.check(pictures)
            progress.complete()
        self.save()

    def _spend(self, since: float) -> float:
        now = time.monotonic()
        self.progress.spent += now - since
        self.progress.total += now - since
        return now


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder of the photo sets")
    parser.add_argument("--work", type=Path, required=True, help="prepared set, checkpoint and log")
    parser.add_argument("--hours", type=float, default=1.5, help="length of a schedule")
    parser.add_argument(
        "--schedules", type=int, default=1, help="how many of them the run has in all"
    )
    parser.add_argument(
        "--learning-rate",
        type=float,
        default=2e-3,
        help=f"peak; {LEARNED_BEFORE} of it for an encoder with ImageNet's weights",
    )
    parser.add_argument(
        "--from",
        dest="from_onnx",
        type=Path,
        metavar="FILE.onnx",
        help="begin with the weights of a file that the export wrote, not with ImageNet's",
    )
    parser.add_argument(
        "--width",
        type=float,
        default=1.0,
        help="of every layer; with --from the channels with the largest weights stay",
    )
    parser.add_argument(
        "--expansions",
        type=float,
        nargs=len(EXPANSIONS),
        default=EXPANSIONS,
        metavar="N",
        help="how many times as wide the blocks of each encoder stage are inside, with --from at "
        "most MobileNetV2's 1 6 6 6 6 6 6",
    )
    parser.add_argument(
        "--attention", action="store_true", help="squeeze-and-excitation in the decoder"
    )
    parser.add_argument(
        "--encoder",
        choices=sorted(ENCODERS),
        default="mobilenetv2",
        help="plain: of ordinary convolutions, from random weights, for comparison",
    )
    parser.add_argument(
        "--norm",
        choices=sorted(NORMS),
        default="batch",
        help="of the decoder, from ImageNet's only",
    )
    parser.add_argument(
        "--side", type=int, default=SIDE, help="of the input that is planned, in pixels"
    )
    parser.add_argument(
        "--targets",
        choices=["soft", "binary", "masks"],
        default="soft",
        help="binary: every one cut at 0.5; masks: those of the sets' photos alone, cut, with no "
        "composite and nothing drawn; to see what soft ones are worth",
    )
    parser.add_argument(
        "--int8",
        action="store_true",
        help="round activations as the int8 file will, while training",
    )
    parser.add_argument(
        "--teacher",
        type=Path,
        metavar="FILE.onnx",
        help="learn from the mattes of this exported network too",
    )
    parser.add_argument(
        "--freeze",
        type=int,
        default=0,
        metavar="N",
        help="leave the encoder's first N parts (stem, stages) as they are: 3 save a fifth",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if options.from_onnx is None and tuple(options.expansions) != EXPANSIONS:
        parser.error("--expansions: ImageNet's encoder is as wide as it is; it goes with --from")
    if options.encoder == "plain" and (options.from_onnx is not None or options.width != 1.0):
        parser.error(
            "--encoder plain: from random weights, as wide as it is; no --from, no --width"
        )
    if options.from_onnx is not None and options.norm != "batch":
        parser.error("--from: an exported file has its batch norms folded; --norm is for training")
    options.work.mkdir(parents=True, exist_ok=True)
    if not (options.work / "set" / "index.json").exists():
        prepare(options.data, options.work / "set")
    keep_memory()
    trainer = Trainer(options)
    signal.signal(signal.SIGTERM, lambda *_: trainer.stop())
    trainer.run()


if __name__ == "__main__":
    main()
