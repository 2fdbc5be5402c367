"""The recipe that one job is done by."""

from __future__ import annotations

from edge_matting.config import HotFolder, Recipe, Settings, adjusted
from edge_matting.core.errors import ConfigError, UnfitParameters
from edge_matting.core.jobs import Job
from edge_matting.core.logs import shown


def recipe_of(job: Job, folder: HotFolder, settings: Settings) -> Recipe:
    """The job's recipe, else its folder's, with the parameters that the photo was sent with."""
    recipe = settings.recipes.get(job.recipe) or settings.recipes[folder.recipe]
    try:
        return adjusted(recipe, job.parameters)
    except ConfigError as error:
        raise UnfitParameters(f"{shown(job.source)}: {'; '.join(error.faults)}") from error
