"""Waiting tells what did not come, as it stood when the time was over."""

from __future__ import annotations

import pytest

from tools.waiting import NotInTimeError, wait_for, wait_until


def test_the_first_true_value_is_the_answer() -> None:
    values = iter([0, "", 7, 8])
    assert wait_for(lambda: next(values), "a number", step=0.0) == 7


def test_the_condition_is_looked_at_once_even_without_time() -> None:
    assert wait_until(lambda: "there", 0.0) == "there"
    assert wait_until(list, 0.0) == []


def test_what_did_not_come_in_time_is_named() -> None:
    with pytest.raises(NotInTimeError, match=r"not within 0 s: readiness"):
        wait_for(lambda: None, "readiness", 0.0)


def test_what_is_missing_is_told_as_it_stands_in_the_end() -> None:
    looks: list[int] = []
    with pytest.raises(NotInTimeError, match="looked 1 times"):
        wait_for(lambda: looks.append(1), lambda: f"looked {len(looks)} times", 0.0)
