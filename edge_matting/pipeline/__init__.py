"""The one place that knows the order of the stages."""

from edge_matting.pipeline.admission import PixelBudget
from edge_matting.pipeline.batching import batched
from edge_matting.pipeline.photo import FinishedPhoto, PhotoTask, Stopwatch, Tools, process_photo

__all__ = [
    "FinishedPhoto",
    "PhotoTask",
    "PixelBudget",
    "Stopwatch",
    "Tools",
    "batched",
    "process_photo",
]
