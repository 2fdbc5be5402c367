"""Fit the model that tells regions of ground from the subject's, on rendered scenes.

    python -m tools.grounds.fit --data DATA --seed 1 -o edge_matting/matting/ground/weights.py

Each region that the key offers is known to be ground or subject by the scene's alpha. A logistic
model weighs its measurements; regions count by the root of their area, scenes alike, and a part of
the subject four times what a part of the ground does: a hole left closed is seen, a thing with
parts missing is useless.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.matting import resample
from edge_matting.matting.ground import regions
from edge_matting.matting.ground.estimate import corrected, find_ground
from edge_matting.matting.ground.key import key_of
from tools.grounds.network import Network
from tools.grounds.scenes import scenes

F64 = NDArray[np.float64]
DEAR: float = 4.0  # what a lost part of the subject weighs
RIDGE = 1.0


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


def fitted(values: F64, ground: NDArray[np.bool_], weight: F64) -> tuple[F64, F64, F64]:
    """Means, spreads and weights (the bias first) by Newton's steps."""
    means, spreads = values.mean(0), values.std(0) + 1e-6
    terms = np.column_stack([np.ones(len(values)), (values - means) / spreads])
    found = np.zeros(terms.shape[1])
    for _ in range(60):
        chance = 1 / (1 + np.exp(-terms @ found))
        curve = weight * chance * (1 - chance) + 1e-6
        steep = terms.T @ (curve[:, None] * terms) + RIDGE * np.eye(len(found))
        found += np.linalg.solve(steep, terms.T @ (weight * (ground - chance)) - RIDGE * found)
    return means, spreads, found


def module(means: F64, spreads: F64, weights: F64, said: str) -> str:
    """The text of weights.py."""

    def rows(values: F64) -> str:
        return "\n".join(f"    {value:.5g}," for value in values)

    return (
        '"""The weights of the regions\' model. Written by tools/grounds/fit.py; not to be edited '
        'by hand."""\n\nfrom __future__ import annotations\n\nfrom typing import Final\n\n'
        f"# {said}\nBIAS: Final = {weights[0]:.5g}\n"
        f"MEANS: Final = (\n{rows(means)}\n)\nSPREADS: Final = (\n{rows(spreads)}\n)\n"
        f"WEIGHTS: Final = (\n{rows(weights[1:])}\n)\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=Path("models/default"))
    parser.add_argument("--count", type=int, default=180)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--out", type=Path, required=True)
    options = parser.parse_args()
    network = Network(options.model)
    values, ground, weight = [], [], []
    for scene in scenes(options.data, options.count, options.seed):
        found = list(regions_of(scene.rgb, network.matte(scene.rgb), scene.alpha))
        for measured, truly, area in found:
            values.append(measured)
            ground.append(truly)
            weight.append(np.sqrt(area / len(found)) * (1 if truly else DEAR))
    share = np.array(weight) / np.mean(weight)
    made = fitted(np.array(values), np.array(ground), share)
    said = (
        f"Fitted on {len(values)} regions of {options.count} rendered scenes (seed {options.seed})."
    )
    options.out.write_text(module(*made, said))
    print(said)


if __name__ == "__main__":
    main()
