"""Matting as a task: photo to matte, matte to the parts of its output kinds."""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from edge_matting.config import Recipe
from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.imaging import THUMBNAIL_HEIGHT, Photo, before_after
from edge_matting.matting import assess, halved, quantised, refine, to_tensor
from edge_matting.matting.exposure import equalised
from edge_matting.matting.preprocess import model_view
from edge_matting.pipeline.matte import infer, matte, second_look
from edge_matting.pipeline.outputs import add_matting_parts
from edge_matting.pipeline.tasks import Judgement, ModelRun, Scene, Stage, TaskSteps, Tools
from edge_matting.runtimes.session import Tensor

_SMALL: Final = (THUMBNAIL_HEIGHT, THUMBNAIL_HEIGHT)  # least sides; the gate looks at less


class MattingSteps:
    """`TaskSteps` of matting; what it finishes is the refined matte, H x W float32 in [0, 1]."""

    def prepare(self, photo: Photo, recipe: Recipe, tools: Tools) -> Rgb:
        """The photo at the model's size; a very dark or blown-out one is made legible."""
        view = model_view(photo.rgb, tools.manifest.input, tools.session.describe().resolution)
        return equalised(view) if recipe.exposure == "auto" else view

    def run(self, photo: Photo, prepared: Rgb, tools: Tools, stage: Stage) -> ModelRun:
        size = (photo.rgb.shape[1], photo.rgb.shape[0])
        return matte(
            prepared,
            size,
            tools.session,
            tools.manifest,
            cache=tools.cache,
            stage=stage,
            waiting=lambda: tools.progress("wait"),
        )

    def finish(self, photo: Photo, value: Alpha, recipe: Recipe) -> Alpha:
        return refine(photo.rgb, value, recipe.refinement)

    def judge(
        self, photo: Photo, finished: Alpha, recipe: Recipe, tools: Tools, *, thumbnail: bool
    ) -> Judgement:
        """No second look at a photo with transparency of its own: the model's matte is not what is
        judged then."""
        # what was transparent already stays so
        alpha = finished if photo.alpha is None else finished * photo.alpha
        small = (halved(photo.rgb, _SMALL), halved(alpha, _SMALL)) if thumbnail else None
        look = None
        if photo.alpha is None:
            equalise = recipe.exposure == "auto"
            look = second_look(tools.session, tools.manifest, equalise=equalise)
        quality = assess(photo.rgb, alpha, look, small=small)
        return Judgement(
            quality,
            None if small is None else partial(before_after, *small, doubted=quality.doubted),
        )

    def add_parts(self, scene: Scene, finished: Alpha) -> None:
        add_matting_parts(scene, finished)

    def sample(self, photo: Photo, tools: Tools) -> npt.NDArray[np.uint8]:
        coarse = infer(photo.rgb, tools.session, tools.manifest)
        return np.asarray(quantised(refine(photo.rgb, coarse, "fast")), np.uint8)

    def tensor(self, photo: Photo, tools: Tools) -> Tensor:
        resolution = tools.session.describe().resolution
        return to_tensor(photo.rgb, tools.manifest.input, resolution)[0]


MATTING: Final[TaskSteps] = MattingSteps()
