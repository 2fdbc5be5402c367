"""Files made to be slow or large are refused early, or done within the budget of their size."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.conformance.slow_files import in_a_thread, slow_files

SAMPLE = list(slow_files(18, seed=3))


@pytest.mark.parametrize(("name", "data"), SAMPLE, ids=[name for name, _ in SAMPLE])
@pytest.mark.filterwarnings("ignore")
def test_a_file_made_to_be_slow_stays_within_its_budget(name: str, data: bytes) -> None:
    cost = in_a_thread(name, data)
    assert cost.verdict != "internal"
    assert cost.seconds < cost.budget


def test_the_same_seed_makes_the_same_files(tmp_path: Path) -> None:
    assert [data for _, data in slow_files(4, 9)] == [data for _, data in slow_files(4, 9)]
    assert list(tmp_path.iterdir()) == []
