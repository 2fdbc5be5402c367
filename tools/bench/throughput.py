"""End to end: the bare loop, `process` and the daemon on the same photos, by turns.

All write to the same disk with all syncs, each round into folders of its own. The pace is taken
from the moments at which sidecars got their names, after the first 15 % of the photos; so neither
the start of a process nor its end counts. The daemon finds the photos in its folder when it starts.
"""

from __future__ import annotations

import shutil
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from tools.bench.appliance import Appliance, command, start, write_config
from tools.bench.watching import Pace, Watch, pace, published
from tools.waiting import wait_for

BARE = ("-m", "tools.bench.bare")


def throughput(
    photos: Sequence[Path],
    scratch: Path,
    rounds: int,
    recipe: str = "cutout",
    **settings: Any,
) -> dict[str, Any]:
    """Medians of each way over the rounds, with all rounds beside them."""
    ways: dict[str, Callable[[], Pace]] = {
        "bare loop": lambda: bare_pace(photos, scratch / "run", recipe, **settings),
        "process": lambda: process_pace(photos, scratch / "run", recipe, **settings),
        "daemon": lambda: daemon_pace(photos, scratch / "run", recipe, **settings),
    }
    made: dict[str, list[Pace]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in list(ways)[:: -1 if number % 2 else 1]:
            made[name].append(ways[name]())
            shutil.rmtree(scratch / "run")
    return {name: summary(paces) for name, paces in made.items()}


def summary(paces: Sequence[Pace]) -> dict[str, Any]:
    fields = asdict(paces[0])
    medians = {name: statistics.median(getattr(each, name) for each in paces) for name in fields}
    return {**medians, "rounds": [each.photos_per_second for each in paces]}


def ratios(result: dict[str, Any], over: str, under: str) -> dict[str, float]:
    """Of each round's paces, and their median: what disturbs a round disturbs both."""
    pairs = zip(result[over]["rounds"], result[under]["rounds"], strict=True)
    each = [round(above / below, 3) for above, below in pairs]
    return {"median": round(statistics.median(each), 3), "least": min(each), "most": max(each)}


def bare_pace(photos: Sequence[Path], root: Path, recipe: str, **settings: Any) -> Pace:
    config = write_config(root, **settings)
    source, out = _list(photos, root / "photos"), root / "out"
    arguments = [sys.executable, *BARE, source, out, "-c", config, "--recipe", recipe]
    return _run(list(map(str, arguments)), out, root, len(photos))


def process_pace(photos: Sequence[Path], root: Path, recipe: str, **settings: Any) -> Pace:
    config = write_config(root, **settings)
    source, out = _list(photos, root / "photos"), root / "out"
    arguments = command("process", source, "-o", out, "-c", config, "--recipe", recipe)
    return _run([*arguments, "--no-cache"], out, root, len(photos))


def daemon_pace(photos: Sequence[Path], root: Path, recipe: str, **settings: Any) -> Pace:
    folder = {"path": str(root / "hot"), "recipe": recipe}
    box = Appliance(root, hot_folders=[folder], intake={"settle_seconds": 0.3}, **settings)
    box.fill(photos)
    with box.running(), Watch(box.family) as watch:
        wait_for(lambda: not box.has_work(), "end of the backlog", 60 + len(photos))
    return pace(_whole(published(box.results), len(photos), box.log), watch)


def _run(arguments: Sequence[str], out: Path, root: Path, count: int) -> Pace:
    log = root / "log.txt"
    child = start(arguments, log)
    process = psutil.Process(child.pid)
    with Watch(lambda: [process]) as watch:
        child.wait()
    return pace(_whole(published([out]), count, log), watch)


def _whole(moments: list[float], count: int, log: Path) -> list[float]:
    if len(moments) != count:
        raise SystemExit(f"{len(moments)} of {count} photos were done\n{log.read_text()[-4000:]}")
    return moments


def _list(photos: Sequence[Path], folder: Path) -> Path:
    """The photos under one folder, without a copy."""
    folder.mkdir(parents=True)
    for photo in photos:
        (folder / photo.name).hardlink_to(photo)
    return folder
