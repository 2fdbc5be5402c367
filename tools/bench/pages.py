"""What open pages cost: throughput with and without them, interleaved, and the latency of a poll.

    python -m tools.bench.pages                     # 100 pages, 7 pairs of 15 s
    python -m tools.bench.pages --pages 10 --pairs 3 --seconds 10

One appliance works on a full queue. The pages do what ``page.js`` does: poll the status with its
ETag as often as the server tells them, ask for the lists and all twelve thumbnails, and for the
history. Odd windows have them asleep. They run on the same machine, so what they cost the client
is counted too. Beside them a bare uvicorn that answers two bytes is asked in the same windows:
what it takes longer than a few milliseconds is the machine's doing. Exit status 0 when the loss
is at most 5 % and 95 % of the polls take under 50 ms.
"""

from __future__ import annotations

import argparse
import heapq
import http.client
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import psutil
import yaml

from edge_matting.cli.sample import sample_bytes
from edge_matting.core.clock import SystemClock
from edge_matting.core.states import FINISHED
from edge_matting.device import probe_device
from edge_matting.ledger import Ledger
from tools.bench.machine import machine

MOST_LOSS = 0.05
MOST_SECONDS = 0.050
SETTLING_SECONDS = 15.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--pages", type=int, default=100)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=15.0, help="of one window")
    parser.add_argument("--photos", type=int, default=6000, help="in the queue at the start")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pages-") as folder:
        measured = measure(Path(folder), options)
    report = {"machine": machine(), **measured}
    print(json.dumps(report, indent=1))
    held = report["loss"] <= MOST_LOSS and report["poll_p95_seconds"] < MOST_SECONDS
    print("pages: WITHIN the limits" if held else "pages: OUTSIDE the limits")
    return 0 if held else 1


def measure(root: Path, options: argparse.Namespace) -> dict[str, Any]:
    with Busy(root, options.photos) as busy, Control() as control:
        visitors = Visitors(busy.port, options.pages)
        try:
            visitors.awake.set()
            visitors.wait_open()
            time.sleep(SETTLING_SECONDS)  # first lists and all thumbnails: that happens once
            visitors.polls.clear()
            control.watch(visitors.awake)
            pairs = [busy.pair(visitors, options.seconds) for _ in range(options.pairs)]
        finally:
            visitors.stop()
        left = busy.left()
    latencies = sorted(visitors.polls)
    return {
        "pages": options.pages,
        "pairs": [{"without": a.rate, "with": b.rate} for a, b in pairs],
        "loss": round(1 - statistics.median(b.rate / a.rate for a, b in pairs), 4),
        "daemon_cores_without": round(statistics.median(a.daemon_cores for a, _ in pairs), 4),
        "daemon_cores_with": round(statistics.median(b.daemon_cores for _, b in pairs), 4),
        "loss_by_processor_time": round(_processor_share(pairs), 4),
        "polls": len(latencies),
        "poll_p50_seconds": round(_quantile(latencies, 0.5), 4),
        "poll_p95_seconds": round(_quantile(latencies, 0.95), 4),
        "control_p95_seconds": round(_quantile(sorted(control.latencies), 0.95), 4),
        "requests": visitors.requests,
        "faults": visitors.faults,
        "photos_left_in_the_queue": left,
    }


def _processor_share(pairs: list[tuple[Window, Window]]) -> float:
    """What the pages took of the machine through the daemon; free of what else runs here."""
    more = statistics.median(b.daemon_cores - a.daemon_cores for a, b in pairs)
    return more / probe_device().usable_cpus


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else math.nan


@dataclass(frozen=True, slots=True)
class Window:
    rate: float  # photos a second
    daemon_cores: float  # processor time of the daemon a second


@final
class Busy:
    """An appliance with a full queue; every photo has bytes of its own and no cache helps."""

    def __init__(self, root: Path, photos: int) -> None:
        self.port = 0
        self._root = root
        config = {
            "state_dir": str(root / "state"),
            "hot_folders": [{"path": str(root / "hot")}],
            "intake": {"settle_seconds": 0.3},
            "limits": {"min_free_mb": 1},
            "cache": {"enabled": False},
            "status": {"port": 0},
        }
        (root / "config.yaml").write_text(yaml.safe_dump(config))
        inbox = root / "hot" / "in"
        inbox.mkdir(parents=True)
        data = sample_bytes()
        for number in range(photos):
            (inbox / f"{number:06}.jpg").write_bytes(data + number.to_bytes(4, "big"))

    def __enter__(self) -> Busy:
        log = self._root / "log.txt"
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "edge_matting", "run", "-c", self._root / "config.yaml"],
                stdout=out,
                stderr=out,
            )
        self._daemon = psutil.Process(self._process.pid)
        marker = "status page on http://127.0.0.1:"
        while self.port == 0 or self._finished() < 5:
            time.sleep(0.2)
            if self._process.poll() is not None:
                sys.exit(log.read_text("utf-8", "replace"))
            text = log.read_text("utf-8", "replace")
            if marker in text:
                self.port = int(text.split(marker)[1].split("/")[0])
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(60)

    def pair(self, visitors: Visitors, seconds: float) -> tuple[Window, Window]:
        """One window without and one with the pages; which comes first is left to chance."""
        windows = {}
        for awake in random.sample([False, True], 2):
            (visitors.awake.set if awake else visitors.awake.clear)()
            time.sleep(1.0)
            windows[awake] = self._window(seconds)
        return windows[False], windows[True]

    def left(self) -> int:
        with self._ledger() as ledger:
            return sum(n for state, n in ledger.counts().items() if state not in FINISHED)

    def _window(self, seconds: float) -> Window:
        finished, used, begin = self._finished(), self._used(), time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - begin
        rate = (self._finished() - finished) / took
        return Window(round(rate, 3), (self._used() - used) / took)

    def _used(self) -> float:
        times = self._daemon.cpu_times()
        return float(times.user + times.system)

    def _finished(self) -> int:
        if not (self._root / "state" / "ledger.sqlite").exists():
            return 0
        with self._ledger() as ledger:
            return sum(n for state, n in ledger.counts().items() if state in FINISHED)

    def _ledger(self) -> Ledger:
        path = self._root / "state" / "ledger.sqlite"
        return Ledger.open(path, clock=SystemClock(), max_attempts=3)


@dataclass(slots=True)
class Page:
    name: str
    connection: http.client.HTTPConnection
    etags: dict[str, str] = field(default_factory=dict)
    counts: str = ""
    lists_at: float = 0.0
    history_at: float = 0.0
    pictures: set[str] = field(default_factory=set)


@final
class Visitors:
    """Open pages, each with a connection of its own, driven by a few threads."""

    THREADS = 4

    def __init__(self, port: int, pages: int) -> None:
        self.polls: list[float] = []
        self.requests = 0
        self.faults = 0
        self.awake = threading.Event()
        self._opened = 0
        self._pages = pages
        self._stopping = False
        everybody = [
            Page(os.urandom(6).hex(), http.client.HTTPConnection("127.0.0.1", port, timeout=30))
            for _ in range(pages)
        ]
        shares = [everybody[start :: self.THREADS] for start in range(self.THREADS)]
        self._threads = [threading.Thread(target=self._drive, args=(share,)) for share in shares]
        for thread in self._threads:
            thread.start()

    def wait_open(self) -> None:
        while self._opened < self._pages:
            time.sleep(0.1)

    def stop(self) -> None:
        self._stopping = True
        self.awake.set()
        for thread in self._threads:
            thread.join()

    def _drive(self, pages: list[Page]) -> None:
        for page in pages:
            for path in ("/", "/static/page.css", "/static/common.js", "/static/page.js"):
                self._ask(page, path)
            self._ask(page, "/api/v1/session")
            self._opened += 1
        # Their clock stands still while they sleep: a page that wakes owes nothing.
        slept = 0.0
        turns = [(time.monotonic() + random.random() * 10, n) for n in range(len(pages))]
        heapq.heapify(turns)
        while not self._stopping and turns:
            asleep_from = time.monotonic()
            self.awake.wait()
            slept += time.monotonic() - asleep_from
            due, index = turns[0]
            if (left := due - (time.monotonic() - slept)) > 0:
                time.sleep(min(left, 0.2))
                continue
            now = time.monotonic() - slept
            heapq.heapreplace(turns, (now + self._turn(pages[index], now), index))

    def _turn(self, page: Page, now: float) -> float:
        """One refresh as the page does it; the seconds until the next."""
        begin = time.perf_counter()
        headers, body = self._ask(page, "/api/v1/status")
        self.polls.append(time.perf_counter() - begin)
        pause = float(headers.get("X-Poll-Seconds", 2))
        lists = 4.0 if pause <= 2 else pause * 6
        if body is not None:
            status = json.loads(body)
            counts = json.dumps([status["queue"]["counts"], status["finished"]])
            if counts != page.counts and now - page.lists_at >= lists:
                # Pages are opened at any time: the first look decides nothing about the second.
                first = page.lists_at == 0
                page.counts, page.lists_at = counts, now - lists * random.random() * first
                self._show_lists(page)
        if now - page.history_at >= lists * 2.5:
            page.history_at = now
            self._ask(page, "/api/v1/history")
        return pause

    def _show_lists(self, page: Page) -> None:
        _, body = self._ask(page, "/api/v1/recent")
        if body is None:
            return
        recent = json.loads(body)
        jobs = [*recent["results"], *recent["attention"]]
        pictures = {f"{j['preview']}?v={j['updated_at']}" for j in jobs if j["preview"]}
        for address in pictures - page.pictures:
            self._ask(page, address)
        page.pictures = pictures

    def _ask(self, page: Page, path: str) -> tuple[Any, bytes | None]:
        """Headers and body; no body where nothing has changed."""
        headers = {"X-Page": page.name}
        if path in page.etags:
            headers["If-None-Match"] = page.etags[path]
        self.requests += 1
        try:
            answer, body = _fetch(page.connection, path, headers)
        except (OSError, http.client.HTTPException):
            self.faults += 1
            page.connection.close()
            return {}, None
        if answer.status not in {200, 304}:
            self.faults += 1
            return answer.headers, None
        if etag := answer.headers.get("ETag"):
            page.etags[path] = etag
        return answer.headers, body if answer.status == 200 else None


HELLO = """
import socket
import uvicorn
LENGTH = [(b"content-length", b"2")]
async def hello(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": LENGTH})
    await send({"type": "http.response.body", "body": b"ok"})
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
listener.bind(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
config = uvicorn.Config(hello, lifespan="off", log_config=None, access_log=False)
uvicorn.Server(config).run(sockets=[listener])
"""


@final
class Control:
    """The least that a web server of this kind takes here and now."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self._stopping = False
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Control:
        self._process = subprocess.Popen(
            [sys.executable, "-c", HELLO], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        port = int(self._process.stdout.readline())
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        if self._thread is not None:
            self._thread.join()
        self._process.terminate()
        self._process.wait()

    def watch(self, awake: threading.Event) -> None:
        """Ask five times a second from now on, in the windows with pages."""
        self._thread = threading.Thread(target=self._ask, args=(awake,))
        self._thread.start()

    def _ask(self, awake: threading.Event) -> None:
        while not self._stopping:
            time.sleep(0.2)
            if awake.is_set():
                begin = time.perf_counter()
                _fetch(self._connection, "/", {})
                self.latencies.append(time.perf_counter() - begin)


def _fetch(
    connection: http.client.HTTPConnection, path: str, headers: dict[str, str]
) -> tuple[http.client.HTTPResponse, bytes]:
    """As a browser does it: once more where the server let the idle connection go."""
    for last in (False, True):
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer, answer.read()
        except (http.client.RemoteDisconnected, ConnectionError):
            connection.close()
            if last:
                raise
    raise AssertionError


if __name__ == "__main__":
    sys.exit(main())
