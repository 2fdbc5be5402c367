"""Feed the real appliance, break it again and again, and see whether anything was lost.

    python -m tools.chaos --images 300 --kills 60 --seed 1

Every random choice comes from the seed and is made before the start, so that a seed gives the
same photos, arrivals and faults again (the machine's own timing differs, of course). Exit
status 0: the invariants held; 1: something was broken, each thing named.
"""

from __future__ import annotations

import argparse
import random
import re
import secrets
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from edge_matting.core.clock import SystemClock
from edge_matting.core.states import JobState
from edge_matting.ledger import Ledger
from tools.chaos.arrivals import Arrival, Feeder, Place, plan_arrivals
from tools.chaos.box import Box, GaveUpError, small_disk
from tools.chaos.check import broken_invariants, charged
from tools.chaos.faults import Fault, expected_seconds, plan_faults, strike
from tools.chaos.photos import Drop, make_malformed, make_photos
from tools.chaos.plants import Plant, plant, uproot
from tools.waiting import wait_until

REST_SECONDS = 240.0
"""How long all that was dropped may take once nothing disturbs any more."""

ARRIVING_SHARE = 0.7
"""Of the time of the faults: slow writers and a full disk add to it."""

MALFORMED_SHARE = 25
KILLS_PER_FILL = 20


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a seed decides."""

    drops: list[Drop]
    faults: list[Fault]
    arrivals: list[list[Arrival]]


def main() -> int:
    options = _options()
    print(f"chaos: seed {options.seed}, {options.images} photos, {options.kills} kills", flush=True)
    plan = make_plan(random.Random(options.seed), options.images, options.kills)
    root = Path(tempfile.mkdtemp(prefix="chaos-"))
    begin = time.monotonic()
    with small_disk(root / "disk", 64 + options.images) as mounted:
        if not mounted:
            print("chaos: no small disk may be mounted here (not root?): it is never full")
        box = Box(root, root / "disk", small_disk=mounted)
        done, broken = run(box, plan)
        seconds = time.monotonic() - begin
        _tell(done, box)
        if broken and options.keep:
            shutil.copytree(box.disk, root / "kept", symlinks=True)
    if broken:
        print("\n".join(f"  {line}" for line in broken))
        print(f"chaos: the log is {box.log_path}")
        print(f"chaos: BROKEN {len(broken)} invariants, seed {options.seed}, {seconds:.0f} s")
        return 1
    shutil.rmtree(root, ignore_errors=True)
    print(
        f"chaos: HELD {options.images} photos, {_kills(done)} kills, "
        f"seed {options.seed}, {seconds:.0f} s"
    )
    return 0


def make_plan(rng: random.Random, images: int, kills: int) -> Plan:
    drops = make_photos(rng, images) + make_malformed(rng, -(-images // MALFORMED_SHARE))
    faults = plan_faults(rng, kills, fills=-(-kills // KILLS_PER_FILL))
    arrivals = plan_arrivals(rng, drops, expected_seconds(faults) * ARRIVING_SHARE)
    return Plan(drops, faults, arrivals)


def run(box: Box, plan: Plan) -> tuple[Counter[str], list[str]]:
    """The whole drama: what was done to it, and what it broke."""
    done: Counter[str] = Counter()
    plants: list[Plant] = []
    with box:
        try:
            _start(box)
            plants = plant(box.hot, box.ledger_path.parent, plan.drops)
            _disturb(box, plan, done)
            _rest(box)
            _start_cleanly(box)
        except GaveUpError as error:
            return done, [str(error), *_fallen(box), *_check(box, plan, plants)]
        return done, [*_fallen(box), *_check(box, plan, plants)]


def _disturb(box: Box, plan: Plan, done: Counter[str]) -> None:
    """Feed and strike until both plans are carried out."""
    closing = threading.Event()
    place = Place(box.hot / "in", box.staging)
    feeders = [
        Feeder(number, place, arrivals, closing) for number, arrivals in enumerate(plan.arrivals)
    ]
    for feeder in feeders:
        feeder.start()
    try:
        for fault in plan.faults:
            if box.small_disk or fault.kind not in {"fill", "drain"}:
                strike(box, fault, done)
        box.drain_disk()
        for feeder in feeders:
            feeder.join()
            if feeder.error is not None:
                raise feeder.error
    finally:
        closing.set()


def _start(box: Box) -> None:
    box.start()
    if not box.wait_ready():
        raise GaveUpError("it did not become ready")


def _rest(box: Box) -> None:
    box.revive()
    if not box.wait_ready():
        raise GaveUpError("it did not become ready again")
    if not wait_until(lambda: _at_rest(box), REST_SECONDS, 0.5):
        raise GaveUpError(f"it did not come to rest within {REST_SECONDS:g} s")


def _at_rest(box: Box) -> bool:
    """Whether nothing is left in ``in/`` or in the ledger's queue."""
    if box.has_work():
        return False
    with Ledger.open(box.ledger_path, clock=SystemClock(), max_attempts=3) as ledger:
        counts = ledger.counts()
        active = counts.get(JobState.PENDING, 0) + counts.get(JobState.RUNNING, 0)
        return not active and not ledger.misplaced(1)


def _start_cleanly(box: Box) -> None:
    """A stop and a start as an operator does them; nothing may change by it."""
    _stop(box)
    box.start()
    if not box.wait_ready():
        raise GaveUpError("it did not become ready after a clean start")
    if not wait_until(lambda: _at_rest(box), 30):
        raise GaveUpError("a clean start found new work")
    _stop(box)


def _stop(box: Box) -> None:
    status = box.stop()
    if status != 0:
        raise GaveUpError(f"a clean stop ended with status {status}")


def _check(box: Box, plan: Plan, plants: list[Plant]) -> list[str]:
    planted = list(uproot(plants, box.ledger_path.parent, plan.drops))
    broken = [*planted, *broken_invariants(box.hot, box.ledger_path, plan.drops)]
    tracebacks = box.log().count("Traceback (most recent call last)")
    return [*broken, f"{tracebacks} tracebacks in the log"] if tracebacks else broken


def _fallen(box: Box) -> list[str]:
    return [f"the daemon ended by itself, {reason}" for reason in box.fell]


def _kills(done: Counter[str]) -> int:
    return done["kill engine"] + done["kill daemon"]


def _tell(done: Counter[str], box: Box) -> None:
    counted = ", ".join(f"{number} x {kind}" for kind, number in sorted(done.items()))
    log = box.log()
    returned = sum(int(number) for number in re.findall(r"(\d+) photos (?:go back|were in)", log))
    print(f"chaos: {counted}")
    print(
        f"chaos: {returned} photos were in work when it struck, "
        f"{log.count(': replaced')} engines replaced for want of progress, "
        f"{charged(box.hot)} photos done at a second attempt"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--keep", action="store_true", help="keep the folders of a broken run")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
