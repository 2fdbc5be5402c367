"""Pure arrays: photo to tensor, tensor to matte, matte to finished pixels."""

from edge_matting.matting.backdrop import (
    Backdrop,
    Flat,
    Gradient,
    Shadow,
    blurred,
    cover,
    drop_shadow,
    natural_shadow,
)
from edge_matting.matting.compositing import (
    CutoutRows,
    composite,
    cutout,
    quantised,
    trimap,
    with_shadow,
)
from edge_matting.matting.foreground import estimate_foreground
from edge_matting.matting.framing import Box, Frame, cropped, fitted, framed, subject_box
from edge_matting.matting.postprocess import Cast, background_cast, despilled, finish_matte
from edge_matting.matting.preprocess import Geometry, from_output, input_size, to_tensor
from edge_matting.matting.quality_gate.features import Look
from edge_matting.matting.quality_gate.gate import assess
from edge_matting.matting.refine import refine
from edge_matting.matting.resize import halved, resample

__all__ = [
    "Backdrop",
    "Box",
    "Cast",
    "CutoutRows",
    "Flat",
    "Frame",
    "Geometry",
    "Gradient",
    "Look",
    "Shadow",
    "assess",
    "background_cast",
    "blurred",
    "composite",
    "cover",
    "cropped",
    "cutout",
    "despilled",
    "drop_shadow",
    "estimate_foreground",
    "finish_matte",
    "fitted",
    "framed",
    "from_output",
    "halved",
    "input_size",
    "natural_shadow",
    "quantised",
    "refine",
    "resample",
    "subject_box",
    "to_tensor",
    "trimap",
    "with_shadow",
]
