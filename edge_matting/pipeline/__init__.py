"""The one place that knows the order of the stages."""

from edge_matting.pipeline.admission import PixelBudget
from edge_matting.pipeline.batching import batched
from edge_matting.pipeline.photo import PhotoTask, Results, Tools, process_photo

__all__ = ["PhotoTask", "PixelBudget", "Results", "Tools", "batched", "process_photo"]
