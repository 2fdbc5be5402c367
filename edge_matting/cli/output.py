"""Printing: one JSON document, or lines for people."""

from __future__ import annotations

import json
import sys
from typing import Any


def print_json(document: Any) -> None:
    """ASCII only, so that names with undecodable bytes survive as escapes."""
    print(json.dumps(document, indent=1, default=str))


def print_line(text: str = "") -> None:
    """A line that may hold a name with undecodable bytes."""
    print(text.encode("utf-8", "backslashreplace").decode())


def complain(text: str) -> None:
    """A line on stderr."""
    print(text.encode("utf-8", "backslashreplace").decode(), file=sys.stderr)
