"""The status page's health checks and status, against a fake appliance."""

from __future__ import annotations

import threading
from dataclasses import replace

from fakes import ManualClock
from flask.testing import FlaskClient
from status_fixture import SNAPSHOT, House

from edge_matting.core.reasons import Reason
from edge_matting.core.states import JobState
from edge_matting.status.response_cache import MAX_KEPT, CachedResponse, ResponseCache


def test_health_and_readiness_answer_200_when_all_is_well(client: FlaskClient) -> None:
    assert client.get("/healthz").get_json() == {
        "status": "healthy",
        "reasons": [],
        "reasons_coded": [],
    }
    assert client.get("/readyz").get_json() == {
        "status": "ready",
        "reasons": [],
        "reasons_coded": [],
    }


def test_a_stuck_appliance_says_why_with_503(house: House) -> None:
    house.appliance.stuck = (Reason("loop_stalled", seconds=300),)
    house.appliance.not_ready = (Reason("folder_gone", path="/mnt/caf\udce9"),)
    stuck, unready = house.client().get("/healthz"), house.client().get("/readyz")
    assert (stuck.status_code, unready.status_code) == (503, 503)
    assert stuck.get_json() == {
        "status": "stuck",
        "reasons": ["the main loop has not moved for 300 s"],
        "reasons_coded": [{"code": "loop_stalled", "values": {"seconds": 300}}],
    }
    told = unready.get_json()
    assert told["reasons"] == [r"/mnt/caf\xe9 is not there; mount it or make it again"]
    assert told["reasons_coded"][0]["values"] == {"path": r"/mnt/caf\xe9"}


def test_status_tells_the_whole_appliance(client: FlaskClient) -> None:
    status = client.get("/api/v1/status").get_json()
    assert status["state"] == "working"
    assert status["ready"] is True
    assert status["started_at"].endswith("Z")
    assert status["queue"]["counts"]["pending"] == 7
    assert set(status["queue"]["counts"]) == {state.value for state in JobState}
    assert status["device"]["gpus"][0]["compute_capability"] == [8, 7]
    assert status["plan"]["reasons"] == ["cpu: no usable GPU found"]
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
    house.appliance.state = replace(SNAPSHOT, reasons=(Reason.of("disk full"),))
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
    answers = ResponseCache(clock)
    old = answers.get("status", lambda: CachedResponse.of(b"old"))
    clock.time += 10
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> CachedResponse:
        begun.set()
        assert go_on.wait(5)
        return CachedResponse.of(b"new")

    maker = threading.Thread(target=answers.get, args=("status", slow))
    maker.start()
    assert begun.wait(5)
    assert answers.get("status", slow) is old
    answers.clear()  # an action meanwhile: what was begun before it does not count
    go_on.set()
    maker.join()
    assert answers.get("status", lambda: CachedResponse.of(b"newest")).body == b"newest"


def test_the_memory_of_answers_is_bounded() -> None:
    answers = ResponseCache(ManualClock())
    for number in range(5 * MAX_KEPT):
        answers.get(number, lambda: CachedResponse.of(b"{}"))
    assert len(answers._kept) <= MAX_KEPT
