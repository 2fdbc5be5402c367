"""Every output of a recipe from one alpha matte.

The order of the steps is in ``matting.postprocess``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from edge_matting.config import OutputSpec, Recipe
from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.core.jobs import EncodedOutput
from edge_matting.core.output_kinds import output_kind
from edge_matting.core.references import load_reference
from edge_matting.imaging import Photo, encode, output_exif, to_srgb
from edge_matting.matting import (
    Box,
    CutoutRows,
    Frame,
    Shadow,
    background_cast,
    cropped,
    despilled,
    estimate_foreground,
    finish_matte,
    fitted,
    framed,
    natural_shadow,
    subject_box,
)
from edge_matting.matting.ground import KnownGround
from edge_matting.pipeline.backdrops import make_backdrop, make_shadow

Pixels = npt.NDArray[Any]

Parts: TypeAlias = Mapping[str, Any]
"""The finished parts of a photo that output kinds ask for, by name (``core.output_kinds``)."""

_AT_PHOTO_SIZE: Final = frozenset({"photo", "matte"})


def render_outputs(
    photo: Photo, alpha: Alpha, recipe: Recipe, ground: KnownGround | None = None
) -> tuple[EncodedOutput, ...]:
    """Encode each output that the recipe lists.

    ``alpha`` is H x W float32 in [0, 1] at the photo's full, upright size; ``ground`` is what is
    known of what lies behind. Raises ``Unsupported`` where a format cannot hold an output,
    ``SourceUnreadable`` for a background picture.
    """
    rgb, icc = photo.rgb, photo.icc
    if recipe.colour == "srgb":
        rgb, icc = to_srgb(rgb, icc), None
    if ground is not None and rgb is not photo.rgb:
        ground = ground.recoloured()
    parts = _parts(rgb, alpha, recipe, icc, ground)
    exif = output_exif(photo.exif, recipe.metadata)
    dpi = _resolution(photo, recipe)
    return tuple(_encoded(parts, spec, icc, exif, dpi) for spec in recipe.outputs)


def _encoded(
    parts: Parts,
    spec: OutputSpec,
    icc: bytes | None,
    exif: bytes | None,
    dpi: tuple[float, float] | None,
) -> EncodedOutput:
    made = make_output(parts, spec)
    if isinstance(made, bytes):
        return EncodedOutput(spec.kind, spec.format, made)
    data = encode(
        made,
        spec.format,
        quality=spec.quality,
        effort=spec.effort,
        compact=spec.compact,
        premultiplied=spec.premultiplied,
        # A profile describes colours; a grey matte or trimap has none.
        icc=icc if len(made.shape) == 3 else None,
        exif=exif,
        dpi=dpi,
    )
    return EncodedOutput(spec.kind, spec.format, data)


def make_output(parts: Parts, spec: OutputSpec) -> Pixels | CutoutRows | bytes:
    """The pixels of one output at the depth it asks for, or the bytes of its file."""
    kind = output_kind(spec.kind)
    given = {name: parts[name] for name in kind.needs}
    if "foreground" in given:
        given["foreground"] = _at_depth(given["foreground"], spec)
    settings = {name: getattr(spec, name) for name in kind.settings}
    made: Pixels | CutoutRows | bytes = load_reference(kind.make)(**given, **settings)
    return made


def _parts(
    rgb: Rgb, alpha: Alpha, recipe: Recipe, icc: bytes | None, ground: KnownGround | None
) -> Parts:
    """The parts that the recipe's outputs need; those at the outputs' size are framed."""
    needed = {name for spec in recipe.outputs for name in output_kind(spec.kind).needs}
    alpha = finish_matte(
        alpha,
        alpha_threshold=recipe.alpha_threshold,
        erode=recipe.erode,
        feather=recipe.feather,
    )
    parts: dict[str, Any] = {"photo": rgb, "matte": alpha}
    if needed <= _AT_PHOTO_SIZE:
        return parts
    front = _foreground(rgb, alpha, recipe, ground) if "foreground" in needed else rgb
    frame = choose_frame(alpha, recipe)
    if "backdrop" in needed:
        parts["backdrop"] = make_backdrop(recipe.background, rgb, alpha, frame, icc)
    parts["foreground"], parts["alpha"] = framed(front, alpha, frame)
    parts["natural_shadow"] = _own_shadow(alpha, recipe, needed, ground, frame)
    if "shadow" in needed:
        parts["shadow"] = make_shadow(recipe, parts["alpha"], icc, parts["natural_shadow"])
    return parts


def _own_shadow(
    alpha: Alpha, recipe: Recipe, needed: set[str], ground: KnownGround | None, frame: Frame
) -> Shadow | None:
    """The photo's own shadow, where an output shows it and the ground is known."""
    laid_under = "shadow" in needed and recipe.shadow is not None and recipe.shadow.natural
    if ground is None or not (laid_under or "natural_shadow" in needed):
        return None
    return natural_shadow(ground.shadow, (alpha.shape[1], alpha.shape[0]), frame)


def _foreground(rgb: Rgb, alpha: Alpha, recipe: Recipe, ground: KnownGround | None) -> Rgb:
    front = rgb
    if recipe.foreground:
        front = estimate_foreground(rgb, alpha, None if ground is None else ground.behind)
        if ground is not None:
            front = ground.without_spill(front, alpha)
    if recipe.despill == "none":
        return front
    cast = background_cast(rgb, alpha) if recipe.despill == "auto" else recipe.despill
    return front if cast is None else despilled(front, alpha, cast)


def choose_frame(alpha: Alpha, recipe: Recipe) -> Frame:
    """What the outputs show of a photo whose finished matte is ``alpha``, and at what size.

    Without a subject there is nothing to crop to: the whole photo is shown.
    """
    photo = (alpha.shape[1], alpha.shape[0])
    canvas = None if recipe.canvas is None else recipe.canvas.pixels
    box = Box(0, 0, *photo)
    subject = None if recipe.crop is None else subject_box(alpha)
    if recipe.crop is not None and subject is not None:
        proportion = recipe.crop.proportion
        if proportion is None and canvas is not None:
            proportion = canvas[0] / canvas[1]
        box = cropped(subject, photo, margin=recipe.crop.margin, proportion=proportion)
    return fitted(box, photo, canvas)


def _resolution(photo: Photo, recipe: Recipe) -> tuple[float, float] | None:
    if recipe.canvas is not None and recipe.canvas.dpi is not None:
        return recipe.canvas.dpi, recipe.canvas.dpi
    return photo.dpi if recipe.metadata != "none" else None


def _at_depth(rgb: Rgb, spec: OutputSpec) -> Rgb:
    if spec.bits == 16 and rgb.dtype == np.uint8:
        wide: Rgb = rgb.astype(np.uint16) * np.uint16(257)
        return wide
    if spec.bits == 8 and rgb.dtype == np.uint16:
        narrow: Rgb = ((rgb.astype(np.uint32) + 128) // 257).astype(np.uint8)
        return narrow
    return rgb
