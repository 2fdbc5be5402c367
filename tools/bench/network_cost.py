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
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_matting.models.catalog import load_model_manifest
from tools.training.network import Encoder
from tools.training.one_thread import medians, session_of

SIDE = 320
DECODER = ((96, 48), (32, 32), (24, 24), (16, 16))  # of the encoder's features, and after the step
CONTEXT = 64
WARM = 3
READY = """
import sys, time
import numpy
from tools.training.one_thread import session_of
begin = time.perf_counter()
session = session_of(sys.argv[1])
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


def runner(path: Path) -> Callable[[int], object]:
    """The file, loaded and warm, to be run on one picture."""
    session = session_of(path)
    image = np.random.default_rng(0).uniform(-1, 1, (1, 3, SIDE, SIDE)).astype(np.float32)
    name = session.get_inputs()[0].name
    for _ in range(WARM):
        session.run(None, {name: image})
    return lambda _turn: session.run(None, {name: image})


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
        runs = [runner(each) for each in (options.model / manifest.file, path)]
        ours, theirs = medians(runs, options.turns)
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
