"""Alpha in the unknown band by the matting Laplacian, in tiles.

Levin, Lischinski, Weiss, "A Closed-Form Solution to Natural Image Matting", PAMI 2008: the alpha
that is locally linear in the photo's colours, held by what is known. The Laplacian is never built:
He, Sun, Tang, "Fast Matting Using Large Kernel Matting Laplacian Matrices", CVPR 2010, apply it by
box filters, within a conjugate gradient that starts from the matte at hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.matting.guided import Plane, Windows, channels

Mask: TypeAlias = npt.NDArray[np.bool_]
Area: TypeAlias = tuple[slice, slice]

_RADIUS: Final = 2
_EPSILON: Final = 1e-4  # float32 cannot tell less where colours lie on one line
_KNOWN: Final = np.float32(10.0)  # how firmly known values are held
_UNKNOWN: Final = np.float32(0.05)  # and the matte at hand in the band
_STEPS: Final = 20  # from the matte at hand; twice as many change nothing
_DONE: Final = 1e-6  # of the first residual's square
TILE: Final = 192
HALO: Final = 32  # what tiles share; over twice that they are blended


def solve_band(rgb: Rgb, prior: Alpha, unknown: Mask, *, tile: int = TILE) -> Alpha:
    """``prior`` (h x w float32 in [0, 1]) with its ``unknown`` values (h x w) solved anew.

    ``rgb`` is h x w x 3. Only tiles with unknown values are looked at, so the cost goes with the
    band; where they meet their solutions are blended.
    """
    total = np.zeros(prior.shape, np.float32)
    weight = np.zeros(prior.shape, np.float32)
    for core in _tiles(prior.shape, tile):
        if not unknown[core].any():
            continue
        area, share = _with_halo(core, prior.shape)
        total[area] += share * _solved(rgb[area], prior[area], unknown[area])
        weight[area] += share
    inside = unknown & (weight > 0)
    result: Alpha = prior.copy()
    result[inside] = np.clip(total[inside] / weight[inside], 0.0, 1.0)
    return result


def _tiles(shape: tuple[int, ...], side: int) -> Iterator[Area]:
    for top in range(0, shape[0], side):
        for left in range(0, shape[1], side):
            yield slice(top, min(top + side, shape[0])), slice(left, min(left + side, shape[1]))


def _with_halo(core: Area, shape: tuple[int, ...]) -> tuple[Area, Plane]:
    """The tile with its halo, and its share there: a ramp, but none at the picture's border."""
    (rows, down), (columns, across) = (
        _ramp(part, size) for part, size in zip(core, shape, strict=True)
    )
    return (rows, columns), np.outer(down, across).astype(np.float32)


def _ramp(part: slice, size: int) -> tuple[slice, npt.NDArray[np.float64]]:
    begin, end = max(0, part.start - HALO), min(size, part.stop + HALO)
    at = np.arange(begin, end) + 0.5
    rise = (at - (part.start - HALO)) / (2 * HALO) if part.start > 0 else np.ones(len(at))
    fall = ((part.stop + HALO) - at) / (2 * HALO) if part.stop < size else np.ones(len(at))
    return slice(begin, end), np.clip(np.minimum(rise, fall), 0.0, 1.0)


def _solved(rgb: Rgb, prior: Alpha, unknown: Mask) -> Plane:
    """(L + C) alpha = C prior by conjugate gradient, preconditioned with its diagonal."""
    windows = Windows(channels(rgb), _RADIUS, _EPSILON)
    held = np.where(unknown, _UNKNOWN, _KNOWN)
    diagonal = held + np.float32(1.0)
    alpha: Plane = prior.copy()
    residual = windows.filtered(prior) - prior  # C prior - (L + C) prior
    ahead = residual / diagonal
    direction, energy = ahead, _dot(residual, ahead)
    least = _DONE * energy
    for _ in range(_STEPS):
        if energy <= least:
            break
        image = direction - windows.filtered(direction) + held * direction
        length = np.float32(energy / _dot(direction, image))
        alpha += length * direction
        residual -= length * image
        ahead = residual / diagonal
        before, energy = energy, _dot(residual, ahead)
        direction = ahead + np.float32(energy / before) * direction
    return alpha


def _dot(one: Plane, other: Plane) -> float:
    return float((one * other).sum(dtype=np.float64))
