"""One appliance per state directory, one engine per share of the machine.

On `flock` itself: the filelock package polls where the kernel queues, and makes a missing state
directory (perhaps below a disk that is not mounted) where this must fail.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_matting.core.errors import StartError

POLL_SECONDS = 0.1


@contextmanager
def exclusive_lock(path: Path, what: str, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold the lock file for the body; ``StartError`` naming the holder's PID otherwise.

    The kernel drops the lock when its holder dies, however it dies.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise StartError(
            f"{path} cannot be opened: {error.strerror}",
            hint=f"{path.parent} must belong to the user who runs this",
        ) from error
    try:
        _acquire(descriptor, path, what, wait_seconds)
        with contextlib.suppress(OSError):  # a full disk: the lock holds without its holder's name
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, path: Path, what: str, wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
                continue
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise StartError(
                f"{path.parent} is in use by another {what} (process {holder})",
                hint="stop it, or give this one a state_dir of its own",
            ) from None
        return


class SharedLock:
    """A lock between the threads of several processes: whoever opens the same file.

    The kernel drops it when its holder dies.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = threading.Lock()
        self._descriptor = -1

    def __enter__(self) -> None:
        self._threads.acquire()
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        except BaseException:
            self._threads.release()
            raise

    def __exit__(self, *_error: object) -> None:
        os.close(self._descriptor)
        self._threads.release()
