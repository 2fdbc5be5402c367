"""The appliance under fire: a child process with a folder, and perhaps a disk, of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, final

import psutil
import yaml

from tools.chaos.plants import NAME as PLANTED
from tools.waiting import wait_until

STALL_SECONDS = 5.0
READY_SECONDS = 60.0
STOP_SECONDS = 30.0
MAX_FALLS = 5


class GaveUpError(Exception):
    """The appliance did not do in time what it must do."""


@final
class Box:
    """`edge-matting run` with ``in/``, ``out/`` and its state on one file system."""

    def __init__(
        self,
        root: Path,
        disk: Path,
        *,
        small_disk: bool,
        stall_seconds: float = STALL_SECONDS,
        **config: Any,
    ) -> None:
        self.root = root
        self.disk = disk
        self.small_disk = small_disk
        self.hot = disk / "hot"
        self.staging = disk / "staging"
        self.ledger_path = disk / "state" / "ledger.sqlite"
        self.log_path = root / "log.txt"
        self.fell: list[str] = []
        """Why the daemon ended without being told to."""
        self._config = root / "config.yaml"
        self._filler = disk / "filler"
        self._process: subprocess.Popen[bytes] | None = None
        self._settings = {
            "state_dir": str(self.disk / "state"),
            "hot_folders": [{"path": str(self.hot)}],
            "intake": {"settle_seconds": 0.3, "rescan_seconds": 2.0},
            "engine": {"stall_seconds": stall_seconds},
            "limits": {"min_free_mb": 1},
            "status": {"port": 0},
            **config,
        }
        self._write_config()
        for folder in (self.hot / "in", self.staging):
            folder.mkdir(parents=True)

    def __enter__(self) -> Box:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    # -- life and death ---------------------------------------------------------------

    def start(self) -> None:
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "edge_matting", "run", "-c", str(self._config)],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self) -> int:
        """Ask it to stop; its exit status."""
        process, self._process = self._process, None
        assert process is not None
        process.terminate()
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise GaveUpError(f"it did not stop within {STOP_SECONDS:g} s") from None

    def kill_daemon(self) -> None:
        """SIGKILL; the kernel sends the engine after it."""
        process, self._process = self._process, None
        assert process is not None
        process.kill()
        process.wait()

    def revive(self) -> None:
        """What systemd does when the daemon has ended by itself: note it, start it again."""
        process = self._process
        if process is not None and process.poll() is not None:
            self.fell.append(f"status {process.returncode}: {self.last_words()}")
            self._process = None
        if len(self.fell) > MAX_FALLS:
            raise GaveUpError("the daemon does not stay up")
        if self._process is None:
            self.start()

    def engine(self) -> psutil.Process | None:
        """The daemon's child."""
        daemon = self.daemon()
        if daemon is not None:
            with contextlib.suppress(psutil.Error):
                return next(iter(daemon.children()), None)
        return None

    def reload(self, **config: Any) -> None:
        """Change the configuration while it runs; the daemon reads it on SIGHUP."""
        self._settings |= config
        self._write_config()
        self.send_daemon(signal.SIGHUP)

    def daemon(self) -> psutil.Process | None:
        process = self._process
        if process is None or process.poll() is not None:
            return None
        with contextlib.suppress(psutil.Error):
            return psutil.Process(process.pid)
        return None

    def send_daemon(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    # -- what it says -----------------------------------------------------------------

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._url()}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (OSError, ValueError):
            return False

    def status(self) -> Any:
        with urllib.request.urlopen(f"{self._url()}/api/v1/status", timeout=10) as answer:
            return json.load(answer)

    def has_work(self) -> bool:
        """Whether photos lie in ``in/``."""
        return any(
            not name.startswith((".", PLANTED))
            for _, _, names in os.walk(self.hot / "in")
            for name in names
        )

    def wait_ready(self, seconds: float = READY_SECONDS) -> bool:
        return bool(wait_until(self.ready, seconds))

    def log(self) -> str:
        return self.log_path.read_text("utf-8", "replace")

    def last_words(self) -> str:
        return " | ".join(self.log().splitlines()[-3:])

    def page(self, path: str = "/") -> bytes:
        with urllib.request.urlopen(f"{self._url()}{path}", timeout=10) as answer:
            return bytes(answer.read())

    def _url(self) -> str:
        """The page's address; port 0 means another one at every start."""
        marker = "status page on "
        lines = [line for line in self.log().splitlines() if marker in line]
        if not lines:
            raise ValueError("no page yet")
        return lines[-1].split(marker)[1].rstrip("/")

    # -- its disk ---------------------------------------------------------------------

    def fill_disk(self) -> None:
        """Take every free byte."""
        with self._filler.open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1 << 8):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)) == size:
                        pass

    def drain_disk(self) -> None:
        self._filler.unlink(missing_ok=True)

    def _write_config(self) -> None:
        self._config.write_text(yaml.safe_dump(self._settings))


@contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[bool]:
    """A tmpfs of that size at ``path``, or a plain folder and False where none may be mounted."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)]
    try:
        mounted = (
            os.geteuid() == 0
            and subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0
        )
    except FileNotFoundError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(path)], check=False)
