"""Bounds on the page's connections: how many, how many from one address, how long each may wait.

A browser keeps its connections open, so a full house is answered by closing the connection that
has waited longest, not by refusing the newcomer: nobody who does nothing keeps others out.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv6Address, ip_address

from uvicorn.protocols.http.h11_impl import H11Protocol

Peer = tuple[str, int]
"""Address and port of a client."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections there may be, and how many seconds each may take for its next step."""

    connections: int = 500
    per_address: int = 100  # a proxy, or a hundred open pages of one machine
    idle_seconds: float = 30.0
    head_seconds: float = 15.0  # from a request's first byte to the end of its header
    body_seconds: float = 60.0  # from there to the end of its body
    stall_seconds: float = 30.0  # for a receiver to take a piece of the answer


class Phase(Enum):
    """What a connection waits for."""

    IDLE = "a request"
    HEAD = "the rest of a header"
    BODY = "the rest of a body"
    ANSWER = "our answer"


@dataclass(slots=True, eq=False)
class Connection:
    """One client's connection; touched by the server's event loop only, but for ``lost``."""

    transport: asyncio.Transport
    address: str
    since: float
    phase: Phase = Phase.IDLE
    lost: bool = False  # read by the threads that answer

    def enter(self, phase: Phase, now: float) -> None:
        self.phase, self.since = phase, now

    def abort(self) -> None:
        """End it now; what is not sent yet is dropped."""
        self.lost = True
        self.transport.abort()


@dataclass(slots=True)
class Connections:
    """The connections there are."""

    limits: Limits
    now: Callable[[], float] = time.monotonic
    _open: dict[Peer, Connection] = field(default_factory=dict)
    _by_address: Counter[str] = field(default_factory=Counter)

    def opened(self, peer: Peer, transport: asyncio.Transport) -> None:
        """Take a connection in; where there is no room for it, one that waits has to go."""
        address = _owner(peer[0])
        crowded = self._by_address[address] >= self.limits.per_address
        if crowded or len(self._open) >= self.limits.connections:
            usual = [one for one, _ in self._by_address.most_common()]
            if not any(map(self._close_longest_waiting, [address] if crowded else usual)):
                transport.abort()
                return
        self._open[peer] = Connection(transport, address, self.now())
        self._by_address[address] += 1

    def closed(self, peer: Peer) -> None:
        connection = self._open.pop(peer, None)
        if connection is None:
            return
        connection.lost = True
        self._by_address[connection.address] -= 1
        if not self._by_address[connection.address]:
            del self._by_address[connection.address]

    def heard(self, peer: Peer) -> None:
        """Bytes came: the first of a request start its time."""
        connection = self._open.get(peer)
        if connection is not None and connection.phase is Phase.IDLE:
            connection.enter(Phase.HEAD, self.now())

    def enter(self, peer: Peer, phase: Phase) -> Connection | None:
        """The connection, in its next phase; None when it is gone."""
        connection = self._open.get(peer)
        if connection is not None:
            connection.enter(phase, self.now())
        return connection

    def end_overdue(self) -> None:
        """Close those whose client takes too long; how steadily its bytes trickle is no matter."""
        limits, now = self.limits, self.now()
        longest = {
            Phase.IDLE: limits.idle_seconds,
            Phase.HEAD: limits.head_seconds,
            Phase.BODY: limits.body_seconds,
        }
        for connection in list(self._open.values()):
            if now - connection.since <= longest.get(connection.phase, float("inf")):
                continue
            if connection.phase is Phase.IDLE:
                connection.transport.close()  # after the rest of an answer
            else:
                connection.abort()

    def abort_all(self) -> None:
        for connection in list(self._open.values()):
            connection.abort()

    def _close_longest_waiting(self, address: str) -> bool:
        """False when each of the address's connections is being answered."""
        waiting = [
            (connection.since, peer)
            for peer, connection in self._open.items()
            if connection.address == address and connection.phase is not Phase.ANSWER
        ]
        if not waiting:
            return False
        _, peer = min(waiting)
        self._open[peer].abort()
        self.closed(peer)
        return True


def bounded_protocol(connections: Connections) -> type[asyncio.Protocol]:
    """uvicorn's protocol for HTTP/1.1, with each connection told to ``connections``."""

    class BoundedProtocol(H11Protocol):
        """Adds to the methods of ``asyncio.Protocol`` alone."""

        peer: Peer = ("", 0)

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.peer = self.client or ("", id(self))
            connections.opened(self.peer, transport)

        def data_received(self, data: bytes) -> None:
            connections.heard(self.peer)
            super().data_received(data)

        def connection_lost(self, exc: Exception | None) -> None:
            connections.closed(self.peer)
            super().connection_lost(exc)

    return BoundedProtocol


def _owner(address: str) -> str:
    """Whom an address counts for: in IPv6 one client has a whole network of 64 bits."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(ip, IPv6Address):
        return address
    return str(ip.ipv4_mapped or f"{ip.exploded[:19]}::/64")
