"""Logistic models of the gate, fitted by Newton's method; see tools/gate/calibrate.py."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_matting.matting.quality_gate.gate import REASONS, predicted_error, scaled
from edge_matting.matting.quality_gate.weights import Weights

Row = dict[str, Any]

WRONG, BAD, GOOD = 0.9, 0.85, 0.95  # IoU: what the chance is of; what must be caught; and spared
RIDGE = 1e-3
# Of the good mattes of the calibration, that stay below the limit. Of photos that the model never
# saw some more lie above it, and they may be 4 %.
SPARED = 0.98
CHANGED = 0.05, 0.95  # quantiles of the first chances at which a second look changed a verdict
MEASUREMENTS = tuple(name for names in REASONS.values() for name in names)
FIRST_LOOK = tuple(name for name in MEASUREMENTS if name != "disagreement")


@dataclass(frozen=True, slots=True)
class Gate:
    """The calibration, with how many mattes it was made from."""

    first: Weights
    second: Weights
    doubt: tuple[float, float]
    limit: float
    mattes: int
    photos: int

    def looks_twice(self, row: Row) -> bool:
        return self.doubt[0] < predicted_error(row, self.first) < self.doubt[1]

    def error(self, row: Row) -> float:
        """As the product predicts it."""
        return predicted_error(row, self.second if self.looks_twice(row) else self.first)


def fit_gate(rows: list[Row]) -> Gate:
    """Calibrate both models, the limit, and the range of doubt.

    A second look is worth its cost where it changes verdicts: nearly all changes lie in the range.
    """
    first, second = (fit_weights(rows, names) for names in (FIRST_LOOK, MEASUREMENTS))
    once, twice = (
        np.array([predicted_error(row, weights) for row in rows]) for weights in (first, second)
    )
    good = np.array([row["iou"] > GOOD for row in rows])
    limit = float(np.quantile(twice[good], SPARED))
    changed = once[(once > limit) != (twice > limit)]
    low, high = (float(bound) for bound in np.quantile(changed, CHANGED))
    return Gate(first, second, (low, high), limit, len(rows), len({row["photo"] for row in rows}))


def fit_weights(rows: list[Row], names: Iterable[str]) -> Weights:
    """A ridge logistic regression of "IoU below 0.9" on standardised measurements."""
    names = tuple(names)
    values = np.array([[scaled(name, row[name]) for name in names] for row in rows])
    good = np.array([row["iou"] > GOOD for row in rows])
    usual, spread = values[good].mean(axis=0), values.std(axis=0) + 1e-9
    inputs = np.clip((values - usual) / spread, -3, 3)
    *weights, bias = _logistic(inputs, _wrong(rows))
    terms = zip(names, usual.tolist(), spread.tolist(), weights, strict=True)
    rounded = tuple(
        (name, float(f"{mean:.5g}"), float(f"{width:.5g}"), float(f"{weight:.5g}"))
        for name, mean, width, weight in terms
    )
    return Weights(float(f"{bias:.5g}"), rounded)


def write_weights(gate: Gate, path: Path) -> None:
    """Replace the constants of the module ``path``; its head stays."""
    head = path.read_text("utf-8").partition("LIMIT:")[0].partition("# Calibrated")[0]
    lines = [
        f"# Calibrated on {gate.mattes} mattes of {gate.photos} photos by `python -m",
        "# tools.gate.calibrate`: sets, models and figures are in docs/finishing.md.",
        f"LIMIT: Final = {gate.limit:.4f}",
        f"DOUBT: Final = ({gate.doubt[0]:.4f}, {gate.doubt[1]:.4f})",
    ]
    for name, weights in (("FIRST", gate.first), ("SECOND", gate.second)):
        lines += [f"{name}: Final = Weights(", f"    {weights.bias},", "    ("]
        lines += [
            f'        ("{term[0]}", {term[1]}, {term[2]}, {term[3]}),' for term in weights.terms
        ]
        lines += ["    ),", ")"]
    path.write_text(head + "\n".join(lines) + "\n", "utf-8")


def _wrong(rows: list[Row]) -> NDArray[np.float64]:
    return np.array([float(row["iou"] < WRONG) for row in rows])


def _logistic(inputs: NDArray[np.float64], wrong: NDArray[np.float64]) -> list[float]:
    """Weights and bias."""
    design = np.column_stack([inputs, np.ones(len(inputs))])
    ridge = RIDGE * np.eye(design.shape[1])
    ridge[-1, -1] = 0
    weights = np.zeros(design.shape[1])
    for _ in range(50):
        chance = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        slope = design.T @ (chance - wrong) / len(wrong) + ridge @ weights
        spread = chance * (1 - chance) / len(wrong)
        weights -= np.linalg.solve((design * spread[:, np.newaxis]).T @ design + ridge, slope)
    return [float(weight) for weight in weights]
