"""Long work that is no hang: it is told to the daemon once a second, up to a limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

SAY_SECONDS: Final = 1.0
QUICK_SECONDS: Final = 2.0
"""What takes no longer is not worth telling."""

LONGEST_SECONDS: Final = 1800.0
"""After that it is left to be taken for what it probably is: a hang."""


class EventSender(Protocol):
    """The part of the engine's reporter that is needed."""

    def send(self, event: str, **facts: object) -> None:
        """Tell the daemon."""


@contextmanager
def preparing(
    events: EventSender,
    what: str,
    progress: Callable[[], None] = lambda: None,
    *,
    longest: float = LONGEST_SECONDS,
    say_every: float = SAY_SECONDS,
    quick: float = QUICK_SECONDS,
) -> Iterator[None]:
    """While the body runs, say that ``what`` is being prepared, and since when.

    ``progress`` is called each time too: the worker thread that waits for it makes progress.
    """
    done = threading.Event()
    begin = time.monotonic()

    def say() -> None:
        while not done.wait(say_every):
            seconds = time.monotonic() - begin
            if seconds > longest:
                return
            progress()
            told = {"what": what, "detail": f"{seconds:.0f} s"} if seconds > quick else {}
            events.send("preparing", **{"what": None, **told})

    teller = threading.Thread(target=say, name="preparing", daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()
        events.send("preparing", what=None)
