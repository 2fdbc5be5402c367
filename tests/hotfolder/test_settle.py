"""When a file has settled."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_matting.core.jobs import Signature
from edge_matting.hotfolder.settle import EMPTY_SECONDS, SettleTracker


def signature(size: int = 10, mtime: int = 1, inode: int = 1) -> Signature:
    return Signature(size, mtime, inode)


def test_a_file_settles_when_two_looks_far_enough_apart_agree() -> None:
    tracker = SettleTracker(2.0)
    tracker.observe("a", signature(), 100.0)
    assert tracker.settled() == []
    tracker.observe("a", signature(), 101.9)
    assert tracker.settled() == []
    tracker.observe("a", signature(), 102.0)
    assert tracker.settled() == [("a", signature())]
    assert tracker.settled() == []


def test_time_that_passes_without_a_look_settles_nothing() -> None:
    tracker = SettleTracker(2.0)
    tracker.observe("a", signature(), 0.0)
    assert tracker.next_check(500.0) == 0.0
    assert tracker.settled() == []


def test_a_change_starts_the_wait_anew() -> None:
    tracker = SettleTracker(2.0)
    tracker.observe("a", signature(size=1), 0.0)
    tracker.observe("a", signature(size=2), 1.9)
    tracker.observe("a", signature(size=2), 3.8)
    assert tracker.settled() == []
    assert tracker.next_check(3.8) == pytest.approx(0.1)
    tracker.observe("a", signature(size=2), 3.9)
    assert tracker.settled() == [("a", signature(size=2))]


def test_a_time_in_the_past_does_not_settle_a_file_sooner() -> None:
    tracker = SettleTracker(2.0)
    tracker.observe("a", signature(mtime=-(10**18)), 0.0)
    assert tracker.settled() == []


def test_an_empty_placeholder_waits_long_and_settles_in_the_end() -> None:
    tracker = SettleTracker(2.0)
    tracker.observe("a", signature(size=0), 0.0)
    tracker.observe("a", signature(size=0), EMPTY_SECONDS - 0.1)
    assert tracker.settled() == []
    tracker.observe("a", signature(size=0), EMPTY_SECONDS)
    assert tracker.settled() == [("a", signature(size=0))]


def test_content_that_follows_a_placeholder_settles_as_usual() -> None:
    tracker = SettleTracker(2.0)
    tracker.observe("a", signature(size=0), 0.0)
    tracker.observe("a", signature(size=9), 1.0)
    tracker.observe("a", signature(size=9), 3.0)
    assert tracker.settled() == [("a", signature(size=9))]


def test_without_a_settle_time_one_look_is_enough() -> None:
    tracker = SettleTracker(0.0)
    tracker.observe("a", signature(), 0.0)
    assert tracker.settled() == [("a", signature())]


def test_new_content_under_an_old_name_is_handed_out_again() -> None:
    tracker = SettleTracker(0.0)
    tracker.observe("a", signature(mtime=1), 0.0)
    assert tracker.settled()
    tracker.observe("a", signature(mtime=1), 1.0)
    assert tracker.settled() == []
    tracker.observe("a", signature(mtime=2), 2.0)
    assert tracker.settled() == [("a", signature(mtime=2))]


def test_an_absent_path_is_forgotten_and_the_others_are_not() -> None:
    tracker = SettleTracker(1.0)
    for path in ("gone", "kept"):
        tracker.observe(path, signature(), 0.0)
        tracker.observe(path, signature(), 1.0)
    assert len(tracker.settled()) == 2
    tracker.observe("waits", signature(), 1.0)
    tracker.retain({"kept"})
    assert tracker.waiting() == []
    for path in ("gone", "kept"):
        tracker.observe(path, signature(), 2.0)
    assert tracker.waiting() == ["gone"]


def test_a_forgotten_path_settles_anew() -> None:
    tracker = SettleTracker(0.0)
    tracker.observe("a", signature(), 0.0)
    assert tracker.settled()
    tracker.forget("a")
    tracker.forget("never seen")
    tracker.observe("a", signature(), 1.0)
    assert tracker.settled() == [("a", signature())]


def test_nothing_waiting_needs_no_check() -> None:
    assert SettleTracker(1.0).next_check(0.0) is None


LOOKS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.integers(0, 2),  # size; 0 is a placeholder
        st.floats(0.0, 5.0),  # seconds since the look before
    ),
    max_size=60,
)


@given(LOOKS, st.floats(0.0, 4.0))
def test_nothing_settles_before_its_time_or_twice(looks, settle_seconds: float) -> None:
    tracker = SettleTracker(settle_seconds, empty_seconds=8.0)
    now = 0.0
    since: dict[str, tuple[Signature, float]] = {}
    last_out: dict[str, Signature] = {}
    for path, size, pause in looks:
        now += pause
        seen = signature(size)
        if path not in since or since[path][0] != seen:
            since[path] = (seen, now)
            last_out.pop(path, None)
        tracker.observe(path, seen, now)
        for ready, handed in tracker.settled():
            needed = settle_seconds if handed.size else max(8.0, settle_seconds)
            assert handed == since[ready][0]
            assert now - since[ready][1] >= needed
            assert ready not in last_out
            last_out[ready] = handed


@given(LOOKS, st.floats(0.0, 4.0))
def test_everything_settles_in_the_end(looks, settle_seconds: float) -> None:
    tracker = SettleTracker(settle_seconds, empty_seconds=8.0)
    now = 0.0
    current: dict[str, Signature] = {}
    out: dict[str, Signature] = {}
    for path, size, pause in looks:
        now += pause
        current[path] = signature(size)
        tracker.observe(path, current[path], now)
        out.update(tracker.settled())
    while (pause := tracker.next_check(now)) is not None:
        now += pause + 1e-6
        for path in tracker.waiting():
            tracker.observe(path, current[path], now)
        ready = tracker.settled()
        assert ready
        out.update(ready)
    assert out == current
