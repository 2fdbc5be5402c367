"""What a task's model needs around it: how a photo is prepared, run, finished, judged and shown."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from edge_matting.cache import MatteCache
from edge_matting.config import Recipe
from edge_matting.core.arrays import Rgb
from edge_matting.core.errors import UnfitModel
from edge_matting.core.jobs import GroundFound, Quality
from edge_matting.core.references import load_reference
from edge_matting.core.tasks import TASKS
from edge_matting.imaging import Photo
from edge_matting.models import Manifest
from edge_matting.pipeline.admission import PixelBudget
from edge_matting.pipeline.grounds import LearnedPlates
from edge_matting.runtimes import Session
from edge_matting.runtimes.session import Tensor

Stage: TypeAlias = Callable[[str], AbstractContextManager[None]]
"""Times what is done within it."""


def _unwatched(_pixels: int) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Tools:
    """A loaded model and what the stages work with; made once per engine.

    ``others`` are the models of the further tasks of one recipe, by task (``for_recipe``).
    """

    session: Session
    manifest: Manifest
    gate: PixelBudget
    progress: Callable[[str], None]
    cache: MatteCache | None = None
    others: Mapping[str, Tools] = field(default_factory=dict)
    decoding: Callable[[int], AbstractContextManager[None]] = _unwatched
    """Watches over the decoding of a photo of so many pixels."""
    plates: LearnedPlates | None = None

    @property
    def identity(self) -> str:
        """Digest of the model; of all of them where there are several."""
        if not self.others:
            return self.manifest.sha256
        digests = [self.manifest.sha256, *(each.manifest.sha256 for each in self.others.values())]
        return hashlib.sha256(" ".join(digests).encode()).hexdigest()

    @property
    def tasks(self) -> tuple[str, ...]:
        """What the models are for."""
        return (self.manifest.task, *self.others)

    def of(self, task: str) -> Tools:
        """The model of a task; ``UnfitModel`` where there is none."""
        if task == self.manifest.task:
            return self
        if task in self.others:
            return self.others[task]
        raise UnfitModel(
            f"the recipe asks for {task}, the model {self.manifest.id} is for {self.manifest.task}"
        )


@dataclass(frozen=True, slots=True, eq=False)
class ModelRun:
    """What the model made of a photo, at its own size, and where that came from.

    ``cache`` is ``miss``, ``matte`` or ``perceptual``; ``evidence`` holds the distances to the
    nominated photo, empty where none was near; with ``miss`` they are why it was refused.
    """

    value: Any
    cache: str = "miss"
    evidence: Mapping[str, float] = field(default_factory=dict)
    batch: int = 1  # photos whose inference ran together; 1 where none ran


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """The quality gate's verdict, the page's small picture where one was asked for, and what was
    found of the ground."""

    quality: Quality
    thumbnail: Callable[[], bytes] | None = None
    ground: GroundFound | None = None


@dataclass(slots=True, eq=False)
class Scene:
    """A photo on its way to its outputs.

    ``parts`` are what the output kinds take, by name (``core.output_kinds``): each task adds those
    of ``needed`` that are its own, and may use those of the tasks before it.
    """

    photo: Photo
    rgb: Rgb  # its pixels in the outputs' colour space
    icc: bytes | None
    recipe: Recipe
    needed: frozenset[str]
    parts: dict[str, Any] = field(default_factory=dict)


class TaskSteps(Protocol):
    """The steps of one task, in this order. They are called by several threads at once."""

    def prepare(self, photo: Photo, recipe: Recipe, tools: Tools) -> Any:
        """What the model is to see of the photo."""

    def run(self, photo: Photo, prepared: Any, tools: Tools, stage: Stage) -> ModelRun:
        """The model's result, from ``tools.cache`` where the task keeps its results there."""

    def finish(self, photo: Photo, value: Any, recipe: Recipe) -> Any:
        """The model's result brought to the photo's own size."""

    def judge(
        self, photo: Photo, finished: Any, recipe: Recipe, tools: Tools, *, thumbnail: bool
    ) -> Judgement:
        """Whether a person should look at it."""

    def add_parts(self, scene: Scene, finished: Any) -> None:
        """Add the parts that the scene needs of this task."""

    def sample(self, photo: Photo, tools: Tools) -> npt.NDArray[np.uint8]:
        """A grey picture, H x W, of what becomes of the built-in photo: the self-test compares it
        with a known one."""

    def tensor(self, photo: Photo, tools: Tools) -> Tensor:
        """The model's input for a photo, N = 1: what inference is timed with."""


def steps_of(task: str) -> TaskSteps:
    """The steps of a task of the table."""
    return cast("TaskSteps", load_reference(TASKS[task].steps))


def for_recipe(recipe: Recipe, loaded: Tools, model_for: Callable[[str], Tools]) -> Tools:
    """The models that a recipe needs: ``loaded`` for its own task, others by ``model_for``.

    ``model_for`` gives the model of a task; it raises ``UnfitModel`` where there is none.
    """
    tasks = recipe.tasks
    if tasks == (loaded.manifest.task,):
        return loaded
    found = {task: loaded if task == loaded.manifest.task else model_for(task) for task in tasks}
    main, *others = tasks
    return replace(found[main], others={task: found[task] for task in others})


def worst(qualities: Iterable[Quality]) -> Quality:
    """The first that asks for a review, else the first."""
    every = list(qualities)
    return next((each for each in every if each.verdict == "review"), every[0])
