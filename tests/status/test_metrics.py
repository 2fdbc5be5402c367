"""The metrics, against a fake appliance."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from status_fixture import SNAPSHOT, House

from edge_matting.core.device_values import Rail, Vitals
from edge_matting.status.interfaces import ExecutionReport


def samples(client: FlaskClient) -> dict[tuple[str, str], float]:
    answer = client.get("/metrics")
    assert answer.mimetype == "text/plain"
    return {
        (sample.name, ",".join(value for _, value in sorted(sample.labels.items()))): sample.value
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
    assert found["edge_matting_jobs_finished_total", "truncated,failed"] == 1
    assert found["edge_matting_jobs_finished_total", ",review"] == 0
    assert found["edge_matting_cache_requests_total", "miss"] == 2
    assert found["edge_matting_cache_requests_total", "rejected"] == 1
    assert found["edge_matting_cache_bytes", "disk"] == 9000
    assert found["edge_matting_cache_entries", ""] == 4
    assert found["edge_matting_cache_evictions_total", ""] == 1
    assert found["edge_matting_engine_restarts_total", ""] == 1
    assert found["edge_matting_build_info", "0.1.0"] == 1
    assert found["edge_matting_ready", ""] == 1
    assert found["edge_matting_state", "working"] == 1
    assert found["edge_matting_device_load_ratio", "cpu"] == 0.73
    assert found["edge_matting_folder_usable", r"/mnt/caf\xe9"] == 0
    assert found["edge_matting_execution_info", "cpu,fp32,cuda"] == 1  # by label name


def test_metrics_tell_where_the_model_runs_and_how_that_was_shown(house: House) -> None:
    used = ExecutionReport(
        "cuda",
        "cuda",
        "fp16",
        None,
        nodes={"cuda": 160, "cpu": 6},
        seconds=0.01,
        cpu_seconds=0.08,
        self_test=0.002,
    )
    house.appliance.state = replace(SNAPSHOT, execution=used)
    found = samples(house.client())
    assert found["edge_matting_execution_nodes", "cuda"] == 160
    assert found["edge_matting_execution_reference_seconds", "in_use"] == 0.01
    assert found["edge_matting_execution_reference_seconds", "cpu"] == 0.08
    assert found["edge_matting_execution_missing", ""] == 0
    assert found["edge_matting_self_test_difference", ""] == 0.002


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


def test_histograms_are_cumulative_and_end_with_all(client: FlaskClient) -> None:
    found = samples(client)
    name = "edge_matting_end_to_end_seconds"
    assert [found[f"{name}_bucket", le] for le in ("1.0", "10.0", "+Inf")] == [1, 3, 4]
    assert (found[f"{name}_count", ""], found[f"{name}_sum", ""]) == (4, 30.5)
    assert found["edge_matting_stage_seconds_bucket", "0.1,decode"] == 2
    assert found["edge_matting_batch_size_count", ""] == 3


PROMTOOL = shutil.which("promtool")
CONFIG = Path(__file__).parents[2] / "config"
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool (Debian: prometheus) is not installed"
)


def promtool(*arguments: str, given: bytes = b"") -> None:
    done = subprocess.run(
        [str(PROMTOOL), *arguments], input=given, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr.decode()) == (0, ""), done.stdout.decode()


@needs_promtool
def test_promtool_finds_nothing_to_say_about_the_metrics(house: House) -> None:
    vitals = Vitals(73.0, 3 * 2**30, 61.5, 20.0, 2**30, 55.0, throttled=True, taken_at=1.0)
    full = replace(
        vitals,
        rails=(Rail("VDD_IN", 5000.0),),
        slowdowns=("thermal",),
        power_mode="15W",
        gpu_clock_hz=10**9,
        gpu_clock_limit_hz=10**9,
        cpu_clock_limit_hz=10**9,
        gpu_power_milliwatts=9000.0,
        heat_headroom_celsius=20.0,
        over_current_events=1,
        memory_some_stall_percent=1.0,
        memory_full_stall_percent=0.5,
    )
    for told in (SNAPSHOT, replace(SNAPSHOT, vitals=full, state_free_bytes=10**9)):
        house.appliance.state = told
        promtool("check", "metrics", given=house.client().get("/metrics").data)


@needs_promtool
def test_promtool_accepts_the_alert_rules() -> None:
    promtool("check", "rules", "--lint-fatal", str(CONFIG / "prometheus-alerts.yaml"))


def test_alerts_and_dashboard_name_only_metrics_that_there_are(client: FlaskClient) -> None:
    families = text_string_to_metric_families(client.get("/metrics").text)
    there = {family.name for family in families}
    dashboard = (CONFIG / "grafana-dashboard.json").read_text("utf-8")
    alerts = (CONFIG / "prometheus-alerts.yaml").read_text("utf-8")
    for text in (dashboard, alerts):
        named = set(re.findall(r"\bedge_matting_\w+", text))
        bare = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in named}
        assert bare
        assert bare <= there
    assert all(panel["targets"] for panel in json.loads(dashboard)["panels"])
