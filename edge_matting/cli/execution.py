"""Where the model really runs, for ``profile`` and ``doctor``: opened, tested and timed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edge_matting.config import Settings
from edge_matting.core.device_values import DeviceProfile
from edge_matting.core.errors import EdgeMattingError
from edge_matting.core.plan import Plan
from edge_matting.engine.factory import open_model


def execution_facts(settings: Settings, plan: Plan, profile: DeviceProfile) -> dict[str, Any]:
    """The opened model's session; only ``error`` when it cannot be opened."""
    try:
        opened = open_model(settings, plan, settings.model, profile)
    except EdgeMattingError as error:
        return {"error": str(error)}
    facts = opened.session_facts()
    opened.session.close()
    return facts


def execution_lines(facts: dict[str, Any]) -> Iterator[str]:
    """The same for a person."""
    if "error" in facts:
        yield f"cannot run: {facts['error']}"
        return
    nodes = ", ".join(f"{count} nodes on {name}" for name, count in facts["nodes"].items())
    speed = f"{facts['seconds'] * 1000:.0f} ms a picture"
    if facts["cpu_seconds"] is not None:
        speed += f", {facts['cpu_seconds'] * 1000:.0f} ms on the processor"
    test = f"self-test off by {facts['self_test']:.4f}"
    yield ", ".join(filter(None, (facts["actual_provider"], nodes, speed, test)))
    if facts["reason"] is not None:
        yield f"not on {facts['requested_provider']}: {facts['reason']}"
    yield from facts["notes"]
