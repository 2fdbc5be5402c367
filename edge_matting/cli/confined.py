"""Work on files of strangers in a process of its own, with bounds on time and memory.

Whatever a file makes a runtime do, loop for ever, crash, or take all memory, ends that process
alone, and the one who waits for it says so in a sentence.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from edge_matting.core.errors import EdgeMattingError, ModelError, StartError

_PR_SET_PDEATHSIG: Final = 1
_TAKEN_FIRST: Final = 1000
"""OOM score of the process: the kernel takes it before anything else."""

_START_SECONDS: Final = 300.0
"""Until the first sign of progress: what is done by then is the program's own work."""

_READ_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the process may take."""

    step_seconds: float  # from one sign of progress to the next
    memory_bytes: int  # beyond what the runtimes themselves take


def run_confined(module: str, request: Mapping[str, Any], bounds: Bounds) -> dict[str, Any]:
    """What ``module`` answers, run as a program with ``request`` as a line of JSON on stdin.

    It gets the number of a descriptor for its lines of JSON: signs of progress, and last the
    answer. Raises ``ModelError`` when it fails, stands still, or ends without an answer.
    """
    read_end, write_end = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(write_end)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,  # runtimes talk
            pass_fds=[write_end],
            # Each thread's arena would take of the address space what it never uses.
            env={**os.environ, "MALLOC_ARENA_MAX": "2"},
        )
    except OSError as error:
        os.close(read_end)
        raise StartError(f"no process can be started: {error.strerror}") from error
    finally:
        os.close(write_end)
    with _ended(process, read_end):
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # its end is told below
            process.stdin.write(json.dumps({**request, "memory": bounds.memory_bytes}).encode())
            process.stdin.close()
        answer = _last_message(read_end, bounds.step_seconds)
        status = process.wait()
    if answer is None or "step" in answer:
        raise ModelError(_how_it_ended(status))
    if "failure" in answer:
        raise (StartError if answer["start"] else ModelError)(answer["failure"])
    return answer


class Confined:
    """The other side: what the process says to the one that waits for it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(str(_TAKEN_FIRST))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def step(self, what: str) -> None:
        self._say({"step": what})

    def answer(self, answer: Mapping[str, Any]) -> None:
        self._say(answer)

    def fail(self, error: EdgeMattingError | str) -> None:
        self._say({"failure": str(error), "start": isinstance(error, StartError)})

    def _say(self, message: Mapping[str, Any]) -> None:
        os.write(self._descriptor, json.dumps(message).encode() + b"\n")


def take_at_most(memory_bytes: int) -> None:
    """From now on the address space of this process grows by at most so much."""
    bound = psutil.Process().memory_info().vms + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (bound, bound))


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes], read_end: int) -> Iterator[None]:
    try:
        yield
    finally:
        process.kill()
        process.wait()
        os.close(read_end)


def _last_message(read_end: int, step_seconds: float) -> dict[str, Any] | None:
    """The last whole line; raises ``ModelError`` when none comes for too long."""
    poll = select.poll()
    poll.register(read_end, select.POLLIN)
    heard, last = b"", None
    while True:
        if not poll.poll(1000 * (step_seconds if last else max(step_seconds, _START_SECONDS))):
            doing = "start" if last is None else json.loads(last)["step"]
            raise ModelError(
                f"ended: it took more than {step_seconds:g} s to {doing}",
                hint="give it more with --seconds, or export a smaller model",
            )
        data = os.read(read_end, _READ_BYTES)
        if not data:
            return None if last is None else json.loads(last)
        *lines, heard = (heard + data).split(b"\n")
        last = lines[-1] if lines else last


def _how_it_ended(status: int) -> str:
    if status == -signal.SIGKILL:
        return "it was killed, most likely because the machine ran out of memory"
    if status < 0:
        return f"it crashes the runtime ({signal.Signals(-status).name})"
    return f"its trial ended with status {status}; the log says more"
