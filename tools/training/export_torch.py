"""The shipped network as an exported program for the torch backend, from the weights of its ONNX
file.

    python -m tools.training.export_torch OUT.pt2

It is not shipped: torch does not promise to read a ``.pt2`` of another of its versions, so it is
made with the torch that will load it, and added with ``edge-matting models add OUT.pt2``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from edge_matting.models import Catalog, shipped_models_dir
from tools.training.network import AlphaNet, MattingNet
from tools.training.warm_start import load_exported

SIZE, MULTIPLE = 320, 32
TOLERANCE = 1e-4


def shipped_network(path: Path) -> AlphaNet:
    """The network with the weights of the ONNX file at ``path``; what trains it is left out."""
    net = MattingNet()
    load_exported(net, path)
    return AlphaNet(net).eval()


def export(network: AlphaNet, path: Path) -> None:
    """Write the program for any batch and for sides that are multiples of 32."""
    # Two names for one range: with a single one torch would want equal sides.
    sides = [MULTIPLE * torch.export.Dim(name, min=2, max=64) for name in ("h", "w")]
    shapes = ({0: torch.export.Dim("n", min=1, max=64), 2: sides[0], 3: sides[1]},)
    example = torch.zeros(2, 3, SIZE, SIZE + MULTIPLE)
    with torch.no_grad():
        program = torch.export.export(network, (example,), dynamic_shapes=shapes)
    torch.export.save(program, path)


def difference(source: Path, program: Path) -> float:
    """Largest difference of alpha between both files on noise, at two sizes."""
    session = onnxruntime.InferenceSession(str(source), providers=["CPUExecutionProvider"])
    module = torch.export.load(program).module()
    return max(_difference(session, module, side) for side in (SIZE, SIZE - MULTIPLE))


def _difference(session: onnxruntime.InferenceSession, module: torch.nn.Module, side: int) -> float:
    noise = np.random.default_rng(0).uniform(-1, 1, (2, 3, side, SIZE))
    batch = noise.astype(np.float32)
    (expected,) = session.run(None, {session.get_inputs()[0].name: batch})
    with torch.no_grad():
        found = module(torch.from_numpy(batch)).numpy()
    return float(np.abs(found - expected).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    out: Path = parser.parse_args().out
    source = Catalog(shipped_models_dir(), Path("/nonexistent")).verify("default")
    export(shipped_network(source), out)
    found = difference(source, out)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, differs from {source.name} by {found:.1e}")
    if found > TOLERANCE:
        raise SystemExit("that is too much")


if __name__ == "__main__":
    main()
