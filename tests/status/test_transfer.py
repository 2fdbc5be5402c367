"""Uploads, single files, sidecars and ZIP archives over HTTP, against a fake appliance."""

from __future__ import annotations

import io
import socket
import time
import zipfile
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import unquote
from urllib.request import urlopen

import pytest
from flask import Response
from flask.testing import FlaskClient
from status_fixture import BYTES_NAME, FOREIGN, MARK, SCRIPT_NAME, TOKEN, House, error_of

from edge_matting.core.anchored import anchored_file
from edge_matting.core.errors import DiskFull
from edge_matting.core.jobs import Output
from edge_matting.core.states import JobState
from edge_matting.status.archive import MISSING_NAME, ArchiveEntry, archive_name, zip_stream
from edge_matting.status.interfaces import PART_BYTES
from edge_matting.status.server import StatusServer
from edge_matting.status.transfer import DOWNLOADS_AT_ONCE
from edge_matting.status.wsgi_bridge import SMALL_BYTES

PICTURE = b"\x89PNG a cut-out"


@pytest.fixture
def shop(house: House, tmp_path: Path) -> House:
    """The fake appliance with results on disk for jobs 1, 3 and 4."""
    out = tmp_path / "out"
    out.mkdir()
    house.appliance.results = out
    for number in (1, 3, 4):
        one = house.jobs.rows[number]
        file = f"{one.stem}.png"
        (out / file).parent.mkdir(exist_ok=True)
        (out / file).write_bytes(PICTURE + bytes([number]))
        (out / f"{one.stem}.json").write_bytes(b"{}")
        outputs = (Output(file, "cutout", "png", "0" * 64),)
        house.jobs.rows[number] = replace(one, outputs=outputs)
    return house


def unpack(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


# Downloads


def test_a_result_and_its_sidecar_are_downloaded_by_numbers(shop: House) -> None:
    answer = shop.client().get("/api/v1/jobs/1/files/0")
    assert (answer.data, answer.mimetype) == (PICTURE + b"\x01", "image/png")
    assert answer.headers["Content-Disposition"] == "attachment; filename=photo-1.png"
    assert answer.content_length == len(PICTURE) + 1
    sidecar = shop.client().get("/api/v1/jobs/1/sidecar")
    assert (sidecar.data, sidecar.mimetype) == (b"{}", "application/json")


def test_an_evil_name_is_downloaded_under_a_safe_one(shop: House) -> None:
    for number in (3, 4):
        answer = shop.client().get(f"/api/v1/jobs/{number}/files/0")
        assert answer.data == PICTURE + bytes([number])
        header = answer.headers["Content-Disposition"]
        assert "\n" not in header
        assert header.isascii()
        if "filename*" in header:
            name = unquote(header.partition("filename*=UTF-8''")[2])
            assert not set(name) & set('/\\<>"\n')


@pytest.mark.parametrize(
    "address", ["1/files/1", "2/files/0", "5/sidecar", "77/files/0", "1/files/-1", "1/files/x"]
)
def test_a_result_that_is_not_there_is_a_404(shop: House, address: str) -> None:
    answer = shop.client().get(f"/api/v1/jobs/{address}")
    assert answer.status_code == 404
    error_of(answer)


def test_a_symlink_in_place_of_a_result_is_not_followed(shop: House, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"key")
    file = tmp_path / "out" / "photo-1.png"
    file.unlink()
    file.symlink_to(secret)
    assert shop.client().get("/api/v1/jobs/1/files/0").status_code == 404
    told = unpack(shop.client().get("/api/v1/results.zip?jobs=1").data)
    assert told[MISSING_NAME] == b"1/photo-1.png\n"
    assert b"key" not in b"".join(told.values())


def test_a_selection_comes_as_one_zip_with_safe_names(shop: House) -> None:
    answer = shop.client().get("/api/v1/results.zip?jobs=4,1,3,2,77,1")
    assert answer.mimetype == "application/zip"
    told = unpack(answer.data)
    assert set(told) == {
        "1/photo-1.png",
        "1/photo-1.json",
        f"3/{archive_name(SCRIPT_NAME.rpartition('.')[0])}.png",
        f"3/{archive_name(SCRIPT_NAME.rpartition('.')[0])}.json",
        f"4/{archive_name(BYTES_NAME.rpartition('.')[0])}.png",
        f"4/{archive_name(BYTES_NAME.rpartition('.')[0])}.json",
    }
    assert told["1/photo-1.png"] == PICTURE + b"\x01"


def test_a_day_comes_as_one_zip(shop: House) -> None:
    moment = shop.jobs.rows[1].finished_at
    day = time.strftime("%Y-%m-%d", time.localtime(moment))
    told = unpack(shop.client().get(f"/api/v1/results.zip?day={day}").data)
    assert {name.partition("/")[0] for name in told} == {"1", "3", "4"}
    assert unpack(shop.client().get("/api/v1/results.zip?day=2001-02-03").data) == {}


def test_a_day_is_that_of_the_browser_where_it_says_its_bounds(shop: House) -> None:
    moment = shop.jobs.rows[1].finished_at or 0.0
    day = time.strftime("%Y-%m-%d", time.localtime(moment))

    def asked(since: float, until: float) -> set[str]:
        bounds = "&".join(
            f"{name}={datetime.fromtimestamp(at, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
            for name, at in (("since", since), ("until", until))
        )
        told = unpack(shop.client().get(f"/api/v1/results.zip?day={day}&{bounds}").data)
        return {name.partition("/")[0] for name in told}

    assert asked(moment - 3600, moment + 3600) == {"1", "3", "4"}
    assert asked(moment - 7200, moment - 3600) == set()


@pytest.mark.parametrize(
    "query",
    ["", "jobs=", "jobs=1,x", "jobs=0", "day=", "day=2026-02-30", "day=9999-12-31", "jobs=1&day=x",
     "day=2026-01-31&since=2026-01-31T00:00:00Z", "day=2026-01-31&since=x&until=y",
     "day=2026-01-31&since=2020-01-01T00:00:00Z&until=2027-01-01T00:00:00Z",
     "path=/etc/passwd", "jobs=" + ",".join(map(str, range(1, 502)))],
)  # fmt: skip
def test_a_wrong_selection_is_answered_400(shop: House, query: str) -> None:
    answer = shop.client().get(f"/api/v1/results.zip?{query}")
    assert (answer.status_code, error_of(answer)) == (400, "bad_request")


@pytest.mark.parametrize("path", ["results.zip?jobs=1", "jobs/1/files/0"])
def test_downloads_of_every_kind_share_one_limit(shop: House, tmp_path: Path, path: str) -> None:
    (tmp_path / "out" / "photo-1.png").write_bytes(bytes(SMALL_BYTES + 1))
    plain = FlaskClient(shop.client().application, Response)  # leaves its answers open
    kinds = ("results.zip?jobs=1", "jobs/1/files/0")
    running = [plain.get(f"/api/v1/{kinds[turn % 2]}") for turn in range(DOWNLOADS_AT_ONCE)]
    one_more = plain.get(f"/api/v1/{path}")
    assert (one_more.status_code, error_of(one_more)) == (503, "busy")
    assert one_more.headers["Retry-After"] == "5"
    assert plain.get("/api/v1/jobs/1/sidecar").status_code == 200, "what is small needs no place"
    for answer in running:
        answer.close()
    again = plain.get(f"/api/v1/{path}")
    assert again.status_code == 200
    again.close()


def test_slow_receivers_of_a_large_result_leave_page_and_health_alone(
    shop: House, tmp_path: Path
) -> None:
    (tmp_path / "out" / "photo-1.png").write_bytes(bytes(64 << 20))
    server = StatusServer(shop.client().application, "127.0.0.1", 0)
    server.start()
    slow = []
    try:
        for _ in range(20):
            slow.append(socket.create_connection(("127.0.0.1", server.port), timeout=5))
            slow[-1].sendall(b"GET /api/v1/jobs/1/files/0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for path in ("healthz", "", "api/v1/status"):
            with urlopen(f"{server.url}{path}", timeout=5) as answer:
                assert answer.status == 200
    finally:
        for receiver in slow:
            receiver.close()
        server.stop()


def test_results_are_for_the_trusted_and_not_for_foreign_pages(shop: House) -> None:
    paths = ("jobs/1/files/0", "jobs/1/sidecar", "results.zip?jobs=1")
    for path in paths:
        far = shop.client().get(f"/api/v1/{path}", environ_base=FOREIGN)
        assert (far.status_code, error_of(far)) == (403, "local_only")
        foreign = shop.client().get(f"/api/v1/{path}", headers={"Sec-Fetch-Site": "cross-site"})
        assert (foreign.status_code, error_of(foreign)) == (403, "cross_site")
        assert shop.client(TOKEN).get(f"/api/v1/{path}").status_code == 401


def test_an_archive_takes_the_memory_of_a_chunk_only(tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(20 * 2**20)
    pieces = [
        len(piece) for piece in zip_stream([ArchiveEntry(anchored_file(large), "large", 0.0)])
    ]
    assert sum(pieces) > 20 * 2**20
    assert max(pieces) < 2 * 2**20


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("sub/a.png", "sub/a.png"),
        ("../../etc/passwd", "etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        ("a\nb.png", "a_b.png"),
        ("C:\\x.png", "C__x.png"),
        ("gr\udcfcn.png", "gr_xfcn.png"),
    ],
)
def test_a_name_in_an_archive_never_leads_out_of_it(name: str, safe: str) -> None:
    assert archive_name(name) == safe


# Uploads


def test_a_photo_comes_in_parts(house: House) -> None:
    client = house.client()
    begun = client.post("/api/v1/uploads", json={"name": "a.jpg", "size": 5})
    assert begun.status_code == 201
    told = begun.get_json()
    assert (told["received"], told["part_bytes"], told["file"]) == (0, PART_BYTES, None)
    address = f"/api/v1/uploads/{told['id']}"
    assert client.put(f"{address}?offset=0", data=b"abc", headers=MARK).get_json()["received"] == 3
    last = client.put(f"{address}?offset=3", data=b"de", headers=MARK).get_json()
    assert last["file"] == "a.jpg"
    assert client.delete(address, headers=MARK).status_code == 200
    assert client.put(address, data=b"x", headers=MARK).status_code == 404


@pytest.mark.parametrize(
    "body",
    [{}, {"name": "a"}, {"name": 1, "size": 1}, {"name": "a", "size": "1"},
     {"name": "a", "size": -1},
     {"name": "a", "size": True}, {"name": "a", "size": 1, "recipe": 1},
     {"name": "a", "size": 1, "folder": "x"}, {"name": "a", "size": 1, "path": "/etc"}],
)  # fmt: skip
def test_a_wrong_upload_is_answered_400(client: FlaskClient, body: dict[str, object]) -> None:
    answer = client.post("/api/v1/uploads", json=body)
    assert (answer.status_code, error_of(answer)) == (400, "bad_request")


def test_a_part_that_is_too_large_is_refused(house: House) -> None:
    client = house.client()
    upload = client.post("/api/v1/uploads", json={"name": "a", "size": 10**6}).get_json()["id"]
    whole = client.put(f"/api/v1/uploads/{upload}", data=bytes(PART_BYTES), headers=MARK)
    assert whole.status_code == 200
    larger = client.put(f"/api/v1/uploads/{upload}", data=bytes(PART_BYTES + 1), headers=MARK)
    assert larger.status_code == 413


def test_uploads_are_actions(house: House) -> None:
    body = {"name": "a.jpg", "size": 5}
    far = house.client().post("/api/v1/uploads", json=body, environ_base=FOREIGN)
    assert (far.status_code, error_of(far)) == (403, "local_only")
    unmarked = house.client().put("/api/v1/uploads/x", data=b"x")
    assert (unmarked.status_code, error_of(unmarked)) == (403, "cross_site")
    assert house.client(TOKEN).delete("/api/v1/uploads/x", headers=MARK).status_code == 401


def test_a_full_disk_is_told_as_503(house: House) -> None:
    house.appliance.fault = DiskFull("cannot write: no space left")
    answer = house.client().post("/api/v1/uploads", json={"name": "a.jpg", "size": 5})
    assert (answer.status_code, error_of(answer)) == (503, "disk_full")
    assert house.jobs.rows[1].state is JobState.SUCCEEDED


def test_settings_of_its_own_reach_the_appliance(house: House) -> None:
    own = {"feather": 2, "crop": None}
    body = {"name": "a.jpg", "size": 1, "parameters": own}
    headers = {"X-Requested-With": "edge-matting"}
    assert house.client().post("/api/v1/uploads", json=body, headers=headers).status_code == 201
    assert house.appliance.parameters == own


@pytest.mark.parametrize("body", [b"[" * 16000, b'{"parameters":' + b'{"a":' * 2500])
def test_json_that_is_nested_too_deeply_is_answered_400(house: House, body: bytes) -> None:
    headers = {"X-Requested-With": "edge-matting", "Content-Type": "application/json"}
    answer = house.client().post("/api/v1/uploads", data=body, headers=headers)
    assert (answer.status_code, error_of(answer)) == (400, "bad_request")
