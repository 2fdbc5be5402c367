"""The daemon's working parts in the page's words: pure readings, for any thread.

Each function takes an engine once, for the main loop may replace it at any moment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_matting.config import Recipe, Settings
from edge_matting.core.output_kinds import output_kind
from edge_matting.core.plan import Plan
from edge_matting.core.reasons import Reason
from edge_matting.daemon.intake import Intake
from edge_matting.daemon.page.uploads import Uploads
from edge_matting.daemon.supervisor import Supervisor
from edge_matting.hotfolder.condition import free_bytes
from edge_matting.status.interfaces import (
    AdaptationCount,
    AdaptationReport,
    ExecutionReport,
    FolderReport,
    PreparingReport,
    RecipeReport,
)


@dataclass(frozen=True, slots=True)
class Parts:
    """The working parts under the present settings."""

    settings: Settings
    supervisor: Supervisor
    intakes: Sequence[Intake]
    url: str
    uploads: Uploads


def missing_accelerator(parts: Parts) -> Reason | None:
    """That another provider is in use than was asked for, and why."""
    session = session_report(parts)
    if session is None or session["requested_provider"] == session["actual_provider"]:
        return None
    return Reason(
        "provider_missing",
        wanted=session["requested_provider"],
        actual=session["actual_provider"],
        why=_reason(session) or "",
    )


def is_degraded(parts: Parts) -> bool:
    """Whether the settings call that a degraded appliance."""
    wanted = parts.settings.device.missing_accelerator == "degrade"
    return wanted and missing_accelerator(parts) is not None


def plan_in_use(parts: Parts | None) -> Plan | None:
    """The plan, once an engine has reported it."""
    ready = _ready(parts)
    return None if ready is None else Plan.from_json(ready["plan"])


def execution(parts: Parts | None) -> ExecutionReport | None:
    """What was asked for and what runs, once a session is warm."""
    session = None if parts is None else session_report(parts)
    if session is None:
        return None
    return ExecutionReport(
        requested=session["requested_provider"],
        actual=session["actual_provider"],
        precision=session["precision"],
        cause=_reason(session),
        nodes=session["nodes"],
        seconds=session["seconds"],
        cpu_seconds=session["cpu_seconds"],
        self_test=session["self_test"],
        notes=notes(session),
    )


def recipes(settings: Settings) -> tuple[RecipeReport, ...]:
    """The recipes that an upload can choose."""
    return tuple(
        RecipeReport(
            name,
            tuple(f"{spec.kind} {spec.format}" for spec in recipe.outputs),
            str(recipe.background) if _shows_background(recipe) else None,
            _parameters(recipe),
        )
        for name, recipe in settings.recipes.items()
    )


def _shows_background(recipe: Recipe) -> bool:
    return any("backdrop" in output_kind(spec.kind).needs for spec in recipe.outputs)


def _parameters(recipe: Recipe) -> dict[str, Any]:
    """The present values of what the page's form offers to change."""
    return {
        "format": recipe.outputs[0].format,
        "ground": str(recipe.ground),
        "background": "blur" if recipe.background.blur else str(recipe.background),
        "crop": None if recipe.crop is None else recipe.crop.margin,
        "refinement": recipe.refinement,
        "feather": recipe.feather,
        "erode": recipe.erode,
    }


def models(parts: Parts | None) -> tuple[str, ...]:
    """Ids of the models that a retry can ask for."""
    engine = None if parts is None else parts.supervisor.engine
    return () if engine is None else engine.events.models


def preparing(parts: Parts | None) -> PreparingReport | None:
    """What the engine is busy with before photos."""
    engine = None if parts is None else parts.supervisor.engine
    reported = None if engine is None else engine.events.preparing
    if reported is None:
        return None
    return PreparingReport(str(reported["what"]), reported.get("fraction"), reported.get("detail"))


def adaptation(parts: Parts | None, earlier: Counter[tuple[str, str]]) -> AdaptationReport:
    """How plans are adapted; ``earlier`` counts what parts did that were replaced."""
    supervisor = None if parts is None else parts.supervisor
    counts = earlier + (supervisor.adapted() if supervisor else Counter())
    engines = supervisor.engines if supervisor else ()
    return AdaptationReport(
        lowered=tuple(dict.fromkeys(why for each in engines for why in each.events.lowered)),
        counts=tuple(AdaptationCount(*key, count) for key, count in sorted(counts.items())),
    )


def folders(parts: Parts) -> tuple[FolderReport, ...]:
    """The hot folders as the page shows them."""
    return tuple(_folder(intake) for intake in parts.intakes)


def _folder(intake: Intake) -> FolderReport:
    folder = intake.folder
    return FolderReport(
        path=str(folder.path),
        recipe=folder.recipe,
        watch=intake.watch,
        free_bytes=free_bytes(folder.outbox),
        problem=intake.problem,
    )


def _ready(parts: Parts | None) -> dict[str, Any] | None:
    engine = None if parts is None else parts.supervisor.engine
    return None if engine is None else engine.events.ready


def _reason(session: Mapping[str, Any]) -> Reason | None:
    reported = session["reason"]
    return None if reported is None else Reason.from_coded(reported)


def notes(session: Mapping[str, Any]) -> tuple[Reason, ...]:
    """What was given up on the way to the session, and what speaks against its proof."""
    return tuple(map(Reason.from_coded, session["notes"]))


def session_report(parts: Parts) -> dict[str, Any] | None:
    """The engine's report of its session."""
    ready = _ready(parts)
    return None if ready is None else dict(ready["session"])
