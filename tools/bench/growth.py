"""How the pace changes with the photo's size, the backlog and the age of the ledger.

Sizes: `process` over photos of each size; megapixels a second stay alike where the cost is one of
pixels. Backlog: the daemon with so many small photos waiting, its pace over a stretch at the
beginning and at the end. Ledger: what claim and finish cost while it has 0 to 1,000,000 old rows.
"""

from __future__ import annotations

import shutil
import sqlite3
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from edge_matting.core.clock import SystemClock
from edge_matting.core.jobs import Done, Signature, Source
from edge_matting.core.states import JobState
from edge_matting.ledger import Ledger
from tools.bench.costs import example_result
from tools.bench.photos import make_photos
from tools.bench.throughput import daemon_pace, process_pace

SIZES = {0.3: 24, 2.1: 24, 12.0: 12, 24.0: 8, 50.0: 6, 100.0: 4}
"""Megapixels and how many photos."""
BACKLOG_SIZE = (320, 240)
LEDGER_ROWS = (0, 10_000, 100_000, 1_000_000)
TRIALS = 200


def by_size(sources: Sequence[Path], scratch: Path, recipe: str) -> list[dict[str, float]]:
    """Pace of `process` by megapixels."""
    rows = []
    for megapixels, count in SIZES.items():
        size = round((megapixels * 1e6 * 4 / 3) ** 0.5), round((megapixels * 1e6 * 3 / 4) ** 0.5)
        photos = make_photos(scratch / f"{megapixels}", count, sources, size)
        made = process_pace(photos, scratch / "run", recipe)
        shutil.rmtree(scratch / "run")
        shutil.rmtree(scratch / f"{megapixels}")
        rows.append(
            {
                "megapixels": megapixels,
                "photos_per_second": made.photos_per_second,
                "megapixels_per_second": round(megapixels * made.photos_per_second, 2),
                "own_ms": made.own_ms,
            }
        )
    return rows


def by_backlog(
    sources: Sequence[Path], scratch: Path, counts: Sequence[int]
) -> list[dict[str, float]]:
    """Pace of the daemon by how many photos wait at its start."""
    few = make_photos(scratch / "few", 40, sources, BACKLOG_SIZE)
    rows = []
    for count in counts:
        photos = _many(few, scratch / "many", count)
        made = daemon_pace(photos, scratch / "run", "plain")
        rows.append({"backlog": count, "photos_per_second": made.photos_per_second})
        for name in ("run", "many"):
            shutil.rmtree(scratch / name)
    return rows


def by_ledger(scratch: Path, sizes: Sequence[int] = LEDGER_ROWS) -> list[dict[str, float]]:
    """Median milliseconds of claim and finish, by the clock with their syncs, and the processor."""
    scratch.mkdir(parents=True, exist_ok=True)
    rows = []
    path = scratch / "ledger.sqlite"
    with Ledger.open(path, clock=SystemClock(), max_attempts=3) as ledger:
        _cycle(ledger, "first")
    for size in sizes:
        _multiply(path, size)
        with Ledger.open(path, clock=SystemClock(), max_attempts=3) as ledger:
            spent = [_cycle(ledger, f"{size}-{number}") for number in range(TRIALS)]
        names = ("claim_ms", "claim_cpu_ms", "finish_ms", "finish_cpu_ms")
        medians = {
            name: round(statistics.median(values) * 1e3, 3)
            for name, values in zip(names, zip(*spent, strict=True), strict=True)
        }
        rows.append({"rows": size, **medians})
    return rows


def _many(few: Sequence[Path], folder: Path, count: int) -> list[Path]:
    folder.mkdir()
    made = []
    for number in range(count):
        path = folder / f"{number:06}.jpg"
        path.write_bytes(few[number % len(few)].read_bytes() + number.to_bytes(8, "big"))
        made.append(path)
    return made


def _cycle(ledger: Ledger, name: str) -> tuple[float, float, float, float]:
    ledger.enqueue([Source("/hot", f"{name}.jpg", Signature(1, 2, 3), "cutout")])
    begin, used = time.perf_counter(), time.thread_time()
    (claim,) = ledger.claim(1)
    claimed, claim_used = time.perf_counter(), time.thread_time()
    done = Done(JobState.SUCCEEDED, example_result("0" * 64, (1920, 1080), name))
    finish, finish_used = time.perf_counter(), time.thread_time()
    job = ledger.finish(claim, done)
    ended, end_used = time.perf_counter(), time.thread_time()
    assert job is not None
    ledger.moved(job, job.original)
    return claimed - begin, claim_used - used, ended - finish, end_used - finish_used


def _multiply(path: Path, size: int) -> None:
    """Old finished rows like the first one, with names of their own, up to ``size`` in all."""
    connection = sqlite3.connect(path)
    (have,) = connection.execute("SELECT count(*) FROM jobs").fetchone()
    numbers = (
        f"WITH RECURSIVE numbers (n) AS (SELECT {10**7 + have} UNION ALL "
        f"SELECT n + 1 FROM numbers WHERE n < {10**7 + size - 1}) "
    )
    columns = [row[1] for row in connection.execute("PRAGMA table_info(jobs)")]
    special = {"id": "n", "name": "n", "sha256": "printf('%064x', n)"}
    values = ", ".join(special.get(column, column) for column in columns)
    if size > have:
        connection.execute(
            f"{numbers} INSERT INTO names SELECT n, '/hot', 'old' || n, 'old' || n FROM numbers"
        )
        connection.execute(
            f"{numbers} INSERT INTO jobs ({', '.join(columns)}) SELECT {values} "
            "FROM numbers, (SELECT * FROM jobs ORDER BY id LIMIT 1)"
        )
        connection.commit()
    connection.close()
