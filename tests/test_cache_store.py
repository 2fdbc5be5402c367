"""Entries in memory and on disk: bounded, durable enough, and never believed unchecked."""

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
from fakes import ManualClock
from test_cases_durability import fill, small_disk
from waiting import wait_for

from edge_matting.cache import Fingerprint, MatteCache, fingerprint_of
from edge_matting.cache.disk import DiskShelf
from edge_matting.cache.entry import (
    Entry,
    EntryDamaged,
    decode_entry,
    encode_entry,
    entry_name,
    parse_name,
    sealed,
    unsealed,
)
from edge_matting.cache.mattes import CANDIDATES, alike
from edge_matting.cache.memory import MemoryShelf
from edge_matting.cache.remembered import note_name
from edge_matting.cache.shelves import PAUSE_SECONDS, REFRESH_SECONDS, Shelves
from edge_matting.cache.single_flight import SingleFlight
from edge_matting.core.jobs import Execution, Output, Quality, Result, StoredResult
from edge_matting.core.states import JobState

MODEL = "ab" * 32
CONTEXT = f"{MODEL}/0123456789abcdef"


def a_mark(number: int) -> Fingerprint:
    chance = np.random.default_rng(number)
    phash, dhash = (int(chance.integers(2**63)) for _ in range(2))
    return Fingerprint(f"{number:032x}", phash, dhash, chance.bytes(27), (640, 480))


def an_entry(number: int, side: int = 64) -> Entry:
    chance = np.random.default_rng(number)
    alpha = np.zeros((side, side), np.float32)
    alpha[side // 4 : side // 2] = chance.random((side // 4, side), np.float32)
    alpha[side // 2 :] = 1
    thumbnail = np.full((side, side, 3), number % 251, np.uint8)
    return Entry(a_mark(number), alpha, thumbnail, 0.125)


def encoded(number: int) -> tuple[str, bytes]:
    return encode_entry(CONTEXT, an_entry(number))


def on_disk(number: int) -> int:
    """Bytes that an entry takes of the disk, in whole blocks."""
    return -(-len(encoded(number)[1]) // 4096) * 4096


def kept(cache: MatteCache, number: int) -> None:
    entry = an_entry(number)
    cache.keep(CONTEXT, entry.mark, entry.thumbnail, entry.alpha, entry.seconds)


def answered(cache: MatteCache, number: int) -> str:
    """The verdict; a matte must be the right one."""
    entry = an_entry(number)
    answer = cache.find(CONTEXT, entry.mark, entry.thumbnail)
    if answer.alpha is not None:
        np.testing.assert_allclose(answer.alpha, entry.alpha, atol=1 / 255)
    return answer.verdict


def open_cache(root: Path, **changes: int) -> MatteCache:
    limits = {"memory_bytes": 10**6, "disk_bytes": 10**7, **changes}
    return MatteCache(root, **limits)


# -- an entry's bytes -----------------------------------------------------------------


def test_an_entry_comes_back_as_it_was():
    entry = an_entry(7)
    name, data = encode_entry(CONTEXT, entry)
    again = decode_entry(name, data)
    assert parse_name(name) == (CONTEXT, entry.mark)
    assert (again.mark, again.seconds) == (entry.mark, 0.125)
    certain = (entry.alpha < 1 / 255) | (entry.alpha > 1 - 1 / 255)
    assert np.abs(again.alpha - entry.alpha)[~certain].max() <= 1 / 65535
    assert set(np.unique(again.alpha[certain])) == {0.0, 1.0}
    assert np.abs(again.thumbnail.astype(int) - entry.thumbnail).max() <= 2


@pytest.mark.parametrize("position", [0, 10, 30, 200, -1])
def test_one_flipped_bit_is_noticed(position):
    name, data = encoded(7)
    broken = bytearray(data)
    broken[position] ^= 4
    with pytest.raises(EntryDamaged):
        decode_entry(name, bytes(broken))


def test_a_cut_or_renamed_entry_is_none():
    name, data = encoded(7)
    for length in (0, 3, 20, len(data) // 2, len(data) - 1):
        with pytest.raises(EntryDamaged):
            decode_entry(name, data[:length])
    with pytest.raises(EntryDamaged, match="written as"):
        decode_entry(entry_name(CONTEXT, a_mark(8)), data)


@pytest.mark.parametrize("name", ["a/b/c.matte", "x.matte", "a/b/1-2-3-4.matte", "a/b/.matte"])
def test_other_files_have_no_entrys_name(name):
    with pytest.raises(ValueError, match=r"no\w* the name|values to unpack|invalid literal"):
        parse_name(name)


# -- bounds ---------------------------------------------------------------------------


def test_memory_keeps_what_was_used_last():
    shelf = MemoryShelf(250)
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
    shelf = DiskShelf(tmp_path, 3 * one + one // 2, 0)
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
    shelf = DiskShelf(tmp_path, 10 * 4096, 0)
    for number in range(30):
        shelf.put(f"model/how/{number}.result", b"short")
    assert len(shelf.names()) == 10
    assert shelf.bytes == 10 * 4096
    assert DiskShelf(tmp_path, 10 * 4096, 0).bytes == shelf.bytes


def test_recency_survives_a_restart(tmp_path):
    shelf = DiskShelf(tmp_path, 10**6, 0)
    names = [encoded(number)[0] for number in range(3)]
    for number in range(3):
        shelf.put(*encoded(number))
        os.utime(tmp_path / names[number], (1000 + number, 1000 + number))
    shelf.get(names[0])
    again = DiskShelf(tmp_path, 10**6, 0)
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


# -- faults ---------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "swap", "foreign"])
def test_a_damaged_entry_is_a_miss_and_is_dropped(tmp_path, damage):
    cache = open_cache(tmp_path, memory_bytes=0)
    kept(cache, 1)
    kept(cache, 2)
    path, other = (tmp_path / encoded(number)[0] for number in (1, 2))
    data = path.read_bytes()
    content = {
        "cut": data[:-5],
        "flip": data[:100] + bytes([data[100] ^ 1]) + data[101:],
        "empty": b"",
        "swap": other.read_bytes(),
        "foreign": b"hello",
    }
    path.write_bytes(content[damage])
    assert len(cache.check()) == 1
    assert answered(cache, 1) == "miss"
    assert not path.exists()
    assert answered(cache, 2) == "matte"
    assert cache.check() == []


def test_a_file_that_is_no_entry_is_left_alone_and_told(tmp_path):
    kept(open_cache(tmp_path), 1)
    stranger = tmp_path / CONTEXT / "holiday.matte"
    stranger.write_bytes(b"x")
    cache = open_cache(tmp_path)
    assert answered(cache, 1) == "matte"
    assert len(cache.check()) == 1
    assert stranger.exists()


def test_a_folder_that_cannot_be_used_leaves_the_memory(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    cache = open_cache(tmp_path / "file" / "cache")
    assert "stays in memory" in (cache.stored().problem or "")
    kept(cache, 1)
    assert answered(cache, 1) == "matte"
    cache.tend()
    cache.keep_models(())
    assert cache.check() == []


def test_without_memory_and_disk_nothing_is_kept(tmp_path):
    cache = MatteCache(None, memory_bytes=0, disk_bytes=0)
    kept(cache, 1)
    assert answered(cache, 1) == "miss"
    assert cache.stored().entries == 0


def test_entries_of_models_that_left_are_dropped(tmp_path):
    cache = open_cache(tmp_path, memory_bytes=0)
    kept(cache, 1)
    old = tmp_path / CONTEXT / ".edge-matting-0000.tmp"
    old.write_bytes(b"half")
    os.utime(old, (0, 0))
    cache.keep_models({MODEL})
    assert not old.exists()
    assert answered(cache, 1) == "matte"
    cache.keep_models({"cd" * 32})
    assert answered(cache, 1) == "miss"
    assert list(tmp_path.iterdir()) == []


def test_what_a_failing_model_made_is_dropped(tmp_path):
    cache = open_cache(tmp_path)
    kept(cache, 1)
    os.utime(tmp_path / encoded(1)[0], (1000, 1000))
    kept(cache, 2)
    cache.distrust(2000.0)
    assert answered(cache, 1) == "matte"
    assert answered(cache, 2) == "miss"
    in_memory = MatteCache(None, memory_bytes=10**6, disk_bytes=0)
    kept(in_memory, 1)
    in_memory.distrust(0.0)
    assert answered(in_memory, 1) == "miss"
    assert cache.check() == in_memory.check() == []


def test_mattes_survive_a_restart(tmp_path):
    kept(open_cache(tmp_path), 1)
    cache = open_cache(tmp_path)
    assert answered(cache, 1) == "matte"
    assert cache.answers().requests["matte"] == 1
    assert cache.answers().saved_seconds == 0.125


# -- several at once ------------------------------------------------------------------


def test_what_another_process_stored_or_dropped_is_seen_in_time(tmp_path):
    clock = ManualClock()
    ours = Shelves(tmp_path, 0, 10**7, 0, clock.monotonic)
    theirs = DiskShelf(tmp_path, 10**7, 0)
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
from test_cache_store import answered, kept, open_cache

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
    root = Path(__file__).parents[1]
    paths = ":".join(map(str, (root / "tests", root / "tools", root)))
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


# -- what the disk may do -------------------------------------------------------------


def as_folder(path: Path) -> None:
    """Put a folder where a file is expected: nothing can be read, replaced or removed there."""
    path.unlink()
    path.mkdir()
    (path / "x").write_bytes(b"")


def test_an_entry_that_cannot_be_read_or_removed_is_a_miss_and_told_once(tmp_path, caplog):
    cache = open_cache(tmp_path, memory_bytes=0)
    kept(cache, 1)
    kept(cache, 2)
    as_folder(tmp_path / encoded(1)[0])
    assert answered(cache, 1) == "miss"
    cache.shelves.remove(encoded(1)[0])
    assert answered(cache, 2) == "matte"
    assert len([r for r in caplog.records if "photos are done without it" in r.message]) == 1


def test_a_disk_that_cannot_be_trimmed_or_cleared_is_told(tmp_path):
    cache = open_cache(tmp_path, memory_bytes=0, disk_bytes=on_disk(1) + 10)
    kept(cache, 1)
    as_folder(tmp_path / encoded(1)[0])
    kept(cache, 2)  # there is no room before the first one goes
    assert "cannot write" in (cache.stored().problem or "")
    cache.distrust(0.0)
    assert "cannot be cleared" in (cache.stored().problem or "")


def test_an_entry_that_another_process_dropped_is_a_miss(tmp_path):
    cache = open_cache(tmp_path, memory_bytes=0)
    kept(cache, 1)
    (tmp_path / encoded(1)[0]).unlink()
    assert answered(cache, 1) == "miss"
    assert cache.check() == []


def test_an_entry_in_memory_counts_as_used_on_disk(tmp_path):
    one = on_disk(1)
    cache = open_cache(tmp_path, disk_bytes=2 * one + one // 2)
    kept(cache, 1)
    kept(cache, 2)
    assert answered(cache, 1) == "matte"
    kept(cache, 3)
    again = open_cache(tmp_path, memory_bytes=0)
    assert [answered(again, number) for number in (1, 2, 3)] == ["matte", "miss", "matte"]


def test_the_writes_of_a_refusing_disk_are_tried_again_after_a_pause(tmp_path):
    clock = ManualClock()
    shelves = Shelves(tmp_path, 0, 10**7, 0, clock.monotonic)
    (tmp_path / MODEL).write_bytes(b"")  # where a folder has to be made
    shelves.put(*encoded(1))
    (tmp_path / MODEL).unlink()
    shelves.put(*encoded(1))
    assert shelves.stored().entries == 0
    clock.time += PAUSE_SECONDS
    shelves.put(*encoded(1))
    assert (shelves.stored().entries, shelves.stored().problem) == (1, None)


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
