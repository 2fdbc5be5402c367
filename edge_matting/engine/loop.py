"""Claim what is due, hand it to worker threads, wait without burning the processor."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from edge_matting.core.errors import JobSourceError
from edge_matting.core.jobs import Claim
from edge_matting.planner import MAX_WORKERS

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
"""How often a waiting loop looks for work that came without a wake-up, and a busy one at itself."""


Computed = Callable[[], None]
"""What a worker calls once its photo needs no processor any more, only the disk."""


class WorkLoop:
    """Keeps at most ``workers`` claims computing, and as many more while they are written.

    ``claim`` hands out at most that many jobs, ``perform`` does one of them in a worker thread
    and never raises, ``tick`` is called about once a second as a sign of life, and at each
    ``wake``; not with each photo, for which it costs too much.

    A photo's syncs take far longer than its processor time. So ``perform`` is handed a call that
    lets the next photo compute (harmless when called again), and goes on in its own thread.
    """

    def __init__(
        self,
        *,
        claim: Callable[[int], Sequence[Claim]],
        perform: Callable[[Claim, Computed], None],
        tick: Callable[[], None],
        workers: int,
    ) -> None:
        self._claim = claim
        self._perform = perform
        self._tick = tick
        self._workers = workers
        self._in_work = 0
        self._computing = 0  # of those in work
        self._stopping = False
        self._paused = False
        self._woken = False
        self._tick_at = 0.0  # monotonic seconds; 0: at once
        self._logged = ""  # the error that was logged last and holds on
        self._changed = threading.Condition()

    def wake(self) -> None:
        self._tick_at = 0.0
        self._set(woken=True)

    def pause(self) -> None:
        self._set(paused=True)

    def resume(self) -> None:
        self._set(paused=False, woken=True)

    def stop(self) -> None:
        self._set(stopping=True)

    def use_workers(self, workers: int) -> None:
        """At most so many claims compute at once from now on; what is in work is finished."""
        with self._changed:
            self._workers = workers
            self._changed.notify_all()

    @property
    def stopping(self) -> bool:
        return self._stopping

    @property
    def woken(self) -> bool:
        """Whether there may be work that was not looked for yet."""
        return self._woken

    @property
    def idle(self) -> bool:
        """Whether no photo is in work."""
        return self._in_work == 0

    def run(self) -> None:
        """Work until stopped; what is in work then is finished before it returns."""
        with ThreadPoolExecutor(2 * MAX_WORKERS, thread_name_prefix="photo") as pool:
            while not self._stopping:
                self._look_after()
                claims = self._claims()
                for claim in claims:
                    self._submit(pool, claim)
                if not claims:
                    self._wait()

    def _look_after(self) -> None:
        now = time.monotonic()
        if now >= self._tick_at:
            self._tick_at = now + TICK_SECONDS
            self._tick()

    def _set(
        self, *, woken: bool = False, paused: bool | None = None, stopping: bool = False
    ) -> None:
        with self._changed:
            self._woken = self._woken or woken
            self._paused = self._paused if paused is None else paused
            self._stopping = self._stopping or stopping
            self._changed.notify_all()

    def _claims(self) -> Sequence[Claim]:
        with self._changed:
            self._woken = False
            free = min(self._workers - self._computing, 2 * self._workers - self._in_work)
            idle = self._paused or self._stopping or free <= 0
        if idle:
            return ()
        try:
            claims = self._claim(free)
        except JobSourceError as error:
            if str(error) != self._logged:
                log.error("no jobs can be claimed: %s", error)
            self._logged = str(error)
            return ()
        self._logged = ""
        return claims

    def _submit(self, pool: ThreadPoolExecutor, claim: Claim) -> None:
        occupancy = _Occupancy(self._vacate)
        with self._changed:
            self._in_work += 1
            self._computing += 1
        pool.submit(self._perform, claim, occupancy.give_up).add_done_callback(
            lambda future: self._released(occupancy, future)
        )

    def _vacate(self) -> None:
        with self._changed:
            self._computing -= 1
            self._woken = True
            self._changed.notify_all()

    def _released(self, occupancy: _Occupancy, future: Future[None]) -> None:
        occupancy.give_up()
        with self._changed:
            self._in_work -= 1
            self._woken = True
            self._changed.notify_all()
        error = future.exception()
        if error is not None:
            log.critical("a worker thread failed", exc_info=error)

    def _wait(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._woken or self._stopping, TICK_SECONDS)


class _Occupancy:
    """One photo's right to compute, given up once."""

    def __init__(self, vacate: Callable[[], None]) -> None:
        self._vacate: Callable[[], None] | None = vacate

    def give_up(self) -> None:
        vacate, self._vacate = self._vacate, None
        if vacate is not None:
            vacate()
