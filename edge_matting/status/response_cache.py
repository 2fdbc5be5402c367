"""ResponseCache with a weak ETag, made once for all who ask within the same moment."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from flask import Response, request

from edge_matting.core.clock import Clock

FRESH_SECONDS = 0.5
MAX_KEPT = 64  # answers of at most some 100 KB each: bounds the memory to a few MB


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """A JSON body and the weak ETag of what it means."""

    body: bytes
    etag: str

    @classmethod
    def of(cls, body: bytes, meaning: bytes | None = None) -> CachedResponse:
        seen = body if meaning is None else meaning
        return cls(body, hashlib.sha256(seen).hexdigest()[:20])

    def response(self) -> Response:
        """304 when the client has it already, else 200."""
        answer = Response(self.body, mimetype="application/json")
        answer.set_etag(self.etag, weak=True)
        answer.headers["Cache-Control"] = "no-cache"
        answer.vary.update(("Authorization", "Cookie"))  # who is trusted reads more
        answer.make_conditional(request.environ)
        return answer


class ResponseCache:
    """Keeps each answer for a moment, so that many open pages do not add up."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._making = threading.Lock()
        self._kept: dict[
            Hashable, tuple[float, CachedResponse]
        ] = {}  # with the end of its freshness

    def get(
        self,
        key: Hashable,
        make: Callable[[], CachedResponse],
        fresh_seconds: float = FRESH_SECONDS,
    ) -> CachedResponse:
        """The kept answer, or a new one.

        One thread makes it; the others get the last one meanwhile, so that a slow ledger does
        not hold every thread of the server and with them ``/healthz``.
        """
        kept = self._kept
        last = kept.get(key)
        if last is not None and self._is_fresh(last[0]):
            return last[1]
        if not self._making.acquire(blocking=last is None):
            assert last is not None
            return last[1]
        try:
            return self._made(kept, key, make, fresh_seconds)
        finally:
            self._making.release()

    def _made(
        self,
        kept: dict[Hashable, tuple[float, CachedResponse]],
        key: Hashable,
        make: Callable[[], CachedResponse],
        fresh_seconds: float,
    ) -> CachedResponse:
        last = kept.get(key)
        if last is not None and self._is_fresh(last[0]):  # made while we waited
            return last[1]
        if len(kept) >= MAX_KEPT:
            kept.clear()
        now, answer = self._clock.monotonic(), make()
        kept[key] = (now + fresh_seconds, answer)
        return answer

    def _is_fresh(self, until: float) -> bool:
        return self._clock.monotonic() < until

    def clear(self) -> None:
        """After an action: whoever did it sees what came of it at once.

        An answer being made now was begun before the action; it goes into the old dictionary.
        """
        self._kept = {}
