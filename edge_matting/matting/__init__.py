"""Pure arrays: photo to tensor, tensor to matte, matte to finished pixels."""

from edge_matting.matting.assess import assess
from edge_matting.matting.compositing import composite, cutout, parse_colour, quantised, trimap
from edge_matting.matting.foreground import estimate_foreground
from edge_matting.matting.preprocess import Geometry, from_output, input_size, to_tensor
from edge_matting.matting.refine import refine
from edge_matting.matting.resize import resample

__all__ = [
    "Geometry",
    "assess",
    "composite",
    "cutout",
    "estimate_foreground",
    "from_output",
    "input_size",
    "parse_colour",
    "quantised",
    "refine",
    "resample",
    "to_tensor",
    "trimap",
]
