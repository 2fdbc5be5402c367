"""The one place that knows the order of the stages."""

from edge_matting.pipeline.admission import PixelBudget
from edge_matting.pipeline.batching import batched
from edge_matting.pipeline.photo import FinishedPhoto, PhotoTask, Stopwatch, process_photo
from edge_matting.pipeline.tasks import Tools, for_recipe

__all__ = [
    "FinishedPhoto",
    "PhotoTask",
    "PixelBudget",
    "Stopwatch",
    "Tools",
    "batched",
    "for_recipe",
    "process_photo",
]
