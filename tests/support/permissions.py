"""What a user without the rights of root may do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_root(*, real: bool = False) -> Iterator[None]:
    """Root reads everything; as nobody the rights count (``os.access`` asks the real user)."""
    before = os.getresuid()
    if before[1] == 0:
        os.setresuid(65534 if real else -1, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(*before)
