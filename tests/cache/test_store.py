"""Mattes and results in memory and on disk: bounded, shared, and found again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from cache_entries import CONTEXT, MODEL, a_mark, answered, encoded, kept, on_disk, open_cache
from fakes import ManualClock

from edge_matting.cache import Fingerprint, fingerprint_of
from edge_matting.cache.disk import DiskTier
from edge_matting.cache.entry import sealed, unsealed
from edge_matting.cache.matte_cache import CANDIDATES, alike
from edge_matting.cache.memory import MemoryTier
from edge_matting.cache.result_notes import note_name
from edge_matting.cache.single_flight import SingleFlight
from edge_matting.cache.store import REFRESH_SECONDS, TieredStore
from edge_matting.core.jobs import Execution, Output, Quality, Result, StoredResult
from edge_matting.core.states import JobState
from tests.cases.test_durability import fill, small_disk
from tools.waiting import wait_for

# -- bounds ---------------------------------------------------------------------------


def test_memory_keeps_what_was_used_last():
    shelf = MemoryTier(250)
    assert shelf.put("a", bytes(100)) == []
    assert shelf.put("b", bytes(100)) == []
    assert shelf.get("a") is not None
    assert shelf.put("c", bytes(100)) == ["b"]
    assert shelf.get("b") is None
    assert shelf.put("giant", bytes(251)) == []
    assert shelf.bytes == 200
    shelf.remove("a")
    assert shelf.bytes == 100


def test_the_disk_is_bounded_and_the_least_recently_used_leave_first(tmp_path):
    one = on_disk(1)
    shelf = DiskTier(tmp_path, 3 * one + one // 2, 0)
    names = [encoded(number)[0] for number in range(5)]
    for number in range(3):
        assert shelf.put(*encoded(number)) == []
    assert shelf.get(names[0]) is not None
    assert shelf.put(*encoded(3)) == [names[1]]
    assert shelf.get(names[1]) is None
    assert shelf.put(names[4], bytes(10**6)) == []  # larger than all the room: nothing leaves
    assert set(shelf.names()) == {names[0], names[2], names[3]}
    assert shelf.check() == []


def test_small_entries_count_as_the_blocks_that_they_take(tmp_path):
    shelf = DiskTier(tmp_path, 10 * 4096, 0)
    for number in range(30):
        shelf.put(f"model/how/{number}.result", b"short")
    assert len(shelf.names()) == 10
    assert shelf.bytes == 10 * 4096
    assert DiskTier(tmp_path, 10 * 4096, 0).bytes == shelf.bytes


def test_recency_survives_a_restart(tmp_path):
    shelf = DiskTier(tmp_path, 10**6, 0)
    names = [encoded(number)[0] for number in range(3)]
    for number in range(3):
        shelf.put(*encoded(number))
        os.utime(tmp_path / names[number], (1000 + number, 1000 + number))
    shelf.get(names[0])
    again = DiskTier(tmp_path, 10**6, 0)
    assert list(again.names()) == [names[1], names[2], names[0]]
    assert again.bytes == shelf.bytes


def test_a_disk_that_runs_out_of_room_gets_it_back_from_the_cache(tmp_path):
    with small_disk(tmp_path / "disk", 2):
        cache = open_cache(tmp_path / "disk" / "cache", min_free_bytes=300_000)
        for number in range(40):
            kept(cache, number)
        assert cache.stored().disk_bytes > 0
        fill(tmp_path / "disk", leave=280_000)
        before = cache.stored()
        cache.tend()
        after = cache.stored()
        assert after.disk_bytes < before.disk_bytes
        assert after.evictions > before.evictions
        kept(cache, 100)  # no room for it: no fault either
        assert cache.check() == []


def test_a_full_disk_costs_no_photo_and_leaves_no_torn_entry(tmp_path):
    with small_disk(tmp_path / "disk", 1):
        cache = open_cache(tmp_path / "disk" / "cache", memory_bytes=0)
        kept(cache, 1)
        fill(tmp_path / "disk")
        kept(cache, 2)
        assert "cannot write" in (cache.stored().problem or "")
        assert answered(cache, 1) == "matte"
        assert answered(cache, 2) == "miss"
        assert cache.check() == []
        hidden = list((tmp_path / "disk").rglob(".*"))
        assert hidden == []


# -- several at once ------------------------------------------------------------------


def test_what_another_process_stored_or_dropped_is_seen_in_time(tmp_path):
    clock = ManualClock()
    ours = TieredStore(tmp_path, 0, 10**7, 0, clock.monotonic)
    theirs = DiskTier(tmp_path, 10**7, 0)
    name, data = encoded(1)
    theirs.put(name, data)
    assert ours.with_pixels(CONTEXT, a_mark(1).pixels) is None
    clock.time += REFRESH_SECONDS
    ours.tend()
    assert ours.get(name) == data
    theirs.remove(name)
    assert ours.get(name) is None
    assert ours.with_pixels(CONTEXT, a_mark(1).pixels) is None
    assert ours.check() == []


WRITE_FOR_EVER = """
import sys
sys.path[:0] = sys.argv[3].split(":")
from pathlib import Path
from cache_entries import answered, kept, open_cache

cache = open_cache(Path(sys.argv[1]), disk_bytes=400_000)
number = int(sys.argv[2])
print("ready", flush=True)
while True:
    number += 1
    kept(cache, number % 400)
    answered(cache, (number * 7) % 400)
    cache.tend()
"""


def test_kill_9_during_writes_of_two_processes_leaves_no_torn_entry(tmp_path):
    root = Path(__file__).parents[2]
    paths = ":".join(map(str, (root / "tests" / "support", root)))
    for life in range(2):
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path), str(number), paths],
                stdout=subprocess.PIPE,
            )
            for number in (0, 200)
        ]
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        time.sleep(0.2 + 0.3 * life)
        for process in processes:
            assert process.poll() is None, "a writer failed of itself"
            process.send_signal(signal.SIGKILL)
            process.communicate()
        cache = open_cache(tmp_path)
        assert cache.check() == []
        verdicts = [answered(cache, number) for number in range(400)]
        assert "matte" in verdicts
    assert open_cache(tmp_path).check() == []


def test_doubles_wait_for_the_first_and_go_on_when_it_fails():
    flight = SingleFlight()
    order: list[str] = []
    begun, signs = threading.Event(), threading.Event()

    def fail() -> None:
        with flight.turn("photo", lambda: None):
            order.append("first")
            begun.set()
            wait_for(signs.is_set, "a waiting double")
            raise RuntimeError

    def first() -> None:
        with pytest.raises(RuntimeError):
            fail()

    def second() -> None:
        begun.wait(10)
        with flight.turn("photo", signs.set):
            order.append("second")

    def stranger() -> None:
        begun.wait(10)
        with flight.turn("another photo", lambda: None):
            order.append("stranger")

    threads = [threading.Thread(target=each) for each in (first, second, stranger)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(order) == ["first", "second", "stranger"]
    assert order[0] == "first"
    assert order[-1] == "second"


# -- notes on results -----------------------------------------------------------------


RESULT = StoredResult(
    JobState.SUCCEEDED,
    "/out",
    Result(
        sha256="5a" * 32,
        source_size=(640, 480),
        outputs=(Output("caf\udce9.png", "cutout", "png", "c0" * 32),),
        recipe_key="0123",
        model_id="default",
        model_sha256=MODEL,
        execution=Execution("ort", "cpu", "fp32", (320, 320), 1),
        cache="miss",
        quality=Quality("ok", (), 0.2, 0.1, 0.0),
        seconds={"total": 1.0},
    ),
    root="/out",
)
KEY = ("5a" * 32, "0123", MODEL)


def test_a_note_on_a_result_comes_back_and_goes_with_its_model(tmp_path):
    cache = open_cache(tmp_path, memory_bytes=0)
    cache.keep_result(RESULT)
    assert cache.find_result(*KEY) == RESULT
    assert cache.find_result("5b" * 32, "0123", MODEL) is None
    assert open_cache(tmp_path).find_result(*KEY) == RESULT
    assert (cache.stored().entries, cache.check()) == (0, [])
    cache.keep_models(())
    assert cache.find_result(*KEY) is None


def test_a_note_that_was_renamed_or_is_of_another_version_is_none(tmp_path):
    cache = open_cache(tmp_path, memory_bytes=0)
    cache.keep_result(RESULT)
    name = note_name(*KEY)
    other = note_name("5b" * 32, "0123", MODEL)
    (tmp_path / other).write_bytes((tmp_path / name).read_bytes())
    cache = open_cache(tmp_path, memory_bytes=0)
    assert len(cache.check()) == 1
    assert cache.find_result("5b" * 32, "0123", MODEL) is None
    body = json.loads(unsealed((tmp_path / name).read_bytes()))
    body["result"] = json.dumps({"of": "the future"})
    (tmp_path / name).write_bytes(sealed(json.dumps(body).encode()))
    assert cache.find_result(*KEY) is None
    assert not (tmp_path / name).exists()


# -- nomination -----------------------------------------------------------------------


def a_photo(number: int) -> tuple[Fingerprint, np.ndarray, np.ndarray]:
    """Fingerprint, thumbnail and matte; photos of different numbers are alike, not the same."""
    chance = np.random.default_rng(1)
    small = chance.integers(0, 256, (8, 8, 3), np.uint8)
    view = cv2.resize(small, (128, 128), interpolation=cv2.INTER_CUBIC)
    cv2.circle(view, (20 + 9 * number, 60), 5, (255, 0, 255), -1)
    return fingerprint_of(view, (640, 640)), view, np.zeros((128, 128), np.float32)


def test_at_most_three_likes_are_compared_and_a_damaged_one_is_passed_over(tmp_path):
    cache = open_cache(tmp_path, memory_bytes=0)
    for number in range(6):
        mark, view, alpha = a_photo(number)
        cache.keep(CONTEXT, mark, view, alpha, 0.1)
    mark, view, _ = a_photo(7)
    assert len(cache._alike(CONTEXT, mark)) == CANDIDATES
    for path in (tmp_path / CONTEXT).iterdir():
        path.write_bytes(b"")
    assert cache.find(CONTEXT, mark, view).verdict == "miss"


def test_another_shape_or_layout_is_not_alike():
    mark, _, _ = a_photo(0)
    assert alike(mark, mark)
    assert not alike(mark, replace(mark, size=(640, 480)))
    assert not alike(mark, replace(mark, dhash=mark.dhash ^ 0x1FFF))
    assert not alike(mark, replace(mark, layout=bytes([255, *mark.layout[1:]])))


def test_photos_too_small_to_be_compared_are_inferred(tmp_path):
    cache = open_cache(tmp_path)
    mark, view, alpha = a_photo(0)
    cache.keep(CONTEXT, replace(mark, size=(90, 90)), view, alpha, 0.1)
    like = replace(mark, size=(90, 90), pixels="f" * 32)
    assert cache.find(CONTEXT, like, view).verdict == "miss"
