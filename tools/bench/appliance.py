"""The appliance and the command line under measurement: child processes with own folders."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import yaml

from tools.bench.machine import ROOT

sys.path.append(str(ROOT / "tools"))  # a script sees only the modules of its own folder

from tools.ports import free_port
from tools.waiting import wait_for

PATIENCE_SECONDS = 120.0
PLAIN = {"refinement": "none", "foreground": False, "exposure": "none"}
"""The finishing that `rembg p` does by default."""


def write_config(root: Path, *, precision: str = "fp32", **changes: Any) -> Path:
    """Settings with everything under ``root``, no cache, and the model at 320 x 320."""
    settings = {
        "state_dir": str(root / "state"),
        "hot_folders": [{"path": str(root / "hot")}],
        "device": {"measure": "never", "resolution": 320, "precision": precision},
        "cache": {"enabled": False},
        "status": {"port": free_port()},
        "recipes": {"plain": PLAIN},
        **changes,
    }
    root.mkdir(parents=True, exist_ok=True)
    path = root / "config.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "edge_matting", *map(str, arguments)]


def environment() -> dict[str, str]:
    """This tree's package for every child."""
    known = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), known)))}


def start(arguments: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as target:
        return subprocess.Popen(arguments, stdout=target, stderr=target, env=environment())


class Appliance:
    """`edge-matting run` with folders under ``root``."""

    def __init__(self, root: Path, **changes: Any) -> None:
        self.root = root
        self.config = write_config(root, **changes)
        self.hot = root / "hot"
        self.inbox = self.hot / "in"
        self.inbox.mkdir(parents=True, exist_ok=True)
        settings = yaml.safe_load(self.config.read_text())
        self.url = f"http://127.0.0.1:{settings['status']['port']}"
        self.log = root / "log.txt"
        self.process: psutil.Process | None = None
        self._family: list[psutil.Process] = []
        self._looked = 0.0

    @property
    def results(self) -> tuple[Path, Path]:
        return self.hot / "out", self.hot / "review"

    def fill(self, photos: Sequence[Path]) -> None:
        """Put photos into the inbox, each under its final name at once."""
        for photo in photos:
            hidden = self.inbox / f".{photo.name}"
            shutil.copy2(photo, hidden)
            hidden.rename(self.inbox / photo.name)

    def has_work(self) -> bool:
        """Whether photos are left in ``in/``; of 20,000 names only the first are read."""
        with os.scandir(self.inbox) as entries:
            return next(entries, None) is not None

    @contextmanager
    def running(self) -> Iterator[psutil.Process]:
        child = start(command("run", "-c", self.config), self.log)
        self.process = psutil.Process(child.pid)
        try:
            yield self.process
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait(60)

    def wait_ready(self) -> None:
        wait_for(lambda: self.get("/readyz") is not None, "readiness", PATIENCE_SECONDS)

    def family(self) -> list[psutil.Process]:
        """The daemon and its engine; looked for at most once a second, for that costs time."""
        assert self.process is not None
        if time.monotonic() > self._looked + 1.0:
            self._looked = time.monotonic()
            self._family = [self.process, *self.process.children(recursive=True)]
        return self._family

    def get(self, address: str) -> Any:
        """The JSON there, text where it is none; None for an error status and for no answer."""
        try:
            with urllib.request.urlopen(self.url + address, timeout=5) as answer:
                text = answer.read().decode()
        except (OSError, urllib.error.URLError):
            return None
        try:
            return json.loads(text)
        except ValueError:
            return text
