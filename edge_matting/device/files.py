"""Reading small kernel files; a reading that cannot be had is None."""

from __future__ import annotations

import os
from pathlib import Path

CHUNK = 65536
LARGEST = 32 * 2**20
BEYOND = 2**64
"""No kernel file holds such a number."""


def read_bytes(path: Path) -> bytes:
    """The file's content; ``OSError`` when there is no reading.

    ``os.read`` and not ``open().read()``: on a power-gated sensor that answers EAGAIN the
    latter raises TypeError instead of OSError. Kernel files come a page at a time.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(descriptor, CHUNK)
        while data and len(data) < LARGEST and (more := os.read(descriptor, CHUNK)):
            data += more
    finally:
        os.close(descriptor)
    return data


def as_text(data: bytes) -> str | None:
    """Text without NUL and surrounding space; None when nothing is left."""
    return data.decode("utf-8", "replace").replace("\0", " ").strip() or None


def as_int(text: str | None) -> int | None:
    """The first word as a number; a value may carry its unit (``32760 ma``)."""
    try:
        number = int((text or "").split()[0])
    except (ValueError, IndexError):
        return None
    return number if abs(number) < BEYOND else None


def read_text(path: Path) -> str | None:
    try:
        return as_text(read_bytes(path))
    except OSError:
        return None


def read_int(path: Path) -> int | None:
    return as_int(read_text(path))
