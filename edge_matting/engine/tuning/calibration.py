"""Times the ways to run a model on this device: sizes, precisions and threads, and small batches.

Short on purpose: each way runs for some tens of milliseconds, twice, and the faster of the two
counts. It leaves off at once when work comes or its time is up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from edge_matting.core.errors import EdgeMattingError, SessionError
from edge_matting.core.model_io import ModelInput
from edge_matting.core.plan import Plan
from edge_matting.core.providers import is_processor
from edge_matting.engine.tuning.cpu_timer import CpuTimer, Reading
from edge_matting.planner.measurements import Ended, Timing
from edge_matting.planner.model_requirements import Resolution
from edge_matting.runtimes import Session
from edge_matting.runtimes.session import Tensor

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.05
"""How long one look at one way takes, about; slow models take one run."""

MOST_RUNS: Final = 8
LOOKS: Final = 2
BATCHES: Final = (2, 4)


@dataclass(frozen=True, slots=True)
class CalibrationResult:
    """What a calibration has measured, and whether it got through."""

    timings: tuple[Timing, ...]
    ended: Ended
    seconds: float


class _Interrupted(Exception):
    """It must leave off; ``why`` is how it ended."""

    def __init__(self, why: Ended) -> None:
        super().__init__(why)
        self.why: Ended = why


class Calibration:
    """One calibration: ``make`` gives a session for a plan, ``stop`` says when to leave off."""

    def __init__(
        self,
        make: Callable[[Plan], Session],
        spec: ModelInput,
        plan: Plan,
        *,
        stop: Callable[[], bool] = lambda: False,
        seconds: float,
        meter: CpuTimer,
    ) -> None:
        self._make = make
        self._spec = spec
        self._plan = plan
        self._stop = stop
        self._meter = meter
        self._now = meter.wall
        self._begin = meter.wall()
        self._deadline = self._begin + seconds
        self._timings: list[Timing] = []

    def run(
        self, ways: Sequence[tuple[str, Resolution]], threads: Sequence[int]
    ) -> CalibrationResult:
        """Measure precisions and sizes with each number of session threads, few threads first:
        when time is short, all precisions were seen with one thread at least."""
        precisions = tuple(dict.fromkeys(precision for precision, _ in ways))
        ended: Ended = "complete"
        try:
            with ThreadPoolExecutor(self._plan.workers) as callers:
                for count in sorted(threads):
                    for precision in precisions:
                        sizes = [size for each, size in ways if each == precision]
                        self._session(precision, sizes, count, callers)
            self._batches()
        except _Interrupted as interrupted:
            ended = interrupted.why
        return CalibrationResult(tuple(self._timings), ended, self._now() - self._begin)

    def _session(
        self, precision: str, sizes: Sequence[Resolution], threads: int, callers: ThreadPoolExecutor
    ) -> None:
        """All sizes of one session; a way that fails is left out."""
        self._go_on()
        plan = replace(
            self._plan, precision=precision, resolution=sizes[0], session_threads=threads
        )
        try:
            session = self._make(plan)
        except EdgeMattingError as error:
            log.info("%s with %d threads is not measured: %s", precision, threads, error)
            return
        try:
            if session.describe().actual_provider != plan.provider:
                raise SessionError(f"{plan.provider} cannot be had")
            for size in sizes:
                self._size(session, replace(plan, resolution=size), callers)
        except EdgeMattingError as error:
            log.info("%s with %d threads is measured in part: %s", precision, threads, error)
        finally:
            session.close()

    def _size(self, session: Session, plan: Plan, callers: ThreadPoolExecutor) -> None:
        tensor = self._tensor(plan.resolution, 1)
        session.run(tensor)  # pays for what is made late
        looks = [self._look(session, tensor, plan, callers) for _ in range(LOOKS)]
        alone = min(alone for alone, _ in looks)
        self._timings.append(_timing(plan, 1, alone, min(together for _, together in looks)))

    def _look(
        self, session: Session, tensor: Tensor, plan: Plan, callers: ThreadPoolExecutor
    ) -> tuple[float, float]:
        """Seconds of a run alone, and seconds a photo with all callers at it."""
        runs, alone = self._alone(session, tensor, plan)
        workers = plan.workers
        if workers == 1:
            return alone, alone
        self._go_on()
        begin = self._meter.read()
        list(callers.map(lambda _: [session.run(tensor) for _ in range(runs)], range(workers)))
        seconds = self._seconds(begin, plan, workers * plan.session_threads)
        return alone, seconds / (runs * workers)

    def _batches(self) -> None:
        """Several photos in one run, the fastest way, for the line ``a * n + b``."""
        if not self._timings:
            return
        best = min(self._timings, key=lambda timing: timing.photo_seconds)
        plan = replace(
            self._plan,
            precision=best.precision,
            resolution=best.resolution,
            session_threads=best.threads,
        )
        self._go_on()
        try:
            session = self._make(replace(plan, batch=max(BATCHES)))
        except EdgeMattingError as error:
            log.info("batches are not measured: %s", error)
            return
        try:
            for batch in BATCHES:
                self._go_on()
                tensor = self._tensor(plan.resolution, batch)
                session.run(tensor)
                _, alone = self._alone(session, tensor, plan)
                self._timings.append(_timing(plan, batch, alone, alone / batch))
        except EdgeMattingError as error:
            log.info("larger batches are not measured: %s", error)
        finally:
            session.close()

    def _alone(self, session: Session, tensor: Tensor, plan: Plan) -> tuple[int, float]:
        """How often it ran in one look, and the seconds of each."""
        self._go_on()
        begin = self._meter.read()
        runs = 0
        while runs == 0 or (runs < MOST_RUNS and self._now() - begin.wall < LOOK_SECONDS):
            session.run(tensor)
            runs += 1
        return runs, self._seconds(begin, plan, plan.session_threads) / runs

    def _seconds(self, begin: Reading, plan: Plan, threads: int) -> float:
        return self._meter.seconds(begin, threads, on_processor=is_processor(plan.provider))

    def _tensor(self, size: Resolution, batch: int) -> Tensor:
        """Noise: zeros are faster than photos on some processors, denormals slower."""
        width, height = size
        nchw = self._spec.layout == "nchw"
        shape = (batch, 3, height, width) if nchw else (batch, height, width, 3)
        noise = np.random.default_rng(1).random(shape, np.float32)
        return noise.astype(self._spec.dtype) if self._spec.dtype != "uint8" else _bytes(noise)

    def _go_on(self) -> None:
        if self._stop():
            raise _Interrupted("work")
        if self._now() >= self._deadline:
            raise _Interrupted("time")


def _bytes(noise: Tensor) -> Tensor:
    values: Tensor = (noise * 255).astype(np.uint8)
    return values


def _timing(plan: Plan, batch: int, alone: float, photo: float) -> Timing:
    return Timing(
        provider=plan.provider,
        precision=plan.precision,
        resolution=plan.resolution,
        threads=plan.session_threads,
        callers=plan.workers,
        batch=batch,
        alone_seconds=alone,
        photo_seconds=photo,
    )
