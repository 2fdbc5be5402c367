"""Fit the model that tells regions of ground from the subject's, on rendered scenes.

    python -m tools.grounds.fit --data DATA --seed 1 -o edge_matting/matting/ground/weights.py

Each region that the key offers is known to be ground or subject by the scene's alpha. A network of
one small layer weighs its measurements; regions count by the root of their area, scenes alike, and
a part of the subject three times what a part of the ground does: a hole left closed is seen, a
thing with parts missing is useless.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray

from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.matting import resample
from edge_matting.matting.ground import regions
from edge_matting.matting.ground.estimate import corrected, find_ground
from edge_matting.matting.ground.key import key_of
from tools.grounds.network import Network
from tools.grounds.scenes import scenes

F64 = NDArray[np.float64]
DEAR: float = 3.0  # what a lost part of the subject weighs
HIDDEN = 12
STEPS = 300
NOISE = 0.3
FOLDS = 3


@dataclass(frozen=True)
class Model:
    """Means and spreads of what is measured, and the layers."""

    means: F64
    spreads: F64
    first: F64
    first_bias: F64
    second: F64
    bias: float


def regions_of(rgb: Rgb, matte: Alpha, truth: Alpha) -> Iterator[tuple[F64, bool, float]]:
    """Measurements of each region, whether it is ground, and its share of the picture."""
    ground, _ = find_ground(rgb, matte)
    if ground is None:
        return
    key = key_of(ground)
    size = key.distance.shape[1], key.distance.shape[0]
    at_cells, alpha = resample(matte, size), resample(truth, size)
    seen: list[tuple[F64, bool, float]] = []
    measure = regions.features

    def noted(evidence: object, box: tuple[slice, slice], region: NDArray[np.bool_]) -> F64:
        values = measure(evidence, box, region)  # type: ignore[arg-type]
        truly = bool(alpha[box][region].mean() < 0.5)
        seen.append((values, truly, float(region.sum()) / alpha.size))
        return values

    def truly_ground(_values: F64, _known: float) -> float:
        return float(seen[-1][1])

    with (
        mock.patch.object(regions, "features", noted),
        mock.patch.object(regions, "chance", truly_ground),
    ):
        found = regions.decided(ground, key, at_cells)
        colours = ground.colour + ground.away
        like = key.like & found.ground
        again = corrected(ground.kind, ground.verdict, colours, ground.smooth, like)
        regions.decided(again, key_of(again), at_cells)
    yield from seen


def fitted(seen: Mapping[str, NDArray[Any]]) -> Model:
    """One hidden layer; before that its errors on scenes that it was not trained on are printed."""
    values, ground, weight = seen["values"], seen["ground"], seen["weight"]
    means, spreads = values.mean(0), values.std(0) + 1e-6
    x = torch.tensor(np.clip((values - means) / spreads, -4, 4), dtype=torch.float32)
    area = np.square(weight / np.where(ground, 1, DEAR))
    chance = np.zeros(len(values))
    for part in range(FOLDS):
        out = seen["scene"] % FOLDS == part
        net = trained(x[torch.tensor(~out)], ground[~out], weight[~out])
        with torch.no_grad():
            chance[out] = torch.sigmoid(net(x[torch.tensor(out)])[:, 0]).numpy()
    lost = area[(chance > 0.5) & ~ground].sum() / area[~ground].sum()
    closed = area[(chance < 0.5) & ground].sum() / area[ground].sum()
    print(f"on other scenes: subject lost {lost:.4f}, ground left closed {closed:.4f}, by area")
    state = [layer.detach().numpy() for layer in trained(x, ground, weight).parameters()]
    return Model(means, spreads, state[0], state[1], state[2][0], float(state[3][0]))


def trained(x: torch.Tensor, ground: NDArray[np.bool_], weight: F64) -> torch.nn.Sequential:
    """A network on ``x`` (n x features, scaled), trained with noise on what is measured."""
    torch.manual_seed(1)
    y = torch.tensor(ground, dtype=torch.float32)
    share = torch.tensor(weight / weight.mean(), dtype=torch.float32)
    net = torch.nn.Sequential(
        torch.nn.Linear(x.shape[1], HIDDEN), torch.nn.Tanh(), torch.nn.Linear(HIDDEN, 1)
    )
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=0.05)
    for _ in range(STEPS):
        optimiser.zero_grad()
        noisy = net(x + NOISE * torch.randn_like(x))[:, 0]
        torch.nn.functional.binary_cross_entropy_with_logits(noisy, y, weight=share).backward()
        optimiser.step()
    return net


def module(model: Model, said: str) -> str:
    """The text of weights.py."""

    def row(values: F64) -> str:
        return ", ".join(f"{value:.4g}" for value in values)

    hidden = "\n".join(f"    ({row(unit)})," for unit in model.first)
    return (
        '"""The weights of the regions\' model. Written by tools/grounds/fit.py; not to be edited '
        'by hand."""\n\nfrom __future__ import annotations\n\nfrom typing import Final\n\n'
        f"# {said}\nBIAS: Final = {model.bias:.5g}\nMEANS: Final = ({row(model.means)})\n"
        f"SPREADS: Final = ({row(model.spreads)})\nFIRST: Final = (\n{hidden}\n)\n"
        f"FIRST_BIAS: Final = ({row(model.first_bias)})\nSECOND: Final = ({row(model.second)})\n"
    )


def collected(options: argparse.Namespace) -> dict[str, NDArray[Any]]:
    """Measurements of the regions of every scene, as arrays."""
    network = Network(options.model)
    values, ground, weight, scene = [], [], [], []
    for number, each in enumerate(scenes(options.data, options.count, options.seed)):
        found = list(regions_of(each.rgb, network.matte(each.rgb), each.alpha))
        for measured, truly, area in found:
            values.append(measured)
            ground.append(truly)
            weight.append(np.sqrt(area / len(found)) * (1 if truly else DEAR))
            scene.append(number)
    return {
        "values": np.array(values),
        "ground": np.array(ground),
        "weight": np.array(weight),
        "scene": np.array(scene),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=Path("models/default"))
    parser.add_argument("--count", type=int, default=220)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="measurements: read where they are, else written")
    parser.add_argument("-o", "--out", type=Path, required=True)
    options = parser.parse_args()
    if options.keep is not None and options.keep.exists():
        seen = dict(np.load(options.keep))
    else:
        seen = collected(options)
        if options.keep is not None:
            np.savez(options.keep, allow_pickle=False, **seen)
    model = fitted(seen)
    regions_count, scene_count = len(seen["scene"]), int(seen["scene"].max()) + 1
    said = f"Fitted on {regions_count} regions of {scene_count} rendered scenes."
    options.out.write_text(module(model, said))
    print(said)


if __name__ == "__main__":
    main()
