"""What a runtime's library reads from the environment while it is imported."""

from __future__ import annotations

import os

from edge_matting.core.providers import RUNTIMES


def prepare_environment(runtime: str) -> None:
    """Set the table's values; those that the user has set stay."""
    for name, value in RUNTIMES[runtime].environment.items():
        os.environ.setdefault(name, value)
