"""Bytes to pixels and back: decode, colour, metadata, encode."""

from edge_matting.imaging.colour import from_srgb, to_srgb
from edge_matting.imaging.decode import Photo, decode, decode_pixels
from edge_matting.imaging.encode import encode
from edge_matting.imaging.exif import OutputFacts, camera_name
from edge_matting.imaging.header import check_limits, read_header
from edge_matting.imaging.metadata import output_metadata
from edge_matting.imaging.survey import Header, Metadata
from edge_matting.imaging.thumbnail import THUMBNAIL_HEIGHT, before_after

__all__ = [
    "THUMBNAIL_HEIGHT",
    "Header",
    "Metadata",
    "OutputFacts",
    "Photo",
    "before_after",
    "camera_name",
    "check_limits",
    "decode",
    "decode_pixels",
    "encode",
    "from_srgb",
    "output_metadata",
    "read_header",
    "to_srgb",
]
