"""``run``: the appliance in the foreground."""

from __future__ import annotations

import argparse

from edge_matting.cli.checked_settings import read_checked_settings
from edge_matting.daemon.appliance import Appliance


def run(options: argparse.Namespace) -> int:
    return Appliance(read_checked_settings(options), lambda: read_checked_settings(options)).run()
