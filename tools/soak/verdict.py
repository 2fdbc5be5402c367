"""Whether a soak's readings grow: a slope test for each, over the lives of each process.

A reading of a process is compared with the photos done since, *within* each life of that process:
a restart resets memory and is no gain of the appliance's. All lives share one slope, each has a
level of its own (the fixed-effects estimator; its standard error treats neighbouring samples as
independent, and so errs towards finding growth).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

WARM_UP_PHOTOS = 500
"""Memory pools and caches fill in the first photos of a life; that is no leak."""

LEAST_SAMPLES = 8


@dataclass(frozen=True, slots=True)
class Sample:
    """What was read at one moment; ``readings`` by name, of the life that ``lives`` names."""

    seconds: float
    photos: int  # finished since the start of the soak
    readings: dict[str, float]
    lives: dict[str, int] = field(default_factory=dict)  # process -> its pid


@dataclass(frozen=True, slots=True)
class Rule:
    """A reading may grow by at most ``limit`` for each thousand photos."""

    reading: str
    unit: str
    limit: float
    process: str | None = None  # whose lives count; None: one life throughout
    relative: bool = False  # limit and slope are shares of the reading's mean


RULES = (
    Rule("daemon memory", "MB", 1.0, "daemon"),
    Rule("engine memory", "MB", 1.0, "engine"),
    Rule("daemon descriptors", "", 0.2, "daemon"),
    Rule("engine descriptors", "", 0.2, "engine"),
    Rule("daemon threads", "", 0.2, "daemon"),
    Rule("engine threads", "", 0.2, "engine"),
    Rule("ledger", "MB", 3.0),
    Rule("photo latency over reference", "of its mean", 0.01, relative=True),
    Rule("page latency over reference", "of its mean", 0.01, relative=True),
)
"""0.2 descriptors a thousand photos would be four in twenty thousand; 0.01 of the mean would make
a photo a fifth slower after twenty thousand. The ledger grows, for it keeps a row a photo."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule's outcome."""

    rule: Rule
    slope: float  # per thousand photos
    error: float  # standard error of the slope
    samples: int
    lives: int

    @property
    def grows(self) -> bool:
        """Past its limit, and by more than chance explains."""
        return self.slope > self.rule.limit and self.slope - 2 * self.error > 0

    @property
    def judged(self) -> bool:
        return self.samples >= LEAST_SAMPLES

    def __str__(self) -> str:
        word = "GROWS" if self.grows else "holds" if self.judged else "TOO FEW SAMPLES"
        rule = self.rule
        return (
            f"{word:5}  {rule.reading}: {self.slope:+.4f} ± {2 * self.error:.4f} {rule.unit} per "
            f"1000 photos (limit {rule.limit:g}; {self.samples} samples, {self.lives} lives)"
        )


def at_work(samples: Sequence[Sample]) -> list[Sample]:
    """Those before the last photo was done: an idle machine answers otherwise than a busy one."""
    return [sample for sample in samples if sample.photos < samples[-1].photos]


def judge(samples: Sequence[Sample], rules: Iterable[Rule] = RULES) -> list[Finding]:
    """One finding for each rule."""
    return [_find(rule, samples) for rule in rules]


def _find(rule: Rule, samples: Sequence[Sample]) -> Finding:
    x: list[float] = []
    y: list[float] = []
    mean_of_all: list[float] = []
    lives = 0
    for life in _lives(rule, samples):
        thousands = np.array([sample.photos / 1000 for sample in life])
        values = np.array([sample.readings[rule.reading] for sample in life])
        x += (thousands - thousands.mean()).tolist()
        y += (values - values.mean()).tolist()
        mean_of_all += values.tolist()
        lives += 1
    slope, error = _slope(np.array(x), np.array(y), lives)
    scale = float(np.mean(mean_of_all)) if rule.relative and mean_of_all else 1.0
    return Finding(rule, slope / scale, error / scale, len(x), lives)


def _lives(rule: Rule, samples: Sequence[Sample]) -> Iterable[list[Sample]]:
    """Warm stretches of samples with the reading, one for each life."""

    def life_of(sample: Sample) -> int | None:
        return 0 if rule.process is None else sample.lives.get(rule.process)

    for pid, group in groupby(samples, life_of):
        if pid is None:
            continue
        life = list(group)
        warm = [
            sample
            for sample in life
            if sample.photos - life[0].photos >= WARM_UP_PHOTOS and rule.reading in sample.readings
        ]
        if len(warm) >= LEAST_SAMPLES:
            yield warm


def _slope(
    x: np.ndarray[tuple[int], np.dtype[np.float64]],
    y: np.ndarray[tuple[int], np.dtype[np.float64]],
    lives: int,
) -> tuple[float, float]:
    spread = float((x * x).sum())
    freedom = len(x) - lives - 1
    if spread == 0 or freedom <= 0:
        return 0.0, math.inf
    slope = float((x * y).sum()) / spread
    residual = y - slope * x
    return slope, math.sqrt(float((residual * residual).sum()) / freedom / spread)
