"""YAML to frozen settings, read and checked once."""

from edge_matting.config.builtin import BUILT_IN
from edge_matting.config.load import find_config, load_settings, parse_settings
from edge_matting.config.parameters import adjusted, canonical, with_format
from edge_matting.config.recipe import (
    Background,
    Canvas,
    Crop,
    GroundSettings,
    OutputSpec,
    Recipe,
    ShadowSettings,
)
from edge_matting.config.settings import HotFolder, Settings

__all__ = [
    "BUILT_IN",
    "Background",
    "Canvas",
    "Crop",
    "GroundSettings",
    "HotFolder",
    "OutputSpec",
    "Recipe",
    "Settings",
    "ShadowSettings",
    "adjusted",
    "canonical",
    "find_config",
    "load_settings",
    "parse_settings",
    "with_format",
]
