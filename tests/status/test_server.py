"""The real web server over real sockets."""

from __future__ import annotations

import http.client
import logging
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator

import pytest
from flask import Flask, Response

from edge_matting.core.errors import StartError
from edge_matting.status.server import LIMITS, StatusServer


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
    server = StatusServer(app, "127.0.0.1", 0, stall_seconds=1.0)
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


def test_a_sender_that_trickles_is_let_go(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LIMITS, "cleanup_interval", 0.2)
    server = StatusServer(app, "127.0.0.1", 0, request_seconds=1.0)
    server.start()
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=0.1) as slow:
            slow.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
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
    assert [record for record in caplog.records if record.name.startswith("waitress")] == []
