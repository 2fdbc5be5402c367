"""Sessions of browsers that were shown the token: each can be ended, wherever its cookie is.

Only digests are kept, made with the token: whoever reads the file has no cookie, and another
token ends every session.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import secrets
import threading
from pathlib import Path
from typing import Final

from edge_matting.core.clock import Clock
from edge_matting.core.durable import durable_write
from edge_matting.core.errors import EdgeMattingError

log = logging.getLogger(__name__)

SESSION_SECONDS: Final = 30 * 24 * 3600
MAX_SESSIONS: Final = 200
"""The oldest ends when one more is opened."""

_ID_BYTES: Final = 32


class Sessions:
    """Open sessions by digest, with the moment each ends; kept in ``file`` over a restart."""

    def __init__(self, token: str, clock: Clock, file: Path | None = None) -> None:
        self._key = hashlib.sha256(b"edge-matting session\0" + token.encode()).digest()
        self._clock = clock
        self._file = file
        self._lock = threading.Lock()
        self._ends = {} if file is None else _read(file)

    def open(self) -> str:
        """A new session: what the browser keeps as its cookie."""
        identity = secrets.token_urlsafe(_ID_BYTES)
        now = self._clock.now()
        with self._lock:
            running = [item for item in self._ends.items() if item[1] > now]
            kept = sorted(running, key=lambda item: item[1])[-(MAX_SESSIONS - 1) :]
            self._ends = {**dict(kept), self._digest(identity): now + SESSION_SECONDS}
            self._write()
        return identity

    def knows(self, identity: str) -> bool:
        return self._ends.get(self._digest(identity), 0.0) > self._clock.now()

    def end(self, identity: str) -> None:
        with self._lock:
            if self._ends.pop(self._digest(identity), None) is not None:
                self._write()

    def end_all(self) -> None:
        with self._lock:
            self._ends = {}
            self._write()

    def _digest(self, identity: str) -> str:
        given = identity.encode("utf-8", "surrogatepass")
        return hmac.new(self._key, given, hashlib.sha256).hexdigest()

    def _write(self) -> None:
        if self._file is None:
            return
        try:
            durable_write(self._file, json.dumps(self._ends).encode(), mode=0o600)
        except EdgeMattingError as error:  # they hold until the next start
            log.warning("the sessions of the page cannot be stored: %s", error)


def _read(file: Path) -> dict[str, float]:
    try:
        found = json.loads(file.read_bytes())
        return {str(digest): float(ends) for digest, ends in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        log.warning("%s: not readable, every browser has to log in again: %s", file, error)
        return {}
