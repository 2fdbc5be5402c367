"""The web server: waitress in a thread of the daemon."""

from __future__ import annotations

import errno
import logging
import socket
import threading
import time
from typing import Any, Final

from flask import Flask
from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer, create_server
from waitress.task import WSGITask

from edge_matting.core.errors import StartError
from edge_matting.status.interfaces import PART_BYTES

log = logging.getLogger(__name__)

THREADS: Final = 6  # two downloads may hold one each
BACKLOG: Final = 128
STALL_SECONDS: Final = 30.0
"""The kernel ends a connection whose receiver takes nothing for so long; waitress itself would
wait for ever and keep the thread."""
REQUEST_SECONDS: Final = 60.0
"""A request that is not all there by then is given up, however steadily its bytes trickle in."""
STOP_SECONDS: Final = 0.5
ANY_ADDRESS: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
LIMITS: Final[dict[str, Any]] = {
    "threads": THREADS,
    "connection_limit": 500,
    "channel_timeout": 30,  # slow clients are let go
    "cleanup_interval": 10,
    "max_request_header_size": 16 * 1024,
    "max_request_body_size": 2 * PART_BYTES,
    "asyncore_use_poll": True,
    "log_socket_errors": False,
    # The forwarding headers are never trusted; the guard must see them to refuse.
    "clear_untrusted_proxy_headers": False,
    "ident": None,
}


class _Task(WSGITask):
    """Keeps the connection after a 304.

    Waitress closes it after each answer without a length; a page that polls would then connect
    anew for every poll, which costs three times as much. A 304 never has a body (RFC 9110).
    """

    def set_close_on_finish(self) -> None:
        wanted = self.request.headers.get("CONNECTION", "").lower()  # type: ignore[attr-defined]  # stub
        if not (self.status.startswith("304") and self.version == "1.1" and wanted != "close"):
            super().set_close_on_finish()


class _Channel(HTTPChannel):
    task_class = _Task


class StatusServer:
    """Serves ``app`` between ``start()`` and ``stop()``; once only."""

    def __init__(
        self,
        app: Flask,
        host: str,
        port: int,
        *,
        stall_seconds: float = STALL_SECONDS,
        request_seconds: float = REQUEST_SECONDS,
    ) -> None:
        self._app = app
        self._request_seconds = request_seconds
        self._stall_seconds = stall_seconds
        self._host = host
        self._port = port
        self._sockets: dict[int, Any] = {}
        self._server: BaseWSGIServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Bind and serve; ``StartError`` when the address cannot be had."""
        listener = _bind(self._host, self._port)
        self._port = listener.getsockname()[1]
        stall = int(self._stall_seconds * 1000)  # what is accepted inherits it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, stall)
        # Waitress warns for each request that waits for a thread; a page polls for ever.
        logging.getLogger("waitress").setLevel(logging.ERROR)
        server = create_server(self._app, map=self._sockets, sockets=[listener], **LIMITS)
        assert isinstance(server, BaseWSGIServer)  # one socket, one server
        server.channel_class = _Channel
        _give_up_slow_senders(server, self._request_seconds)
        self._server = server
        self._thread = threading.Thread(target=server.run, name="status-page", daemon=True)
        self._thread.start()
        log.info("status page on %s", self.url)

    @property
    def port(self) -> int:
        """The port in use; the real one after ``start()`` with port 0."""
        return self._port

    @property
    def url(self) -> str:
        """Address to open in a browser on this machine."""
        host = ANY_ADDRESS.get(self._host, self._host).strip("[]")
        return f"http://{f'[{host}]' if ':' in host else host}:{self._port}/"

    def stop(self) -> None:
        """Close every connection at once; a second call does nothing."""
        server, thread = self._server, self._thread
        if server is None or thread is None:
            return
        self._server = self._thread = None
        # The loop owns its sockets: it is asked to close them, and ends for having none left.
        server.trigger.pull_trigger(self._close_all)  # type: ignore[attr-defined]  # the stub errs
        thread.join(STOP_SECONDS)
        server.task_dispatcher.shutdown(timeout=STOP_SECONDS)  # type: ignore[arg-type]  # takes fractions

    def _close_all(self) -> None:
        wasyncore.close_all(self._sockets, ignore_all=True)


def _give_up_slow_senders(server: Any, seconds: float) -> None:
    """Have waitress's round over its connections close those whose request takes too long.

    Its own ``channel_timeout`` counts from the last byte: one byte now and then holds for ever.
    """
    usual, begun = server.maintenance, dict[int, tuple[Any, float]]()

    def maintenance(wall_clock: float) -> None:
        usual(wall_clock)
        now = time.monotonic()
        partial = {
            number: channel
            for number, channel in server.active_channels.items()
            if channel.request is not None
        }
        for number in begun.keys() - partial.keys():
            del begun[number]
        for number, channel in partial.items():
            request, since = begun.get(number, (None, now))
            if request is not channel.request:
                begun[number] = (channel.request, now)
            elif now - since > seconds:
                channel.will_close = True

    server.maintenance = maintenance


def _bind(host: str, port: int) -> socket.socket:
    family, address = _resolve(host, port)
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            only_v6 = host not in ("::", "[::]")
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(only_v6))
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _cannot_bind(host, port, error) from error
    return listener


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, Any]:
    """The first address of ``host``; IPv4 before IPv6, for ``localhost`` has both."""
    try:
        found = socket.getaddrinfo(
            host.strip("[]") or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:  # gaierror is one
        raise _cannot_bind(host, port, error) from error
    family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, address


def _cannot_bind(host: str, port: int, error: OSError) -> StartError:
    where = f"the status page cannot listen on {host}:{port}"
    if isinstance(error, socket.gaierror):
        return StartError(where, hint=f"{error.strerror}; set status.host")
    if error.errno == errno.EADDRINUSE:
        return StartError(where, hint=f"port {port} is taken: set status.port to another")
    if error.errno == errno.EACCES:
        return StartError(
            where, hint="ports below 1024 need rights: set status.port to 1024 or more"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return StartError(where, hint=f"{host} is no address of this machine: set status.host")
    return StartError(where, hint=f"{error.strerror}: set status.host and status.port")
