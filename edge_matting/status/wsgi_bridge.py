"""The Flask application behind an asynchronous server: threads for answers, not for waiting.

A request takes a thread when all of it is there, so a slow sender costs none. A slow receiver
does: downloads are therefore limited (``transfer.py``), and health checks have a thread of
their own, which nothing else can take.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from io import BytesIO
from types import TracebackType
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from edge_matting.status.connections import Connection, Connections, Peer, Phase
from edge_matting.status.interfaces import PART_BYTES
from edge_matting.status.security import DELAY_KEY

THREADS: Final = 12
HEALTH_PATHS: Final = frozenset({"/healthz", "/readyz"})
MAX_BODY_BYTES: Final = 2 * PART_BYTES
PIECE_BYTES: Final = 64 * 1024
"""What a receiver has to take within ``stall_seconds``: 2 KB a second."""

SMALL_BYTES: Final = 1 << 20
"""An answer up to this size waits for its receiver in memory."""

LOOK_SECONDS: Final = 0.5

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType]
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class ReceiverGone(Exception):
    """Nobody takes the answer any more."""


class WsgiBridge:
    """An ASGI application that has a WSGI application answer in threads."""

    def __init__(self, app: Wsgi, connections: Connections) -> None:
        self._app = app
        self._connections = connections
        self._threads = ThreadPoolExecutor(THREADS, "status-page")
        self._health = ThreadPoolExecutor(1, "status-health")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        peer: Peer = scope["client"] or ("", 0)
        self._connections.enter(peer, Phase.BODY)
        body = await _whole_body(receive)
        connection = self._connections.enter(peer, Phase.ANSWER)
        if body is None or connection is None:
            return
        answer = _Answer(asyncio.get_running_loop(), send, connection, self._connections)
        pool = self._health if scope["path"] in HEALTH_PATHS else self._threads
        environ = wsgi_environ(scope, body)
        loop = asyncio.get_running_loop()
        rest = await loop.run_in_executor(pool, answer.give, self._app, environ)
        if delay := environ.get(DELAY_KEY):
            connection.enter(Phase.IDLE, self._connections.now())  # others may have its place
            await asyncio.sleep(delay)
        if rest is not None:
            await answer.finish(rest)

    def close(self) -> None:
        """What has not begun is not begun any more; nothing is waited for."""
        for pool in (self._threads, self._health):
            pool.shutdown(wait=False, cancel_futures=True)


class _Answer:
    """One answer, made and sent by a thread."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        send: Send,
        connection: Connection,
        connections: Connections,
    ) -> None:
        self._loop = loop
        self._send = send
        self._connection = connection
        self._now = connections.now
        self._stall_seconds = connections.limits.stall_seconds
        self._start: Message | None = None
        self._begun = False

    def give(self, app: Wsgi, environ: dict[str, Any]) -> bytes | None:
        """Make the answer, and send it but for its end; None when nobody takes it any more."""
        try:
            chunks = app(environ, self._start_response)
            try:
                return self._give(chunks)
            finally:
                getattr(chunks, "close", lambda: None)()
        except ReceiverGone:
            return None

    async def finish(self, body: bytes) -> None:
        # Idle from here on: uvicorn turns at once to what the client has sent meanwhile.
        self._connection.enter(Phase.IDLE, self._now())
        await self._sent(body, more=False)

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        if exc_info is not None and self._begun:
            raise exc_info[1]
        lines = [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers
        ]
        self._start = {
            "type": "http.response.start",
            "status": int(status[:3]),
            "headers": lines,
        }
        return _write_is_not_offered

    def _give(self, chunks: Iterable[bytes]) -> bytes:
        """What is small goes in one go and frees its thread at once, however slow the receiver."""
        held = bytearray()
        for chunk in chunks:
            held += chunk
            while len(held) > SMALL_BYTES:
                self._pass(held)
        while self._begun and len(held) > PIECE_BYTES:
            self._pass(held)
        return bytes(held)

    def _pass(self, held: bytearray) -> None:
        """Send one piece from the front of ``held``."""
        piece = bytes(held[:PIECE_BYTES])
        del held[:PIECE_BYTES]
        if self._connection.lost:
            raise ReceiverGone
        try:
            sent = asyncio.run_coroutine_threadsafe(self._sent(piece, more=True), self._loop)
        except RuntimeError as error:  # the server was stopped
            raise ReceiverGone from error
        waited = 0.0
        while waited < self._stall_seconds:
            try:
                return sent.result(LOOK_SECONDS)
            except NotYet:
                waited += LOOK_SECONDS
                if self._connection.lost:
                    break
        self._loop.call_soon_threadsafe(self._connection.abort)
        raise ReceiverGone

    async def _sent(self, body: bytes, *, more: bool) -> None:
        if not self._begun and self._start is not None:
            self._begun = True
            await self._send(self._start)
        await self._send({"type": "http.response.body", "body": body, "more_body": more})


def _write_is_not_offered(_data: bytes) -> None:
    raise NotImplementedError("answers are iterables here, nothing is written")


async def _whole_body(receive: Receive) -> bytes | None:
    """The request's body, cut off just past the bound; None when the client left."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if not message.get("more_body") or len(body) > MAX_BODY_BYTES:
            return bytes(body)


def wsgi_environ(scope: Mapping[str, Any], body: bytes) -> dict[str, Any]:
    """The request as PEP 3333 has it. A header that came twice is joined by a comma."""
    host, port = scope["server"] or ("", None)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port or 80),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": (scope["client"] or ("",))[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    if "HTTP_CONTENT_TYPE" in environ:
        environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE")
    # Of a body beyond the bound the true length stands here, for the application to refuse it.
    told = environ.pop("HTTP_CONTENT_LENGTH", None)
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    environ["CONTENT_LENGTH"] = told or str(len(body))
    return environ
