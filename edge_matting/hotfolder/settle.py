"""When a file has stopped changing.

Stability is measured between two of our own looks, never against the file's time: ``rsync -t``
and cameras set that in the past. A file is looked at, not opened, so that nothing disturbs its
writer.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace
from typing import Final

from edge_matting.core.jobs import Signature

EMPTY_SECONDS: Final = 60.0
"""How long an empty file may be a placeholder (Finder over SMB) before it counts as a fault."""


@dataclass(frozen=True, slots=True)
class _Watched:
    signature: Signature
    since: float  # first look at this signature
    last: float  # latest look at it


class SettleTracker:
    """Hands out each (path, signature) once, when it has stayed the same long enough.

    Times are seconds of one monotonic clock. A path that was handed out comes again only with
    another signature, or after it was absent (``retain``) or forgotten.
    """

    def __init__(self, settle_seconds: float, empty_seconds: float = EMPTY_SECONDS) -> None:
        self._settle_seconds = settle_seconds
        self._empty_seconds = max(settle_seconds, empty_seconds)
        self._waiting: dict[str, _Watched] = {}
        self._handed_out: dict[str, Signature] = {}

    def observe(self, path: str, signature: Signature, now: float) -> None:
        """Note that the file was seen with this signature at ``now``."""
        if self._handed_out.get(path) == signature:
            return
        self._handed_out.pop(path, None)
        watched = self._waiting.get(path)
        if watched is None or watched.signature != signature:
            watched = _Watched(signature, since=now, last=now)
        self._waiting[path] = replace(watched, last=now)

    def settled(self) -> list[tuple[str, Signature]]:
        """Hand out what was seen unchanged for long enough, in the order of first sight."""
        ready = [
            (path, watched.signature)
            for path, watched in self._waiting.items()
            if watched.last - watched.since >= self._needed(watched)
        ]
        for path, signature in ready:
            del self._waiting[path]
            self._handed_out[path] = signature
        return ready

    def waiting(self) -> list[str]:
        """The paths that have to be looked at again before they settle."""
        return list(self._waiting)

    def unsettled(self) -> list[tuple[str, Signature]]:
        """The files that were not handed out yet, as they were last seen."""
        return [(path, watched.signature) for path, watched in self._waiting.items()]

    def next_check(self, now: float) -> float | None:
        """Seconds until another look could settle a file; None when nothing waits."""
        moments = (watched.since + self._needed(watched) for watched in self._waiting.values())
        earliest = min(moments, default=None)
        return None if earliest is None else max(0.0, earliest - now)

    def forget(self, path: str) -> None:
        """Treat the path as never seen; it settles and is handed out anew."""
        self._waiting.pop(path, None)
        self._handed_out.pop(path, None)

    def look_again(self, path: str, signature: Signature, now: float) -> None:
        """Take back what was handed out: it settles once more from ``now`` on."""
        self.forget(path)
        self._waiting[path] = _Watched(signature, since=now, last=now)

    def retain(self, present: Container[str]) -> None:
        """Forget every path that a complete scan, one without problems, did not find."""
        for path in [*self._waiting, *self._handed_out]:
            if path not in present:
                self.forget(path)

    def _needed(self, watched: _Watched) -> float:
        return self._settle_seconds if watched.signature.size else self._empty_seconds
