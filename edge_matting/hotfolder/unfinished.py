"""Files that have been silent and are still not complete: somebody has them open, or they end in
room that was set aside and not written yet.
"""

from __future__ import annotations

import os
from collections.abc import Container
from dataclasses import dataclass

from edge_matting.core.anchored import AnchoredFile
from edge_matting.core.errors import TemporaryError
from edge_matting.core.jobs import Signature
from edge_matting.core.writers import has_writer, looks_unfinished


@dataclass(frozen=True, slots=True)
class _Held:
    signature: Signature
    since: float


class UnfinishedFiles:
    """Says which settled files are to be looked at again later.

    A file that a writer has open, or that looks unfinished and may have a writer whom we cannot
    see (on another machine, of another user), is held back until it has not changed for
    ``stalled_seconds``; then it is taken as it is. Times are seconds of one monotonic clock.
    """

    def __init__(self, stalled_seconds: float) -> None:
        self._stalled_seconds = stalled_seconds
        self._held: dict[str, _Held] = {}

    def holds_back(self, file: AnchoredFile, signature: Signature, now: float) -> bool:
        """Whether the settled file is still to be waited for."""
        if not _is_unfinished(file):
            self._held.pop(file.relative, None)
            return False
        held = self._held.get(file.relative)
        if held is None or held.signature != signature:
            held = self._held[file.relative] = _Held(signature, now)
        if now - held.since < self._stalled_seconds:
            return True
        del self._held[file.relative]
        return False

    def retain(self, waiting: Container[str]) -> None:
        """Forget what is no longer waited for."""
        for path in [path for path in self._held if path not in waiting]:
            del self._held[path]


def _is_unfinished(file: AnchoredFile) -> bool:
    try:
        descriptor = file.open()
    except (OSError, TemporaryError):
        return False  # the engine says what is wrong with it
    try:
        written = has_writer(descriptor)
        return looks_unfinished(descriptor) if written is None else written
    except OSError:
        return False
    finally:
        os.close(descriptor)
