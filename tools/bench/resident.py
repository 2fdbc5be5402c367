"""Resident memory of daemon and engine together while photos come without end.

Sampled twice a second from the kernel's books: RSS counts pages that both share twice, PSS counts
them once. Growth is the slope between the medians of two windows: after the first 200 photos, when
a cache is full, and at the end. A 100 MP photo comes into another appliance; the memory is read
before it, at its peak and ``REST_SECONDS`` after it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.bench.appliance import Appliance
from tools.bench.photos import make_photos
from tools.bench.watching import Sample, Watch, published
from tools.waiting import wait_for

AFTER = 200
WINDOW = 100  # photos
BATCH = 50
REST_SECONDS = 10.0
CACHE_MB_A_PHOTO, NOTES_MB = 0.075, 0.8  # mattes of all the photos and notes on the first 200
LARGE = (12_000, 8_400)


def at_work(
    photos: Sequence[Path], scratch: Path, count: int, recipe: str, *, cached: bool = False
) -> dict[str, Any]:
    """``count`` photos, the given ones over and over with bytes of their own each time."""
    cache = {
        "enabled": cached,
        "memory_mb": 2,
        "disk_mb": CACHE_MB_A_PHOTO * len(photos) + NOTES_MB,
    }
    box = _box(scratch, recipe, cache)
    with box.running(), Watch(box.family, every=0.5, proportional=True) as watch:
        box.wait_ready()
        for start in range(0, count, BATCH):
            _feed(box, photos, start, min(BATCH, count - start))
            _forget(box)
        moments = published(box.results)
    peak = max(watch.samples, key=lambda sample: sample.resident)
    return {
        "photos": count,
        "cache": cached,
        "peak_rss_mb": round(peak.resident / 1e6, 1),
        "peak_pss_mb": round(max(s.proportional for s in watch.samples) / 1e6, 1),
        **_growth(watch.samples, moments, count),
    }


def large_photo(scratch: Path) -> dict[str, Any]:
    """One photo of 100 MP between small ones."""
    small, large = scratch / "small", scratch / "large"
    box = _box(scratch / "box", "cutout", {"enabled": False})
    few = make_photos(small, 8)
    (one,) = make_photos(large, 1, size=LARGE)
    one = one.rename(large / "large.jpg")
    with box.running(), Watch(box.family, every=0.1) as watch:
        box.wait_ready()
        _drop(box, few[:4])
        before = watch.samples[-1].resident
        begin = time.time()
        _drop(box, [one])
        seconds = time.time() - begin
        time.sleep(REST_SECONDS)
        after = watch.samples[-1].resident
        _drop(box, few[4:])
        later = watch.samples[-1].resident
    return {
        "megapixels": round(LARGE[0] * LARGE[1] / 1e6, 1),
        "seconds": round(seconds, 1),
        "before_mb": round(before / 1e6, 1),
        "peak_mb": round(max(sample.resident for sample in watch.samples) / 1e6, 1),
        "after_mb": round(after / 1e6, 1),
        "after_small_ones_mb": round(later / 1e6, 1),
    }


def _box(root: Path, recipe: str, cache: dict[str, Any]) -> Appliance:
    folder = {"path": str(root / "hot"), "recipe": recipe, "originals": "delete"}
    return Appliance(root, hot_folders=[folder], intake={"settle_seconds": 0.1}, cache=cache)


def _feed(box: Appliance, photos: Sequence[Path], start: int, count: int) -> None:
    """Photos never seen before: a number after the end of a JPEG changes its bytes alone."""
    for number in range(start, start + count):
        data = photos[number % len(photos)].read_bytes()
        hidden = box.inbox / f".{number}"
        hidden.write_bytes(data + number.to_bytes(8, "big"))
        hidden.rename(box.inbox / f"{number:06}.jpg")
    wait_for(lambda: not box.has_work(), "end of a batch", 300)


def _drop(box: Appliance, photos: Sequence[Path]) -> None:
    box.fill(photos)
    names = {f"{photo.stem}.json" for photo in photos}
    wait_for(lambda: names <= _results(box), "results", 300)


def _results(box: Appliance) -> set[str]:
    return {path.name for folder in box.results for path in folder.glob("*.json")}


def _forget(box: Appliance) -> None:
    """Outputs are not what is measured, and fill the disk."""
    for folder in box.results:
        for path in folder.glob("*.png"):
            path.unlink()


def _growth(samples: Sequence[Sample], moments: Sequence[float], count: int) -> dict[str, Any]:
    """Between the window after the first 200 photos and the last one; nothing for short runs."""
    if count < AFTER + 2 * WINDOW:
        return {}
    windows = [(moments[at], moments[at + WINDOW - 1]) for at in (AFTER, count - WINDOW)]
    grown = {}
    for name in ("resident", "proportional"):
        early, late = (
            statistics.median(getattr(s, name) for s in samples if begin <= s.at <= end)
            for begin, end in windows
        )
        grown[f"{name}_growth_mb"] = round((late - early) / 1e6, 2)
    return grown
