"""The quality gate's calibration. Written by tools/calibrate_gate.py; not to be edited by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Weights:
    """A logistic model: name, value of a good matte, spread and weight of each measurement."""

    bias: float
    terms: tuple[tuple[str, float, float, float], ...]


# Calibrated on 1393 mattes of 240 photos by `python -m
# tools.calibrate_gate`: sets, models and figures are in docs/finishing.md.
LIMIT: Final = 0.6941
DOUBT: Final = (0.2218, 0.7947)
FIRST: Final = Weights(
    -2.3999,
    (
        ("softness", -1.8338, 0.77369, 2.4107),
        ("blur", 1.3175, 0.8742, -0.096377),
        ("solid", 0.87729, 0.23263, -0.32934),
        ("unsure_inside", -3.9645, 0.96209, -0.12151),
        ("unsure_outside", -4.041, 1.3968, 0.29542),
        ("fragments", -4.545, 0.89972, 0.34644),
        ("holes", -4.455, 0.56222, 0.25734),
        ("border_contact", -3.7213, 1.2714, 0.63963),
        ("border_doubt", -3.5741, 1.3244, -0.43344),
        ("edge_gain", 1.3281, 0.6047, 0.23718),
        ("weak_edges", -3.4144, 1.1716, 0.32526),
        ("contrast", 4.7577, 0.54769, -0.2533),
        ("coverage", 0.29387, 0.14515, 0.11563),
    ),
)
SECOND: Final = Weights(
    -2.7289,
    (
        ("softness", -1.8338, 0.77369, 1.511),
        ("blur", 1.3175, 0.8742, -0.3467),
        ("solid", 0.87729, 0.23263, -0.34254),
        ("unsure_inside", -3.9645, 0.96209, -0.10802),
        ("unsure_outside", -4.041, 1.3968, 0.34117),
        ("fragments", -4.545, 0.89972, 0.30033),
        ("holes", -4.455, 0.56222, 0.24279),
        ("border_contact", -3.7213, 1.2714, 0.49001),
        ("border_doubt", -3.5741, 1.3244, -0.40275),
        ("edge_gain", 1.3281, 0.6047, 0.24698),
        ("weak_edges", -3.4144, 1.1716, 0.27559),
        ("contrast", 4.7577, 0.54769, -0.24526),
        ("coverage", 0.29387, 0.14515, 0.34183),
        ("disagreement", -2.9753, 0.84318, 1.4498),
    ),
)
