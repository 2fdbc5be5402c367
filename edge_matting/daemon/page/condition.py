"""The appliance in one word: a pure decision from what its parts say.

The words go from what nobody can work around to what needs no word at all: the whole appliance
without progress, everything blocked, no usable engine, a pause, a part that is blocked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_matting.core.engine_identity import JOB_SOURCE
from edge_matting.core.reasons import WORDS, Reason
from edge_matting.daemon.engine_supervision import EngineCondition
from edge_matting.daemon.intake import Intake
from edge_matting.daemon.supervisor import Supervisor
from edge_matting.status.interfaces import ApplianceState


@dataclass(frozen=True, slots=True)
class Facts:
    """What the parts say of themselves at one moment."""

    attached: bool = True  # the parts are there
    stalled: bool = False  # the main loop stands still, or engine after engine makes no progress
    engine: EngineCondition = EngineCondition.READY  # the best of all engines
    engines_failing: bool = False  # some of several
    folders: int = 1
    blocked_folders: int = 0  # gone, read-only, or without room
    ledger_blocked: bool = False  # it cannot be read or written now
    parts_unreadable: bool = False  # sub-folders that cannot be looked into
    paused: bool = False
    degraded: bool = False  # the accelerator is missing, and the settings call that degraded
    photos: int = 0  # waiting or being processed

    @property
    def is_blocked(self) -> bool:
        """Whether no photo at all can be processed, for reasons outside the engine."""
        return self.ledger_blocked or 0 < self.folders <= self.blocked_folders

    @property
    def is_partly_blocked(self) -> bool:
        return self.blocked_folders > 0 or self.engines_failing or self.parts_unreadable


def facts_of(supervisor: Supervisor, intakes: Sequence[Intake]) -> Facts:
    """What engines and hot folders say."""
    obstacles = supervisor.obstacles()
    blocked = [one for one in intakes if one.problem or str(one.folder.path) in obstacles]
    return Facts(
        engine=supervisor.condition(),
        engines_failing=supervisor.is_partly_unusable(),
        folders=len(intakes),
        blocked_folders=len(blocked),
        ledger_blocked=JOB_SOURCE in obstacles or any(one.ledger_problem for one in intakes),
        parts_unreadable=any(one.scan_problems for one in intakes),
    )


def state_of(facts: Facts) -> ApplianceState:
    """The word for the page, the API and ``systemctl status``."""
    by_weight = (
        (not facts.attached, ApplianceState.STARTING),
        (facts.stalled, ApplianceState.STUCK),
        (facts.is_blocked, ApplianceState.BLOCKED),
        (facts.engine is not EngineCondition.READY, _BY_ENGINE[facts.engine]),
        (facts.paused, ApplianceState.PAUSED),
        (facts.is_partly_blocked, ApplianceState.PARTLY_BLOCKED),
        (facts.degraded, ApplianceState.DEGRADED),
        (facts.photos > 0, ApplianceState.WORKING),
    )
    return next((word for holds, word in by_weight if holds), ApplianceState.IDLE)


def by_itself(state: ApplianceState, reason: Reason) -> Reason:
    """What happens without anybody, with the reason where the sentence names it."""
    code = f"by_itself_{state.value}"
    says = "{reason}" in WORDS[code]["en"]
    return Reason(code, reason=reason.innermost) if says else Reason(code)


_BY_ENGINE = {
    EngineCondition.READY: ApplianceState.IDLE,
    EngineCondition.LOADING: ApplianceState.STARTING,
    EngineCondition.RECOVERING: ApplianceState.RECOVERING,
    EngineCondition.UNUSABLE: ApplianceState.NOT_READY,
}
