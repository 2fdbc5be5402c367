"""Bytes to pixels and back: decode, colour, metadata, encode."""

from edge_matting.imaging.colour import from_srgb, to_srgb
from edge_matting.imaging.decode import Photo, decode, decode_pixels
from edge_matting.imaging.encode import encode
from edge_matting.imaging.header import Header, check_limits, read_header
from edge_matting.imaging.metadata import camera_name, output_exif
from edge_matting.imaging.thumbnail import PREVIEW_HEIGHT, before_after

__all__ = [
    "PREVIEW_HEIGHT",
    "Header",
    "Photo",
    "before_after",
    "camera_name",
    "check_limits",
    "decode",
    "decode_pixels",
    "encode",
    "from_srgb",
    "output_exif",
    "read_header",
    "to_srgb",
]
