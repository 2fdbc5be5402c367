"""YAML to frozen settings, read and checked once."""

from edge_matting.config.load import find_config, load_settings, parse_settings
from edge_matting.config.settings import (
    HotFolder,
    OutputSpec,
    Recipe,
    Settings,
)

__all__ = [
    "HotFolder",
    "OutputSpec",
    "Recipe",
    "Settings",
    "find_config",
    "load_settings",
    "parse_settings",
]
