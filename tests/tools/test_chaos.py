"""The chaos tool against the real appliance, and the chaos tool against itself."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge_matting.core.clock import SystemClock
from edge_matting.ledger import Ledger
from tools.chaos.__main__ import make_plan
from tools.chaos.box import Box, small_disk
from tools.chaos.check import broken_invariants, charged
from tools.chaos.photos import Drop, make_photos
from tools.waiting import wait_for

ROOT = Path(__file__).parents[2]


def run_chaos(*arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tools.chaos", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_nothing_is_lost_under_a_few_faults():
    verdict = run_chaos("--images", 30, "--kills", 6, "--seed", 7).splitlines()[-1]
    assert verdict.startswith("chaos: HELD 30 photos")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_is_lost_under_many_faults():
    verdict = run_chaos("--images", 300, "--kills", 60).splitlines()[-1]
    assert verdict.startswith("chaos: HELD 300 photos")


def test_a_start_on_a_full_disk_waits_for_room_and_then_works(tmp_path):
    with small_disk(tmp_path / "disk", 16) as mounted:
        if not mounted:
            pytest.skip("no small disk may be mounted here")
        with Box(tmp_path, tmp_path / "disk", small_disk=True) as box:
            box.start()
            assert box.wait_ready()
            assert box.stop() == 0
            box.fill_disk()
            box.start()
            wait_for(lambda: "it starts when there is room" in box.log(), "word of the room", 20)
            assert not box.ready()
            box.drain_disk()
            assert box.wait_ready()
            assert box.stop() == 0
            assert box.fell == []


def test_a_daemon_that_was_held_does_not_blame_its_engine(tmp_path):
    (tmp_path / "disk").mkdir()
    with Box(tmp_path, tmp_path / "disk", small_disk=False, stall_seconds=2.0) as box:
        box.start()
        assert box.wait_ready()
        box.send_daemon(signal.SIGSTOP)
        time.sleep(4)
        box.send_daemon(signal.SIGCONT)
        time.sleep(2)
        assert box.status()["engine"]["restarts"] == 0
        assert "replaced" not in box.log()


def test_a_held_engine_is_replaced_and_its_photo_is_not_charged(tmp_path):
    (tmp_path / "disk").mkdir()
    with Box(tmp_path, tmp_path / "disk", small_disk=False, stall_seconds=2.0) as box:
        box.start()
        assert box.wait_ready()
        engine = box.engine()
        engine.suspend()
        (photo,) = make_photos(random.Random(1), 1)
        (box.hot / "in" / "a.jpg").write_bytes(photo.data)
        wait_for(lambda: not engine.is_running() or box.engine() != engine, "new engine", 30)
        wait_for((box.hot / "done" / "a.jpg").exists, "finished photo", 30)
        assert charged(box.hot) == 0
        assert f"engine {engine.pid}: the engine was held by SIGSTOP" in box.log()


def test_a_seed_gives_the_same_photos_arrivals_and_faults():
    assert make_plan(random.Random(5), 12, 8) == make_plan(random.Random(5), 12, 8)
    assert make_plan(random.Random(5), 12, 8) != make_plan(random.Random(6), 12, 8)


def test_the_photos_differ_in_name_and_content():
    drops = make_photos(random.Random(3), 60)
    assert len({drop.path for drop in drops}) == len({drop.sha256 for drop in drops}) == 60


def test_the_check_names_what_is_lost_doubled_or_left(tmp_path):
    with Ledger.open(tmp_path / "ledger.sqlite", clock=SystemClock(), max_attempts=3):
        pass
    hot = tmp_path / "hot"
    for folder in ("in", "out", "review", "done", "failed"):
        (hot / folder).mkdir(parents=True)
    photo, broken = Drop("a.jpg", b"photo", healthy=True), Drop("b.jpg", b"bad", healthy=False)
    (hot / "in" / "b.jpg").write_bytes(b"bad")
    (hot / "done" / "a.jpg").write_bytes(b"photo")
    (hot / "done" / "a~2.jpg").write_bytes(b"photo")
    (hot / "failed" / "x.jpg").write_bytes(b"photo")
    (hot / "out" / "a.png").write_bytes(b"half")
    (hot / "out" / ".edge-matting-1.tmp").write_bytes(b"")
    found = broken_invariants(hot, tmp_path / "ledger.sqlite", [photo, broken])
    expected = (
        "in/ still holds b.jpg",
        "a temporary is left",
        "a.jpg is 2 times in done/",
        "b.jpg is 0 times in failed/",
        "failed/ holds 1 files that do not belong there",
        "a.png has no sidecar",
        "a.jpg is 0 times in out/ and review/",
        "x.jpg has no report",
    )
    for words in expected:
        assert any(words in line for line in found), (words, found)
