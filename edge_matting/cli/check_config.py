"""``check-config``: every fault with its path; the faults themselves are told by ``main``."""

from __future__ import annotations

import argparse

from edge_matting.cli.settings import read_settings
from edge_matting.config import find_config
from edge_matting.daemon.appliance import check_folders


def run(options: argparse.Namespace) -> int:
    check_folders(read_settings(options))
    print(f"{find_config(options.config) or 'built-in defaults'}: no fault found")
    return 0
