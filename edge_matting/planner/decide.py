"""The plan for a device, a model, the user's settings, and what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_matting.config import Settings
from edge_matting.core.device_values import DeviceProfile, Gpu, Vitals
from edge_matting.core.plan import Fallbacks, Plan
from edge_matting.core.reasons import Reason
from edge_matting.planner.candidates import Choices, choices
from edge_matting.planner.measurements import Line, Measurements, Timing, fit
from edge_matting.planner.memory import (
    ENGINE_BASE_BYTES,
    LEAST_PIXELS,
    Budget,
    Footprint,
    budget_of,
)
from edge_matting.planner.model_requirements import ModelNeeds, Resolution
from edge_matting.planner.workers import wanted_workers

EQUAL = 0.05
"""Speeds that differ by less are the same: the better picture decides."""

ALIKE = 0.01
"""Among the ways to make that picture: the shorter wait of a lone photo is worth no more."""


def make_plan(
    profile: DeviceProfile,
    model: ModelNeeds,
    settings: Settings,
    available: tuple[str, ...],
    *,
    measurements: Measurements | None = None,
    vitals: Vitals | None = None,
) -> Plan:
    """The plan for this device.

    ``available`` are the providers that the installed runtime contains, which proves nothing
    about what will run; the session compares requested and actual afterwards. ``measurements``
    of another model, device or runtime must not be handed in. Never raises; the same arguments
    give the same plan.
    """
    reasons: list[Reason] = []
    allowed = choices(profile, model, settings, available, reasons)
    precision, resolution, threads = _way(allowed, model, measurements, reasons)
    footprint = footprint_of(model, settings, allowed.gpu)
    least = footprint.needed(resolution, 1, LEAST_PIXELS)
    budget = budget_of(profile, allowed.gpu, vitals, least)
    workers = footprint.workers(wanted_workers(profile), resolution, budget)
    threads = threads or max(1, int(profile.usable_cpus) // workers)
    known = "in_flight_unmeasured" if measurements is None else "in_flight"
    reasons.append(Reason(known, photos=workers, threads=threads, cpus=profile.usable_cpus))
    batch = 1 if settings.device.batch == "auto" else settings.device.batch
    reasons.append(_batch_reason(batch, workers, measurements, (precision, resolution)))
    most = workers * settings.limits.max_pixels
    pixels = min(most, footprint.pixels(resolution, workers, budget))
    reasons += _memory_reasons(pixels, budget)
    return Plan(
        backend=allowed.backend,
        provider=allowed.provider,
        precision=precision,
        resolution=resolution,
        batch=batch,
        workers=workers,
        pixels_in_flight=pixels,
        session_threads=threads,
        memory_bytes=min(budget.main, footprint.needed(resolution, workers, most)),
        reasons=tuple(reasons),
        fallbacks=Fallbacks(
            providers=allowed.fallbacks,
            precisions=allowed.precisions,
            resolutions=_resolution_fallbacks(allowed, resolution),
            batches=_halves(batch),
        ),
    )


def footprint_of(model: ModelNeeds, settings: Settings, gpu: Gpu | None) -> Footprint:
    """What the engine takes with this model."""
    cache = int(settings.cache.memory_mb * 1e6) if settings.cache.enabled else 0
    return Footprint(ENGINE_BASE_BYTES + cache, model.file_bytes, gpu)


@dataclass(frozen=True, slots=True)
class _Ranked:
    timing: Timing
    iou: float


def best_timing(
    timings: Sequence[Timing], model: ModelNeeds, ways: Sequence[tuple[str, Resolution]]
) -> Timing | None:
    """The fastest allowed way; among equals the best picture, then the shortest wait alone."""
    ranked = [
        _Ranked(timing, model.iou(timing.precision, timing.resolution) or 0.0)
        for timing in timings
        if (timing.precision, timing.resolution) in ways and timing.batch == 1
    ]
    if not ranked:
        return None
    fastest = min(each.timing.photo_seconds for each in ranked)
    equals = [each for each in ranked if each.timing.photo_seconds <= fastest * (1 + EQUAL)]
    best = max(each.iou for each in equals)
    same = [each.timing for each in equals if each.iou == best]
    least = min(timing.photo_seconds for timing in same)
    alike = [timing for timing in same if timing.photo_seconds <= least * (1 + ALIKE)]
    return min(alike, key=lambda timing: (timing.alone_seconds, timing.photo_seconds))


def _way(
    allowed: Choices,
    model: ModelNeeds,
    measurements: Measurements | None,
    reasons: list[Reason],
) -> tuple[str, Resolution, int | None]:
    """Precision and size, and the session's threads where they were measured."""
    timings = () if measurements is None else measurements.timings
    timings = tuple(each for each in timings if each.provider == allowed.provider)
    best = best_timing(timings, model, allowed.ways)
    if best is None:
        return (*_unmeasured_way(allowed, model, reasons), None)
    way = (best.precision, best.resolution)
    reasons.append(
        Reason(
            "way_measured",
            way=_named(way),
            quality=_quality(model, way),
            ms=f"{best.photo_seconds * 1000:.1f}",
            alone=f"{best.alone_seconds * 1000:.1f}",
            n=len(timings),
        )
    )
    return best.precision, best.resolution, best.threads


def _unmeasured_way(
    allowed: Choices, model: ModelNeeds, reasons: list[Reason]
) -> tuple[str, Resolution]:
    """The exact precision at its smallest good size: nothing was timed on this device yet."""
    exact = allowed.precisions[0]
    sizes = [size for precision, size in allowed.ways if precision == exact]
    way = (exact, min(sizes, key=lambda size: (size[0] * size[1], size)))
    choice = "way_least_work" if len(allowed.ways) > 1 else "way_only"
    reasons.append(Reason(choice, way=_named(way), quality=_quality(model, way)))
    return way


def _named(way: tuple[str, Resolution]) -> str:
    precision, (width, height) = way
    return f"{precision}, {width} x {height}"


def _quality(model: ModelNeeds, way: tuple[str, Resolution]) -> Reason:
    iou = model.iou(*way)
    if iou is None:
        return Reason("quality_unknown")
    if model.quality_floor is None:
        return Reason("quality_iou", iou=f"{iou:.3f}")
    return Reason("quality_floor", iou=f"{iou:.3f}", floor=model.quality_floor)


def _resolution_fallbacks(allowed: Choices, resolution: Resolution) -> tuple[Resolution, ...]:
    """Sizes from the plan's own down."""
    area = resolution[0] * resolution[1]
    lower = [size for size in allowed.ladder if size[0] * size[1] < area]
    return (resolution, *lower)


def _halves(batch: int) -> tuple[int, ...]:
    """``batch``, its half, and so on to 1."""
    return tuple(batch >> shift for shift in range(batch.bit_length()))


def _batch_reason(
    batch: int, workers: int, measurements: Measurements | None, way: tuple[str, Resolution]
) -> Reason:
    line = _line(measurements, way)
    known: str = ""
    if line is not None:
        slope, fixed = f"{line.a * 1e3:.1f}", f"{line.b * 1e3:.1f}"
        known = Reason("batch_takes", slope=slope, fixed=fixed)
    if batch == 1:
        return Reason("batch_one", known=known)
    full = Reason("batch_never_full", photos=workers) if batch > workers else ""
    return Reason("batch_set", batch=batch, full=full, known=known)


def _line(measurements: Measurements | None, way: tuple[str, Resolution]) -> Line | None:
    timings = [] if measurements is None else measurements.timings
    mine = [each for each in timings if (each.precision, each.resolution) == way]
    batched = {each.threads for each in mine if each.batch > 1}
    return fit((t.batch, t.alone_seconds) for t in mine if t.threads in batched)


def _memory_reasons(pixels: int, budget: Budget) -> list[Reason]:
    problem = [] if budget.problem is None else [budget.problem]
    return [
        *problem,
        Reason("pixels_in_flight", megapixels=f"{pixels / 1e6:.1f}", why=budget.why),
    ]
