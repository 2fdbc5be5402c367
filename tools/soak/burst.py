"""Drop many small JPEGs at once and see whether all are done, and what it costs meanwhile.

    python -m tools.soak.burst --images 20000

Prints how long finding, writing to the ledger and publishing took, the daemon's highest resident
memory and the page's latency while it worked. Exit status 0 when every photo was published.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import final

import cv2
import numpy as np
import psutil

from edge_matting.core.clock import SystemClock
from edge_matting.core.states import JobState
from edge_matting.ledger import Ledger
from tools.chaos.box import Box
from tools.waiting import wait_until

SAMPLE_SECONDS = 0.25
SIDE = 16


@final
class Observer:
    """Samples the daemon's memory and the page's latency until told to stop."""

    def __init__(self, box: Box, daemon: psutil.Process) -> None:
        self.latencies: list[float] = []
        self.most_bytes = 0
        self._box = box
        self._daemon = daemon
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Observer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(SAMPLE_SECONDS):
            with suppress(OSError, psutil.Error):
                begin = time.perf_counter()
                self._box.status()
                self.latencies.append(time.perf_counter() - begin)
                self.most_bytes = max(self.most_bytes, self._daemon.memory_info().rss)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--images", type=int, default=20_000)
    images = parser.parse_args().images
    root = Path(tempfile.mkdtemp(prefix="burst-"))
    disk = root / "disk"
    disk.mkdir()
    box = Box(root, disk, small_disk=False)
    with box:
        box.start()
        if not box.wait_ready():
            print("burst: it did not become ready")
            return 1
        engine = box.engine()
        assert engine is not None
        daemon = engine.parent()
        assert daemon is not None
        with Observer(box, daemon) as observer:
            begin = time.monotonic()
            _drop(box, images)
            dropped = time.monotonic() - begin
            _wait(box, images, begin, "in the ledger", lambda counts: sum(counts.values()))
            finished = _wait(box, images, begin, "finished", _finished)
        box.stop()
    # Noise has no subject: most of these end in review/.
    published = sum(len(list((box.hot / name).glob("*.json"))) for name in ("out", "review"))
    latencies = sorted(observer.latencies)
    print(f"burst: {images} photos dropped in {dropped:.1f} s")
    print(f"burst: daemon at most {observer.most_bytes / 2**20:.0f} MiB resident")
    print(
        f"burst: page median {statistics.median(latencies) * 1000:.0f} ms, 95 % under "
        f"{latencies[int(len(latencies) * 0.95)] * 1000:.0f} ms, {len(latencies)} samples"
    )
    whole = finished and published == images
    print(f"burst: {'ALL' if whole else 'NOT ALL'} published, {published} of {images}")
    if whole:
        shutil.rmtree(root, ignore_errors=True)
    return 0 if whole else 1


def _drop(box: Box, images: int) -> None:
    """Distinct photos, so that none is answered from another's result."""
    rng = np.random.default_rng(1)
    for number in range(images):
        picture = rng.integers(0, 255, (SIDE, SIDE, 3), np.uint8)
        data = cv2.imencode(".jpg", picture)[1].tobytes()
        (box.hot / "in" / f"{number:06}.jpg").write_bytes(data)


def _finished(counts: dict[JobState, int]) -> int:
    active = counts[JobState.PENDING] + counts[JobState.RUNNING]
    return sum(counts.values()) - active


def _wait(box: Box, images: int, begin: float, what: str, count: object) -> bool:
    assert callable(count)

    def reached() -> bool:
        with Ledger.open(box.ledger_path, clock=SystemClock(), max_attempts=3) as ledger:
            return bool(count(ledger.counts()) >= images)

    held = bool(wait_until(reached, 60 + images * 0.2, 0.5))
    print(f"burst: {'all' if held else 'NOT all'} {what} after {time.monotonic() - begin:.1f} s")
    return held


if __name__ == "__main__":
    sys.exit(main())
