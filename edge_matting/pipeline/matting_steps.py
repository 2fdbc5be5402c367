"""Matting as a task: photo to matte, matte to the parts of its output kinds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from edge_matting.config import Recipe
from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.core.jobs import GroundFound
from edge_matting.imaging import THUMBNAIL_HEIGHT, Photo, before_after
from edge_matting.matting import assess, halved, quantised, refine, to_tensor
from edge_matting.matting.exposure import equalised
from edge_matting.matting.ground import KnownGround
from edge_matting.matting.preprocess import model_view
from edge_matting.pipeline.grounds import doubts_of, learn_from, look_for_ground
from edge_matting.pipeline.matte import infer, matte, second_look
from edge_matting.pipeline.outputs import add_matting_parts
from edge_matting.pipeline.tasks import Judgement, ModelRun, Scene, Stage, TaskSteps, Tools
from edge_matting.runtimes.session import Tensor

_SMALL: Final = (THUMBNAIL_HEIGHT, THUMBNAIL_HEIGHT)  # least sides; the gate looks at less


@dataclass(frozen=True, slots=True, eq=False)
class PreparedPhoto:
    """What the model sees of a photo, and what the recipe says of the ground."""

    view: Rgb
    recipe: Recipe


@dataclass(frozen=True, slots=True, eq=False)
class SeenPhoto:
    """The model's own matte, at its size, and what is known of the ground with it."""

    matte: Alpha
    ground: KnownGround | None
    found: GroundFound | None


@dataclass(frozen=True, slots=True, eq=False)
class MattedPhoto:
    """The matte at the photo's size, H x W float32 in [0, 1], and what it was made of."""

    alpha: Alpha
    seen: SeenPhoto


class MattingSteps:
    """`TaskSteps` of matting; what it finishes is a `MattedPhoto`."""

    def prepare(self, photo: Photo, recipe: Recipe, tools: Tools) -> PreparedPhoto:
        """The photo at the model's size; a very dark or blown-out one is made legible."""
        view = model_view(photo.rgb, tools.manifest.input, tools.session.describe().resolution)
        return PreparedPhoto(equalised(view) if recipe.exposure == "auto" else view, recipe)

    def run(self, photo: Photo, prepared: PreparedPhoto, tools: Tools, stage: Stage) -> ModelRun:
        size = (photo.rgb.shape[1], photo.rgb.shape[0])
        made = matte(
            prepared.view,
            size,
            tools.session,
            tools.manifest,
            cache=tools.cache,
            stage=stage,
            waiting=lambda: tools.progress("wait"),
        )
        with stage("ground"):
            ground, found = look_for_ground(photo, made.value, prepared.recipe, tools.plates)
        return replace(made, value=SeenPhoto(made.value, ground, found))

    def finish(self, photo: Photo, value: SeenPhoto, recipe: Recipe) -> MattedPhoto:
        """Without a known ground the matte is the network's, refined, and no other."""
        if value.ground is None:
            return MattedPhoto(refine(photo.rgb, value.matte, recipe.refinement), value)
        return MattedPhoto(value.ground.refined(photo.rgb, recipe.refinement), value)

    def judge(
        self, photo: Photo, finished: MattedPhoto, recipe: Recipe, tools: Tools, *, thumbnail: bool
    ) -> Judgement:
        """No second look at a photo with transparency of its own: the model's matte is not what is
        judged then. A plate is learned from what passes."""
        # what was transparent already stays so
        alpha = finished.alpha if photo.alpha is None else finished.alpha * photo.alpha
        small = (halved(photo.rgb, _SMALL), halved(alpha, _SMALL)) if thumbnail else None
        look = None
        if photo.alpha is None:
            equalise = recipe.exposure == "auto"
            look = second_look(tools.session, tools.manifest, equalise=equalise)
        seen = finished.seen
        quality = assess(
            photo.rgb,
            alpha,
            look,
            small=small,
            doubts=doubts_of(recipe.ground, seen.found),
            known_ground=seen.ground is not None,
        )
        if tools.plates is not None and recipe.ground.learns and quality.verdict == "ok":
            learn_from(photo, seen.matte, tools.plates)
        shown = None if small is None else partial(before_after, *small, doubted=quality.doubted)
        return Judgement(quality, shown, seen.found)

    def add_parts(self, scene: Scene, finished: MattedPhoto) -> None:
        add_matting_parts(scene, finished.alpha, finished.seen.ground)

    def sample(self, photo: Photo, tools: Tools) -> npt.NDArray[np.uint8]:
        coarse = infer(photo.rgb, tools.session, tools.manifest)
        return np.asarray(quantised(refine(photo.rgb, coarse, "fast")), np.uint8)

    def tensor(self, photo: Photo, tools: Tools) -> Tensor:
        resolution = tools.session.describe().resolution
        return to_tensor(photo.rgb, tools.manifest.input, resolution)[0]


MATTING: Final[TaskSteps] = MattingSteps()
