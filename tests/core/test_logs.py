"""What the log looks like, and what it does not say a thousand times."""

from __future__ import annotations

import json
import logging

import pytest
from fakes import ManualClock

from edge_matting.core.logs import (
    MAX_REMEMBERED,
    REPEAT_SECONDS,
    REPEATS,
    Repeats,
    about_job,
    formatter_for,
    shown,
)
from tools.waiting import wait_for

JOURNAL = {"JOURNAL_STREAM": "8:1"}
JSON = {"EDGE_MATTING_LOG": "json"}


def record(message: str, level: int = logging.INFO, *values: object) -> logging.LogRecord:
    return logging.LogRecord("edge_matting.x", level, "x.py", 1, message, values, None)


def test_text_lines_carry_time_level_and_job_once() -> None:
    form = formatter_for({})
    with about_job(7):
        assert form.format(record("no subject")).endswith("INFO    job 7: no subject")
        assert form.format(record("done job 7 a.jpg")).endswith("INFO    done job 7 a.jpg")
    assert form.format(record("no subject")).endswith("INFO    no subject")


@pytest.mark.parametrize(
    ("level", "prefix"),
    [(logging.CRITICAL, "<2>"), (logging.ERROR, "<3>"), (logging.WARNING, "<4>"),
     (logging.INFO, "<6>"), (logging.DEBUG, "<7>")],
)  # fmt: skip
def test_each_line_under_systemd_has_its_priority(level: int, prefix: str) -> None:
    lines = formatter_for(JOURNAL).format(record("one\ntwo", level)).splitlines()
    assert lines == [f"{prefix}one", f"{prefix}two"]


def test_json_is_one_object_a_line_with_job_and_exception() -> None:
    with about_job(7):
        told = json.loads(formatter_for(JSON).format(record("a %s\nb", logging.ERROR, "café")))
    assert told["message"] == "a café\nb"
    assert (told["level"], told["logger"], told["job"]) == ("error", "edge_matting.x", 7)
    assert told["time"].endswith("Z")
    broken = record("broke")
    broken.exc_info = (ValueError, ValueError("why"), None)
    line = formatter_for(JSON).format(broken)
    assert "\n" not in line
    assert "ValueError: why" in json.loads(line)["exception"]
    assert "job" not in json.loads(line)


def test_json_under_systemd_has_both() -> None:
    line = formatter_for(JOURNAL | JSON).format(record("x", logging.WARNING))
    assert line.startswith("<4>{")
    assert json.loads(line[3:])["message"] == "x"


def test_the_same_words_are_held_back_and_counted() -> None:
    clock = ManualClock()
    told = Repeats(clock.monotonic)
    assert [told(record("disk full")) for _ in range(REPEATS + 5)] == [True] * REPEATS + [False] * 5
    assert told(record("disk %s", logging.INFO, "empty"))
    clock.time += REPEAT_SECONDS
    again = record("disk full")
    assert told(again)
    assert again.getMessage() == "disk full (and 5 times more before)"
    assert told(record("disk full"))


def test_lines_that_differ_are_never_held_back_and_memory_is_bounded() -> None:
    told = Repeats(ManualClock().monotonic)
    assert all(told(record("done job %d", logging.INFO, number)) for number in range(5000))
    assert len(told._repeated) <= MAX_REMEMBERED


def test_a_path_is_one_safe_line() -> None:
    assert shown("a\nb\udcff") == "a\\nb\\udcff"


def test_a_real_appliance_logs_json_with_the_job(appliance) -> None:
    box = appliance()
    box.start(ready=False, env={"EDGE_MATTING_LOG": "json"})
    wait_for(lambda: "status page on" in box.log(), "the page")
    box.drop("bad.jpg", b"no picture")
    box.wait_finished(1)
    box.stop()
    lines = [json.loads(line) for line in box.log().splitlines()]
    failed = [line for line in lines if line["message"].startswith("failed")]
    assert [line["job"] for line in failed] == [1]
    assert {"time", "level", "logger", "message"} <= set(lines[0])
