"""What the matte cache saves and costs: photos again, photos that all miss, look-up, cold start.

    python -m tools.bench.cache --photos DIR --count 1000

Each photo goes through the whole path four times in a row, so that other work on the machine
slows all alike: without a cache, with one that misses, the same bytes again under another name
into another folder (nothing else is known of it, as with a fresh ledger), and re-encoded.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil

from edge_matting.cache import Fingerprint, MatteCache
from edge_matting.cache.entry import entry_name
from edge_matting.cache.hash_scan import HashScan
from edge_matting.cli.directory import DirectoryResults, InputPhoto, Places
from edge_matting.config import Recipe, Settings
from edge_matting.engine.factory import load_tools, plan_for
from edge_matting.engine.jobs.delivery import deliver
from edge_matting.pipeline import PhotoTask, PixelBudget, Tools
from tools.bench.machine import machine

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
ENTRY_BYTES = 75_000  # about what one takes at 320 x 320
CONTEXT = f"{'ab' * 32}/{'0' * 16}"


class Passes:
    """The four ways of one photo."""

    def __init__(self, scratch: Path) -> None:
        settings = Settings()
        self.recipe = Recipe()
        self.scratch = scratch
        session, manifest = load_tools(settings, plan_for(settings), settings.model)
        cache = MatteCache(scratch / "cache", memory_bytes=64 * 10**6, disk_bytes=10**9)
        gate = PixelBudget(10**9)
        self.without = Tools(session, manifest, gate, lambda _stage: None)
        self.cached = Tools(session, manifest, gate, lambda _stage: None, cache)
        self.check = cache.check
        self.spent: defaultdict[str, list[float]] = defaultdict(list)
        self.processor: defaultdict[str, list[float]] = defaultdict(list)
        self.infer: defaultdict[str, list[float]] = defaultdict(list)
        self.said: defaultdict[str, list[str]] = defaultdict(list)

    def do(self, number: int, data: bytes) -> None:
        ways = [("without a cache", self.without), ("all miss", self.cached)]
        if number % 2:  # whoever comes second finds the photo in the processor's cache
            ways.reverse()
        for way, tools in ways:
            self._one(way, tools, f"{number}.jpg", data)
        self._one("same bytes", self.cached, f"new name {number}.jpg", data)
        self._one("re-encoded", self.cached, f"again {number}.jpg", _reencoded(data))

    def _one(self, way: str, tools: Tools, name: str, data: bytes) -> None:
        places = Places(self.scratch / way, "cutout", reuse=tools.cache is not None)
        photo = InputPhoto(self.scratch / name, name)
        results = DirectoryResults(places, photo, self.recipe, tools.manifest.sha256)
        task = PhotoTask(name, data, self.recipe, 10**9)
        begin, processor = time.perf_counter(), time.process_time()
        done = deliver(task, tools, results)
        self.spent[way].append(time.perf_counter() - begin)
        self.processor[way].append(time.process_time() - processor)
        self.infer[way].append(0.0 if done.result.cache == "exact" else _inference(done.result))
        self.said[way].append(done.result.cache)

    def report(self) -> dict[str, Any]:
        spent = {way: sum(seconds) for way, seconds in self.spent.items()}
        processor = {way: sum(seconds) for way, seconds in self.processor.items()}
        first, again = self.infer["all miss"], self.infer["re-encoded"]
        return {
            "photos": len(self.spent["all miss"]),
            "mean_ms": {way: round(1e3 * statistics.mean(v), 1) for way, v in self.spent.items()},
            "mean_processor_ms": {
                way: round(1e3 * statistics.mean(v), 1) for way, v in self.processor.items()
            },
            "answers": {
                way: {kind: said.count(kind) for kind in sorted(set(said))}
                for way, said in self.said.items()
            },
            "same_bytes_times_as_fast": round(spent["all miss"] / spent["same bytes"], 1),
            "same_bytes_times_as_fast_processor": round(
                processor["all miss"] / processor["same bytes"], 1
            ),
            "reencoded_inference_saved": round(1 - sum(again) / sum(first), 3),
            "all_miss_cost": round(spent["all miss"] / spent["without a cache"] - 1, 4),
            "all_miss_cost_processor": round(
                processor["all miss"] / processor["without a cache"] - 1, 4
            ),
            "check": self.check(),
        }


def _inference(result: Any) -> float:
    return float(result.seconds.get("infer", 0.0))


def _reencoded(data: bytes) -> bytes:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()


def look_up(entries: int) -> dict[str, Any]:
    """Time of a look-up among so many hashes: spread evenly, and in families of likes."""
    found: dict[str, Any] = {}
    chance = np.random.default_rng(1)
    even = chance.integers(0, 2**64, entries, np.uint64)
    families = chance.integers(0, 2**64, max(1, entries // 50), np.uint64)
    alike = families[chance.integers(0, len(families), entries)]
    for _ in range(10):  # up to ten bits from the head of the family
        alike = alike ^ (np.uint64(1) << chance.integers(0, 64, entries, np.uint64))
    for name, hashes in (("even", even), ("families of 50", alike)):
        before = psutil.Process().memory_info().rss
        begin = time.perf_counter()
        scan: HashScan[int] = HashScan()
        for key, bits in enumerate(hashes):
            scan.add(key, int(bits))
        built = time.perf_counter() - begin
        held = psutil.Process().memory_info().rss - before
        found[name] = {
            "entries": entries,
            "built_seconds": round(built, 1),
            "bytes_an_entry": round(held / entries),
            **_timed(scan, hashes, chance),
        }
    return found


def _timed(
    scan: HashScan[int], hashes: np.ndarray, chance: np.random.Generator
) -> dict[str, float]:
    seconds = []
    for key in chance.integers(0, len(hashes), 1000):
        bits = int(hashes[key]) ^ (1 << int(chance.integers(64)))
        begin = time.perf_counter()
        near = scan.near(bits, 7)
        seconds.append(time.perf_counter() - begin)
        assert any(found == key for _, found in near)
    seconds.sort()
    return {
        "median_ms": round(1e3 * seconds[500], 3),
        "p99_ms": round(1e3 * seconds[990], 3),
    }


def cold_start(scratch: Path, megabytes: int) -> dict[str, Any]:
    """Time to open a full cache. Only names and sizes are read, so the content may be anything."""
    folder = scratch / "full"
    (folder / CONTEXT).mkdir(parents=True)
    chance = np.random.default_rng(2)
    content = chance.bytes(ENTRY_BYTES)
    count = megabytes * 10**6 // ENTRY_BYTES
    for number in range(count):
        phash, dhash = (int(h) for h in chance.integers(0, 2**64, 2, np.uint64))
        mark = Fingerprint(f"{number:032x}", phash, dhash, chance.bytes(27), (640, 480))
        (folder / entry_name(CONTEXT, mark)).write_bytes(content)
    seconds, processor = [], []
    for _ in range(5):
        begin, used = time.perf_counter(), time.process_time()
        cache = MatteCache(folder, memory_bytes=64 * 10**6, disk_bytes=megabytes * 10**6)
        seconds.append(time.perf_counter() - begin)
        processor.append(time.process_time() - used)
        assert cache.stored().entries == count
    return {
        "entries": count,
        "megabytes": megabytes,
        "seconds_median": round(statistics.median(seconds), 3),
        "seconds_worst": round(max(seconds), 3),
        "processor_seconds_median": round(statistics.median(processor), 3),
        "note": "the folder's names are in the kernel's cache; only the process is cold",
    }


def main() -> int:
    options = _options()
    cv2.setNumThreads(1)
    report: dict[str, Any] = {"machine": machine()}
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        scratch = Path(folder)
        if options.photos:
            found = sorted(p for p in options.photos.rglob("*") if p.suffix.lower() in SUFFIXES)
            random.Random(4).shuffle(found)
            passes = Passes(scratch)
            for number, path in enumerate(found[: options.count]):
                passes.do(number, path.read_bytes())
            report["passes"] = passes.report()
        if options.entries:
            report["look_up"] = look_up(options.entries)
        if options.megabytes:
            report["cold_start"] = cold_start(scratch, options.megabytes)
    print(json.dumps(report, indent=2))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What the matte cache saves and costs.")
    parser.add_argument("--photos", type=Path, help="folder of photos; without it no passes")
    parser.add_argument("--count", type=int, default=1000, help="at most so many photos")
    parser.add_argument("--entries", type=int, default=1_000_000, help="for the look-up; 0: none")
    parser.add_argument("--megabytes", type=int, default=1024, help="of the full cache; 0: none")
    parser.add_argument("--scratch", type=Path, help="where results and caches may lie meanwhile")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
