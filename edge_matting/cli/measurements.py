"""What was measured on this device, as lines for a person."""

from __future__ import annotations

from collections.abc import Iterator

from edge_matting.core.clock import iso_utc
from edge_matting.engine.tuning.planning import Planning
from edge_matting.planner.measurements import Measurements, Timing

MEASURE_SECONDS = 60.0
"""Who asks for it can wait for a slow device."""


def measure(planning: Planning) -> Measurements:
    """Time the ways to run the model, and keep what was found where that is possible."""
    return planning.measure(planning.plan(), seconds=MEASURE_SECONDS)


def measurement_lines(measurements: Measurements | None) -> Iterator[str]:
    """When and what; a note where there is nothing."""
    if measurements is None:
        yield "not yet: at the first start, or with profile --measure"
        return
    ended = "" if measurements.ended == "complete" else ", not all ways: there was no time"
    yield (
        f"{iso_utc(measurements.taken_at)} in {measurements.took_seconds:.1f} s{ended}, "
        f"for {measurements.on.device}, {measurements.on.power}, {measurements.on.runtime}"
    )
    for timing in sorted(measurements.timings, key=_speed):
        yield _line(timing)


def _speed(timing: Timing) -> tuple[int, float]:
    return timing.batch, timing.photo_seconds


def _line(timing: Timing) -> str:
    width, height = timing.resolution
    size = f"{width} x {height}"
    run = f"batch {timing.batch}" if timing.batch > 1 else f"{timing.callers} at once"
    return (
        f"{timing.provider} {timing.precision} {size:9}  {timing.threads:2} thread(s), {run:9}  "
        f"{timing.photo_seconds * 1000:8.1f} ms a photo, "
        f"{timing.alone_seconds * 1000:8.1f} ms a run alone"
    )
