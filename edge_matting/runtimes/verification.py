"""Where a session really runs, shown by three witnesses: the provider that was registered, the
nodes it was given, and the time of one inference against the processor's."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edge_matting.core.providers import is_processor
from edge_matting.core.reasons import Reason
from edge_matting.runtimes.session import Session, SessionInfo, Tensor

RUNS: Final = 3
_LEAST_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Proof:
    """What is known of one session; figures are for a batch of one picture."""

    requested: str  # a provider of the table
    actual: str
    reason: Reason | None  # why they differ
    nodes: tuple[tuple[str, int], ...]  # graph nodes by provider; () where the runtime is silent
    seconds: float  # of one inference; on an accelerator the fastest of a few
    cpu_seconds: float | None  # the same on the processor; None when that is what is used

    @property
    def is_accelerated(self) -> bool:
        return not is_processor(self.actual)

    @property
    def missing(self) -> Reason | None:
        """What to say when the accelerator asked for is not in use."""
        if self.requested == self.actual:
            return None
        return Reason(
            "provider_missing",
            wanted=self.requested,
            actual=self.actual,
            why=self.reason or "",
        )

    @property
    def doubts(self) -> tuple[Reason, ...]:
        """What speaks against the accelerator although its provider was registered."""
        if not self.is_accelerated:
            return ()
        found = []
        total = sum(count for _, count in self.nodes)
        on_cpu = sum(count for name, count in self.nodes if is_processor(name))
        if total and on_cpu > (1 - _LEAST_SHARE) * total:
            found.append(Reason("nodes_on_cpu", on_cpu=on_cpu, total=total, actual=self.actual))
        if self.cpu_seconds is not None and self.seconds > self.cpu_seconds:
            found.append(
                Reason(
                    "slower_than_cpu",
                    actual=self.actual,
                    ms=round(self.seconds * 1000),
                    cpu_ms=round(self.cpu_seconds * 1000),
                )
            )
        return tuple(found)


def prove(
    info: SessionInfo,
    session: Session,
    reference: Callable[[], Session],
    picture: Tensor,
    clock: Callable[[], float] = time.perf_counter,
) -> Proof:
    """Time the warm ``session``; where it is accelerated, the ``reference`` on the processor too.

    ``picture`` is one input tensor, N = 1. ``reference`` is called only when it is needed; what
    it made is closed again.
    """
    cpu_seconds = None
    if is_processor(info.actual_provider):
        seconds = _fastest(session, picture, clock, runs=1)
    else:
        seconds = _fastest(session, picture, clock, runs=RUNS)
        other = reference()
        try:
            other.warm()
            cpu_seconds = _fastest(other, picture, clock, runs=RUNS)
        finally:
            other.close()
    return Proof(
        requested=info.requested_provider,
        actual=info.actual_provider,
        reason=None if info.reason is None else Reason.of(info.reason),
        nodes=info.nodes,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
    )


def _fastest(session: Session, picture: Tensor, clock: Callable[[], float], *, runs: int) -> float:
    times = []
    for _ in range(runs):
        begin = clock()
        session.run(picture)
        times.append(clock() - begin)
    return min(times)
