"""The daemon's working parts in the page's words: pure readings, for any thread.

Each function takes an engine once, for the main loop may replace it at any moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edge_matting.config import Recipe, Settings
from edge_matting.core.output_kinds import output_kind
from edge_matting.core.plan import Plan
from edge_matting.daemon.intake import Intake
from edge_matting.daemon.page.uploads import Uploads
from edge_matting.daemon.supervisor import Supervisor
from edge_matting.hotfolder.condition import free_bytes
from edge_matting.status.interfaces import (
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


def missing_accelerator(parts: Parts) -> str | None:
    """That another provider is in use than was asked for, and why."""
    session = session_report(parts)
    if session is None or session["requested_provider"] == session["actual_provider"]:
        return None
    return (
        f"{session['requested_provider']} was asked for, {session['actual_provider']} "
        f"is in use: {session['reason']}"
    )


def is_degraded(parts: Parts) -> bool:
    """Whether the settings call that a degraded appliance."""
    wanted = parts.settings.device.missing_accelerator == "degrade"
    return wanted and missing_accelerator(parts) is not None


def plan_in_use(parts: Parts | None) -> Plan | None:
    """The plan, once an engine has told it."""
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
        cause=session["reason"],
        nodes=session["nodes"],
        seconds=session["seconds"],
        cpu_seconds=session["cpu_seconds"],
        self_test=session["self_test"],
        notes=tuple(session["notes"]),
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
    told = None if engine is None else engine.events.preparing
    if told is None:
        return None
    return PreparingReport(str(told["what"]), told.get("fraction"), told.get("detail"))


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


def session_report(parts: Parts) -> dict[str, Any] | None:
    """What the engine said of its session."""
    ready = _ready(parts)
    return None if ready is None else dict(ready["session"])
