"""Fixtures that several test files share."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import ManualClock
from flask.testing import FlaskClient
from harness import RunningAppliance
from status_fixture import House

from edge_matting.ledger import Ledger
from edge_matting.runtimes.environment import prepare_environment

prepare_environment("ort")  # some tests load a runtime by themselves


@pytest.fixture
def appliance(tmp_path: Path) -> Iterator[Callable[..., RunningAppliance]]:
    """Makes appliances (not yet started); one that still runs when the test ends must stop."""
    made: list[RunningAppliance] = []

    def make(name: str = "box", **config: Any) -> RunningAppliance:
        root = tmp_path / name
        root.mkdir()
        made.append(RunningAppliance(root, **config))
        return made[-1]

    yield make
    for box in made:
        if box.process is not None:
            try:
                box.stop()
            except subprocess.TimeoutExpired:
                box.kill()
                raise


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def client(house: House) -> FlaskClient:
    return house.client()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: ManualClock) -> Iterator[Ledger]:
    """An empty ledger of the test's own, found in order when the test has ended."""
    with Ledger.open(tmp_path / "ledger.sqlite", clock=clock, max_attempts=3) as opened:
        yield opened
        assert opened.check() == []


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users reach too; pytest's own are private."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
