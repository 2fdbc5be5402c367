"""The quality gate's calibration. Written by tools/gate/calibrate.py; not to be edited by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Weights:
    """A logistic model: name, value of a good matte, spread and weight of each measurement."""

    bias: float
    terms: tuple[tuple[str, float, float, float], ...]


# Calibrated on 1329 mattes of 240 photos by `python -m
# tools.gate.calibrate`: sets, models and figures are in docs/finishing.md.
LIMIT: Final = 0.6136
DOUBT: Final = (0.2826, 0.7796)
FIRST: Final = Weights(
    -2.5501,
    (
        ("softness", -1.8526, 0.81821, 2.6611),
        ("blur", 1.303, 0.86353, 0.086914),
        ("solid", 0.87931, 0.24728, -0.24956),
        ("unsure_inside", -4.1105, 0.98642, -0.17816),
        ("unsure_outside", -4.1275, 1.5134, 0.27831),
        ("fragments", -4.5518, 0.92804, 0.49891),
        ("holes", -4.4387, 0.56376, 0.21524),
        ("border_contact", -3.7245, 1.2871, 0.71855),
        ("border_doubt", -3.6644, 1.3271, -0.48746),
        ("edge_gain", 1.3014, 0.60008, 0.25609),
        ("weak_edges", -3.3683, 1.1637, 0.23224),
        ("contrast", 4.7589, 0.53219, -0.3394),
        ("coverage", 0.29111, 0.14961, 0.26177),
    ),
)
SECOND: Final = Weights(
    -3.042,
    (
        ("softness", -1.8526, 0.81821, 1.4245),
        ("blur", 1.303, 0.86353, -0.036429),
        ("solid", 0.87931, 0.24728, -0.38949),
        ("unsure_inside", -4.1105, 0.98642, -0.37617),
        ("unsure_outside", -4.1275, 1.5134, 0.2615),
        ("fragments", -4.5518, 0.92804, 0.49229),
        ("holes", -4.4387, 0.56376, 0.21101),
        ("border_contact", -3.7245, 1.2871, 0.59522),
        ("border_doubt", -3.6644, 1.3271, -0.42956),
        ("edge_gain", 1.3014, 0.60008, 0.23884),
        ("weak_edges", -3.3683, 1.1637, 0.16768),
        ("contrast", 4.7589, 0.53219, -0.32265),
        ("coverage", 0.29111, 0.14961, 0.46266),
        ("disagreement", -3.043, 0.91232, 1.8838),
    ),
)
