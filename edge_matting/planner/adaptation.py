"""When to step down and when to come back: a state machine on frozen values with the time given.

Down is immediate, up is patient: at most one step a minute over all causes, each only after its
cause was at ease without a break for a while, and none while another cause is acute. What comes
back too early and fails again waits twice as long the next time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, Literal

from edge_matting.core.plan import Plan
from edge_matting.core.reasons import Reason
from edge_matting.planner.ladder import Cause, next_step
from edge_matting.planner.signals import Level, Signal

UP_SECONDS: Final = 60.0
"""Between two steps up."""

SAME_CAUSE_SECONDS: Final = 20.0
"""Between two steps down for one cause: heat and memory take a while to follow. Several photos
that run out of memory within this time are one event."""

QUIET_SECONDS: Final[Mapping[Cause, float]] = MappingProxyType(
    {
        Cause.OUT_OF_MEMORY: 180.0,
        Cause.MEMORY_PRESSURE: 60.0,
        Cause.HEAT: 60.0,
        Cause.POWER: 60.0,
        Cause.PROVIDER_LOST: 600.0,
    }
)
"""How long a cause must be at ease before the first step back. A wrong result never comes back by
itself: another file or runtime makes another session."""

RELAPSE_SECONDS: Final = 600.0
LONGEST_QUIET_SECONDS: Final = 3600.0
POWER_SECONDS: Final = 10.0
"""How long a new power mode or clock cap must hold: a boot switches through several."""

Direction = Literal["down", "up"]


@dataclass(frozen=True, slots=True)
class Held:
    """How far a cause has stepped the plan down, and since when it is at ease."""

    depth: int = 0
    at_ease_since: float | None = None
    lowered_at: float | None = None
    raised_at: float | None = None
    patience: float = 1.0  # factor on the quiet time; doubles with each relapse


@dataclass(frozen=True, slots=True)
class Adaptation:
    """The state; times are those of one monotonic clock, in seconds."""

    held: Mapping[Cause, Held] = field(default_factory=dict)
    raised_at: float | None = None
    power: str | None = None  # power mode and clock caps that the measurements hold for
    power_changed_at: float | None = None
    power_seen: str | None = None

    @property
    def depths(self) -> dict[Cause, int]:
        """Steps down by cause, for ``ladder.derated``."""
        return {cause: held.depth for cause, held in self.held.items() if held.depth}

    def of(self, cause: Cause) -> Held:
        return self.held.get(cause, Held())

    def with_held(self, cause: Cause, held: Held) -> Adaptation:
        return replace(self, held={**self.held, cause: held})


@dataclass(frozen=True, slots=True)
class Change:
    """One step of one cause, and why."""

    cause: Cause
    direction: Direction
    why: Reason


def deepest(plan: Plan) -> dict[Cause, int]:
    """How many steps each cause has on this plan's ladder."""
    return {cause: _steps(plan, cause) for cause in Cause}


def _steps(plan: Plan, cause: Cause) -> int:
    count, step = 0, next_step(plan, cause)
    while step is not None:
        count, step = count + 1, next_step(step.plan, cause)
    return count


def observe(
    state: Adaptation, seen: Mapping[Cause, Signal], now: float, depths: Mapping[Cause, int]
) -> tuple[Adaptation, tuple[Change, ...]]:
    """The state after readings taken at ``now``, and what is to be changed.

    ``depths`` are the deepest of each cause. Causes without a signal are left as they are,
    except running out of memory, which is at ease until it happens.
    """
    changes: list[Change] = []
    for cause, signal in seen.items():
        state, change = _seen(state, cause, signal, now, depths.get(cause, 0))
        changes += [] if change is None else [change]
    if not any(signal.level is Level.TOO_MUCH for signal in seen.values()):
        state, change = _raised(state, now)
        changes += [] if change is None else [change]
    return state, tuple(changes)


def happened(
    state: Adaptation, cause: Cause, why: Reason, now: float, deepest_of: int
) -> tuple[Adaptation, tuple[Change, ...]]:
    """The state after an event that no reading shows: a photo ran out of memory."""
    state, change = _seen(state, cause, Signal(Level.TOO_MUCH, why), now, deepest_of)
    state = state.with_held(cause, replace(state.of(cause), at_ease_since=now))
    return state, () if change is None else (change,)


def power_seen(state: Adaptation, power: str, now: float) -> tuple[Adaptation, bool]:
    """The state after a look at power mode and clock caps; True: measure anew."""
    if state.power is None or power == state.power:
        known = state.power or power
        return replace(state, power=known, power_seen=power, power_changed_at=None), False
    if power != state.power_seen or state.power_changed_at is None:
        return replace(state, power_seen=power, power_changed_at=now), False
    if now - state.power_changed_at < POWER_SECONDS:
        return state, False
    return replace(state, power=power, power_changed_at=None), True


def _seen(
    state: Adaptation, cause: Cause, signal: Signal, now: float, deepest_of: int
) -> tuple[Adaptation, Change | None]:
    held = state.of(cause)
    if signal.level is Level.AT_EASE:
        since = now if held.at_ease_since is None else held.at_ease_since
        return state.with_held(cause, replace(held, at_ease_since=since)), None
    held = replace(held, at_ease_since=None)
    settling = held.lowered_at is not None and now - held.lowered_at < SAME_CAUSE_SECONDS
    if signal.level is Level.BETWEEN or settling or held.depth >= deepest_of:
        return state.with_held(cause, held), None
    return state.with_held(cause, _lowered(held, now)), Change(cause, "down", signal.why)


def _lowered(held: Held, now: float) -> Held:
    relapse = held.raised_at is not None and now - held.raised_at < RELAPSE_SECONDS
    patience = held.patience * 2 if relapse else held.patience
    return replace(held, depth=held.depth + 1, lowered_at=now, raised_at=None, patience=patience)


def _raised(state: Adaptation, now: float) -> tuple[Adaptation, Change | None]:
    """One step up for the cause that has been at ease for longest, if it is time."""
    if state.raised_at is not None and now - state.raised_at < UP_SECONDS:
        return state, None
    due = min(_due(state, now), default=None)
    if due is None:
        return state, None
    since, cause = due
    held = state.of(cause)
    calm = held.raised_at is not None and now - held.raised_at >= RELAPSE_SECONDS
    raised = replace(
        held, depth=held.depth - 1, raised_at=now, patience=1.0 if calm else held.patience
    )
    state = replace(state.with_held(cause, raised), raised_at=now)
    return state, Change(cause, "up", Reason("at_ease", seconds=round(now - since)))


def _due(state: Adaptation, now: float) -> Iterator[tuple[float, Cause]]:
    for cause, quiet in QUIET_SECONDS.items():
        held = state.of(cause)
        patience = min(quiet * held.patience, LONGEST_QUIET_SECONDS)
        if held.depth and held.at_ease_since is not None and now - held.at_ease_since >= patience:
            yield held.at_ease_since, cause
