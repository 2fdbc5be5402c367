"""Every output of a recipe from one alpha matte."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy.typing as npt

from edge_matting.config import Recipe
from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.imaging import Photo, before_after, encode, output_exif, to_srgb
from edge_matting.matting import (
    composite,
    cutout,
    estimate_foreground,
    parse_colour,
    quantised,
    trimap,
)
from edge_matting.publish import EncodedOutput

Pixels = npt.NDArray[Any]


def render_outputs(photo: Photo, alpha: Alpha, recipe: Recipe) -> tuple[EncodedOutput, ...]:
    """Encode each output that the recipe lists.

    ``alpha`` is H x W float32 in [0, 1] at the photo's full, upright size.
    """
    rgb, icc = photo.rgb, photo.icc
    if recipe.colour == "srgb":
        rgb, icc = to_srgb(rgb, icc), None
    estimated = estimate_foreground(rgb, alpha) if _needs_foreground(recipe) else rgb
    exif = output_exif(photo.exif, recipe.metadata)
    dpi = photo.dpi if recipe.metadata != "none" else None
    files = []
    for spec in recipe.outputs:
        if spec.kind == "preview":
            data = before_after(rgb, alpha)
        else:
            pixels = _PIXELS[spec.kind](estimated, alpha, recipe)
            # A profile describes colours; a grey matte or trimap has none.
            profile = icc if pixels.ndim == 3 else None
            data = encode(
                pixels, spec.format, quality=spec.quality, icc=profile, exif=exif, dpi=dpi
            )
        files.append(EncodedOutput(spec.kind, spec.format, data))
    return tuple(files)


def _needs_foreground(recipe: Recipe) -> bool:
    kinds = {spec.kind for spec in recipe.outputs}
    return recipe.foreground and bool(kinds & {"cutout", "composite", "foreground"})


def _cutout(foreground: Rgb, alpha: Alpha, _recipe: Recipe) -> Pixels:
    return cutout(foreground, alpha)


def _matte(_foreground: Rgb, alpha: Alpha, _recipe: Recipe) -> Pixels:
    return quantised(alpha)


def _composite(foreground: Rgb, alpha: Alpha, recipe: Recipe) -> Pixels:
    return composite(foreground, alpha, parse_colour(recipe.background))


def _trimap(_foreground: Rgb, alpha: Alpha, _recipe: Recipe) -> Pixels:
    return trimap(alpha)


def _foreground(foreground: Rgb, _alpha: Alpha, _recipe: Recipe) -> Pixels:
    return foreground


_PIXELS: dict[str, Callable[[Rgb, Alpha, Recipe], Pixels]] = {
    "cutout": _cutout,
    "alpha": _matte,
    "composite": _composite,
    "trimap": _trimap,
    "foreground": _foreground,
}
