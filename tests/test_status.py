"""The status page's API, health, metrics and security, against a fake appliance."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import ManualClock
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from edge_matting.core.errors import ConfigError, LedgerError
from edge_matting.core.jobs import (
    Execution,
    Job,
    Original,
    Output,
    Place,
    Quality,
    Result,
    Signature,
)
from edge_matting.core.plan import DeviceProfile, Gpu, Plan, Vitals
from edge_matting.core.states import JobState
from edge_matting.status.answers import MAX_KEPT, Answer, Answers
from edge_matting.status.app import create_app
from edge_matting.status.ports import (
    ActionRefused,
    Appliance,
    ApplianceState,
    CacheReport,
    EngineReport,
    ExecutionReport,
    FolderReport,
    JobReader,
    QueueReport,
    RateReport,
    StatusSnapshot,
)
from edge_matting.status.render import display, dump
from edge_matting.status.security import COOKIE, read_token, usual_hosts
from edge_matting.status.texts import TEXTS

TOKEN = "correct-horse-battery-staple"
SCRIPT_NAME = '"><script>alert(1)</script>.jpg'
BYTES_NAME = "gr\udcfcn\n\u202egpj.jpg"  # Latin-1 bytes, a newline, a right-to-left override
JPEG = b"\xff\xd8\xff\xe0 a preview"
MARK = {"X-Requested-With": "edge-matting"}
FOREIGN = {"REMOTE_ADDR": "192.168.7.9"}


def job(number: int, state: JobState = JobState.SUCCEEDED, source: str | None = None) -> Job:
    trouble = {
        JobState.FAILED: ("truncated", "the file ends too early; copy it again"),
        JobState.REVIEW: ("no_subject", "no subject found"),
    }
    code, message = trouble.get(state, (None, None))
    source = source or f"photo-{number}.jpg"
    moment = 1_795_000_000.0 + number
    return Job(
        id=number,
        folder="/srv/edge-matting",
        source=source,
        signature=Signature(1000, 1, 2),
        recipe="cutout",
        state=state,
        attempts=1,
        alone=False,
        stem=source.rpartition(".")[0],
        original=Original(Place.DONE, source),
        code=code,
        message=message,
        created_at=moment,
        updated_at=moment,
        finished_at=moment if state is not JobState.PENDING else None,
        seconds=1.25,
    )


RESULT = Result(
    sha256="ab" * 32,
    source_size=(640, 480),
    outputs=(Output("photo.png", "cutout", "png", "cd" * 32),),
    recipe_key="0123456789abcdef",
    model_id="default",
    model_sha256="ef" * 32,
    execution=Execution("ort", "cpu", "fp32", (512, 512), 1),
    cache="miss",
    quality=Quality("ok", (), 0.4, 0.02, float("nan")),
    seconds={"total": 1.25},
)

SNAPSHOT = StatusSnapshot(
    state=ApplianceState.WORKING,
    reasons=(),
    version="0.1.0",
    started_at=1_795_000_000.0,
    uptime_seconds=3600.0,
    plan=Plan(
        backend="ort",
        provider="cpu",
        precision="fp32",
        resolution=(512, 512),
        batch=1,
        workers=2,
        pixels_in_flight=48_000_000,
        session_threads=2,
        memory_bytes=2**30,
        reasons=("no GPU found: CPU",),
    ),
    profile=DeviceProfile(
        machine="aarch64",
        board="Raspberry Pi 5 Model B",
        family="raspberry",
        cpu_model="Cortex-A76",
        logical_cpus=4,
        usable_cpus=4.0,
        memory_bytes=8 * 2**30,
        page_size=16384,
        gpus=(Gpu("Orin", None, (8, 7), integrated=True),),
        notes=("NVML: not found",),
    ),
    vitals=Vitals(73.0, 3 * 2**30, 61.5, None, None, None, None),
    execution=ExecutionReport("cuda", "cpu", "fp32", "libcudnn.so.9 is missing"),
    queue=QueueReport({JobState.PENDING: 7, JobState.SUCCEEDED: 3}, 12.5, 70.0),
    rates=RateReport(6.0, 5.5, None),
    cache=CacheReport(hits=2, misses=5),
    folders=(
        FolderReport("/srv/edge-matting", "cutout", "native", 40 * 10**9, None),
        FolderReport("/mnt/caf\udce9", "cutout", "polling: nfs", None, "not mounted"),
    ),
    engine=EngineReport(4711, 1, 0.4),
    finished={JobState.SUCCEEDED: 3, JobState.FAILED: 1},
)


class FakeJobs:
    def __init__(self, *jobs: Job) -> None:
        self.rows = {one.id: one for one in jobs}
        self.asked = 0

    def get(self, job_id: int) -> Job | None:
        return self.rows.get(job_id)

    def jobs(self, state: JobState | None, limit: int, before: int | None) -> Sequence[Job]:
        self.asked += 1
        newest_first = sorted(self.rows.values(), key=lambda one: -one.id)
        return [
            one
            for one in newest_first
            if state in (None, one.state) and (before is None or one.id < before)
        ][:limit]

    def result(self, job_id: int) -> Result | None:
        return RESULT if self.rows[job_id].state is JobState.SUCCEEDED else None

    def counts(self) -> Mapping[JobState, int]:
        states = [one.state for one in self.rows.values()]
        return {state: states.count(state) for state in set(states)}


class FakeAppliance:
    def __init__(self, jobs: FakeJobs) -> None:
        self.ledger = jobs
        self.stuck: tuple[str, ...] = ()
        self.not_ready: tuple[str, ...] = ()
        self.state = SNAPSHOT
        self.fault: Exception | None = None
        self.retried: list[tuple[int, str | None]] = []

    def health(self) -> tuple[str, ...]:
        return self.stuck

    def readiness(self) -> tuple[str, ...]:
        return self.not_ready

    def snapshot(self) -> StatusSnapshot:
        if self.fault is not None:
            raise self.fault
        return self.state

    def retry(self, job_id: int, model: str | None) -> Job:
        self.retried.append((job_id, model))
        return self._put(job_id, {JobState.FAILED, JobState.REVIEW}, JobState.PENDING)

    def accept(self, job_id: int) -> Job:
        return self._put(job_id, {JobState.REVIEW}, JobState.SUCCEEDED)

    def _put(self, job_id: int, before: set[JobState], after: JobState) -> Job:
        old = self.ledger.rows[job_id]
        if old.state not in before:
            raise ActionRefused("wrong_state", f"job {job_id} is {old.state.value}")
        self.ledger.rows[job_id] = replace(old, state=after)
        return self.ledger.rows[job_id]

    def pause(self) -> None:
        self.state = replace(self.state, state=ApplianceState.PAUSED)

    def resume(self) -> None:
        self.state = replace(self.state, state=ApplianceState.WORKING)


class BufferedClient(FlaskClient):
    """Reads each answer to its end, so that no file stays open."""

    def open(self, *args, **kwargs):
        return super().open(*args, buffered=True, **kwargs)


class House:
    """A fake appliance with five jobs, and the page made for it."""

    def __init__(self, previews: Path) -> None:
        self.jobs = FakeJobs(
            job(1),
            job(2, JobState.FAILED),
            job(3, JobState.REVIEW, SCRIPT_NAME),
            job(4, JobState.SUCCEEDED, BYTES_NAME),
            job(5, JobState.PENDING),
        )
        self.appliance = FakeAppliance(self.jobs)
        self.previews = previews
        self.clock = ManualClock()
        (previews / "1.jpg").write_bytes(JPEG)
        (previews / "99.jpg").write_bytes(JPEG)  # of no job

    def client(self, token: str | None = None) -> FlaskClient:
        appliance: Appliance = self.appliance
        reader: JobReader = self.jobs
        app = create_app(
            appliance,
            reader,
            previews_dir=self.previews,
            token=token,
            clock=self.clock,
            allowed_hosts=usual_hosts("127.0.0.1"),
        )
        app.test_client_class = BufferedClient
        return app.test_client()


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def client(house: House) -> FlaskClient:
    return house.client()


def error_of(answer) -> str:
    assert answer.mimetype == "application/json"
    error = answer.get_json()["error"]
    assert set(error) == {"code", "message"}
    assert error["message"]
    return str(error["code"])


# Health


def test_health_and_readiness_answer_200_when_all_is_well(client: FlaskClient) -> None:
    assert client.get("/healthz").get_json() == {"status": "healthy", "reasons": []}
    assert client.get("/readyz").get_json() == {"status": "ready", "reasons": []}


def test_a_stuck_appliance_says_why_with_503(house: House) -> None:
    house.appliance.stuck = ("no progress for 300 s",)
    house.appliance.not_ready = ("/mnt/caf\udce9 is not mounted",)
    stuck, unready = house.client().get("/healthz"), house.client().get("/readyz")
    assert (stuck.status_code, unready.status_code) == (503, 503)
    assert stuck.get_json() == {"status": "stuck", "reasons": ["no progress for 300 s"]}
    assert unready.get_json()["reasons"] == [r"/mnt/caf\xe9 is not mounted"]


# Status


def test_status_tells_the_whole_appliance(client: FlaskClient) -> None:
    status = client.get("/api/v1/status").get_json()
    assert status["state"] == "working"
    assert status["ready"] is True
    assert status["started_at"].endswith("Z")
    assert status["queue"]["counts"]["pending"] == 7
    assert set(status["queue"]["counts"]) == {state.value for state in JobState}
    assert status["device"]["gpus"][0]["compute_capability"] == [8, 7]
    assert status["plan"]["reasons"] == ["no GPU found: CPU"]
    assert status["folders"][1]["path"] == r"/mnt/caf\xe9"


def test_an_unchanged_status_costs_a_304_although_time_passes(house: House) -> None:
    client = house.client()
    first = client.get("/api/v1/status")
    house.clock.time += 60
    house.appliance.state = replace(
        SNAPSHOT, uptime_seconds=3660.0, vitals=replace(SNAPSHOT.vitals, cpu_percent=74.0)
    )
    again = client.get("/api/v1/status", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_a_changed_status_has_another_etag(house: House) -> None:
    client = house.client()
    first = client.get("/api/v1/status")
    house.clock.time += 60
    house.appliance.state = replace(SNAPSHOT, reasons=("disk full",))
    again = client.get("/api/v1/status", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.get_json()["reasons"]) == (200, ["disk full"])


def test_many_pages_within_a_moment_ask_the_ledger_once(house: House) -> None:
    client = house.client()
    for _ in range(20):
        client.get("/api/v1/jobs")
    assert house.jobs.asked == 1
    house.clock.time += 1
    client.get("/api/v1/jobs")
    assert house.jobs.asked == 2


def test_a_slow_snapshot_holds_up_one_reader_only() -> None:
    clock = ManualClock()
    answers = Answers(clock)
    old = answers.get("status", lambda: Answer.of(b"old"))
    clock.time += 10
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> Answer:
        begun.set()
        assert go_on.wait(5)
        return Answer.of(b"new")

    maker = threading.Thread(target=answers.get, args=("status", slow))
    maker.start()
    assert begun.wait(5)
    assert answers.get("status", slow) is old
    answers.clear()  # an action meanwhile: what was begun before it does not count
    go_on.set()
    maker.join()
    assert answers.get("status", lambda: Answer.of(b"newest")).body == b"newest"


def test_the_memory_of_answers_is_bounded() -> None:
    answers = Answers(ManualClock())
    for number in range(5 * MAX_KEPT):
        answers.get(number, lambda: Answer.of(b"{}"))
    assert len(answers._kept) <= MAX_KEPT


# Jobs


def test_jobs_come_newest_first_in_pages(client: FlaskClient) -> None:
    seen, before = [], ""
    while True:
        page = client.get(f"/api/v1/jobs?limit=2{before}").get_json()
        seen.append([one["id"] for one in page["jobs"]])
        if page["next_before"] is None:
            break
        before = f"&before={page['next_before']}"
    assert seen == [[5, 4], [3, 2], [1]]


def test_jobs_can_be_asked_for_by_state(client: FlaskClient) -> None:
    page = client.get("/api/v1/jobs?state=failed").get_json()
    assert [one["id"] for one in page["jobs"]] == [2]
    assert page["jobs"][0]["code"] == "truncated"
    assert page["next_before"] is None


@pytest.mark.parametrize(
    "query",
    [
        "state=lost",
        "limit=0",
        "limit=-1",
        "limit=501",
        "limit=1e2",
        "limit=",
        "limit=\u0663",
        "before=x",
        f"before={2**63}",
        "before=" + "9" * 5000,
        "sort=id",
    ],
)
def test_a_wrong_question_is_answered_400(client: FlaskClient, query: str) -> None:
    answer = client.get(f"/api/v1/jobs?{query}")
    assert (answer.status_code, error_of(answer)) == (400, "bad_request")


def test_one_job_comes_with_its_result(client: FlaskClient) -> None:
    told = client.get("/api/v1/jobs/1").get_json()
    assert told["size"] == 1000
    assert told["preview"] == "/api/v1/jobs/1/preview"
    assert told["finished_at"].endswith("Z")
    assert told["result"]["model"] == {"id": "default", "sha256": "ef" * 32}
    assert told["result"]["quality"]["border_contact"] is None  # NaN is no JSON
    unfinished = client.get("/api/v1/jobs/5").get_json()
    assert (unfinished["result"], unfinished["finished_at"]) == (None, None)


def test_evil_names_travel_as_plain_ascii_json(client: FlaskClient) -> None:
    raw = client.get("/api/v1/jobs").data
    assert raw.isascii()
    names = [one["source"] for one in json.loads(raw)["jobs"]]
    assert SCRIPT_NAME in names
    assert "gr\\xfcn\n\u202egpj.jpg" in names
    json.dumps(names, ensure_ascii=False).encode()  # strict UTF-8


@given(st.text(st.characters(codec=None)))
def test_any_text_becomes_valid_unicode_and_valid_text_stays(text: str) -> None:
    shown = display(text)
    shown.encode()
    assert json.loads(dump({"name": text})) == {"name": shown}
    if not re.search("[\ud800-\udfff]", text):
        assert shown == text


def test_a_surrogate_that_stands_for_no_byte_is_shown_too() -> None:
    assert display("a\ud800b") == r"a\ud800b"


def test_a_preview_is_served_by_number(client: FlaskClient) -> None:
    answer = client.get("/api/v1/jobs/1/preview")
    assert (answer.data, answer.mimetype) == (JPEG, "image/jpeg")


@pytest.mark.parametrize(
    "address",
    [
        "/nowhere",
        "/static/",
        "/static/page.html",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/api/v1/jobs/77",
        "/api/v1/jobs/-1",
        f"/api/v1/jobs/{2**70}",
        "/api/v1/jobs/2/preview",
        "/api/v1/jobs/99/preview",
        "/api/v1/jobs/1.jpg/preview",
        "/api/v1/jobs/..%2f..%2fetc%2fpasswd/preview",
    ],
)
def test_what_is_not_there_is_a_json_404(client: FlaskClient, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 404
    error_of(answer)


def test_a_wrong_method_is_a_json_405_that_names_the_right_one(client: FlaskClient) -> None:
    answer = client.get("/api/v1/pause")
    assert (answer.status_code, error_of(answer)) == (405, "method_not_allowed")
    assert "POST" in answer.headers["Allow"]


def test_an_unforeseen_fault_is_a_json_500_and_logged_once(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.appliance.fault = ZeroDivisionError("secret detail")
    client = house.client()
    with caplog.at_level(logging.ERROR):
        answers = [client.get("/api/v1/status") for _ in range(5)]
    assert {answer.status_code for answer in answers} == {500}
    assert error_of(answers[0]) == "internal_error"
    assert b"secret" not in answers[0].data
    assert len(caplog.records) == 1
    house.clock.time += 61
    client.get("/api/v1/status")
    assert len(caplog.records) == 2


def test_a_ledger_that_cannot_answer_is_a_json_503(house: House) -> None:
    house.appliance.fault = LedgerError("ledger.sqlite is locked")
    answer = house.client().get("/api/v1/status")
    assert (answer.status_code, error_of(answer)) == (503, "ledger")


# Actions


def test_a_failed_job_is_retried_with_another_model(house: House) -> None:
    answer = house.client().post("/api/v1/jobs/2/retry", json={"model": "birefnet-lite"})
    assert (answer.status_code, answer.get_json()["state"]) == (200, "pending")
    assert house.appliance.retried == [(2, "birefnet-lite")]


def test_who_acts_sees_what_came_of_it_at_once(client: FlaskClient) -> None:
    assert client.get("/api/v1/jobs?state=review").get_json()["jobs"]
    assert client.post("/api/v1/jobs/3/accept", headers=MARK).get_json()["state"] == "succeeded"
    assert not client.get("/api/v1/jobs?state=review").get_json()["jobs"]


def test_an_action_that_the_appliance_refuses_says_why(client: FlaskClient) -> None:
    answer = client.post("/api/v1/jobs/1/retry", headers=MARK)
    assert (answer.status_code, error_of(answer)) == (409, "wrong_state")
    assert client.post("/api/v1/jobs/77/retry", headers=MARK).status_code == 404


@pytest.mark.parametrize(
    "body", ["[]", "{", '"x"', '{"model": 3}', '{"model": "../x"}', '{"file": "/etc/passwd"}']
)
def test_a_wrong_body_is_answered_400(house: House, body: str) -> None:
    answer = house.client().post("/api/v1/jobs/2/retry", data=body, headers=MARK)
    assert (answer.status_code, error_of(answer)) == (400, "bad_request")
    assert house.appliance.retried == []


def test_a_huge_body_is_refused(client: FlaskClient) -> None:
    answer = client.post("/api/v1/pause", data=b" " * 20_000, headers=MARK)
    assert (answer.status_code, error_of(answer)) == (413, "request_entity_too_large")


def test_pause_and_resume_tell_the_state(client: FlaskClient) -> None:
    assert client.post("/api/v1/pause", headers=MARK).get_json() == {"state": "paused"}
    assert client.get("/api/v1/status").get_json()["state"] == "paused"
    assert client.post("/api/v1/resume", json={}).get_json() == {"state": "working"}


# Security


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


# Metrics


def samples(client: FlaskClient) -> dict[tuple[str, str], float]:
    answer = client.get("/metrics")
    assert answer.mimetype == "text/plain"
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_metrics_tell_jobs_queue_and_device(client: FlaskClient) -> None:
    found = samples(client)
    assert all(name.startswith("edge_matting_") for name, _ in found)
    assert found["edge_matting_jobs", "succeeded"] == 2
    assert found["edge_matting_jobs", "running"] == 0
    assert found["edge_matting_queue_depth", ""] == 1
    assert found["edge_matting_queue_oldest_age_seconds", ""] == 12.5
    assert found["edge_matting_jobs_finished_total", "failed"] == 1
    assert found["edge_matting_cache_requests_total", "hit"] == 2
    assert found["edge_matting_engine_restarts_total", ""] == 1
    assert found["edge_matting_build_info", "0.1.0"] == 1
    assert found["edge_matting_ready", ""] == 1
    assert found["edge_matting_state", "working"] == 1
    assert found["edge_matting_device_load_ratio", "cpu"] == 0.73
    assert found["edge_matting_folder_usable", r"/mnt/caf\xe9"] == 0
    assert found["edge_matting_execution_info", "cpu,fp32,cuda"] == 1  # by label name


def test_a_missing_reading_has_no_sample(house: House) -> None:
    found = samples(house.client())
    assert ("edge_matting_device_temperature_celsius", "gpu") not in found
    assert ("edge_matting_device_throttled", "") not in found
    assert ("edge_matting_folder_free_bytes", r"/mnt/caf\xe9") not in found


def test_two_apps_in_one_process_do_not_share_metrics(house: House, tmp_path: Path) -> None:
    other = House(tmp_path)
    other.appliance.not_ready = ("disk full",)
    assert samples(house.client())["edge_matting_ready", ""] == 1
    assert samples(other.client())["edge_matting_ready", ""] == 0


# The page


def test_the_page_has_no_inline_code_and_no_outside_asset(client: FlaskClient) -> None:
    html = client.get("/").text
    assert "http://" not in html
    assert "https://" not in html
    assert "style=" not in html
    assert "onclick" not in html
    assert html.count("<script") == 2  # the texts as data, and the script file


def test_the_page_is_light(client: FlaskClient) -> None:
    parts = ("/", "/static/page.css", "/static/page.js", "/static/icon.svg")
    answers = [client.get(path) for path in parts]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert sum(len(answer.data) for answer in answers) < 60_000


def test_the_script_only_makes_text_of_names() -> None:
    script = Path(create_app.__code__.co_filename).with_name("static") / "page.js"
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert word not in script.read_text("utf-8")


def test_every_text_that_page_and_script_use_exists() -> None:
    assert all(set(texts) == set(TEXTS["en"]) for texts in TEXTS.values())
    folder = Path(create_app.__code__.co_filename).parent
    page = (folder / "templates" / "page.html").read_text("utf-8")
    script = (folder / "static" / "page.js").read_text("utf-8")
    used = set(re.findall(r"\bt\.(\w+)", page)) | set(re.findall(r'\btext\("(\w+)"[,)]', script))
    assert used <= set(TEXTS["en"])
    assert len(used) > 30
    for state in ApplianceState:
        assert f"state_{state.value}" in TEXTS["en"]
        assert f"do_{state.value}" in TEXTS["en"]


@pytest.mark.parametrize("languages", ["de", "zh-CN,en;q=0.5", "", "*"])
def test_a_language_we_do_not_speak_gets_english(client: FlaskClient, languages: str) -> None:
    html = client.get("/", headers={"Accept-Language": languages}).text
    assert '<html lang="en">' in html


def test_fakes_satisfy_the_protocols(house: House) -> None:
    make: Callable[[FakeJobs], Appliance] = FakeAppliance
    assert make(house.jobs).health() == ()
