"""What the default network costs beside a plain U-Net, and how soon its int8 file is ready.

    python -m tools.bench.network_cost

The plain one has the same MobileNetV2 encoder (Sandler et al. 2018) and the decoder of Ronneberger
et al. (2015) as small as two million parameters ask for: at each step features at twice the size,
joined with the encoder's, and one ordinary 3x3 convolution; it ends at half the size, which is
blown up. Weights are random, for time does not depend on them. Both run in onnxruntime in fp32 on
one thread, by turns; what counts is the ratio of the medians. "Ready" is a process of its own: the
file is loaded and one picture run, without what importing the libraries takes.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_matting.inference.catalog import load_model_manifest
from tools.training.network import Encoder

SIDE = 320
DECODER = ((96, 48), (32, 32), (24, 24), (16, 16))  # of the encoder's features, and after the step
CONTEXT = 64
READY = """
import sys, time
import numpy, onnxruntime
begin = time.perf_counter()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
side = int(sys.argv[2])
session.run(None, {session.get_inputs()[0].name: numpy.zeros((1, 3, side, side), numpy.float32)})
print(time.perf_counter() - begin)
"""


class PlainUNet(nn.Module):
    """Nx3xHxW float32 in [-1, 1], H and W multiples of 32 -> alpha Nx1xHxW in [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.context = nn.Conv2d(320, CONTEXT, 1)
        steps, channels = [], CONTEXT
        for skip, out in DECODER:
            steps.append(nn.Conv2d(channels + skip, out, 3, padding=1))
            channels = out
        self.steps = nn.ModuleList(steps)
        self.head = nn.Conv2d(channels, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        *skips, x = self.encoder(image)
        x = functional.relu(self.context(x))
        for step, skip in zip(self.steps, reversed(skips), strict=True):
            x = functional.interpolate(x, scale_factor=2.0)
            x = functional.relu(step(torch.cat((x, skip), 1)))
        return torch.sigmoid(
            functional.interpolate(self.head(x), scale_factor=2.0, mode="bilinear")
        )


def parameters(net: nn.Module) -> int:
    return sum(weight.numel() for weight in net.parameters())


def medians(paths: list[Path], turns: int) -> list[float]:
    """Seconds of processor time for one picture each, run by turns."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    image = np.random.default_rng(0).uniform(-1, 1, (1, 3, SIDE, SIDE)).astype(np.float32)
    sessions = [
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        for path in paths
    ]
    taken: list[list[float]] = [[] for _ in paths]
    for turn in range(turns + 3):
        for session, seconds in zip(sessions, taken, strict=True):
            begin = time.process_time()
            session.run(None, {session.get_inputs()[0].name: image})
            if turn >= 3:
                seconds.append(time.process_time() - begin)
    return [statistics.median(seconds) for seconds in taken]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--model", type=Path, default=Path("models/default"))
    parser.add_argument("--turns", type=int, default=61)
    options = parser.parse_args()
    manifest = load_model_manifest(options.model)
    plain = PlainUNet().eval()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plain.onnx"
        torch.onnx.export(plain, (torch.zeros(1, 3, SIDE, SIDE),), path, dynamo=True)
        ours, theirs = medians([options.model / manifest.file, path], options.turns)
    print(
        f"{options.model}: {ours * 1000:.1f} ms, a plain U-Net of {parameters(plain):,} parameters "
        f"{theirs * 1000:.1f} ms: {ours / theirs:.2f} times"
    )
    int8 = manifest.variant("ort", "int8")
    if int8 is None:
        raise SystemExit(f"{options.model}: the manifest names no int8 file for onnxruntime")
    call = [sys.executable, "-c", READY, str(options.model / int8.file), str(SIDE)]
    ready = [float(subprocess.check_output(call)) for _ in range(7)]
    print(f"int8 loaded and run once: {statistics.median(ready):.3f} s (longest {max(ready):.3f})")


if __name__ == "__main__":
    main()
