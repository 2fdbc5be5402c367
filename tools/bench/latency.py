"""How long a lone photo takes from its name in ``in/`` to its sidecar's, beside its own stages.

Photos come one at a time, at moments that no timer of the appliance shares, into an idle appliance.
The time that a file must lie still (``settle_seconds``) is taken off, for it is a setting. The same
photos then go through the bare loop's stages in one thread, by the clock, in the same run.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.bench.appliance import PATIENCE_SECONDS, Appliance
from tools.bench.bare import open_bare
from tools.bench.costs import Costs
from tools.waiting import wait_for

SETTLE_SECONDS = 0.5
PAUSE_SECONDS = 1.2


def lone_photos(photos: Sequence[Path], scratch: Path, recipe: str) -> dict[str, Any]:
    """Medians of both, their ratio, and all single times."""
    folder = {"path": str(scratch / "hot"), "recipe": recipe}
    intake = {"settle_seconds": SETTLE_SECONDS}
    box = Appliance(scratch, hot_folders=[folder], intake=intake)
    bare, _ = open_bare(box.config, recipe, scratch / "bare")
    chance = random.Random(3)
    bare.do(photos[0])
    waits, alone = [], Costs()
    with box.running():
        box.wait_ready()
        _one(box, photos[0])  # what is loaded late
        for photo in photos[1:]:
            time.sleep(PAUSE_SECONDS + chance.random())
            waits.append(_one(box, photo))
            bare.do(photo, alone.stage)
    own = [sum(stages) / 1e3 for stages in zip(*alone.clock.values(), strict=True)]
    ratios = [wait / stages for wait, stages in zip(waits, own, strict=True)]
    return {
        "settle_seconds": SETTLE_SECONDS,
        "after_settling_ms": round(statistics.median(waits) * 1e3, 1),
        "own_stages_ms": round(statistics.median(own) * 1e3, 1),
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
    }


def _one(box: Appliance, photo: Path) -> float:
    begin = time.time()
    box.fill([photo])
    name = f"{photo.stem}.json"
    sidecar = wait_for(lambda: _found(box.results, name), "sidecar", PATIENCE_SECONDS)
    wait_for(lambda: not box.has_work(), "original put away", PATIENCE_SECONDS)
    return float(sidecar.stat().st_ctime) - begin - SETTLE_SECONDS


def _found(folders: Sequence[Path], name: str) -> Path | None:
    return next((folder / name for folder in folders if (folder / name).exists()), None)
