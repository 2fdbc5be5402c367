"""A cache whose files are damaged or whose disk refuses: no photo is lost, no wrong matte given."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cache_entries import CONTEXT, MODEL, answered, encoded, kept, on_disk, open_cache
from fakes import ManualClock

from edge_matting.cache import MatteCache
from edge_matting.cache.store import PAUSE_SECONDS, TieredStore

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
    cache.store.remove(encoded(1)[0])
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
    store = TieredStore(tmp_path, 0, 10**7, 0, clock.monotonic)
    (tmp_path / MODEL).write_bytes(b"")  # where a folder has to be made
    store.put(*encoded(1))
    (tmp_path / MODEL).unlink()
    store.put(*encoded(1))
    assert store.stored().entries == 0
    clock.time += PAUSE_SECONDS
    store.put(*encoded(1))
    assert (store.stored().entries, store.stored().problem) == (1, None)
