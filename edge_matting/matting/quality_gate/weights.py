"""The quality gate's calibration. Written by tools/gate/calibrate.py; not to be edited by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Weights:
    """A logistic model: name, value of a good matte, spread and weight of each measurement."""

    bias: float
    terms: tuple[tuple[str, float, float, float], ...]


# Calibrated on 634 mattes of 320 photos by `python -m
# tools.gate.calibrate`: sets, models and figures are in docs/finishing.md.
LIMIT: Final = 0.6116
DOUBT: Final = (0.4865, 0.7125)
FIRST: Final = Weights(
    -2.5451,
    (
        ("softness", -1.9947, 0.67001, 2.1693),
        ("blur", 1.181, 0.6515, -0.45877),
        ("solid", 0.89708, 0.16635, -0.78457),
        ("unsure_inside", -4.0743, 0.8413, -0.24926),
        ("unsure_outside", -4.1374, 0.94141, 0.21368),
        ("fragments", -4.548, 0.72878, 0.17749),
        ("holes", -4.4398, 0.74661, 0.072899),
        ("border_contact", -3.8192, 1.0916, 0.087521),
        ("border_doubt", -3.6549, 1.1725, -0.43557),
        ("edge_gain", 1.6179, 1.3204, 0.80322),
        ("weak_edges", -3.4859, 1.1779, 0.12559),
        ("contrast", 4.8463, 0.46526, -0.41033),
        ("coverage", 0.32785, 0.15608, 0.91346),
    ),
)
SECOND: Final = Weights(
    -2.7632,
    (
        ("softness", -1.9947, 0.67001, 1.4063),
        ("blur", 1.181, 0.6515, -0.63971),
        ("solid", 0.89708, 0.16635, -0.68843),
        ("unsure_inside", -4.0743, 0.8413, -0.24101),
        ("unsure_outside", -4.1374, 0.94141, 0.32264),
        ("fragments", -4.548, 0.72878, 0.17355),
        ("holes", -4.4398, 0.74661, 0.089147),
        ("border_contact", -3.8192, 1.0916, 0.075895),
        ("border_doubt", -3.6549, 1.1725, -0.47491),
        ("edge_gain", 1.6179, 1.3204, 0.78177),
        ("weak_edges", -3.4859, 1.1779, 0.050122),
        ("contrast", 4.8463, 0.46526, -0.42219),
        ("coverage", 0.32785, 0.15608, 1.0791),
        ("disagreement", -3.1945, 0.68924, 1.162),
    ),
)
