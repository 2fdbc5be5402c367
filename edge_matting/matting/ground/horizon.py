"""Two grounds in one photo: a table before a wall, parted by a straight line, soft or sharp."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from edge_matting.matting.ground.surface import Mask, Places, Planes, Surface, fitted

Line: TypeAlias = tuple[npt.NDArray[np.float32], float]
"""Its normal and its distance from the middle."""

_BUCKETS: Final = 72  # stretches of the border that are compared
_LEAST: Final = 6  # of them, a ground must hold
_PROFILE: Final = 96  # steps across the line
_APART: Final = 3.0  # CIELAB: closer ones are one ground


@dataclass(frozen=True, slots=True, eq=False)
class Horizon:
    """Two surfaces and how the one passes into the other across a line."""

    first: Surface
    second: Surface
    normal: npt.NDArray[np.float32]  # 2, of the line, in places
    offset: float
    profile: npt.NDArray[np.float32]  # share of the second by the distance, _PROFILE values

    def at(self, places: Places) -> Planes:
        """Colours, n x 3, at ``places`` (n x 2 in [-1, 1])."""
        share = self._share(places @ self.normal - self.offset)[:, None]
        return self.first.at(places) * (1 - share) + self.second.at(places) * share

    def over(self, shape: tuple[int, int]) -> Planes:
        """Colours at each of h x w cells, h x w x 3."""
        height, width = shape
        v = (np.arange(height, dtype=np.float32) + 0.5) * 2 / height - 1
        u = (np.arange(width, dtype=np.float32) + 0.5) * 2 / width - 1
        away = v[:, None] * self.normal[1] + (u * self.normal[0] - self.offset)[None, :]
        share = self._share(away.ravel()).reshape(height, width, 1)
        mixed: Planes = self.first.over(shape) * (1 - share) + self.second.over(shape) * share
        return mixed.astype(np.float32)

    def _share(self, away: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        at = np.clip((away + 1) * (_PROFILE - 1) / 2, 0, _PROFILE - 1)
        share: npt.NDArray[np.float32] = np.interp(at, np.arange(_PROFILE), self.profile).astype(
            np.float32
        )
        return share

    def again(self, places: Places, colours: Planes) -> Horizon:
        """The same line with surfaces and profile fitted to more samples."""
        away = places @ self.normal - self.offset
        share = self._share(away)
        parts = [
            fitted(places[part], colours[part]) if part.sum() > 60 else old
            for part, old in ((share < 0.05, self.first), (share > 0.95, self.second))
        ]
        return _with_profile(parts[0], parts[1], (self.normal, self.offset), places, colours)


def two_grounds(places: Places, colours: Planes) -> Horizon | None:
    """Two grounds whose border, in order around the photo, changes twice; None where it does not.

    ``places`` n x 2 and ``colours`` n x 3 go around the photo.
    """
    edges = np.linspace(0, len(places), _BUCKETS + 1).astype(np.intp)
    sums = np.array(
        [colours[a:b].mean(0) if b > a else colours[a - 1] for a, b in pairwise(edges.tolist())]
    )
    split = _best_arc(sums)
    if split is None:
        return None
    begin, end = split
    inside = np.zeros(len(places), np.bool_)
    inside[edges[begin] : edges[end]] = True
    first, second = (
        fitted(places[~inside], colours[~inside]),
        fitted(places[inside], colours[inside]),
    )
    if np.linalg.norm(colours[inside].mean(0) - colours[~inside].mean(0)) < _APART:
        return None
    inside = _nearer(places, colours, first, second)
    if min(inside.sum(), (~inside).sum()) < 48:
        return None
    first, second = (
        fitted(places[~inside], colours[~inside]),
        fitted(places[inside], colours[inside]),
    )
    return _with_profile(first, second, _line(places, inside), places, colours)


def _best_arc(means: npt.NDArray[np.float32]) -> tuple[int, int] | None:
    """The arc begin..end of buckets (n x 3) whose colour differs most from the rest's."""
    count = len(means)
    total = np.concatenate([np.zeros((1, 3)), np.cumsum(means, axis=0)])
    begin, end = np.triu_indices(count + 1, _LEAST)
    size = end - begin
    fits = size <= count - _LEAST
    begin, end, size = begin[fits], end[fits], size[fits]
    if not len(begin):
        return None
    inner = total[end] - total[begin]
    outer = total[-1] - inner
    gain = (inner**2).sum(1) / size + (outer**2).sum(1) / (count - size)
    best = int(gain.argmax())
    return int(begin[best]), int(end[best])


def _nearer(places: Places, colours: Planes, first: Surface, second: Surface) -> Mask:
    one = np.linalg.norm(colours - first.at(places), axis=1)
    other = np.linalg.norm(colours - second.at(places), axis=1)
    return np.asarray(other < one, np.bool_)


def _line(places: Places, inside: Mask) -> Line:
    """The line through the two places where the border (in order) passes into the second ground."""
    begin, end = _longest_arc(inside)
    count = len(places)
    ends = [(places[at % count] + places[at - 1]) / 2 for at in (begin, end)]
    along = ends[1] - ends[0]
    normal = np.array([along[1], -along[0]]) / max(float(np.hypot(*along)), 1e-6)
    offset = float(normal @ ends[0])
    if float((places[inside] @ normal).mean()) < offset:
        normal, offset = -normal, -offset
    return normal.astype(np.float32), offset


def _longest_arc(inside: Mask) -> tuple[int, int]:
    """begin..end of the arc that agrees best with ``inside``: the greatest partial sum."""
    total = np.concatenate([[0], np.cumsum(np.where(inside, 1, -1))])
    least = np.minimum.accumulate(total)
    end = int((total - least).argmax())
    return int(total[: end + 1].argmin()), end


def _with_profile(
    first: Surface,
    second: Surface,
    line: Line,
    places: Places,
    colours: Planes,
) -> Horizon:
    """How the first ground passes into the second: medians of the mixture by the distance."""
    normal, offset = line
    one, other = first.at(places), second.at(places)
    along = other - one
    share = ((colours - one) * along).sum(1) / np.maximum((along**2).sum(1), 1e-3)
    away = np.clip((places @ normal - offset + 1) * (_PROFILE - 1) / 2, 0, _PROFILE - 1)
    bucket = np.rint(away).astype(np.intp)
    steps = np.arange(_PROFILE)
    known = np.unique(bucket)
    levels = np.array([np.median(share[bucket == step]) for step in known])
    profile = np.maximum.accumulate(np.interp(steps, known, np.clip(levels, 0, 1)))
    profile[profile < 0.04] = 0
    profile[profile > 0.96] = 1
    return Horizon(first, second, normal, offset, profile.astype(np.float32))
