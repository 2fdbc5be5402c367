"""The weights of the regions' model. Written by tools/grounds/fit.py; not to be edited by hand."""

from __future__ import annotations

from typing import Final

# Fitted on regions of 180 rendered scenes (seed 1) by `python -m tools.grounds.fit`.
BIAS: Final = -3.6079
MEANS: Final = (
    1.8041,
    2.9393,
    2.7995,
    1.2991,
    2.5331,
    -2.7434,
    0.13431,
    -8.6757,
    -1.9923,
    0.44896,
    1.8556,
    0.63828,
    1.0268,
    3.6033,
)
SPREADS: Final = (
    1.0869,
    1.0525,
    1.4945,
    0.70243,
    1.2125,
    1.1919,
    0.20944,
    2.006,
    1.8791,
    0.49739,
    1.4245,
    0.97548,
    1.3389,
    0.86674,
)
WEIGHTS: Final = (
    0.12853,
    1.7218,
    -3.7181,
    0.26282,
    0.66032,
    1.4537,
    -0.17011,
    0.27599,
    -1.8167,
    0.60726,
    -1.3154,
    -1.2013,
    0.35481,
    0.501,
)
