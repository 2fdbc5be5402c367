"""What each step from the trained network to the shipped files changes: one table, measured here.

    python -m tools.training.ablation --work WORK --trained PLAIN FROM_IMAGENET

Networks trained for comparison, from their checkpoints: one with a plain encoder
(`tools.training.train --encoder plain`), one from ImageNet's by the same schedule. Then what is
shipped: the network with attention (`quality`) and without (`default`) as torch programs, the
latter in onnxruntime, in int8, in fp16, and int8 four pictures at a time. Each row runs in a
process of its own, on one thread; IoU and MAD are means over the groups of the manifest's figures,
the time is the median for one picture, the memory the process's peak.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_matting.models.catalog import load_model_manifest
from tools.training.evaluate import QUALITY_GROUPS
from tools.training.store import Store
from tools.training.validation import cases, figures, stretched

SIDE, TIMED, WARM = 320, 41, 5
Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # Nx3xHxW in [-1, 1] -> Nx1xHxW


@dataclass(frozen=True)
class Row:
    """One line of the table: which network, a shipped `model` or one `trained` there, and how."""

    name: str
    runtime: str
    precision: str
    batch: int = 1
    model: str = "default"
    trained: Path | None = None


ROWS = (
    Row("MobileNetV2 U-Net with attention, torch", "torch", "fp32", model="quality"),
    Row("without attention, torch", "torch", "fp32"),
    Row("in onnxruntime", "ort", "fp32"),
    Row("fp16 (made for GPUs)", "ort", "fp16"),
    Row("int8", "ort", "int8"),
    Row("int8, batch 4", "ort", "int8", 4),
)


def all_rows(trained: Sequence[Path]) -> tuple[Row, ...]:
    """Those of the checkpoints first; what they are called is told by ``described``."""
    return (*(Row("", "torch", "fp32", trained=work) for work in trained), *ROWS)


def file_of(row: Row, models: Path) -> Path:
    """The file of a shipped variant, or the checkpoint."""
    if row.trained is not None:
        return row.trained / "checkpoint.pt"
    model, precision = models / row.model, row.precision
    manifest = load_model_manifest(model)
    part = manifest.variant("ort", precision)
    if part is None:
        raise SystemExit(f"{model}: no {precision} file")
    return model / part.file


def runner(row: Row, models: Path) -> Run:
    """The network ready to run, on one thread."""
    path = file_of(row, models)
    if row.runtime == "torch":
        return _torch_runner(row, path)
    from tools.training.one_thread import session_of

    session = session_of(path)
    name = session.get_inputs()[0].name
    return lambda images: np.asarray(session.run(None, {name: images})[0])


def _torch_runner(row: Row, path: Path) -> Run:
    import torch

    from tools.training.checkpoint import averaged_net
    from tools.training.network import AlphaNet, MattingNet
    from tools.training.warm_start import load_exported

    torch.set_num_threads(1)
    if row.trained is None:
        net = MattingNet(attention=row.model == "quality")
        load_exported(net, path)
    else:
        net, _ = averaged_net(path)
    program: Any = AlphaNet(net).eval()
    program = program.to(memory_format=torch.channels_last)

    def run(images: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            image = torch.from_numpy(images).contiguous(memory_format=torch.channels_last)
            return np.asarray(program(image).numpy())

    return run


def tensor(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """SxSx3 RGB uint8 -> 1x3xSxS float32 in [-1, 1]."""
    image = rgb.astype(np.float32) / 127.5 - 1
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None])


def described(row: Row, models: Path) -> tuple[str, float]:
    """Name and megabytes: of the file, or of the weights of a network in a checkpoint.

    Not asked in the process that measures: a checkpoint would count as memory of every row.
    """
    path = file_of(row, models)
    if row.trained is None:
        return row.name, path.stat().st_size / 1e6
    from tools.training.checkpoint import averaged_net
    from tools.training.network import ENCODERS

    net, progress = averaged_net(path)
    name = f"{ENCODERS[str(net.layout['encoder'])]}, {progress.samples:,} samples in all, torch"
    return name, sum(weight.numel() for weight in net.parameters()) * 4 / 1e6


def measured(row: Row, models: Path, work: Path) -> dict[str, float]:
    """Time and memory first, so that the held-out pictures do not count as memory; then quality."""
    run = runner(row, models)
    images = np.random.default_rng(0).uniform(-1, 1, (row.batch, 3, SIDE, SIDE)).astype(np.float32)
    times = []
    for turn in range(WARM + TIMED):
        begin = time.perf_counter()
        run(images)
        if turn >= WARM:
            times.append((time.perf_counter() - begin) / row.batch)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pictures = [c for c in cases(Store(work / "set")) if c.group in QUALITY_GROUPS]
    rows = figures(
        stretched(lambda rgb: run(np.repeat(tensor(rgb), row.batch, 0))[-1, 0], SIDE), pictures
    )
    return {
        "iou": float(np.mean([r.iou for r in rows])),
        "mad": float(np.mean([r.mae for r in rows])),
        "ms": float(np.median(times)) * 1000,
        "mib": memory,
    }


def apart(number: int, options: argparse.Namespace) -> dict[str, float]:
    """The figures of a row, from a process of its own."""
    call = [sys.executable, "-m", "tools.training.ablation", "--row", str(number)]
    call += ["--work", str(options.work), "--models", str(options.models)]
    call += ["--trained", *map(str, options.trained)]
    threads = {"OMP_NUM_THREADS": "1"}
    told = subprocess.run(
        call, check=True, capture_output=True, text=True, env={**os.environ, **threads}
    )
    found: dict[str, float] = json.loads(told.stdout.splitlines()[-1])
    return found


def table(found: list[tuple[str, float, dict[str, float]]]) -> str:
    """Markdown."""
    lines = [
        "| step | IoU | MAD | ms a picture | peak MiB | file MB |",
        "|---|---|---|---|---|---|",
    ]
    for name, size, figure in found:
        lines.append(
            f"| {name} | {figure['iou']:.4f} | {figure['mad']:.4f} | {figure['ms']:.1f} "
            f"| {figure['mib']:.0f} | {size:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument(
        "--work", type=Path, required=True, help="where tools.training.train worked"
    )
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument(
        "--trained",
        type=Path,
        nargs="*",
        default=[],
        metavar="WORK",
        help="where tools.training.train made networks for comparison",
    )
    parser.add_argument("--row", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    rows = all_rows(options.trained)
    if options.row is not None:
        print(json.dumps(measured(rows[options.row], options.models, options.work)))
        return
    found = [(*described(r, options.models), apart(n, options)) for n, r in enumerate(rows)]
    print(f"{platform.machine()}, {os.cpu_count()} processors, one thread, {SIDE} x {SIDE}\n")
    print(table(found))


if __name__ == "__main__":
    main()
