"""The web server: uvicorn in a thread of the daemon, the Flask application in threads of its own.

uvicorn reads requests without a thread each, so a client that sends slowly or nothing holds none.
The bounds on connections and waiting times are ours (``connections.py``).
"""

from __future__ import annotations

import errno
import logging
import socket
import threading
import time
from asyncio import AbstractEventLoop, get_running_loop
from typing import Any, Final

import uvicorn
from flask import Flask

from edge_matting.core.errors import StartError
from edge_matting.status.connections import Connections, Limits, bounded_protocol
from edge_matting.status.wsgi_bridge import WsgiBridge

log = logging.getLogger(__name__)

BACKLOG: Final = 128
MAX_HEADER_BYTES: Final = 16 * 1024
START_SECONDS: Final = 10.0
STOP_SECONDS: Final = 2.0
ANY_ADDRESS: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


class StatusServer:
    """Serves ``app`` between ``start()`` and ``stop()``; once only."""

    def __init__(self, app: Flask, host: str, port: int, limits: Limits | None = None) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._connections = Connections(limits or Limits())
        self._bridge: WsgiBridge | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._loop: AbstractEventLoop | None = None

    def start(self) -> None:
        """Bind and serve; ``StartError`` when the address cannot be had."""
        listener = _bind(self._host, self._port)
        self._port = listener.getsockname()[1]
        # What is accepted inherits it: the kernel ends a connection whose receiver is gone.
        stall = int(self._connections.limits.stall_seconds * 1000)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, stall)
        # Each malformed request of a stranger is a warning there.
        logging.getLogger("uvicorn").setLevel(logging.ERROR)
        self._bridge = WsgiBridge(self._app, self._connections)
        self._server = uvicorn.Server(self._config(self._bridge))
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="status-page", daemon=True
        )
        self._thread.start()
        end = time.monotonic() + START_SECONDS
        while not self._server.started and self._thread.is_alive() and time.monotonic() < end:
            self._thread.join(0.005)  # not sleep(), which a clock set back can end in EINVAL
        log.info("status page on %s", self.url)

    def _config(self, bridge: WsgiBridge) -> uvicorn.Config:
        return uvicorn.Config(
            bridge,
            http=bounded_protocol(self._connections),
            loop="asyncio",
            ws="none",
            lifespan="off",
            interface="asgi3",
            # The forwarding headers are never trusted; the guard must see them to refuse.
            proxy_headers=False,
            server_header=False,
            access_log=False,
            log_config=None,
            backlog=BACKLOG,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            timeout_keep_alive=int(self._connections.limits.idle_seconds) + 1,
            timeout_graceful_shutdown=1,
            callback_notify=self._each_second,
            timeout_notify=0,
        )

    async def _each_second(self) -> None:
        self._loop = get_running_loop()
        self._connections.end_overdue()

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
        server, thread, bridge = self._server, self._thread, self._bridge
        if server is None or thread is None or bridge is None:
            return
        self._server = self._thread = None
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # answers are broken off now
        server.should_exit = server.force_exit = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._connections.abort_all)
        thread.join(STOP_SECONDS)
        bridge.close()


def _bind(host: str, port: int) -> socket.socket:
    family, address = _resolve(host, port)
    # Named as TCP, for asyncio to send each answer at once (TCP_NODELAY).
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
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
