"""Who may see and do what on the status page."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask.testing import FlaskClient
from status_fixture import FOREIGN, JPEG, MARK, TOKEN, House, error_of

from edge_matting.core.errors import ConfigError
from edge_matting.status.interfaces import (
    ApplianceState,
)
from edge_matting.status.security import COOKIE, read_token


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


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
def test_what_a_proxy_forwards_does_not_count_as_local(client: FlaskClient, header: str) -> None:
    answer = client.post("/api/v1/pause", headers={**MARK, header: "127.0.0.1"})
    assert (answer.status_code, error_of(answer)) == (403, "local_only")


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
