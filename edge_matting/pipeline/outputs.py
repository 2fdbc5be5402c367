"""Every output of a recipe from the parts that its tasks make, and the parts of matting.

The order of the steps from a matte to its parts is in ``matting.postprocess``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from edge_matting.config import OutputSpec, Recipe
from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.core.jobs import EncodedOutput
from edge_matting.core.output_kinds import output_kind
from edge_matting.core.references import load_reference
from edge_matting.imaging import Metadata, OutputFacts, Photo, encode, output_metadata, to_srgb
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
from edge_matting.matting.foreground import without_background
from edge_matting.matting.ground import KnownGround
from edge_matting.pipeline.backdrops import make_backdrop, make_shadow
from edge_matting.pipeline.tasks import Scene

Pixels = npt.NDArray[Any]

Parts: TypeAlias = Mapping[str, Any]
"""The finished parts of a photo that output kinds ask for, by name (``core.output_kinds``)."""

_EVEN: Final = 2 / 255  # a transparency that changes less is no edge
_AT_OUTPUT_SIZE: Final = frozenset({"foreground", "alpha", "backdrop", "shadow", "natural_shadow"})


def render_outputs(
    photo: Photo, matte: Alpha, recipe: Recipe, ground: KnownGround | None = None
) -> tuple[EncodedOutput, ...]:
    """Encode each output of a recipe that asks for matting alone.

    ``matte`` is the model's, H x W float32 in [0, 1] at the photo's full, upright size; the
    transparency that the photo came with is multiplied with it here. Raises ``Unsupported`` where
    a format cannot hold an output, ``SourceUnreadable`` for a background picture.
    """
    return encode_outputs(photo, recipe, lambda scene: add_matting_parts(scene, matte, ground))


def encode_outputs(
    photo: Photo, recipe: Recipe, *add_parts: Callable[[Scene], None]
) -> tuple[EncodedOutput, ...]:
    """Encode each output that the recipe lists, from the parts that the tasks add."""
    rgb, icc = photo.rgb, photo.icc
    if recipe.colour == "srgb":
        rgb, icc = to_srgb(rgb, icc), None
    needed = frozenset(name for spec in recipe.outputs for name in output_kind(spec.kind).needs)
    scene = Scene(photo, rgb, icc, recipe, needed)
    for add in add_parts:
        add(scene)
    carried = _Carried(photo.metadata, recipe, icc, _resolution(photo, recipe))
    return tuple(_encoded(scene.parts, spec, carried) for spec in recipe.outputs)


@dataclass(frozen=True, slots=True)
class _Carried:
    """What goes along with the pixels of every output."""

    metadata: Metadata
    recipe: Recipe
    icc: bytes | None
    dpi: tuple[float, float] | None

    def on(self, shape: tuple[int, ...], format_: str) -> Metadata:
        """The metadata of an output of that shape: its size and colours are true of it."""
        srgb = self.icc is None or len(shape) == 2
        about = OutputFacts((shape[1], shape[0]), srgb, self.dpi)
        policy = self.recipe.metadata
        return output_metadata(self.metadata, policy, about, format_)


def _encoded(parts: Parts, spec: OutputSpec, carried: _Carried) -> EncodedOutput:
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
        icc=carried.icc if len(made.shape) == 3 else None,
        metadata=carried.on(made.shape, spec.format),
        dpi=carried.dpi,
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


def add_matting_parts(scene: Scene, matte: Alpha, ground: KnownGround | None = None) -> None:
    """Add what the scene needs of matting; parts at the outputs' size are framed.

    ``matte`` is the model's, H x W float32 in [0, 1] at the photo's size; ``ground`` is what is
    known of what lies behind the subject.
    """
    recipe, rgb, parts = scene.recipe, scene.rgb, scene.parts
    if ground is not None and rgb is not scene.photo.rgb:
        ground = ground.recoloured()
    own = scene.photo.alpha
    alpha = _finished(matte if own is None else matte * own, recipe)
    parts |= {"photo": rgb, "matte": alpha}
    if not scene.needed & _AT_OUTPUT_SIZE:
        return
    front = rgb
    if "foreground" in scene.needed and own is None:
        front = _foreground(rgb, alpha, recipe, ground)
    elif "foreground" in scene.needed and own is not None:
        mixture = _mixture(_finished(matte, recipe), own)
        front = without_background(_foreground(rgb, mixture, recipe, None), alpha)
    frame = choose_frame(alpha, recipe)
    if "backdrop" in scene.needed:
        parts["backdrop"] = make_backdrop(recipe.background, rgb, alpha, frame, scene.icc)
    parts["foreground"], parts["alpha"] = framed(front, alpha, frame)
    parts["natural_shadow"] = _own_shadow(scene, alpha, ground, frame)
    if "shadow" in scene.needed:
        shadow = make_shadow(recipe, parts["alpha"], scene.icc, parts["natural_shadow"])
        parts["shadow"] = shadow


def _own_shadow(
    scene: Scene, alpha: Alpha, ground: KnownGround | None, frame: Frame
) -> Shadow | None:
    """The photo's own shadow, where an output shows it and the ground is known."""
    asked = scene.recipe.shadow
    laid_under = "shadow" in scene.needed and asked is not None and asked.natural
    if ground is None or not (laid_under or "natural_shadow" in scene.needed):
        return None
    return natural_shadow(ground.shadow, (alpha.shape[1], alpha.shape[0]), frame)


def _finished(matte: Alpha, recipe: Recipe) -> Alpha:
    return finish_matte(
        matte,
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
