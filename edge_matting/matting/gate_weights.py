"""The quality gate's calibration. Written by tools/calibrate_gate.py; not to be edited by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Weights:
    """A logistic model: name, value of a good matte, spread and weight of each measurement."""

    bias: float
    terms: tuple[tuple[str, float, float, float], ...]


# Calibrated on 1333 mattes of 240 photos by `python -m
# tools.calibrate_gate`: sets, models and figures are in docs/finishing.md.
LIMIT: Final = 0.7392
DOUBT: Final = (0.3284, 0.8374)
FIRST: Final = Weights(
    -2.3268,
    (
        ("softness", -1.817, 0.8641, 2.732),
        ("blur", 1.3414, 0.90145, -0.18265),
        ("solid", 0.87364, 0.27463, -0.61868),
        ("unsure_inside", -4.0237, 1.0065, -0.32691),
        ("unsure_outside", -4.0612, 1.5871, 0.57514),
        ("fragments", -4.5495, 0.96859, 0.38626),
        ("holes", -4.4321, 0.58334, 0.090654),
        ("border_contact", -3.7212, 1.2664, 0.64829),
        ("border_doubt", -3.6332, 1.3206, -0.46992),
        ("edge_gain", 1.3075, 0.60769, 0.24998),
        ("weak_edges", -3.3667, 1.1584, 0.22523),
        ("contrast", 4.7526, 0.57442, -0.36166),
        ("coverage", 0.28925, 0.1495, 0.41554),
    ),
)
SECOND: Final = Weights(
    -2.7237,
    (
        ("softness", -1.817, 0.8641, 1.7783),
        ("blur", 1.3414, 0.90145, -0.37153),
        ("solid", 0.87364, 0.27463, -0.6246),
        ("unsure_inside", -4.0237, 1.0065, -0.46425),
        ("unsure_outside", -4.0612, 1.5871, 0.54575),
        ("fragments", -4.5495, 0.96859, 0.32788),
        ("holes", -4.4321, 0.58334, 0.074829),
        ("border_contact", -3.7212, 1.2664, 0.51049),
        ("border_doubt", -3.6332, 1.3206, -0.37788),
        ("edge_gain", 1.3075, 0.60769, 0.2712),
        ("weak_edges", -3.3667, 1.1584, 0.16037),
        ("contrast", 4.7526, 0.57442, -0.39394),
        ("coverage", 0.28925, 0.1495, 0.62175),
        ("disagreement", -2.9579, 0.92719, 1.6158),
    ),
)
