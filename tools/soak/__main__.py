"""Hours of mixed work, compressed: is anything lost, and does anything grow?

    python -m tools.soak --images 20000 --minutes 30 --into build/soak

Small photos (of which a tenth repeat earlier bytes), bursts, bad files and an open page
throughout; in the first half the engine is killed and held, the daemon killed, the configuration
reloaded. The second half is calm, so that one engine's life is long enough to judge. The shipped
model runs at a small input, so that it is the appliance that is busy, not the processor with
one network. Writes ``samples.csv``, ``soak.svg`` and ``verdict.txt``; exit status 0: nothing was
lost and nothing grows.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import random
import signal
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

import cv2
import psutil

from edge_matting.core.clock import SystemClock
from edge_matting.core.states import FINISHED
from edge_matting.ledger import Ledger
from tools.chaos.box import Box, GaveUpError
from tools.chaos.check import broken_invariants
from tools.chaos.photos import Drop, load_portrait, make_malformed
from tools.ports import free_port
from tools.soak.plot import plot
from tools.soak.reference import constant_page
from tools.soak.verdict import Sample, at_work, judge
from tools.waiting import wait_until

SAMPLE_SECONDS = 5.0
PAGE_SECONDS = 1.0
TICK_SECONDS = 0.25
MOST_WAITING = 3000
"""No more is dropped while so much waits: the soak is to end with the work, not hours after it."""

REPEAT_SHARE, BAD_SHARE = 0.1, 0.02
BURSTS, BURST_PHOTOS = 25, 150
ROUGH = 0.5
"""The share of the photos during which things are broken."""

CACHE_MB = {"memory_mb": 2, "disk_mb": 16}
"""Full within the warm-up, so that what is judged is a cache that takes in and gives up mattes. At
its usual size it fills for the whole soak, up to its bound: that rises and is no leak."""

SIDES = (48, 64, 96, 128)
MODEL_SIDE = 64
PAGES = ("/", "/api/v1/status", "/api/v1/jobs?limit=50", "/metrics", "/healthz")


@dataclass(frozen=True, slots=True)
class Event:
    """Something done to the appliance once that share of the photos was dropped."""

    at: float
    kind: str


def plan_events() -> list[Event]:
    """Kills, holds and reloads of the rough half, in order."""
    kinds = {"kill engine": 16, "reload": 10, "hold engine": 2, "kill daemon": 3}
    return sorted(
        (
            Event(ROUGH * (index + 0.5) / number, kind)
            for kind, number in kinds.items()
            for index in range(number)
        ),
        key=lambda event: event.at,
    )


@final
class Feeder:
    """Drops photos at a steady pace, with bursts between, as fast as they are taken."""

    def __init__(self, box: Box, images: int, seconds: float, rng: random.Random) -> None:
        self.drops: list[Drop] = []
        self._box = box
        self._images = images
        self._pace = max(images / 2, images - BURSTS * BURST_PHOTOS) / seconds
        self._rng = rng
        self._portrait = load_portrait()
        self._bad = make_malformed(rng, int(images * BAD_SHARE * 1.5) + 10)
        self._owed = 0.0
        self._bursts = 0

    @property
    def share(self) -> float:
        return len(self.drops) / self._images

    def step(self, waiting: int) -> None:
        """Drop what is due since the last step."""
        room = min(self._images - len(self.drops), MOST_WAITING - waiting)
        self._owed = min(self._owed + self._pace * TICK_SECONDS, float(BURST_PHOTOS))
        due = int(self._owed)
        if self._bursts < BURSTS and self.share > (self._bursts + 0.5) / BURSTS:
            self._bursts += 1
            due += BURST_PHOTOS
        for _ in range(max(0, min(due, room))):
            self._drop(self._next())
        self._owed -= int(self._owed)

    def _next(self) -> Drop:
        number, chance = len(self.drops), self._rng.random()
        if chance < BAD_SHARE and self._bad:
            bad = self._bad.pop()
            return Drop(f"bad {number}.jpg", bad.data, healthy=False)
        if chance < BAD_SHARE + REPEAT_SHARE and number > 100:
            earlier = self._rng.choice(self.drops)
            if earlier.healthy:
                return Drop(f"again {number}.jpg", earlier.data, healthy=True)
        return Drop(f"{number // 1000:03}/{number:06}.jpg", self._photo(), healthy=True)

    def _photo(self) -> bytes:
        height, width = self._portrait.shape[:2]
        side = self._rng.randint(height // 3, height)
        top, left = self._rng.randint(0, height - side), self._rng.randint(0, width - side)
        size = (self._rng.choice(SIDES), self._rng.choice(SIDES))
        crop = cv2.resize(self._portrait[top : top + side, left : left + side], size)
        noisy = cv2.convertScaleAbs(crop, alpha=self._rng.uniform(0.6, 1.2))
        noisy[0, 0] = [self._rng.randrange(256) for _ in range(3)]
        return cv2.imencode(".jpg", noisy)[1].tobytes()

    def _drop(self, drop: Drop) -> None:
        target = self._box.hot / "in" / drop.path
        target.parent.mkdir(parents=True, exist_ok=True)
        staged = self._box.staging / "next"
        staged.write_bytes(drop.data)
        staged.rename(target)
        self.drops.append(drop)


@final
class Observer:
    """Samples the appliance from a thread of its own, and keeps its page open from another."""

    def __init__(self, box: Box, url: str, constant: Callable[[], float]) -> None:
        self.samples: list[Sample] = []
        self._box = box
        self._url = url
        self._constant = constant
        self._begin = time.monotonic()
        self._done = threading.Event()
        self._page_seconds: list[tuple[float, float]] = []  # of the status answer, of the constant
        self._cache: dict[str, float] = {}  # as the page last told it
        self._threads = [
            threading.Thread(target=self._every, args=(SAMPLE_SECONDS, self._sample)),
            threading.Thread(target=self._every, args=(PAGE_SECONDS, self._open_page)),
        ]

    def __enter__(self) -> Observer:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _every(self, seconds: float, act: Callable[[], None]) -> None:
        while not self._done.wait(seconds):
            # While the daemon is being restarted there is nothing to read.
            with contextlib.suppress(OSError, psutil.Error, ValueError):
                act()

    def _open_page(self) -> None:
        """All that a browser and a scraper ask for; the status answer is the one that is timed."""
        for path in PAGES:
            begin = time.perf_counter()
            with urllib.request.urlopen(f"{self._url}{path}", timeout=10) as answer:
                body = answer.read()
            if path == "/api/v1/status":
                taken = time.perf_counter() - begin
                self._page_seconds.append((taken, self._constant()))
                self._cache = json.loads(body)["cache"]

    def _sample(self) -> None:
        daemon, engine = self._box.daemon(), self._box.engine()
        readings: dict[str, float] = {}
        lives = {}
        for name, process in (("daemon", daemon), ("engine", engine)):
            if process is not None:
                readings |= dict(_readings(name, process))
                lives[name] = process.pid
        with Ledger.open(self._box.ledger_path, clock=SystemClock(), max_attempts=3) as ledger:
            counts = ledger.counts()
            slot = ledger.history(1, SAMPLE_SECONDS)[0]
        photos = sum(counts[state] for state in FINISHED)
        readings["waiting"] = sum(counts.values()) - photos
        if self._cache:
            readings["cache entries"] = self._cache["entries"]
            readings["cache memory"] = self._cache["memory_bytes"] / 2**20
            readings["cache disk"] = self._cache["disk_bytes"] / 2**20
        sizes = [
            path.stat().st_size for path in self._box.ledger_path.parent.glob("ledger.sqlite*")
        ]
        readings["ledger"] = sum(sizes) / 2**20
        if slot.mean_seconds is not None:
            readings["photo latency ms"] = slot.mean_seconds * 1000
        page, self._page_seconds = self._page_seconds, []
        if page:
            # The fastest of a few: what they take, not how long they had to wait.
            status, constant = (min(seconds) for seconds in zip(*page, strict=True))
            readings["page latency ms"] = status * 1000
            readings["reference page ms"] = constant * 1000
            readings["page latency over reference"] = status / constant
            if slot.mean_seconds is not None:
                readings["photo latency over reference"] = slot.mean_seconds / constant
        self.samples.append(Sample(time.monotonic() - self._begin, photos, readings, lives))


def _readings(name: str, process: psutil.Process) -> Iterator[tuple[str, float]]:
    with process.oneshot():
        yield f"{name} memory", process.memory_info().rss / 2**20
        yield f"{name} descriptors", process.num_fds()
        yield f"{name} threads", process.num_threads()


def strike(box: Box, event: Event, rng: random.Random) -> None:
    """Do one event; an engine that is not there at the moment is left alone."""
    engine = box.engine()
    if event.kind == "kill daemon":
        box.kill_daemon()
    elif event.kind == "reload":
        box.reload(
            intake={"settle_seconds": round(rng.uniform(0.2, 0.5), 3), "rescan_seconds": 2.0}
        )
    elif engine is not None:
        engine.send_signal(signal.SIGKILL if event.kind == "kill engine" else signal.SIGSTOP)
    print(f"soak: {event.kind}", flush=True)


def soak(box: Box, feeder: Feeder, rng: random.Random, begin: float, seconds: float) -> None:
    """Feed and strike until all is dropped and the time is over, then wait for the rest."""
    events = plan_events()
    told = time.monotonic()
    while feeder.share < 1 or time.monotonic() - begin < seconds:
        box.revive()
        waiting = _waiting(box)
        feeder.step(waiting)
        # A start is let come to its end: SIGHUP before its handler is there would end it.
        if events and feeder.share >= events[0].at and box.ready():
            strike(box, events.pop(0), rng)
        if time.monotonic() - told > 60:
            told = time.monotonic()
            minutes = (told - begin) / 60
            print(
                f"soak: {minutes:.0f} min, {len(feeder.drops)} dropped, {waiting} wait", flush=True
            )
        time.sleep(TICK_SECONDS)
    if not wait_until(lambda: not box.has_work() and _waiting(box) == 0, 900, 1.0):
        raise GaveUpError("the queue does not empty")


def _start_cleanly(box: Box) -> None:
    """A start sweeps what killed engines left unfinished; the hourly sweep takes what is old."""
    box.stop()
    box.start()
    box.wait_ready(120)
    box.stop()


def _waiting(box: Box) -> int:
    with Ledger.open(box.ledger_path, clock=SystemClock(), max_attempts=3) as ledger:
        counts = ledger.counts()
    return sum(counts.values()) - sum(counts[state] for state in FINISHED)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cache-mb", type=float, help="memory of the matte cache")
    parser.add_argument("--into", type=Path, default=Path("build/soak"))
    options = parser.parse_args()
    options.into.mkdir(parents=True, exist_ok=True)
    root = Path(tempfile.mkdtemp(prefix="soak-"))
    rng = random.Random(options.seed)
    port = free_port()
    box = Box(
        root,
        root / "disk",
        small_disk=False,
        stall_seconds=15.0,
        device={"resolution": MODEL_SIDE},
        status={"port": port},
        cache={**CACHE_MB, **({} if options.cache_mb is None else {"memory_mb": options.cache_mb})},
    )
    with box:
        box.start()
        if not box.wait_ready(120):
            print(f"soak: it did not become ready\n{box.last_words()}")
            return 1
        seconds = options.minutes * 60
        feeder = Feeder(box, options.images, seconds * 0.95, rng)
        begin = time.monotonic()
        broken: list[str] = []
        with (
            constant_page() as constant,
            Observer(box, f"http://127.0.0.1:{port}", constant) as observer,
        ):
            try:
                soak(box, feeder, rng, begin, seconds)
            except GaveUpError as error:
                broken.append(str(error))
        minutes = (time.monotonic() - begin) / 60
        _start_cleanly(box)
    broken += [f"the daemon ended by itself: {words}" for words in box.fell]
    broken += broken_invariants(box.hot, box.ledger_path, feeder.drops)
    return _conclude(options.into, observer.samples, broken, len(feeder.drops), minutes)


def _conclude(
    into: Path, samples: list[Sample], broken: list[str], images: int, minutes: float
) -> int:
    findings = judge(at_work(samples))
    failed = [finding for finding in findings if finding.grows or not finding.judged]
    lines = [
        f"soak: {images} images in {minutes:.1f} minutes, {len(samples)} samples",
        *(f"  {finding}" for finding in findings),
        *(f"  BROKEN {line}" for line in broken[:50]),
        f"soak: {len(broken)} broken invariants; "
        + ("HELD" if not broken and not failed else "NOT HELD"),
    ]
    text = "\n".join(lines)
    print(text)
    (into / "verdict.txt").write_text(text + "\n")
    (into / "soak.svg").write_text(plot(samples, f"{images} images in {minutes:.0f} minutes"))
    names = list(dict.fromkeys(name for sample in samples for name in sample.readings))
    with (into / "samples.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["seconds", "photos", "daemon", "engine", *names])
        for sample in samples:
            pids = [sample.lives.get(name, "") for name in ("daemon", "engine")]
            values = [sample.readings.get(name, "") for name in names]
            writer.writerow([round(sample.seconds, 1), sample.photos, *pids, *values])
    return 0 if not broken and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
