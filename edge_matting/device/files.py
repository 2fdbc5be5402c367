"""Reading small kernel files; a reading that cannot be had is None."""

from __future__ import annotations

import os
from pathlib import Path


def read_text(path: Path) -> str | None:
    """The file's text without NUL and surrounding space; None when there is no reading.

    ``os.read`` and not ``open().read()``: on a power-gated sensor that answers EAGAIN the
    latter raises TypeError instead of OSError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        data = os.read(descriptor, 65536)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return data.decode("utf-8", "replace").replace("\0", " ").strip() or None


def read_int(path: Path) -> int | None:
    text = read_text(path)
    if text is None:
        return None
    try:
        return int(text.split()[0])
    except ValueError:
        return None
