"""The engine as a child process: started, listened to, ended, and its death understood."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from edge_matting.config import Settings
from edge_matting.core.engine_identity import EngineIdentity
from edge_matting.core.exit_codes import CLEAN, DEVICE_LOST, RECYCLE, START_ERROR
from edge_matting.core.reasons import Reason

log = logging.getLogger(__name__)


ENGINE_ENVIRONMENT: Final = MappingProxyType(
    {
        # OpenCV writes decoder complaints past the log; ours says the same, once.
        "OPENCV_LOG_LEVEL": "SILENT",
        # NVML counts the cards in this order, CUDA by speed unless told otherwise.
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    }
)


@dataclass(slots=True)
class EngineStatus:
    """What the engine said last; written by the listening thread, read by the main loop."""

    started: float = field(default_factory=time.monotonic)
    heard: float = field(default_factory=time.monotonic)  # last line of any kind
    oldest_progress: float = 0.0  # age of the least recent worker progress when heard
    reused: int = 0  # photos answered from an earlier result
    made: int = 0  # photos that went through the model
    cache: dict[str, Any] = field(default_factory=dict)  # what is stored, as CacheReport names it
    ready: dict[str, Any] | None = None
    problem: Reason | None = None
    preparing: dict[str, Any] | None = None  # calibration and the like; None: it works
    models: tuple[str, ...] = ()  # that a retry may name
    lowered: tuple[Reason, ...] = ()  # how the plan is stepped down now, and why
    adapted: Mapping[tuple[str, str], int] = field(default_factory=dict)  # by cause, direction
    obstacles: Mapping[str, Reason] = field(default_factory=dict)  # by hot folder, or ledger

    @property
    def finished(self) -> int:
        """Photos done in this life."""
        return self.reused + self.made

    def silent_seconds(self, now: float) -> float:
        """Seconds without progress: of the whole process, or of its slowest busy worker."""
        return now - self.heard + self.oldest_progress


class EngineProcess:
    """One life of the engine."""

    def __init__(
        self, settings: Settings, said: Callable[[], None], identity: EngineIdentity | None = None
    ) -> None:
        identity = identity or EngineIdentity()
        self._said = said
        self.events = EngineStatus()
        self._oom_kills = oom_kills()
        read_end, write_end = os.pipe()
        try:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "edge_matting.engine",
                    str(write_end),
                    identity.as_argument(),
                ],
                stdin=subprocess.PIPE,
                stdout=sys.stderr,
                pass_fds=[write_end],
                text=True,
                env={**os.environ, **ENGINE_ENVIRONMENT, **_own_gpu(identity)},
            )
        except BaseException:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
        self._listener = threading.Thread(
            target=self._listen, args=(read_end,), name="engine-voice", daemon=True
        )
        try:
            self._listener.start()
        except BaseException:  # no thread to be had
            os.close(read_end)
            self.kill()
            raise
        self.tell(json.dumps(settings.as_json()))

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self, line: str) -> None:
        """Send one line; a dead engine does not hear it, and its death is noticed elsewhere."""
        stdin = self._process.stdin
        assert stdin is not None
        with contextlib.suppress(OSError, ValueError):
            stdin.write(line + "\n")
            stdin.flush()

    def returncode(self) -> int | None:
        return self._process.poll()

    def stopped_by_signal(self) -> bool:
        """Whether somebody holds the process with SIGSTOP: it does not hang, it is held."""
        with contextlib.suppress(OSError, IndexError):
            text = Path(f"/proc/{self.pid}/stat").read_text("ascii", "replace")
            return text.rpartition(")")[2].split()[0] in {"T", "t"}
        return False

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def wait(self, seconds: float) -> bool:
        """Whether it ended within that time."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def close(self) -> None:
        """Give the pipes back after the process has ended."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        self._listener.join(2.0)

    def death_is_the_photos_fault(self) -> bool:
        """Whether the way it died speaks against what it was working on.

        A signal that somebody sent from outside says nothing about the photo. SIGKILL is the
        kernel's word only when it counted an out-of-memory kill since this engine started.
        """
        status = self.returncode()
        if status in {None, CLEAN, DEVICE_LOST, RECYCLE, START_ERROR}:
            return False
        if status == -signal.SIGKILL:
            return self.was_killed_for_memory()
        return status not in {-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP}

    def was_killed_for_memory(self) -> bool:
        """Whether it was killed while the kernel counted an out-of-memory kill."""
        return self.returncode() == -signal.SIGKILL and oom_kills() > self._oom_kills

    def _listen(self, descriptor: int) -> None:
        with os.fdopen(descriptor, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                self._hear(line)
        self._said()

    def _hear(self, line: str) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            log.warning("unreadable message from the engine: %.200r", line)
            return
        hear(self.events, message)
        self.events.heard = time.monotonic()
        if message.get("event") != "alive":
            self._said()


def _own_gpu(identity: EngineIdentity) -> dict[str, str]:
    """CUDA is shown one card alone, and none where it is not to be used."""
    if identity.gpu_lost is not None:
        return {"CUDA_VISIBLE_DEVICES": ""}
    return {} if identity.gpu is None else {"CUDA_VISIBLE_DEVICES": identity.gpu}


def hear(events: EngineStatus, message: dict[str, Any]) -> None:
    """Take in one message of the engine (see ``engine/channel.py``)."""
    match message.get("event"):
        case "alive":
            events.reused, events.made = int(message["reused"]), int(message["made"])
            events.oldest_progress = float(message["oldest"])
            if "cache" in message:
                events.cache = _cache(message["cache"] or {})
            told = message["obstacles"].items()
            events.obstacles = {str(place): Reason.from_coded(what) for place, what in told}
        case "ready":
            events.ready, events.problem = message, None
        case "models":
            events.models = tuple(map(str, message["ids"]))
        case "preparing":
            events.preparing = message if message.get("what") else None
        case "adapted":
            events.lowered = tuple(map(Reason.from_coded, message["active"]))
            events.adapted = {(str(c), str(d)): int(count) for c, d, count in message["counts"]}
        case "problem":
            events.problem = Reason.from_coded(message["message"])
        case other:
            log.warning("unknown message from the engine: %.200r", other)


def _cache(told: Mapping[str, Any]) -> dict[str, Any]:
    """What the cache holds, as ``CacheReport`` names it."""
    problem = told.get("problem")
    return {**told, "problem": None if problem is None else Reason.from_coded(problem)}


def oom_kills(path: Path = Path("/proc/vmstat")) -> int:
    """How many processes the kernel has killed for want of memory since boot."""
    with contextlib.suppress(OSError):
        for line in path.read_text("ascii", "replace").splitlines():
            key, _, value = line.partition(" ")
            if key == "oom_kill":
                return int(value)
    return 0
