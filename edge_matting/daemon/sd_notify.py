"""Messages to systemd (sd_notify(3)); nothing happens where it does not listen."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping

START_EXTENSION_SECONDS = 60.0
"""How much more time is asked for at once while the engine makes headway towards being ready."""


class SystemdNotifier:
    """Sends ``READY=1``, ``STATUS=...``, ``WATCHDOG=1`` and ``STOPPING=1``."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._said: str | None = None
        watchdog = environ.get("WATCHDOG_USEC", "")
        mine = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog_seconds = int(watchdog) / 1e6 if watchdog.isdigit() and mine else None

    def send(self, *lines: str) -> None:
        if not self._address:
            return
        # A leading @ stands for the abstract namespace.
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.connect(address)
            sock.sendall("\n".join(lines).encode("utf-8", "backslashreplace"))

    def status(self, text: str) -> None:
        """Say what the appliance does; the same text is not sent twice."""
        if text != self._said:
            self._said = text
            self.send(f"STATUS={text}")


class SystemdStatus:
    """What systemd hears in each turn of the main loop, which alone may call it.

    Before READY=1 a start that makes headway asks for more time; afterwards each turn may feed the
    watchdog, unless only a restart of everything can help.
    """

    def __init__(self, notifier: SystemdNotifier, monotonic: Callable[[], float]) -> None:
        self._notifier = notifier
        self._monotonic = monotonic
        self._next_extension = 0.0
        self._next_ping = 0.0
        self.ready_reported = False

    def tell(self, headline: str, *, ready: bool, coming_up: bool, hopeless: bool = False) -> None:
        """``ready``: the self-test has passed; ``coming_up``: waiting for it may help."""
        if ready and not self.ready_reported:
            self.ready_reported = True
            self._notifier.send("READY=1")
        self._notifier.status(headline)
        if not self.ready_reported and coming_up:
            self._ask_for_time()
        elif self.ready_reported and not hopeless:
            self._feed_watchdog()

    def stopping(self) -> None:
        self._notifier.send("STOPPING=1")

    def _ask_for_time(self) -> None:
        now = self._monotonic()
        if now >= self._next_extension:
            self._next_extension = now + START_EXTENSION_SECONDS / 4
            self._notifier.send(f"EXTEND_TIMEOUT_USEC={START_EXTENSION_SECONDS * 1e6:.0f}")

    def _feed_watchdog(self) -> None:
        period, now = self._notifier.watchdog_seconds, self._monotonic()
        if period is not None and now >= self._next_ping:
            self._next_ping = now + period / 2
            self._notifier.send("WATCHDOG=1")
