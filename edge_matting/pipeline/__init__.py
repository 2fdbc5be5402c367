"""The one place that knows the order of the stages."""

from edge_matting.pipeline.batching import batched
from edge_matting.pipeline.gate import PixelGate
from edge_matting.pipeline.photo import PhotoTask, Results, Tools, process_photo

__all__ = ["PhotoTask", "PixelGate", "Results", "Tools", "batched", "process_photo"]
