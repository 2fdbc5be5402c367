"""How photos arrive: by every way that producers use, drawn in advance, done by threads."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path

from tools.chaos.photos import Drop

FEEDERS = 3
AGAIN_SECONDS = 0.5
"""How long a producer waits that found the disk full."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Some files, how they come, and the pause before them."""

    drops: tuple[Drop, ...]
    way: str
    pause: float
    gap: float
    """In the middle of a slow write; longer than settling takes, shorter than the retries."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where producers write, and where they prepare on the same file system."""

    inbox: Path
    staging: Path


def plan_arrivals(rng: random.Random, drops: Sequence[Drop], seconds: float) -> list[list[Arrival]]:
    """One list for each feeder; the pauses of each make up that time."""
    rest = list(drops)
    rng.shuffle(rest)
    calm = 0.2 if len(rest) > 100 else 0.6  # a few photos are to last for all the faults
    plans: list[list[Arrival]] = [[] for _ in range(FEEDERS)]
    for feeder in cycle(plans):
        if not rest:
            break
        way = rng.choice(("rename", "rename", "write", "slow", "link", "old", "folder"))
        taken = rng.randint(2, 6) if way == "folder" else 1
        batch, rest = tuple(rest[:taken]), rest[taken:]
        feeder.append(Arrival(batch, way, _pause(rng, calm), rng.uniform(0.4, 1.5)))
    return [_within(seconds, plan) for plan in plans]


def _pause(rng: random.Random, calm: float) -> float:
    """Mostly none: photos come in bursts, so that there is work when the faults strike."""
    return rng.expovariate(1.0) if rng.random() < calm else 0.0


def _within(seconds: float, plan: list[Arrival]) -> list[Arrival]:
    drawn = sum(arrival.pause for arrival in plan) or 1.0
    return [replace(arrival, pause=arrival.pause * seconds / drawn) for arrival in plan]


class Feeder(threading.Thread):
    """Carries out one list; a full disk makes it wait, as a careful producer would."""

    def __init__(
        self, number: int, place: Place, arrivals: Sequence[Arrival], closing: threading.Event
    ) -> None:
        super().__init__(daemon=True)
        self._number = number
        self._place = place
        self._arrivals = arrivals
        self._closing = closing
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            for number, arrival in enumerate(self._arrivals):
                if self._closing.wait(arrival.pause):
                    return
                deliver(self._place, arrival, f"{self._number}-{number}")
        except Exception as error:  # noqa: BLE001 - told by the main thread
            self.error = error


def deliver(place: Place, arrival: Arrival, label: str) -> None:
    """Bring the arrival's files into ``in/``, each whole in the end."""
    if arrival.way == "folder":
        _patient(lambda: _move_folder(place, arrival.drops, label))
        return
    way = _WAYS[arrival.way]
    for drop in arrival.drops:
        _patient(lambda drop=drop: way(place, drop, arrival.gap, label))  # type: ignore[misc]


def _patient(deed: Callable[[], None]) -> None:
    while True:
        try:
            deed()
        except OSError:  # the disk is full; what was begun has been taken away again
            time.sleep(AGAIN_SECONDS)
        else:
            return


def _target(place: Place, drop: Drop) -> Path:
    target = place.inbox / drop.path
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _write(path: Path, parts: Sequence[bytes], gap: float) -> None:
    """Write part by part; without room for all of it the file is taken away."""
    try:
        with path.open("wb", buffering=0) as file:
            for number, part in enumerate(parts):
                if number:
                    time.sleep(gap)
                _write_all(file.fileno(), part)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _rename(place: Place, drop: Drop, _gap: float, label: str) -> None:
    target = _target(place, drop)
    hidden = target.with_name(f".upload-{label}")
    _write(hidden, [drop.data], 0)
    hidden.rename(target)


def _at_once(place: Place, drop: Drop, _gap: float, _label: str) -> None:
    _write(_target(place, drop), [drop.data], 0)


def _slowly(place: Place, drop: Drop, gap: float, _label: str) -> None:
    middle = len(drop.data) // 2
    _write(_target(place, drop), [drop.data[:middle], drop.data[middle:]], gap)


def _link(place: Place, drop: Drop, _gap: float, label: str) -> None:
    """A hard link of a file that its producer keeps."""
    kept = place.staging / f"kept-{label}"
    kept.unlink(missing_ok=True)
    _write(kept, [drop.data], 0)
    _target(place, drop).hardlink_to(kept)


def _with_old_time(place: Place, drop: Drop, _gap: float, label: str) -> None:
    """As ``rsync -t`` does: the time of the file lies years back."""
    target = _target(place, drop)
    hidden = target.with_name(f".{label}.Xy12Zz")
    _write(hidden, [drop.data], 0)
    os.utime(hidden, (1.2e9, 1.2e9))
    hidden.rename(target)


def _move_folder(place: Place, drops: Sequence[Drop], label: str) -> None:
    """A whole tree prepared outside and moved in by one rename."""
    tree = place.staging / f"tree-{label}"
    try:
        for drop in drops:
            path = tree / drop.path
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, [drop.data], 0)
        tree.rename(place.inbox / f"moved {label}")
    except OSError:
        with contextlib.suppress(OSError):
            shutil.rmtree(tree)
        raise


_WAYS: dict[str, Callable[[Place, Drop, float, str], None]] = {
    "rename": _rename,
    "write": _at_once,
    "slow": _slowly,
    "link": _link,
    "old": _with_old_time,
}
