"""Waiting until another process or thread has done what it must do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

PATIENCE_SECONDS = 60.0
"""How long a busy two-core machine may take for what takes a second."""


class NotInTimeError(Exception):
    """What was waited for did not come."""


def wait_until(condition: Callable[[], Any], seconds: float, step: float = 0.05) -> Any:
    """The condition's first true value; the last false one where none comes in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(step)
    return value


def wait_for(
    condition: Callable[[], Any],
    what: str | Callable[[], str],
    seconds: float = PATIENCE_SECONDS,
    step: float = 0.05,
) -> Any:
    """The condition's first true value; an error that names ``what`` where none comes in time.

    A function says ``what`` when it is over, a text says it beforehand.
    """
    value = wait_until(condition, seconds, step)
    if not value:
        told = what if isinstance(what, str) else what()
        raise NotInTimeError(f"not within {seconds:g} s: {told}")
    return value
