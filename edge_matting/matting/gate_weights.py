"""The quality gate's calibration. Written by tools/calibrate_gate.py; not to be edited by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Weights:
    """A logistic model: name, value of a good matte, spread and weight of each measurement."""

    bias: float
    terms: tuple[tuple[str, float, float, float], ...]


# Calibrated on 1318 mattes of 240 photos by `python -m
# tools.calibrate_gate`: sets, models and figures are in docs/finishing.md.
LIMIT: Final = 0.6820
DOUBT: Final = (0.3564, 0.7860)
FIRST: Final = Weights(
    -2.453,
    (
        ("softness", -1.8467, 0.84253, 2.8357),
        ("blur", 1.3117, 0.88626, -0.10747),
        ("solid", 0.87549, 0.26054, -0.26132),
        ("unsure_inside", -4.0911, 1.0224, -0.30245),
        ("unsure_outside", -4.1365, 1.5717, 0.37341),
        ("fragments", -4.5454, 0.93731, 0.3526),
        ("holes", -4.4424, 0.57103, 0.17573),
        ("border_contact", -3.7333, 1.2891, 0.74753),
        ("border_doubt", -3.6758, 1.3253, -0.37005),
        ("edge_gain", 1.3004, 0.6011, 0.28858),
        ("weak_edges", -3.3766, 1.1626, 0.25861),
        ("contrast", 4.7596, 0.54597, -0.35486),
        ("coverage", 0.29026, 0.15036, 0.3287),
    ),
)
SECOND: Final = Weights(
    -2.8832,
    (
        ("softness", -1.8467, 0.84253, 1.6804),
        ("blur", 1.3117, 0.88626, -0.21027),
        ("solid", 0.87549, 0.26054, -0.42609),
        ("unsure_inside", -4.0911, 1.0224, -0.49659),
        ("unsure_outside", -4.1365, 1.5717, 0.34308),
        ("fragments", -4.5454, 0.93731, 0.3358),
        ("holes", -4.4424, 0.57103, 0.17783),
        ("border_contact", -3.7333, 1.2891, 0.63621),
        ("border_doubt", -3.6758, 1.3253, -0.28412),
        ("edge_gain", 1.3004, 0.6011, 0.28142),
        ("weak_edges", -3.3766, 1.1626, 0.20127),
        ("contrast", 4.7596, 0.54597, -0.35799),
        ("coverage", 0.29026, 0.15036, 0.49165),
        ("disagreement", -3.032, 0.93124, 1.6877),
    ),
)
