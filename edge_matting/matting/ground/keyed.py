"""The story of a known ground: found, keyed, fused with the network's matte, and used for colours.

::

    find      the border says whether the ground is plain; a screen or a plate is told by the recipe
    key       how far each cell lies from it, by its own noise
    decide    region by region, with the network
    solve     alpha in the band between the decided, first at working size, then at full size

Work is done on at most 640 cells a side (as ``refine`` does) and in the band alone at full size:
memory is 60 bytes a cell and 40 a pixel of one tile (128 x 1024), whatever the photo's size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import cv2
import numpy as np

from edge_matting.core.arrays import Alpha, Rgb, check_alpha, check_rgb
from edge_matting.core.jobs import GroundFound
from edge_matting.matting.ground.chroma import direction_of, find_screen, see_through
from edge_matting.matting.ground.estimate import (
    WORKING_SIDE,
    Ground,
    Verdict,
    corrected,
    find_ground,
)
from edge_matting.matting.ground.key import Key, key_of
from edge_matting.matting.ground.plate import PlateMisfit, fit_plate
from edge_matting.matting.ground.regions import decided
from edge_matting.matting.ground.shadow import shadow_of
from edge_matting.matting.ground.solve import Colours, colours_of, prior_of, sharpened
from edge_matting.matting.ground.spill import without_spill
from edge_matting.matting.refine import Method, refine
from edge_matting.matting.resize import resample
from edge_matting.matting.tiles import Grid

_AGAIN: Final = 0.01  # share of the photo newly found to be ground, worth a second look


@dataclass(frozen=True, slots=True, eq=False)
class KnownGround:
    """A photo's ground and what follows from it; all planes are h x w cells."""

    found: GroundFound
    prior: Alpha  # the matte at working size
    colours: Colours
    ground: Ground
    key: Key
    converted: bool = False  # the pixels at hand are no longer in the colour space of ``colours``

    @property
    def shadow(self) -> Alpha:
        """Opacity of the photo's own shadow, black, h x w."""
        return shadow_of(self.ground, self.key, self.prior)

    def refined(self, rgb: Rgb, method: Method = "auto") -> Alpha:
        """The matte at the photo's H x W, float32 in [0, 1]."""
        return sharpened(refine(rgb, self.prior, method), rgb, self.prior, self.colours)

    @property
    def behind(self) -> Colours | None:
        """The ground's colours, where they are in the colour space of the pixels at hand."""
        return None if self.converted else self.colours

    def recoloured(self) -> KnownGround:
        """The same for pixels that were converted to another colour space."""
        return replace(self, converted=True)

    def without_spill(self, front: Rgb, alpha: Alpha) -> Rgb:
        """``front`` (H x W x 3) without the screen's light on soft edges; itself without screen."""
        if self.colours.direction is None or self.converted:
            return front
        return without_spill(front, alpha, self.colours)


def plain_ground(rgb: Rgb, matte: Alpha) -> tuple[KnownGround | None, GroundFound]:
    """The ground of ``rgb`` (H x W x 3) where it is plain, else None, and the figures.

    ``matte`` is the network's (h x w float32 in [0, 1]). Where the ground is not plain its border
    is all that was looked at.
    """
    _check(rgb, matte)
    ground, verdict = find_ground(rgb, matte)
    if ground is None:
        return None, _none(verdict)
    known = _known(rgb, matte, ground)
    return known, known.found


def screen(
    rgb: Rgb, matte: Alpha, key: tuple[float, float, float]
) -> tuple[KnownGround | None, GroundFound]:
    """The screen of the colour ``key`` (sRGB in [0, 1]) behind the subject of ``rgb``."""
    _check(rgb, matte)
    direction = direction_of(key)
    ground, verdict = find_screen(rgb, matte, direction)
    if ground is None:
        return None, _none(verdict)
    known = _known(rgb, matte, ground, direction=direction)
    return known, known.found


def plate(rgb: Rgb, matte: Alpha, empty: Rgb) -> tuple[KnownGround | None, GroundFound]:
    """The ground of ``rgb`` as ``empty``, a photo of the same set, shows it (H x W x 3)."""
    _check(rgb, matte)
    try:
        fitted = fit_plate(rgb, matte, empty)
    except PlateMisfit as error:
        none = Verdict(plain=False, plainness=0.0, roughness=0.0)
        return None, replace(_none(none), note=str(error))
    known = _known(rgb, matte, fitted.ground, pixels=fitted.pixels)
    return known, known.found


def _check(rgb: Rgb, matte: Alpha) -> None:
    check_rgb(rgb)
    check_alpha(matte)


def _none(verdict: Verdict) -> GroundFound:
    return GroundFound("none", round(verdict.plainness, 3), round(verdict.roughness, 2))


def _known(
    rgb: Rgb,
    matte: Alpha,
    ground: Ground,
    *,
    direction: Any = None,
    pixels: Rgb | None = None,
) -> KnownGround:
    shape = ground.away.shape
    at_cells = resample(matte, (shape[1], shape[0]))
    key = key_of(ground)
    found = decided(ground, key, at_cells)
    if float((key.like & found.ground & (at_cells > 0.5)).mean()) > _AGAIN:
        seen = ground.colour + ground.away
        like = key.like & found.ground
        ground = corrected(ground.kind, ground.verdict, seen, ground.smooth, like)
        key = key_of(ground)
        found = decided(ground, key, at_cells, found.taken)
    grid = Grid.over(rgb.shape, WORKING_SIDE)
    small, factor = grid.means(rgb), grid.factor
    small = small * np.float32(1 / np.iinfo(rgb.dtype).max)
    back: Any = cv2.cvtColor(ground.colour, cv2.COLOR_Lab2RGB)
    noise = float(ground.grain[0]) / 100
    glass = None if direction is None else see_through(small, at_cells, direction, back)
    colours = colours_of(
        small, found, at_cells, np.clip(back, 0, 1), noise=noise, see_through=glass
    )
    colours = replace(colours, direction=direction, pixels=pixels, factor=factor)
    prior = prior_of(small, found, colours, at_cells)
    facts = GroundFound(
        ground.kind,
        round(ground.verdict.plainness, 3),
        round(float(ground.grain[0]), 2),
        round(found.disagreement, 4),
        round(found.doubt, 4),
    )
    return KnownGround(facts, prior, colours, ground, key)
