"""The way down when a plan asks too much of the device, one rung at a time, and back up.

A rung costs as little as possible: first speed, then size, then exactness, then the accelerator.
The way up needs no ladder of its own: ``derated`` builds the plan anew from the undisturbed one
and the depth that each cause has reached, so causes come and go in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType
from typing import Final, TypeVar

from edge_matting.core.plan import Plan
from edge_matting.core.providers import FULL_PRECISION, PRECISIONS, is_processor, runtime_with
from edge_matting.core.reasons import Reason

T = TypeVar("T")


class Cause(str, Enum):
    """Why a plan is stepped down; the values are labels of a metric."""

    OUT_OF_MEMORY = "out_of_memory"  # an allocation failed
    MEMORY_PRESSURE = "memory_pressure"  # the machine is running short
    HEAT = "heat"
    POWER = "power"
    WRONG_RESULT = "wrong_result"  # the self-test came out wrong
    PROVIDER_LOST = "provider_lost"  # the accelerator does not answer any more


@dataclass(frozen=True, slots=True)
class Step:
    """One rung: what changed, why, and the plan that follows."""

    cause: Cause
    what: str  # workers, batch, resolution, precision, provider
    before: str
    after: str
    plan: Plan

    @property
    def reason(self) -> Reason:
        """As a person reads it: ``batch 8 -> 4: out of memory``."""
        return Reason(
            "lowered",
            what=Reason(f"knob_{self.what}"),
            before=self.before,
            after=self.after,
            cause=Reason(f"cause_{self.cause.value}"),
        )


def is_step_of(reason: Reason, what: str) -> bool:
    """Whether ``reason`` is that of a step that changed ``what``."""
    return reason.code == "lowered" and reason.values["what"] == Reason(f"knob_{what}")


def next_step(plan: Plan, cause: Cause) -> Step | None:
    """The next rung down for ``cause``, or None where nothing is left to give.

    What the user, the model or the device fixed has a single rung and is never touched. The new
    plan's last reason is the step's.
    """
    for rung in _RUNGS[cause]:
        lower = rung(plan)
        if lower is not None:
            what, before, after, lowered = lower
            step = Step(cause, what, before, after, lowered)
            return replace(step, plan=replace(lowered, reasons=(*plan.reasons, step.reason)))
    return None


def derated(plan: Plan, depths: Mapping[Cause, int]) -> tuple[Plan, tuple[Step, ...]]:
    """``plan`` stepped down ``depths[cause]`` times for each cause, in the causes' own order.

    Stops early for a cause that has no rung left. The same depths always give the same plan.
    """
    steps: list[Step] = []
    for cause in Cause:
        for _ in range(depths.get(cause, 0)):
            step = next_step(plan, cause)
            if step is None:
                break
            plan = step.plan
            steps.append(step)
    return plan, tuple(steps)


Lowered = tuple[str, str, str, Plan]


def _halve_workers(plan: Plan) -> Lowered | None:
    return _fewer_workers(plan, plan.workers // 2)


def _one_worker(plan: Plan) -> Lowered | None:
    return _fewer_workers(plan, 1)


def _fewer_workers(plan: Plan, workers: int) -> Lowered | None:
    """Fewer photos in flight, and their pixels in proportion."""
    if plan.workers <= 1:
        return None
    workers = max(1, workers)
    lowered = replace(
        plan,
        workers=workers,
        pixels_in_flight=max(1, plan.pixels_in_flight * workers // plan.workers),
    )
    return "workers", str(plan.workers), str(workers), lowered


def _lower_batch(plan: Plan) -> Lowered | None:
    batch = _after(plan.fallbacks.batches, plan.batch)
    if batch is None:
        return None
    return "batch", str(plan.batch), str(batch), replace(plan, batch=batch)


def _lower_resolution(plan: Plan) -> Lowered | None:
    lower = _after(plan.fallbacks.resolutions, plan.resolution)
    if lower is None:
        return None
    before, after = (f"{width} x {height}" for width, height in (plan.resolution, lower))
    return "resolution", before, after, replace(plan, resolution=lower)


def _smaller_precision(plan: Plan) -> Lowered | None:
    return _precision(plan, _after(plan.fallbacks.precisions, plan.precision))


def _exacter_precision(plan: Plan) -> Lowered | None:
    return _precision(plan, _after(plan.fallbacks.precisions[::-1], plan.precision))


def _precision(plan: Plan, precision: str | None) -> Lowered | None:
    if precision is None:
        return None
    return "precision", plan.precision, precision, replace(plan, precision=precision)


def _next_provider(plan: Plan) -> Lowered | None:
    """The processor computes in fp32 what an accelerator computes in fp16: it has no fp16 units
    worth using (onnxruntime inserts casts)."""
    provider = _after(plan.fallbacks.providers, plan.provider)
    if provider is None:
        return None
    exact = plan.fallbacks.precisions[:1] == (FULL_PRECISION,)
    halved = is_processor(provider) and PRECISIONS[plan.precision].is_half and exact
    precision = FULL_PRECISION if halved else plan.precision
    lowered = replace(
        plan,
        backend=runtime_with(provider, plan.backend),
        provider=provider,
        precision=precision,
    )
    return "provider", plan.provider, provider, lowered


def _after(fallbacks: tuple[T, ...], current: T) -> T | None:
    """The rung that follows; None at the last one, or where the plan stands on none of them."""
    if current not in fallbacks:
        return None
    following = fallbacks.index(current) + 1
    return fallbacks[following] if following < len(fallbacks) else None


Rung = Callable[[Plan], Lowered | None]

_COOLER: Final[tuple[Rung, ...]] = (_halve_workers, _lower_batch, _lower_resolution)
_RUNGS: Final[Mapping[Cause, tuple[Rung, ...]]] = MappingProxyType(
    {
        Cause.OUT_OF_MEMORY: (
            _lower_batch,
            _one_worker,
            _lower_resolution,
            _smaller_precision,
            _next_provider,
        ),
        Cause.MEMORY_PRESSURE: _COOLER,
        Cause.HEAT: _COOLER,
        Cause.POWER: _COOLER,
        Cause.WRONG_RESULT: (_exacter_precision, _next_provider),
        Cause.PROVIDER_LOST: (_next_provider,),
    }
)
