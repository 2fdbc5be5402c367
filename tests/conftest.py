"""Fixtures that several test files share."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from harness import RunningAppliance
from house import House


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
