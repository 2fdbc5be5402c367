"""The real web server over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import logging
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator

import pytest
from fakes import ManualClock
from flask import Flask, Response

from edge_matting.core.errors import StartError
from edge_matting.status.connections import Connections, Limits, Phase, _owner
from edge_matting.status.server import StatusServer


@pytest.fixture
def app() -> Flask:
    app = Flask("small")
    app.get("/")(lambda: "here")
    return app


@pytest.fixture
def server(app: Flask) -> Iterator[StatusServer]:
    server = StatusServer(app, "127.0.0.1", 0)
    server.start()
    yield server
    server.stop()


def read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return bytes(answer.read())


def test_it_serves_at_the_address_it_names(server: StatusServer) -> None:
    assert server.url == f"http://127.0.0.1:{server.port}/"
    assert server.port > 0
    assert read(server.url) == b"here"


@pytest.mark.parametrize("host", ["localhost", "0.0.0.0", "::", "::1"])
def test_every_spelling_of_this_machine_works(app: Flask, host: str) -> None:
    if ":" in host and not _has_ipv6():
        pytest.skip("this machine has no IPv6")
    server = StatusServer(app, host, 0)
    server.start()
    try:
        assert read(server.url) == b"here"
    finally:
        server.stop()


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_a_taken_port_is_named_with_what_to_do(app: Flask, server: StatusServer) -> None:
    second = StatusServer(app, "127.0.0.1", server.port)
    with pytest.raises(StartError) as caught:
        second.start()
    assert f"127.0.0.1:{server.port}" in str(caught.value)
    assert f"port {server.port} is taken: set status.port" in str(caught.value)
    second.stop()


@pytest.mark.parametrize("host", ["203.0.113.7", "no-such-host.invalid"])
def test_a_wrong_host_is_named_with_what_to_do(app: Flask, host: str) -> None:
    with pytest.raises(StartError, match=r"set status\.host"):
        StatusServer(app, host, 0).start()


def test_the_port_is_free_at_once_after_a_stop(app: Flask, server: StatusServer) -> None:
    read(server.url)
    server.stop()
    again = StatusServer(app, "127.0.0.1", server.port)
    again.start()
    try:
        assert read(again.url) == b"here"
    finally:
        again.stop()


def test_it_stops_within_a_second_although_clients_hang_on(server: StatusServer) -> None:
    idle = http.client.HTTPConnection("127.0.0.1", server.port)
    idle.request("GET", "/")
    idle.getresponse().read()
    slow = socket.create_connection(("127.0.0.1", server.port))
    slow.sendall(b"GET / HTTP/1.1\r\nHost: x")
    start = time.monotonic()
    server.stop()
    server.stop()
    assert time.monotonic() - start < 1
    assert not [t for t in threading.enumerate() if t.name == "status-page"]
    idle.close()
    slow.close()


def test_a_receiver_that_takes_nothing_gives_its_thread_back(app: Flask) -> None:
    ended = threading.Event()

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield bytes(1 << 20)
        finally:
            ended.set()

    app.add_url_rule("/endless", "endless", lambda: Response(endless()))
    server = StatusServer(app, "127.0.0.1", 0, Limits(stall_seconds=1.0))
    server.start()
    try:
        with socket.create_connection(("127.0.0.1", server.port)) as stalled:
            stalled.sendall(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert ended.wait(20)
            assert read(server.url) == b"here"
    finally:
        server.stop()


def test_an_unchanged_answer_keeps_the_connection(app: Flask) -> None:
    def unchanged() -> Response:
        answer = Response(status=304)
        answer.set_etag("same")
        return answer

    app.add_url_rule("/same", "same", unchanged)
    server = StatusServer(app, "127.0.0.1", 0)
    server.start()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.connect()
    first = connection.sock
    try:
        for path in ("/same", "/same", "/"):
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.getheader("Connection") is None
            answer.read()
            assert connection.sock is first
        connection.request("GET", "/same", headers={"Connection": "close"})
        assert connection.getresponse().getheader("Connection") == "close"
    finally:
        connection.close()
        server.stop()


def trickle(connection: socket.socket) -> None:
    for _ in range(100):
        connection.sendall(b"X")
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("begin", "limits"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n", Limits(head_seconds=1.0)),
        (b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n", Limits(body_seconds=1.0)),
    ],
    ids=["header", "body"],
)
def test_a_sender_that_trickles_is_let_go(app: Flask, begin: bytes, limits: Limits) -> None:
    server = StatusServer(app, "127.0.0.1", 0, limits)
    server.start()
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=0.1) as slow:
            slow.sendall(begin)
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                trickle(slow)
        assert read(server.url) == b"here"
    finally:
        server.stop()


def test_many_requests_at_once_leave_no_flood_in_the_log(
    server: StatusServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        readers = [threading.Thread(target=read, args=(server.url,)) for _ in range(40)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
    assert [
        record for record in caplog.records if record.name.startswith(("uvicorn", "asyncio"))
    ] == []


def open_many(port: int, number: int, begin: bytes = b"") -> list[socket.socket]:
    clients = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(number)]
    for client in clients:
        with contextlib.suppress(OSError):  # it may have been closed already, which is the point
            client.sendall(begin)
    return clients


@pytest.mark.parametrize("begin", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n"], ids=["silent", "half"])
def test_hundreds_of_waiting_connections_of_one_client_keep_nobody_out(
    server: StatusServer, begin: bytes
) -> None:
    clients = open_many(server.port, 520, begin)
    try:
        for _ in range(3):
            assert read(server.url) == b"here"
        still_open = sum(is_open(client) for client in clients)
        assert 0 < still_open <= Limits().per_address
    finally:
        for client in clients:
            client.close()


def is_open(client: socket.socket) -> bool:
    client.settimeout(0)
    try:
        return client.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def test_health_is_answered_while_every_other_thread_is_taken(app: Flask) -> None:
    go_on = threading.Event()
    app.add_url_rule("/slow", "slow", lambda: str(go_on.wait(30)))
    app.add_url_rule("/healthz", "healthz", lambda: "well")
    server = StatusServer(app, "127.0.0.1", 0)
    server.start()
    taken = open_many(server.port, 20, b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
    try:
        assert read(f"{server.url}healthz") == b"well"
    finally:
        go_on.set()
        for client in taken:
            client.close()
        server.stop()


def test_a_slow_but_steady_receiver_gets_everything(app: Flask) -> None:
    whole = bytes(range(256)) * 16384

    def pieces() -> Iterator[bytes]:
        yield from (whole[at : at + 100_000] for at in range(0, len(whole), 100_000))

    app.add_url_rule("/large", "large", lambda: Response(pieces()))
    server = StatusServer(app, "127.0.0.1", 0)
    server.start()
    try:
        with urllib.request.urlopen(f"{server.url}large", timeout=5) as answer:
            got = bytearray()
            while part := answer.read(400_000):
                got += part
                time.sleep(0.05)
        assert bytes(got) == whole
    finally:
        server.stop()


def test_a_client_that_leaves_ends_what_is_made_for_it(app: Flask) -> None:
    ended = threading.Event()

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield bytes(1 << 16)
        finally:
            ended.set()

    app.add_url_rule("/endless", "endless", lambda: Response(endless()))
    server = StatusServer(app, "127.0.0.1", 0)
    server.start()
    try:
        with socket.create_connection(("127.0.0.1", server.port)) as leaver:
            leaver.sendall(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert leaver.recv(100)
        assert ended.wait(10)
    finally:
        server.stop()


def test_requests_sent_in_one_go_are_answered_in_order(app: Flask) -> None:
    app.add_url_rule("/echo/<word>", "echo", lambda word: word)
    server = StatusServer(app, "127.0.0.1", 0)
    server.start()
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as eager:
            for word in ("one", "two", "six"):
                eager.sendall(f"GET /echo/{word} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            got = b""
            while not got.endswith(b"six"):
                got += eager.recv(4096)
        assert got.index(b"one") < got.index(b"two") < got.index(b"six")
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("address", "owner"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:7::1", "2001:0db8:0000:0007::/64"),
        ("fe80::1%eth0", "fe80:0000:0000:0000::/64"),
    ],
)
def test_connections_count_for_the_client_that_owns_the_address(address: str, owner: str) -> None:
    assert _owner(address) == owner


class FakeTransport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.ended = False

    def abort(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.ended = True


def test_the_longest_waiting_connection_of_the_busiest_client_makes_room() -> None:
    clock = ManualClock()
    house = Connections(Limits(connections=4, per_address=3), clock.monotonic)
    made: dict[tuple[str, int], FakeTransport] = {}

    def connect(address: str, port: int) -> FakeTransport:
        clock.time += 1
        made[address, port] = transport = FakeTransport()
        house.opened((address, port), transport)
        return transport

    for port in range(3):
        connect("192.0.2.1", port)
    house.enter(("192.0.2.1", 0), Phase.ANSWER)
    connect("192.0.2.2", 0)
    assert not connect("192.0.2.3", 0).ended, "the newcomer is let in"
    assert [made["192.0.2.1", port].ended for port in range(3)] == [False, True, False]
    for peer in (("192.0.2.1", 2), ("192.0.2.2", 0), ("192.0.2.3", 0)):
        house.enter(peer, Phase.ANSWER)
    assert connect("192.0.2.4", 0).ended, "each connection is being answered"
    house.closed(("192.0.2.2", 0))
    assert not connect("192.0.2.4", 1).ended
