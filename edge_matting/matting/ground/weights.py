"""The weights of the regions' model. Written by tools/grounds/fit.py; not to be edited by hand."""

from __future__ import annotations

from typing import Final

# Fitted on 11693 regions of 220 rendered scenes (seed 1).
BIAS: Final = -5.124
MEANS: Final = (
    1.1941,
    2.3383,
    3.0448,
    1.0897,
    2.5658,
    -3.1217,
    0.079386,
    -9.1407,
    -2.6846,
    0.28094,
    2.1123,
    0.17837,
    0.5357,
    3.4085,
)
SPREADS: Final = (
    1.1413,
    1.1343,
    1.1871,
    0.65121,
    1.0551,
    1.064,
    0.17241,
    1.742,
    1.7493,
    0.44946,
    1.1409,
    0.90499,
    1.0804,
    0.75996,
)
WEIGHTS: Final = (
    1.6814,
    1.0117,
    -3.0124,
    0.046323,
    -0.10613,
    1.1085,
    -0.004136,
    0.29354,
    -1.7581,
    0.28257,
    -0.41337,
    -1.3425,
    -0.14647,
    0.77522,
)
