"""Is the plan that calibration leads to nearly the best there is?

    python -m tools.bench.plan
    python -m tools.bench.plan --rounds 15 --json

The device is calibrated as at a first start, in an empty state dir. Then every candidate (size and
precision within the model's quality floor, session threads, photos in flight) is timed, one short
look each in turn, for several rounds, so that a noisy machine is noisy for all; the medians of
seconds a photo are compared. Where others keep the processors busy, they are processor seconds
over the processors that a candidate can use (``engine/tuning/cpu_timer.py``). Only the model's
part of the work is timed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge_matting.config import Settings
from edge_matting.core.plan import Plan
from edge_matting.device import probe_device
from edge_matting.engine.factory import open_catalog, planning_for
from edge_matting.engine.models.session_factory import SessionMaker
from edge_matting.engine.tuning.cpu_timer import CpuTimer
from edge_matting.engine.tuning.planning import CALIBRATION_SECONDS
from edge_matting.models import Manifest
from edge_matting.runtimes import Session
from tools.bench.machine import machine

LOOK_SECONDS = 0.15
LIMIT = 1.10


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to run the model."""

    precision: str
    side: tuple[int, int]
    threads: int
    callers: int

    def __str__(self) -> str:
        width, height = self.side
        return (
            f"{self.precision} {width}x{height}, {self.threads} thread(s), {self.callers} in flight"
        )

    @classmethod
    def of(cls, plan: Plan) -> Candidate:
        return cls(plan.precision, plan.resolution, plan.session_threads, plan.workers)


def candidates(manifest: Manifest, plan: Plan, cpus: int) -> list[Candidate]:
    """Every good enough size and precision with every number of threads and callers."""
    floor = manifest.quality_floor or 0.0
    native = {"cpu": ("fp32", "int8")}.get(plan.provider, ("fp32", "fp16"))
    offered = {part.precision for part in manifest.files if part.backend == plan.backend}
    ways: list[tuple[str, tuple[int, int]]] = [
        (row.precision, row.resolution)
        for row in manifest.quality
        if row.iou >= floor and row.precision in offered and row.precision in native
    ] or [(plan.precision, plan.resolution)]
    threads = sorted({1, 2, cpus, cpus + 1})
    callers = sorted({1, plan.workers})
    found = [Candidate(*way, t, c) for way in ways for t in threads for c in callers]
    chosen = Candidate.of(plan)
    return found if chosen in found else [*found, chosen]


def sweep(
    sessions: dict[Candidate, Session],
    tensors: dict[Candidate, np.ndarray],
    rounds: int,
    meter: CpuTimer,
) -> dict[Candidate, float]:
    """Median seconds a photo of each candidate."""
    seconds: dict[Candidate, list[float]] = {each: [] for each in sessions}
    with ThreadPoolExecutor(max(each.callers for each in sessions)) as pool:
        for each, session in sessions.items():
            session.run(tensors[each])
        for _ in range(rounds):
            for each, session in sessions.items():
                seconds[each].append(_look(session, tensors[each], each, pool, meter))
    return {each: statistics.median(found) for each, found in seconds.items()}


def _look(
    session: Session, tensor: np.ndarray, way: Candidate, pool: ThreadPoolExecutor, meter: CpuTimer
) -> float:
    """Seconds a photo while all callers call."""
    until = time.perf_counter() + LOOK_SECONDS

    def call(_: int) -> int:
        count = 0
        while count == 0 or time.perf_counter() < until:
            session.run(tensor)
            count += 1
        return count

    begin = meter.read()
    done = sum(pool.map(call, range(way.callers)))
    return meter.seconds(begin, way.callers * way.threads, on_processor=True) / done


def main() -> int:
    options = _options()
    profile = probe_device()
    with tempfile.TemporaryDirectory() as state, ExitStack() as stack:
        settings = Settings(state_dir=Path(state))
        catalog = open_catalog(settings)
        manifest = catalog.get(settings.model)
        planning = planning_for(settings, profile)
        found = planning.measure(planning.plan(), seconds=options.seconds)
        plan = planning.plan()
        make = SessionMaker(settings, catalog, profile).make
        shape = (1, 3) if manifest.input.layout == "nchw" else (1,)
        sessions: dict[Candidate, Session] = {}
        tensors: dict[Candidate, np.ndarray] = {}
        for each in candidates(manifest, plan, int(profile.usable_cpus)):
            asked = replace(
                plan, precision=each.precision, resolution=each.side, session_threads=each.threads
            )
            sessions[each] = stack.enter_context(closing(make(manifest, asked)))
            picture = (*shape, each.side[1], each.side[0]) + ((3,) if len(shape) == 1 else ())
            noise = np.random.default_rng(1).random(picture, np.float32)
            tensors[each] = noise.astype(manifest.input.dtype)
        seconds = sweep(sessions, tensors, options.rounds, CpuTimer(profile.usable_cpus))
    chosen, best = Candidate.of(plan), min(seconds, key=seconds.__getitem__)
    report = {
        "machine": machine(),
        "calibration_seconds": found.took_seconds,
        "calibration_ended": found.ended,
        "rounds": options.rounds,
        "milliseconds_a_photo": {
            str(each): round(value * 1000, 2)
            for each, value in sorted(seconds.items(), key=lambda item: item[1])
        },
        "chosen": str(chosen),
        "best": str(best),
        "chosen_to_best": round(seconds[chosen] / seconds[best], 3),
    }
    print(json.dumps(report, indent=2)) if options.json else _print(report, len(seconds))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The chosen plan against all candidates.")
    parser.add_argument("--rounds", type=int, default=9, help="looks at each candidate")
    parser.add_argument("--seconds", type=float, default=CALIBRATION_SECONDS, help="to calibrate")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _print(report: dict[str, object], count: int) -> None:
    for name, value in report.items():
        if isinstance(value, dict):
            print(f"{name}:")
            for key, each in value.items():
                print(f"  {key:44} {each}")
        else:
            print(f"{name:22} {value}")
    ratio = report["chosen_to_best"]
    assert isinstance(ratio, float)
    verdict = "within" if ratio <= LIMIT else "NOT within"
    print(f"{count} candidates; the plan is {verdict} 10 % of the best")


if __name__ == "__main__":
    raise SystemExit(main())
