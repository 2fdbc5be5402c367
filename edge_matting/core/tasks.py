"""The tasks that a model can be for: one table, read by manifests, recipes and the pipeline.

To add a task, write its folder with an object that has the steps of ``pipeline.tasks.TaskSteps``
and add one entry here. Its output kinds name it in ``core.output_kinds``, its models in the key
``task`` of their manifests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator


@dataclass(frozen=True, slots=True)
class Task:
    """What is known of a task before any of its code is imported."""

    name: str
    steps: str
    """Where its steps are, as ``package.module:name``."""
    joins_photos: bool = True
    """Whether pictures of several photos may run together in one batch."""
    repeatable: bool = True
    """Whether the same photo, recipe and models give the same files, so that an earlier result may
    be copied."""


TASKS: Final[Mapping[str, Task]] = MappingProxyType(
    {
        task.name: task
        for task in (Task("matting", steps="edge_matting.pipeline.matting_steps:MATTING"),)
    }
)
"""Every task, by its name."""

MATTING: Final = next(iter(TASKS))
"""The task of models and output kinds that name none."""


def _known(value: str) -> str:
    if value not in TASKS:
        known = ", ".join(TASKS)
        raise ValueError(f"this version does not know the task {value!r}; it knows: {known}")
    return value


TaskName: TypeAlias = Annotated[str, AfterValidator(_known)]
