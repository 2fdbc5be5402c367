"""The quality gate's calibration. Written by tools/calibrate_gate.py; not to be edited by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Weights:
    """A logistic model: name, value of a good matte, spread and weight of each measurement."""

    bias: float
    terms: tuple[tuple[str, float, float, float], ...]


# Calibrated on 1310 mattes of 240 photos by `python -m
# tools.calibrate_gate`: sets, models and figures are in docs/finishing.md.
LIMIT: Final = 0.7316
DOUBT: Final = (0.3776, 0.8120)
FIRST: Final = Weights(
    -2.3599,
    (
        ("softness", -1.8845, 0.85012, 2.2224),
        ("blur", 1.2936, 0.87767, -0.21089),
        ("solid", 0.8835, 0.25937, -1.3718),
        ("unsure_inside", -4.1399, 0.97964, -0.25797),
        ("unsure_outside", -4.1923, 1.5634, 0.73807),
        ("fragments", -4.5503, 0.94343, 0.51088),
        ("holes", -4.4403, 0.56682, 0.16839),
        ("border_contact", -3.6753, 1.2917, 0.70592),
        ("border_doubt", -3.6511, 1.3211, -0.57289),
        ("edge_gain", 1.3077, 0.60733, 0.21752),
        ("weak_edges", -3.3644, 1.1697, 0.16985),
        ("contrast", 4.7536, 0.54976, -0.39018),
        ("coverage", 0.29556, 0.15235, 0.46613),
    ),
)
SECOND: Final = Weights(
    -2.6941,
    (
        ("softness", -1.8845, 0.85012, 1.3414),
        ("blur", 1.2936, 0.87767, -0.24531),
        ("solid", 0.8835, 0.25937, -1.3977),
        ("unsure_inside", -4.1399, 0.97964, -0.44643),
        ("unsure_outside", -4.1923, 1.5634, 0.59794),
        ("fragments", -4.5503, 0.94343, 0.48067),
        ("holes", -4.4403, 0.56682, 0.15927),
        ("border_contact", -3.6753, 1.2917, 0.59741),
        ("border_doubt", -3.6511, 1.3211, -0.48536),
        ("edge_gain", 1.3077, 0.60733, 0.23441),
        ("weak_edges", -3.3644, 1.1697, 0.12397),
        ("contrast", 4.7536, 0.54976, -0.39241),
        ("coverage", 0.29556, 0.15235, 0.57476),
        ("disagreement", -3.0327, 0.93327, 1.424),
    ),
)
