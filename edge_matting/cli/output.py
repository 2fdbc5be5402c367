"""Printing: one JSON document, or lines for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edge_matting.core.errors import EdgeMattingError


class OutputLost(EdgeMattingError):
    """Standard output does not take what is printed."""

    code = "output_lost"


def print_json(document: Any) -> None:
    """ASCII only, so that names with undecodable bytes survive as escapes."""
    with _to_standard_output():
        print(json.dumps(document, indent=1, default=str))


def print_line(text: str = "") -> None:
    """A line that may hold a name with undecodable bytes."""
    with _to_standard_output():
        print(text.encode("utf-8", "backslashreplace").decode())


def flush() -> None:
    """Have everything that was printed written now, while there is somebody to say it to."""
    with _to_standard_output():
        sys.stdout.flush()


@contextmanager
def _to_standard_output() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:  # its reader has seen enough
        raise
    except OSError as error:
        raise OutputLost(f"cannot write to standard output: {error.strerror}") from error


def complain(text: str) -> None:
    """A line on stderr."""
    print(text.encode("utf-8", "backslashreplace").decode(), file=sys.stderr)
