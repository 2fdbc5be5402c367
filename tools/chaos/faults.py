"""What is done to the appliance, drawn in advance."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import psutil

from tools.chaos.box import STALL_SECONDS, Box
from tools.waiting import wait_until

PATIENCE_SECONDS = 5.0
"""How long a fault waits for the appliance to be at work; then it strikes where it stands."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One blow: the pause before it, how long it lasts, whether it waits for photos in work."""

    kind: str  # kill engine, kill daemon, stop engine, stop daemon, fill, drain
    pause: float
    seconds: float
    at_work: bool


def plan_faults(rng: random.Random, kills: int, *, fills: int) -> list[Fault]:
    """``kills`` SIGKILLs, a stop for about every sixth, and times of a full disk among them."""
    kinds = [rng.choice(("kill engine", "kill engine", "kill daemon")) for _ in range(kills)]
    kinds += [
        rng.choice(("stop engine", "stop engine", "stop daemon")) for _ in range(-(-kills // 6))
    ]
    rng.shuffle(kinds)
    faults = [_fault(rng, kind) for kind in kinds]
    for number in reversed(range(fills)):
        first = (number * 2 + 1) * len(faults) // (fills * 2)
        length = rng.randint(1, 3)  # blows that fall while the disk is full
        faults.insert(min(first + length, len(faults)), Fault("drain", rng.uniform(1, 3), 0, False))
        faults.insert(first, Fault("fill", rng.uniform(0.2, 1), 0, at_work=True))
    return faults


def expected_seconds(faults: Sequence[Fault]) -> float:
    """About how long the blows will take; starts of processes included."""
    return sum(fault.pause + fault.seconds + 2.5 * fault.at_work for fault in faults)


def _fault(rng: random.Random, kind: str) -> Fault:
    # Some stops are short enough to pass unnoticed, some make the daemon replace the engine.
    seconds = {
        "kill engine": (0.0, 0.0),
        "kill daemon": (0.0, 0.5),
        "stop engine": rng.choice(((0.3, STALL_SECONDS * 0.5), (STALL_SECONDS + 1,) * 2)),
        "stop daemon": rng.choice(((0.3, STALL_SECONDS * 0.5), (STALL_SECONDS + 1,) * 2)),
    }[kind]
    at_work = rng.random() < 0.75
    pause = rng.uniform(0.0, 0.4 if at_work else 2.0)
    return Fault(kind, pause, rng.uniform(*seconds), at_work)


def strike(box: Box, fault: Fault, done: Counter[str]) -> None:
    """Carry one fault out, and count it as what it was."""
    if fault.at_work:
        wait_until(lambda: box.has_work() and box.ready(), PATIENCE_SECONDS, 0.05)
    time.sleep(fault.pause)
    box.revive()
    kind = fault.kind
    if not _strike(box, fault):  # there is no engine, as with a full disk: the daemon gets it
        kind = kind.replace("engine", "daemon")
        _strike(box, replace(fault, kind=kind))
    done[kind] += 1


def _strike(box: Box, fault: Fault) -> bool:
    match fault.kind:
        case "kill engine":
            return _signal_engine(box, signal.SIGKILL) is not None
        case "stop engine":
            return _stop_engine(box, fault.seconds)
        case "kill daemon":
            box.kill_daemon()
            time.sleep(fault.seconds)
            box.start()
        case "stop daemon":
            box.send_daemon(signal.SIGSTOP)
            time.sleep(fault.seconds)
            box.send_daemon(signal.SIGCONT)
        case "fill":
            box.fill_disk()
        case "drain":
            box.drain_disk()
        case other:
            raise ValueError(other)
    return True


def _signal_engine(box: Box, number: signal.Signals) -> psutil.Process | None:
    """Send it to the engine, which may just be between two lives."""
    wait_until(lambda: box.engine() is not None, PATIENCE_SECONDS, 0.02)
    engine = box.engine()
    if engine is None:
        return None
    with contextlib.suppress(psutil.Error):
        engine.send_signal(number)
        return engine
    return None


def _stop_engine(box: Box, seconds: float) -> bool:
    engine = _signal_engine(box, signal.SIGSTOP)
    if engine is None:
        return False
    time.sleep(seconds)
    with contextlib.suppress(psutil.Error):  # it was replaced meanwhile
        engine.send_signal(signal.SIGCONT)
    return True
