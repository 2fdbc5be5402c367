"""Every output of a recipe from one alpha matte.

The order of the steps is told in ``matting.postprocess``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge_matting.config import OutputSpec, Recipe
from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.imaging import (
    Output,
    Photo,
    before_after,
    encode,
    output_metadata,
    to_srgb,
)
from edge_matting.matting import (
    Backdrop,
    Box,
    CutoutRows,
    Frame,
    Shadow,
    background_cast,
    composite,
    cropped,
    cutout,
    despilled,
    estimate_foreground,
    finish_matte,
    fitted,
    framed,
    quantised,
    subject_box,
    trimap,
    with_shadow,
)
from edge_matting.matting.foreground import without_background
from edge_matting.pipeline.backdrops import make_backdrop, make_shadow
from edge_matting.publish import EncodedOutput

Pixels = npt.NDArray[Any]

_EVEN = 2 / 255  # a transparency that changes less is no edge
_COLOURED = frozenset({"cutout", "composite", "foreground"})


def render_outputs(photo: Photo, matte: Alpha, recipe: Recipe) -> tuple[EncodedOutput, ...]:
    """Encode each output that the recipe lists.

    ``matte`` is the model's, H x W float32 in [0, 1] at the photo's full, upright size; the
    transparency that the photo came with is multiplied with it here. Raises ``Unsupported``
    where a format cannot hold an output, ``SourceUnreadable`` for a background picture.
    """
    rgb, icc = photo.rgb, photo.icc
    if recipe.colour == "srgb":
        rgb, icc = to_srgb(rgb, icc), None
    alpha = _finished(matte if photo.alpha is None else matte * photo.alpha, recipe)
    mixture = alpha if photo.alpha is None else _mixture(_finished(matte, recipe), photo.alpha)
    scene = _scene(rgb, alpha, mixture, recipe, icc)
    dpi = _resolution(photo, recipe)
    files = []
    for spec in recipe.outputs:
        if spec.kind == "preview":
            data = before_after(rgb, alpha)
        else:
            pixels = _pixels(scene, spec)
            # A profile describes colours; a grey matte or trimap has none.
            profile = icc if len(pixels.shape) == 3 else None
            about = Output((pixels.shape[1], pixels.shape[0]), profile is None, dpi)
            segments = spec.format == "jpg"
            carried = output_metadata(photo.metadata, recipe.metadata, about, segments=segments)
            data = encode(
                pixels,
                spec.format,
                quality=spec.quality,
                effort=spec.effort,
                compact=spec.compact,
                premultiplied=spec.premultiplied,
                icc=profile,
                metadata=carried,
                dpi=dpi,
            )
        files.append(EncodedOutput(spec.kind, spec.format, data))
    return tuple(files)


def _finished(alpha: Alpha, recipe: Recipe) -> Alpha:
    return finish_matte(
        alpha,
        alpha_threshold=recipe.alpha_threshold,
        erode=recipe.erode,
        feather=recipe.feather,
    )


def _mixture(matte: Alpha, own: Alpha) -> Alpha:
    """How much of each pixel's colour is the subject's, H x W in [0, 1].

    A file's own transparency says nothing of that: its colours are straight already. So the
    model's matte alone counts, and where the file draws an edge of its own, the colours there are
    all the subject's.
    """
    reach = max(3, min(own.shape) // 128) * 2 + 1
    kernel = np.ones((reach, reach), np.uint8)
    changing = cv2.dilate(own, kernel) - cv2.erode(own, kernel) > _EVEN
    return np.where(changing, np.float32(1.0), matte)


@dataclass(frozen=True, slots=True, eq=False)
class _Scene:
    """The finished parts of a photo at the outputs' size."""

    foreground: Rgb
    alpha: Alpha
    backdrop: Backdrop | None
    shadow: Shadow | None


def _scene(rgb: Rgb, alpha: Alpha, mixture: Alpha, recipe: Recipe, icc: bytes | None) -> _Scene:
    kinds = {spec.kind for spec in recipe.outputs}
    front = rgb
    if kinds & _COLOURED:
        front = _foreground(rgb, mixture, recipe)
        if mixture is not alpha:
            front = without_background(front, alpha)
    frame = choose_frame(alpha, recipe)
    backdrop = None
    if "composite" in kinds:
        backdrop = make_backdrop(recipe.background, rgb, alpha, frame, icc)
    front, shown = framed(front, alpha, frame)
    shadow = make_shadow(recipe, shown, icc) if kinds & {"cutout", "composite"} else None
    return _Scene(front, shown, backdrop, shadow)


def _foreground(rgb: Rgb, alpha: Alpha, recipe: Recipe) -> Rgb:
    front = estimate_foreground(rgb, alpha) if recipe.foreground else rgb
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


def _pixels(scene: _Scene, spec: OutputSpec) -> Pixels | CutoutRows:
    """The pixels of one output, H x W, H x W x 3 or H x W x 4, at the depth it asks for."""
    if spec.kind == "alpha":
        return quantised(scene.alpha, np.uint16 if spec.bits == 16 else np.uint8)
    if spec.kind == "trimap":
        return trimap(scene.alpha)
    front, alpha = _at_depth(scene.foreground, spec), scene.alpha
    if spec.kind == "foreground":
        return front
    if spec.kind == "composite":
        assert scene.backdrop is not None
        return composite(front, alpha, scene.backdrop, shadow=scene.shadow)
    if scene.shadow is not None:
        front, alpha = with_shadow(front, alpha, scene.shadow)
    if spec.premultiplied:
        return cutout(front, alpha, premultiplied=True)
    return CutoutRows(front, alpha)


def _at_depth(rgb: Rgb, spec: OutputSpec) -> Rgb:
    if spec.bits == 16 and rgb.dtype == np.uint8:
        wide: Rgb = rgb.astype(np.uint16) * np.uint16(257)
        return wide
    if spec.bits == 8 and rgb.dtype == np.uint16:
        narrow: Rgb = ((rgb.astype(np.uint32) + 128) // 257).astype(np.uint8)
        return narrow
    return rgb
