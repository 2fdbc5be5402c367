"""The table of plans in docs/devices.md is what the planner says today."""

from __future__ import annotations

import re

from tests.fixtures.devices import DEVICES
from tools.pictures import device_table


def test_the_page_is_current():
    text = device_table.PAGE.read_text("utf-8")
    assert device_table.page(text) == text, "run python -m tools.pictures.device_table"


def test_every_device_has_a_row_and_every_number_in_it_a_source():
    rows = [line for line in device_table.table().splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + len(DEVICES)
    for row in rows[1:]:
        name, *cells = [cell.strip() for cell in row.strip("| ").split(" | ")]
        assert name in DEVICES
        for cell in cells:
            assert not re.search(r"\d", cell) or re.search(r"`[^`]+`", cell), (name, cell)


def test_jetpack_5_shows_its_refusal_and_why():
    text = device_table.table()
    mine = text.split("**AGX Orin 64GB, JetPack 5**")[1].split("- **")[0]
    assert "is not used" in mine
    assert "JetPack 6" in mine
