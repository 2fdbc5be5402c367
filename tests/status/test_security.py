"""Who may see and do what on the status page."""

from __future__ import annotations

import json
import logging
import socket
from pathlib import Path

import pytest
from fakes import ManualClock
from flask.testing import FlaskClient
from status_fixture import FOREIGN, JPEG, MARK, TOKEN, House, error_of

from edge_matting.core.errors import ConfigError, LedgerError
from edge_matting.status.interfaces import (
    ApplianceState,
)
from edge_matting.status.redaction import public_text, short_names
from edge_matting.status.security import COOKIE, FORWARDED, read_token
from edge_matting.status.server import StatusServer
from edge_matting.status.sessions import MAX_SESSIONS, SESSION_SECONDS, Sessions
from edge_matting.status.token_attempts import TokenAttempts


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_without_a_token_this_machine_may_act(client: FlaskClient, address: str) -> None:
    origin = {"REMOTE_ADDR": address}
    assert client.post("/api/v1/pause", headers=MARK, environ_base=origin).status_code == 200
    assert client.get("/api/v1/jobs/1/preview", environ_base=origin).status_code == 200


@pytest.mark.parametrize("address", ["192.168.7.9", "::ffff:192.168.7.9", "fe80::1", ""])
def test_without_a_token_other_hosts_only_read(client: FlaskClient, address: str) -> None:
    origin = {"REMOTE_ADDR": address}
    for path in ("pause", "resume", "jobs/2/retry", "jobs/3/accept"):
        answer = client.post(f"/api/v1/{path}", headers=MARK, environ_base=origin)
        assert (answer.status_code, error_of(answer)) == (403, "local_only")
    preview = client.get("/api/v1/jobs/1/preview", environ_base=origin)
    assert (preview.status_code, error_of(preview)) == (403, "local_only")
    assert client.get("/api/v1/status", environ_base=origin).status_code == 200
    assert client.get("/api/v1/session", environ_base=origin).get_json()["trusted"] is False


@pytest.mark.parametrize(
    "header",
    [
        "X-Forwarded-For",
        "Forwarded",
        "X-Real-IP",
        "Via",
        "X-Forwarded-Proto",
        "X-Client-IP",
        "CF-Connecting-IP",
        "CF-Ray",
        "True-Client-IP",
        "X-Cluster-Client-Ip",
        "X-Original-Forwarded-For",
        "X-Original-URL",
        "Fastly-Client-IP",
        "Fly-Client-IP",
        "X-Envoy-External-Address",
        "X-Azure-ClientIP",
        "X-AppEngine-User-IP",
        "X-Amzn-Trace-Id",
        "X-ProxyUser-Ip",
        "WL-Proxy-Client-IP",
        "Ali-CDN-Real-IP",
        "Client-IP",
        "X-Remote-Addr",
        "X-Host",
        "CDN-Loop",
        "X-Forwarded",
        "x_forwarded_for",
        "Tailscale-User-Login",
    ],
)
def test_what_a_proxy_forwards_does_not_count_as_local(client: FlaskClient, header: str) -> None:
    answer = client.post("/api/v1/pause", headers={**MARK, header: "127.0.0.1"})
    assert (answer.status_code, error_of(answer)) == (403, "local_only")


def test_the_headers_of_browsers_and_scripts_are_no_proxys() -> None:
    usual = (
        "Host User-Agent Accept Accept-Encoding Accept-Language Connection Cookie Authorization "
        "Content-Type Content-Length Origin Referer Cache-Control Pragma If-None-Match DNT Range "
        "Sec-Fetch-Site Sec-Fetch-Mode Sec-Fetch-Dest Sec-Fetch-User Sec-CH-UA Sec-CH-UA-Platform "
        "Sec-GPC Upgrade-Insecure-Requests Priority TE X-Requested-With X-Page Expect Keep-Alive "
        "If-Modified-Since Accept-Charset X-Prometheus-Scrape-Timeout-Seconds"
    )
    assert [name for name in usual.split() if FORWARDED.search(name)] == []


def test_with_a_token_nobody_acts_without_it(house: House) -> None:
    client = house.client(TOKEN)
    for headers in (
        MARK,
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer \u00e4\u00e4"},
        {**MARK, "Cookie": f"{COOKIE}={TOKEN}"},
    ):
        answer = client.post("/api/v1/pause", headers=headers)
        assert (answer.status_code, error_of(answer)) == (401, "token_needed")
        assert "WWW-Authenticate" in answer.headers
    assert client.get("/api/v1/jobs/1/preview").status_code == 401


def test_with_the_token_other_hosts_may_act(house: House) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    client = house.client(TOKEN)
    assert client.post("/api/v1/pause", headers=bearer, environ_base=FOREIGN).status_code == 200
    preview = client.get("/api/v1/jobs/1/preview", headers=bearer, environ_base=FOREIGN)
    assert preview.data == JPEG


def test_the_token_entered_on_the_page_becomes_a_strict_cookie(house: House) -> None:
    client = house.client(TOKEN)
    wrong = client.post("/api/v1/session", json={"token": "wrong"})
    assert (wrong.status_code, error_of(wrong)) == (401, "wrong_token")
    right = client.post("/api/v1/session", json={"token": f" {TOKEN}\n"})
    cookie = right.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in cookie
    assert client.get("/api/v1/session").get_json() == {"token_set": True, "trusted": True}
    assert client.post("/api/v1/pause", headers=MARK).status_code == 200
    assert client.delete("/api/v1/session", headers=MARK).status_code == 200
    assert client.post("/api/v1/pause", headers=MARK).status_code == 401


def test_without_a_token_none_can_be_entered(client: FlaskClient) -> None:
    assert client.post("/api/v1/session", json={"token": ""}).status_code == 401


@pytest.mark.parametrize(
    "token", ["", "short", "x" * 15, "\u00e4" * 20, "a line\nbreak in the token"]
)
def test_a_token_that_protects_nothing_is_refused(house: House, token: str) -> None:
    with pytest.raises(ConfigError, match=r"status\.token_file"):
        house.client(token)


def test_the_token_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert read_token(file) == TOKEN
    with pytest.raises(ConfigError, match="cannot read"):
        read_token(tmp_path / "none")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "text/plain"},
        {**MARK, "Origin": "http://evil.example"},
        {**MARK, "Origin": "null"},
        {**MARK, "Origin": "http://localhost:9999"},
        {**MARK, "Origin": ""},
        {**MARK, "Origin": "http://["},
        {**MARK, "Sec-Fetch-Site": "cross-site"},
        {"Content-Type": "application/json", "Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_foreign_page_cannot_act(house: House, headers: dict[str, str]) -> None:
    answer = house.client().post("/api/v1/pause", headers=headers)
    assert (answer.status_code, error_of(answer)) == (403, "cross_site")
    assert house.appliance.state.state is ApplianceState.WORKING


def test_the_page_itself_can_act(client: FlaskClient) -> None:
    own = {**MARK, "Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/api/v1/pause", headers=own).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "", "[", "a b", "@127.0.0.1.x"]
)
def test_a_foreign_host_name_is_refused_everywhere(client: FlaskClient, host: str) -> None:
    for path in ("/", "/healthz", "/metrics", "/api/v1/status", "/static/page.js"):
        answer = client.get(path, headers={"Host": host})
        assert (answer.status_code, error_of(answer)) == (421, "wrong_host")


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]:8080", "192.168.1.5", "localhost."],
)
def test_our_names_and_addresses_are_accepted(client: FlaskClient, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


def test_every_answer_is_hardened(client: FlaskClient) -> None:
    for path in ("/", "/nowhere", "/metrics", "/api/v1/jobs/1/preview", "/static/page.css"):
        headers = client.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "Access-Control-Allow-Origin" not in headers


# Sessions


def log_in(client: FlaskClient) -> str:
    answer = client.post("/api/v1/session", json={"token": TOKEN})
    return answer.headers["Set-Cookie"].partition(";")[0].partition("=")[2]


def test_a_copied_cookie_is_worth_nothing_after_the_session_has_ended(house: House) -> None:
    client = house.client(TOKEN)
    copied = {**MARK, "Cookie": f"{COOKIE}={log_in(client)}"}
    thief = client.application.test_client(use_cookies=False)
    assert thief.post("/api/v1/pause", headers=copied).status_code == 200
    assert client.delete("/api/v1/session", headers=MARK).status_code == 200
    assert thief.post("/api/v1/pause", headers=copied).status_code == 401


def test_every_session_can_be_ended_from_one(house: House) -> None:
    here = house.client(TOKEN)
    there = here.application.test_client()
    log_in(here)
    log_in(there)
    far = here.application.test_client(use_cookies=False)
    everywhere = "/api/v1/session?everywhere=1"
    assert far.delete(everywhere, headers=MARK).status_code == 401
    assert there.post("/api/v1/pause", headers=MARK).status_code == 200
    assert here.delete(everywhere, headers=MARK).status_code == 200
    assert there.post("/api/v1/pause", headers=MARK).status_code == 401


def test_sessions_outlive_a_restart_and_not_another_token(tmp_path: Path) -> None:
    clock, file = ManualClock(), tmp_path / "sessions.json"
    identity = Sessions(TOKEN, clock, file).open()
    assert identity not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    assert Sessions(TOKEN, clock, file).knows(identity)
    assert not Sessions("another-token-0123456789", clock, file).knows(identity)
    clock.time += SESSION_SECONDS + 1
    assert not Sessions(TOKEN, clock, file).knows(identity)


@pytest.mark.parametrize("broken", [b"", b"[]", b'{"a": "x"}', b"\xff"])
def test_a_broken_file_of_sessions_has_everybody_log_in_again(
    tmp_path: Path, broken: bytes
) -> None:
    file = tmp_path / "sessions.json"
    file.write_bytes(broken)
    sessions = Sessions(TOKEN, ManualClock(), file)
    assert sessions.knows(sessions.open())
    assert json.loads(file.read_bytes())


def test_the_oldest_of_too_many_sessions_ends(tmp_path: Path) -> None:
    clock = ManualClock()
    sessions = Sessions(TOKEN, clock)
    opened = []
    for _ in range(MAX_SESSIONS + 1):
        clock.time += 1
        opened.append(sessions.open())
    assert [sessions.knows(identity) for identity in opened] == [False] + [True] * MAX_SESSIONS


# Wrong tokens


def test_wrong_tokens_are_logged_with_the_client_they_come_from(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    client = house.client(TOKEN)
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            client.get("/api/v1/status", headers={"Authorization": "Bearer wrong-wrong-wrong-1"})
            client.post("/api/v1/session", json={"token": "wrong-wrong-wrong-2"})
        client.get("/api/v1/status", headers={"Authorization": f"Bearer {TOKEN}"})
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == "wrong token from 127.0.0.1, number 1 of a row"
    assert "wrong-wrong-wrong" not in caplog.text
    house.clock.time += 61
    client.get("/api/v1/status", headers={"Authorization": "Bearer wrong-wrong-wrong-1"})
    assert "number 101 of a row" in caplog.text


def test_each_wrong_token_of_a_client_waits_longer_and_no_other_client_waits() -> None:
    clock = ManualClock()
    attempts = TokenAttempts(clock)
    assert [attempts.wrong("a") for _ in range(7)] == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert attempts.wrong("b") == 0.5
    clock.time += 601
    assert attempts.wrong("a") == 0.5


def test_a_wrong_token_is_answered_after_a_right_one_that_came_later(house: House) -> None:
    server = StatusServer(house.client(TOKEN).application, "127.0.0.1", 0)
    server.start()

    def ask(token: str) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        lines = f"GET /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}"
        connection.sendall(f"{lines}\r\n\r\n".encode())
        return connection

    try:
        for _ in range(3):  # each costs the next one more
            ask("wrong-wrong-wrong").close()
        wrong = [ask("wrong-wrong-wrong") for _ in range(15)]  # more than there are threads
        right = ask(TOKEN)
        assert right.recv(100).startswith(b"HTTP/1.1 200")
        for connection in (*wrong, right):
            connection.settimeout(0)
        with pytest.raises(BlockingIOError):
            wrong[-1].recv(100)
        for connection in (*wrong, right):
            connection.close()
    finally:
        server.stop()


# Readers without the token


def everything(client: FlaskClient, headers: dict[str, str] | None = None) -> str:
    paths = ("status", "jobs", "jobs/1", "jobs/3", "recent", "history")
    asked = [f"/api/v1/{path}" for path in paths]
    asked += ["/", "/jobs/1", "/metrics", "/healthz", "/readyz"]
    answers = [client.get(path, headers=headers, environ_base=FOREIGN) for path in asked]
    return "\n".join(answer.get_data(as_text=True) for answer in answers)


def test_readers_without_the_token_get_names_and_states_only(house: House) -> None:
    house.appliance.not_ready = ("/mnt/card is not mounted", "disk full: /srv/edge-matting/out")
    told = everything(house.client(TOKEN))
    for secret in ("/srv", "/mnt", "4711", "ab" * 32, "cd" * 32, "ef" * 32, "0123456789abcdef"):
        assert secret not in told, secret
    for name in ("photo-1.jpg", "succeeded", "edge-matting", "card is not mounted", "cutout"):
        assert name in told, name
    all_of_it = everything(house.client(TOKEN), {"Authorization": f"Bearer {TOKEN}"})
    for fact in ("/srv/edge-matting", "/mnt/card", "4711", "ab" * 32):
        assert fact in all_of_it, fact


def test_a_trusted_answer_is_not_kept_for_a_stranger(house: House) -> None:
    client = house.client(TOKEN)
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    trusted = client.get("/api/v1/status", headers=bearer)
    stranger = client.get("/api/v1/status", headers={"If-None-Match": trusted.headers["ETag"]})
    assert "/srv" in trusted.text
    assert (stranger.status_code, "/srv" in stranger.text) == (200, False)
    assert {"Authorization", "Cookie"} <= set(trusted.vary)


def test_a_fault_is_told_to_strangers_without_its_path(house: House) -> None:
    house.appliance.fault = LedgerError("/var/lib/edge-matting/ledger.sqlite: database is locked")
    answer = house.client(TOKEN).get("/api/v1/status", environ_base=FOREIGN)
    assert answer.status_code == 503
    assert answer.get_json()["error"]["message"].startswith("ledger.sqlite: database is locked")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/srv/my photos/in is not mounted", "my photos/in is not mounted"),
        ("cannot write '/var/lib/edge-matting/x.db': full", "cannot write 'x.db': full"),
        ("0.5 GB/s, 3/4 of a card, and/or a/b", "0.5 GB/s, 3/4 of a card, and/or a/b"),
        ("folders /a/b, /c/d/; /e", "folders b, d; e"),
    ],
)
def test_a_path_in_a_text_becomes_a_name(text: str, shown: str) -> None:
    assert public_text(text, short_names(["/srv/my photos"])) == shown


def test_folders_of_one_name_are_told_apart_by_as_little_as_does() -> None:
    assert short_names(["/a/x/hot", "/a/y/hot", "/b/card"]) == {
        "/a/x/hot": "x/hot",
        "/a/y/hot": "y/hot",
        "/b/card": "b/card",
    }
