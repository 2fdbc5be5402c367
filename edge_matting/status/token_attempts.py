"""Wrong tokens: logged, and each further one from the same client answered later.

Nobody is locked out: the right token is accepted at once at any time, so that a stranger behind
the same proxy cannot keep others from the page. The answer waits without holding a thread.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from edge_matting.core.clock import Clock

log = logging.getLogger(__name__)

FORGOTTEN_SECONDS: Final = 600.0
FIRST_DELAY_SECONDS: Final = 0.5
MOST_DELAY_SECONDS: Final = 10.0
MAX_CLIENTS: Final = 1000
LOG_SECONDS: Final = 60.0


@dataclass(slots=True)
class _Client:
    last: float
    wrong: int = 0
    logged: float = float("-inf")


class TokenAttempts:
    """Counts wrong tokens by client."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._clients: OrderedDict[str, _Client] = OrderedDict()
        self._lock = threading.Lock()

    def wrong(self, client: str) -> float:
        """Count and log one; how many seconds its answer is to wait."""
        now = self._clock.monotonic()
        with self._lock:
            known = self._clients.pop(client, None)
            if known is None or now - known.last > FORGOTTEN_SECONDS:
                known = _Client(now)
            self._clients[client] = known
            if len(self._clients) > MAX_CLIENTS:
                self._clients.popitem(last=False)
            known.wrong += 1
            known.last = now
            if logs := now - known.logged >= LOG_SECONDS:
                known.logged = now
            wrong = known.wrong
        if logs:
            log.warning("wrong token from %s, number %d of a row", client, wrong)
        return float(min(MOST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** min(wrong - 1, 10)))
