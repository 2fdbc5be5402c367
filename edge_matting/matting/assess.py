"""The quality gate's measurements of a matte, and its verdict.

For now only a matte without a subject is doubted; the full gate is an issue of its own.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from edge_matting.core.arrays import Alpha, check_alpha
from edge_matting.core.jobs import Quality

NO_SUBJECT: Final = "no_subject"

_LEAST_COVERAGE: Final = 0.003
_LEAST_PEAK: Final = 0.5


def assess(alpha: Alpha) -> Quality:
    """Measure ``alpha`` (H x W float32 in [0, 1]) and say ``ok`` or ``review``."""
    check_alpha(alpha)
    coverage = float(alpha.mean(dtype=np.float64))
    empty = coverage < _LEAST_COVERAGE or float(alpha.max()) < _LEAST_PEAK
    uncertain = np.count_nonzero((alpha > 0.05) & (alpha < 0.95)) / alpha.size
    return Quality(
        verdict="review" if empty else "ok",
        reasons=(NO_SUBJECT,) if empty else (),
        coverage=coverage,
        uncertain_fraction=float(uncertain),
        border_contact=_border_contact(alpha),
    )


def _border_contact(alpha: Alpha) -> float:
    border = np.concatenate([alpha[0], alpha[-1], alpha[1:-1, 0], alpha[1:-1, -1]])
    return float(np.count_nonzero(border > 0.5) / border.size)
