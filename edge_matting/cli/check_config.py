"""``check-config``: every fault with its path; ``main`` prints them."""

from __future__ import annotations

import argparse

from edge_matting.cli.checked_settings import read_checked_settings
from edge_matting.config import find_config


def run(options: argparse.Namespace) -> int:
    read_checked_settings(options)
    print(f"{find_config(options.config) or 'built-in defaults'}: no fault found")
    return 0
