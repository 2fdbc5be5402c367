"""The quality gate: what a matte measures, what error that predicts, and its verdict.

Two logistic models, calibrated by tools/gate/calibrate.py on photos with known mattes, give the
chance that the matte is wrong (IoU with the true one below 0.9). The first needs the photo and its
matte only. Where it is in doubt, the model looks a second time, and how far both mattes differ
decides with the rest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import cv2
import numpy as np

from edge_matting.core.arrays import Alpha, Rgb, check_alpha, check_rgb
from edge_matting.core.jobs import Quality
from edge_matting.matting.quality_gate.features import Look, Reduced, apart, looked_again, measure
from edge_matting.matting.quality_gate.place import doubted_box
from edge_matting.matting.quality_gate.weights import DOUBT, FIRST, LIMIT, SECOND, Weights

NO_SUBJECT: Final = "no_subject"

REASONS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "uncertain": ("softness", "blur", "solid", "unsure_inside", "unsure_outside"),
        "fragments": ("fragments",),
        "holes": ("holes",),
        "border_contact": ("border_contact", "border_doubt"),
        "weak_edges": ("edge_gain", "weak_edges", "contrast"),
        "unusual_size": ("coverage",),
        "unstable": ("disagreement",),
    }
)
"""What a doubted matte's sidecar says, and the measurements behind each word."""

KEYED_ODDS: Final = 0.25
"""Of a matte keyed without doubt, of those of another of the same measurements: docs/grounds.md."""
_LEAST_COVERAGE: Final = 0.003
_LEAST_PEAK: Final = 0.5
_WIDEST: Final = 3.0  # deviations beyond which a measurement says no more
_FLOOR: Final = 0.01  # added before a share's logarithm is taken
_WORTH_SAYING: Final = 0.5  # of the strongest reason


def assess(
    rgb: Rgb,
    alpha: Alpha,
    look: Look | None = None,
    *,
    small: tuple[Rgb, Alpha] | None = None,
    doubts: tuple[str, ...] = (),
    known_ground: bool = False,
) -> Quality:
    """Measure ``alpha`` (H x W float32 in [0, 1]) of ``rgb`` (H x W x 3) and say ``ok`` or
    ``review``.

    ``look`` makes another matte of a part of the photo; it is asked at most once, and only when
    the first measurements leave doubt. ``small`` are photo and matte ``halved``, where the caller
    has them: they save looking through the large ones. ``doubts`` are reasons for review that were
    found before; a matte keyed from a ``known_ground`` without such doubts is trusted more.
    """
    check_rgb(rgb)
    check_alpha(alpha)
    coverage = float(cv2.mean(alpha)[0])  # summed in double precision
    if coverage < _LEAST_COVERAGE or float(alpha.max()) < _LEAST_PEAK:
        return _quality(alpha, coverage, (NO_SUBJECT,), None)
    reduced = Reduced.of(*(small or (rgb, alpha)))
    values, weights = measure(reduced).values(), FIRST
    error, other = predicted_error(values, weights), None
    if look is not None and DOUBT[0] < error < DOUBT[1]:
        other = looked_again(rgb, reduced, look)
        values["disagreement"] = apart(reduced.alpha, other)
        weights = SECOND
        error = predicted_error(values, weights)
    if known_ground and not doubts:
        error = less_likely(error)
    if error <= LIMIT and not doubts:
        return _quality(alpha, coverage, (), error)
    why = reasons(values, weights) if error > LIMIT else ()
    quality = _quality(alpha, coverage, (*doubts, *why), error)
    return replace(quality, doubted=doubted_box(reduced.alpha, other))


def less_likely(error: float) -> float:
    """``error`` of a matte that was keyed from a known ground, by which it is wrong less often."""
    odds = error / max(1 - error, 1e-9) * KEYED_ODDS
    return odds / (1 + odds)


def predicted_error(values: Mapping[str, float], weights: Weights) -> float:
    """Chance that the matte's IoU with the true one is below 0.9, 0 to 1."""
    total = weights.bias + sum(_shares(values, weights).values())
    return 1 / (1 + math.exp(-total))


def reasons(values: Mapping[str, float], weights: Weights) -> tuple[str, ...]:
    """The words for what speaks most against a matte, the strongest first; never empty."""
    shares = _shares(values, weights)
    words = {word: sum(shares.get(name, 0.0) for name in names) for word, names in REASONS.items()}
    ranked = sorted(words, key=lambda word: -words[word])
    return tuple(
        word for word in ranked if words[word] >= max(_WORTH_SAYING * words[ranked[0]], 0.0)
    )


def _shares(values: Mapping[str, float], weights: Weights) -> dict[str, float]:
    """What each measurement adds to the logit, against that of a good matte."""
    return {
        name: weight * min(_WIDEST, max(-_WIDEST, (scaled(name, values[name]) - usual) / spread))
        for name, usual, spread, weight in weights.terms
    }


def scaled(name: str, value: float) -> float:
    """A measurement as the models take it: shares by their logarithm."""
    return value if name in _AS_IT_IS else math.log(value + _FLOOR)


_AS_IT_IS: Final = frozenset({"solid", "edge_gain", "contrast", "coverage"})


def _quality(alpha: Alpha, coverage: float, why: tuple[str, ...], error: float | None) -> Quality:
    uncertain = np.count_nonzero((alpha > 0.05) & (alpha < 0.95)) / alpha.size
    return Quality(
        verdict="review" if why else "ok",
        reasons=why,
        coverage=coverage,
        uncertain_fraction=float(uncertain),
        border_contact=_border_contact(alpha),
        predicted_error=None if error is None else round(error, 4),
    )


def _border_contact(alpha: Alpha) -> float:
    border = np.concatenate([alpha[0], alpha[-1], alpha[1:-1, 0], alpha[1:-1, -1]])
    return float(np.count_nonzero(border > 0.5) / border.size)
