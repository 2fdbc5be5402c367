"""The real appliance in a folder of its own, driven from outside as a user would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from edge_matting.core.clock import SystemClock
from edge_matting.core.jobs import Job
from edge_matting.core.states import FINISHED
from edge_matting.ledger import Ledger
from tools.waiting import PATIENCE_SECONDS, wait_for

PHOTO = Path(__file__).parents[2] / "edge_matting" / "data" / "photos" / "astronaut.jpg"


class RunningAppliance:
    """One appliance: `edge-matting run` as a child process, its folders, its page, its ledger."""

    def __init__(self, root: Path, **config: Any) -> None:
        self.root = root
        self.folder = root / "hot"
        self.state_dir = root / "state"
        self.log_path = root / "log.txt"
        self.config_path = root / "config.yaml"
        self.process: subprocess.Popen[bytes] | None = None
        self.config: dict[str, Any] = {
            "state_dir": "state",
            "hot_folders": [{"path": "hot"}],
            "intake": {"settle_seconds": 0.3, "rescan_seconds": 2.0},
            "limits": {"min_free_mb": 1},
            "status": {"port": 0},
            **config,
        }
        self.write_config()

    @property
    def inbox(self) -> Path:
        return self.folder / "in"

    @property
    def outbox(self) -> Path:
        return self.folder / "out"

    @property
    def done(self) -> Path:
        return self.folder / "done"

    @property
    def failed(self) -> Path:
        return self.folder / "failed"

    @property
    def review(self) -> Path:
        return self.folder / "review"

    def write_config(self, **changes: Any) -> None:
        self.config.update(changes)
        # Timing the model takes seconds of a machine that other tests share.
        self.config["device"] = {"measure": "never", **self.config.get("device", {})}
        self.config_path.write_text(yaml.safe_dump(self.config))

    # -- life -------------------------------------------------------------------------

    def command(self) -> list[str]:
        return [sys.executable, "-m", "edge_matting", "run", "-c", str(self.config_path)]

    def start(
        self, *, ready: bool = True, env: Mapping[str, str] | None = None, under: Sequence[str] = ()
    ) -> RunningAppliance:
        """Start it, with more environment or under another command where a test needs that."""
        assert self.process is None
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*under, *self.command()],
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **(env or {})},
            )
        if ready:
            self.wait_ready()
        return self

    def refused(self) -> subprocess.CompletedProcess[str]:
        """A start that must end by itself: its exit status and what it said."""
        return subprocess.run(
            self.command(), capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )

    def wait_ready(self) -> None:
        wait_for(
            lambda: self.alive() and self.readiness() == [], lambda: f"readiness\n{self.log()}"
        )

    def alive(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the appliance ended\n{self.log()}"
        return True

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop and return its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(30)
        self.process = None
        return status

    def kill(self) -> None:
        """A power cut for the daemon; the engine dies with it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)
        self.process = None

    def engine_pid(self) -> int:
        """The engine that works now."""
        return int(
            wait_for(lambda: ((self.status() or {}).get("engine") or {}).get("pid"), "engine")
        )

    def kill_engine(self, number: int = signal.SIGKILL) -> None:
        os.kill(self.engine_pid(), number)

    # -- the page ---------------------------------------------------------------------

    def url(self) -> str | None:
        for line in reversed(self.log().splitlines()):
            if "status page on " in line:
                return line.split("status page on ")[1].rstrip("/")
        return None

    def get(self, path: str) -> tuple[int, Any]:
        """Status and JSON of an address; (0, None) while nobody answers."""
        try:
            with urllib.request.urlopen(f"{self.url()}{path}", timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
        except (OSError, ValueError):
            return 0, None

    def page(self, path: str = "/") -> bytes:
        with urllib.request.urlopen(f"{self.url()}{path}", timeout=10) as answer:
            return bytes(answer.read())

    def post(self, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        return self._send("POST", path, json.dumps(body or {}).encode(), "application/json")

    def put(self, path: str, data: bytes) -> tuple[int, Any]:
        return self._send("PUT", path, data, "application/octet-stream")

    def _send(self, method: str, path: str, data: bytes, kind: str) -> tuple[int, Any]:
        request = urllib.request.Request(
            f"{self.url()}{path}",
            data=data,
            method=method,
            headers={"Content-Type": kind, "X-Requested-With": "edge-matting"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def readiness(self) -> list[str] | None:
        """The reasons why it is not ready; None while nobody answers."""
        status, body = self.get("/readyz")
        return None if status == 0 else body["reasons"]

    def status(self) -> dict[str, Any] | None:
        return self.get("/api/v1/status")[1]

    # -- folders and ledger -----------------------------------------------------------

    def drop(self, name: str | bytes, data: bytes | None = None) -> Path:
        """Put a photo into in/ by temporary name and rename, as a careful producer does."""
        target = self.inbox / os.fsdecode(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        hidden = target.with_name(f".drop-{time.monotonic_ns()}")
        hidden.write_bytes(PHOTO.read_bytes() if data is None else data)
        hidden.rename(target)
        return target

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        with Ledger.open(
            self.state_dir / "ledger.sqlite", clock=SystemClock(), max_attempts=3
        ) as ledger:
            yield ledger

    def counts(self) -> dict[str, int]:
        """Jobs by state name."""
        with self.ledger() as ledger:
            return {state.value: number for state, number in ledger.counts().items()}

    def wait_finished(self, number: int, seconds: float = PATIENCE_SECONDS) -> dict[str, int]:
        """Wait until ``number`` jobs are finished and nothing is left to do."""

        def finished() -> dict[str, int] | None:
            if self.process is not None:
                self.alive()
            counts = self.counts()
            resting = counts["succeeded"] + counts["review"] + counts["failed"]
            left = counts["pending"] + counts["running"]
            with self.ledger() as ledger:
                settled = not ledger.misplaced(1)
            return counts if resting >= number and not left and settled else None

        def missing() -> str:
            return f"{number} finished jobs, but {self.counts()}\n{self.log()}"

        return dict(wait_for(finished, missing, seconds))

    def check(self) -> list[str]:
        with self.ledger() as ledger:
            return ledger.check()

    def jobs(self, below: str = "") -> list[Job]:
        """Every job whose source lies below the sub-folder ``below`` of in/, oldest first."""
        with self.ledger() as ledger:
            found = ledger.jobs(None, 1_000_000)
        return [job for job in reversed(found) if job.source.startswith(below)]

    def wait_resting(
        self, number: int, below: str, seconds: float = PATIENCE_SECONDS
    ) -> dict[str, Job]:
        """Wait for ``number`` sources below a sub-folder to be finished; their newest jobs."""

        def resting() -> dict[str, Job] | None:
            newest = {job.source: job for job in self.jobs(below)}
            with self.ledger() as ledger:
                moving = {job.id for job in ledger.misplaced(1000)}
            left = [j for j in newest.values() if j.state not in FINISHED or j.id in moving]
            return newest if len(newest) >= number and not left else None

        def missing() -> str:
            return f"{number} finished in {below}, but {self.jobs(below)}\n{self.log()}"

        return dict(wait_for(resting, missing, seconds, step=0.2))

    def sidecars(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_bytes()) for path in sorted(self.outbox.rglob("*.json"))]

    def log(self) -> str:
        return self.log_path.read_text("utf-8", "replace") if self.log_path.exists() else ""


def files(folder: Path) -> list[str]:
    """Every file below ``folder`` that is not hidden, relative, sorted."""
    return sorted(
        os.fspath(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    )
