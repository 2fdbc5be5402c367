"""What engine and daemon tell each other, as lines of text over two pipes.

daemon -> engine (stdin): the settings as one line of JSON, then ``wake``, ``pause``,
``resume``, ``recycle`` and ``stop``; end of file means that the daemon is dead.
engine -> daemon (an own descriptor, for libraries write to stdout): one JSON object a line,
``{"event": "ready" | "alive" | "problem" | "models" | "preparing" | "adapted",
...}``. ``models`` lists the
``ids`` that can be asked for; ``preparing`` tells ``what`` it is busy with (null: no more) and,
where known, the ``fraction`` done (0 to 1) and a ``detail``; ``adapted`` tells how the plan is
stepped down now (``active``) and how often it was adapted since the engine's start (``counts`` of
cause, direction, number).

Both are hints and signs of life. Work travels through the ledger alone, so a lost line costs
time and nothing else.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from edge_matting.core.reasons import Reason


class Reporter:
    """Tells the daemon what happens; never blocks on a daemon that does not listen."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._busy: dict[int, float] = {}
        self._reused = self._made = 0
        self._obstacles: dict[str, Reason] = {}
        self._lock = threading.Lock()

    def send(self, event: str, **facts: Any) -> None:
        line = json.dumps({"event": event, **_coded(facts)}, default=str) + "\n"
        try:
            os.write(self._descriptor, line.encode())
        except BlockingIOError:
            pass  # the daemon is stopped or slow; the next line says the same
        except BrokenPipeError:
            pass  # the daemon is dead; end of file on stdin ends this process

    def progress(self, _stage: str) -> None:
        """The calling worker thread has begun a stage."""
        with self._lock:
            self._busy[threading.get_ident()] = time.monotonic()

    def progress_of(self, thread: int) -> None:
        """A worker thread that waits for something long goes on, if it is at work."""
        with self._lock:
            if thread in self._busy:
                self._busy[thread] = time.monotonic()

    def rest(self) -> None:
        """The calling worker thread has nothing to do."""
        with self._lock:
            self._busy.pop(threading.get_ident(), None)

    def finished(self, *, reused: bool) -> None:
        """A photo got its result."""
        with self._lock:
            if reused:
                self._reused += 1
            else:
                self._made += 1

    def obstacle(self, place: str, what: Reason | None) -> None:
        """What keeps work in ``place`` (a hot folder, the ledger) from being done; None: nothing.

        Free space alone does not tell: a quota or one large output fills a disk that has room.
        """
        with self._lock:
            if what is None:
                self._obstacles.pop(place, None)
            else:
                self._obstacles[place] = what

    def alive(self, **facts: Any) -> None:
        """A sign of life, with the age of the least recent progress among busy workers."""
        with self._lock:
            begun = min(self._busy.values(), default=None)
            counted = {"reused": self._reused, "made": self._made}
            obstacles = dict(self._obstacles)
        oldest = 0.0 if begun is None else round(time.monotonic() - begun, 1)
        self.send("alive", oldest=oldest, obstacles=obstacles, **counted, **facts)


def _coded(value: Any) -> Any:
    """Reasons as codes and values: who hears them may speak another language."""
    if isinstance(value, Reason):
        return value.coded()
    if isinstance(value, dict):
        return {name: _coded(item) for name, item in value.items()}
    return [_coded(item) for item in value] if isinstance(value, (list, tuple)) else value


def listen(
    lines: Any, commands: Mapping[str, Callable[[], None]], ended: Callable[[], None]
) -> None:
    """Call the command of each line until the end of ``lines``, then ``ended``."""
    for line in lines:
        command = commands.get(line.strip())
        if command is not None:
            command()
    ended()
