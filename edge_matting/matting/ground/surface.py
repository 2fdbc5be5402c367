"""Smooth colours of a ground: a low-order surface, fitted robustly.

A sweep under studio light is one colour times a smooth fall of light; a polynomial of second
degree in the place holds it, as vignettes and gradients are corrected in cameras (Goldman and Chen,
"Vignette and Exposure Calibration and Compensation", ICCV 2005). Trimmed least squares (Rousseeuw,
"Least Median of Squares Regression", 1984) keeps what lies on the ground out of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

Planes: TypeAlias = npt.NDArray[np.float32]
Places: TypeAlias = npt.NDArray[np.float32]
Mask: TypeAlias = npt.NDArray[np.bool_]

_ROUNDS: Final = 4
_LEAST_SAMPLES: Final = 24
_RIDGE: Final = 1e-3  # keeps a surface flat where samples say nothing of its slope
_ORDERS: Final = {0: 1, 1: 3, 2: 6}


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """Colour by place: ``coefficients`` is 1, 3 or 6 x 3, for 1, u, v, uu, uv, vv."""

    coefficients: npt.NDArray[np.float64]

    def at(self, places: Places) -> Planes:
        """Colours, n x 3, at ``places`` (n x 2: across and down, each in [-1, 1])."""
        terms = _terms(places, len(self.coefficients))
        colours: Planes = (terms @ self.coefficients).astype(np.float32)
        return colours

    def over(self, shape: tuple[int, int]) -> Planes:
        """Colours at each of h x w cells, h x w x 3."""
        height, width = shape
        v, u = (_centres(side) for side in (height, width))
        weights = np.zeros((6, 3))
        weights[: len(self.coefficients)] = self.coefficients
        across = np.stack([np.ones_like(u), u, u * u], 1)
        down = np.stack([np.ones_like(v), v, v * v], 1)
        planes = []
        for one, cu, cv, cuu, cuv, cvv in weights.T:
            mixed = np.array([[one, cu, cuu], [cv, cuv, 0], [cvv, 0, 0]])
            planes.append((down @ mixed @ across.T).astype(np.float32))
        merged: Planes = cv2.merge(planes).reshape(height, width, 3)
        return merged


def fitted(places: Places, colours: Planes, order: int = 2) -> Surface:
    """The surface of most of the samples: ``places`` n x 2 in [-1, 1], ``colours`` n x 3."""
    kept = np.ones(len(places), np.bool_)
    terms = _terms(places, _ORDERS[order])
    surface = Surface(_solved(terms, colours))
    for _ in range(_ROUNDS):
        away = np.abs(colours - (terms @ surface.coefficients)).max(axis=1)
        limit = max(1.0, 2.5 * float(np.median(away[kept])))
        kept = away <= limit
        if kept.sum() < _LEAST_SAMPLES:
            break
        surface = Surface(_solved(terms[kept], colours[kept]))
    return surface


def places_of(
    rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp], shape: tuple[int, int]
) -> Places:
    """Places, n x 2 in [-1, 1], of cells of an h x w grid."""
    v, u = _centres(shape[0])[rows], _centres(shape[1])[columns]
    return np.stack([u, v], axis=1).astype(np.float32)


def _centres(side: int) -> Places:
    return np.asarray((np.arange(side, dtype=np.float32) + 0.5) * (2 / side) - 1, np.float32)


def _terms(places: Places, count: int) -> npt.NDArray[np.float64]:
    u, v = places[:, 0].astype(np.float64), places[:, 1].astype(np.float64)
    terms = [np.ones_like(u), u, v, u * u, u * v, v * v]
    return np.stack(terms[:count], axis=1)


def _solved(terms: npt.NDArray[np.float64], colours: Planes) -> npt.NDArray[np.float64]:
    ridge = np.full(terms.shape[1], _RIDGE * len(terms))
    ridge[0] = 0.0
    normal = terms.T @ terms + np.diag(ridge)
    solved: npt.NDArray[np.float64] = np.linalg.solve(normal, terms.T @ colours.astype(np.float64))
    return solved


def length(planes: Planes) -> npt.NDArray[np.float32]:
    """Length of each cell's three values, h x w. NumPy is ten times slower along a last axis."""
    total: Any = cv2.transform(cv2.multiply(planes, planes), np.ones((1, 3), np.float32))
    return np.asarray(cv2.sqrt(total), np.float32).reshape(planes.shape[:2])
