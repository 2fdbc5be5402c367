"""One hot folder and its ledger, as several files of faults need them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import ManualClock

from edge_matting.config import Settings
from edge_matting.config.settings import HotFolder
from edge_matting.hotfolder.layout import prepare
from edge_matting.ledger import Ledger


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(
        state_dir=tmp_path / "state", hot_folders=(HotFolder(path=tmp_path / "hot"),)
    )
    settings.state_dir.mkdir()
    prepare(settings.hot_folders[0])
    return settings


@pytest.fixture
def ledger(settings: Settings, clock: ManualClock) -> Iterator[Ledger]:
    with Ledger.open(settings.ledger_path, clock=clock, max_attempts=3) as opened:
        yield opened
