"""The settings that a command works with."""

from __future__ import annotations

import argparse

from edge_matting.config import Settings, find_config, load_settings


def read_settings(options: argparse.Namespace) -> Settings:
    """The configuration that ``-c``, the environment or /etc names; ``ConfigError`` if wrong."""
    return load_settings(find_config(options.config), getattr(options, "set", ()))
