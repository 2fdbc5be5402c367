"""What may be chosen from: accelerators, precisions and sizes that device, model and user allow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge_matting.config import Settings
from edge_matting.core.device_values import DeviceProfile, Gpu
from edge_matting.core.providers import (
    AUTO,
    PRECISIONS,
    PROCESSOR,
    PROVIDERS,
    automatic_gpu_providers,
    choose_runtime,
    computed_precisions,
    exact_first,
    is_processor,
)
from edge_matting.core.reasons import Reason
from edge_matting.planner.model_requirements import ModelNeeds, Resolution

MAX_THREADS: Final = 16


@dataclass(frozen=True, slots=True)
class Choices:
    """What a plan may choose from; a single entry is fixed."""

    backend: str
    provider: str
    gpu: Gpu | None  # None: the processor computes
    fallbacks: tuple[str, ...]  # providers, from this one down
    ways: tuple[tuple[str, Resolution], ...]  # precision and size, the best picture first
    ladder: tuple[Resolution, ...]  # sizes to step down to, the largest first

    @property
    def precisions(self) -> tuple[str, ...]:
        """Those of the ways, the exact ones first."""
        return exact_first(precision for precision, _ in self.ways)


def choices(
    profile: DeviceProfile,
    model: ModelNeeds,
    settings: Settings,
    available: tuple[str, ...],
    reasons: list[Reason],
) -> Choices:
    """The choices on this device, adding the reasons for what is fixed."""
    backend = _backend(model, settings, reasons)
    provider = _provider(profile, settings, available, reasons)
    gpu = None if is_processor(provider) else next(iter(profile.usable_gpus), None)
    may_fall = not is_processor(provider) and settings.device.missing_accelerator != "fail"
    precisions = _precisions(backend, provider, model, settings, reasons)
    if is_processor(provider) and not profile.exact_int8:
        precisions = _without_int8(precisions, settings, reasons)
    ways = _ways(precisions, model, settings, reasons)
    return Choices(
        backend=backend,
        provider=provider,
        gpu=gpu,
        fallbacks=(provider, PROCESSOR) if may_fall else (provider,),
        ways=ways,
        ladder=_ladder(ways, model, settings),
    )


def _backend(model: ModelNeeds, settings: Settings, reasons: list[Reason]) -> str:
    wanted, accelerator = settings.device.backend, settings.device.accelerator
    offered = tuple(dict.fromkeys(backend for backend, _ in model.files))
    backend = choose_runtime(wanted, accelerator, offered)
    if wanted not in (AUTO, backend):
        reasons.append(Reason("backend_without_file", backend=backend, wanted=wanted))
    elif wanted != AUTO:
        reasons.append(Reason("set_by", what=backend, key="device.backend"))
    elif backend != offered[0]:
        reasons.append(Reason("backend_of_provider", backend=backend, wanted=accelerator))
    return backend


def _provider(
    profile: DeviceProfile, settings: Settings, available: tuple[str, ...], reasons: list[Reason]
) -> str:
    reasons += [
        Reason("gpu_not_used", name=gpu.name, why=gpu.problem)
        for gpu in profile.gpus
        if gpu.problem
    ]
    wanted = settings.device.accelerator
    if wanted != AUTO:
        reasons.append(Reason("set_by", what=wanted, key="device.accelerator"))
        return wanted
    if not profile.usable_gpus:
        reasons.append(Reason("no_usable_gpu", provider=PROCESSOR))
        return PROCESSOR
    name = profile.usable_gpus[0].name
    usual = automatic_gpu_providers()
    found = next((each for each in usual if each.name in available), None)
    if found is None:
        labels = ", ".join(each.label for each in usual)
        reasons.append(Reason("runtime_lacks", provider=PROCESSOR, name=name, labels=labels))
        return PROCESSOR
    reasons.append(Reason("gpu_found", provider=found.name, name=name, label=found.label))
    return found.name


def _precisions(
    backend: str, provider: str, model: ModelNeeds, settings: Settings, reasons: list[Reason]
) -> tuple[str, ...]:
    """Precisions to choose from, the exact ones first; never empty."""
    wanted = settings.device.precision
    offered = model.precisions(backend)
    if wanted != AUTO:
        if wanted in offered or wanted in computed_precisions(backend, provider):
            reasons.append(Reason("set_by", what=wanted, key="device.precision"))
            return (wanted,)
        reasons.append(Reason("precision_without_file", precision=offered[0], wanted=wanted))
        return offered[:1]
    native = [each for each in PROVIDERS[provider].precisions if each in offered]
    return tuple(native) or offered[:1]


def _without_int8(
    precisions: tuple[str, ...], settings: Settings, reasons: list[Reason]
) -> tuple[str, ...]:
    """Only the user, or a model with nothing else, has int8 where its sums are not exact."""
    integer = next((each for each in precisions if PRECISIONS[each].is_integer), None)
    if integer is None:
        return precisions
    others = tuple(each for each in precisions if not PRECISIONS[each].is_integer)
    why = Reason("no_vnni")
    if others:
        reasons.append(Reason("precision_not_used", precision=integer, why=why))
        return others
    by_user = settings.device.precision in precisions
    who = "device.precision" if by_user else Reason("only_file")
    reasons.append(Reason("costs_quality", precision=integer, who=who, why=why))
    return precisions


def _ways(
    precisions: tuple[str, ...], model: ModelNeeds, settings: Settings, reasons: list[Reason]
) -> tuple[tuple[str, Resolution], ...]:
    """Allowed pairs of precision and size, the best picture first; never empty."""
    fixed = _fixed_resolution(model, settings, reasons)
    if fixed is not None:
        if settings.device.precision != "auto":
            return ((precisions[0], fixed),)
        known = [each for each in precisions if _reaches_floor(model, each, fixed)]
        return tuple((each, fixed) for each in known or precisions[:1])
    pairs = [(each, size) for each in precisions for size in model.good_enough(each)]
    if not pairs:
        reasons.append(Reason("models_own_size"))
        return ((precisions[0], model.resolution),)
    order = {each: place for place, each in enumerate(precisions)}
    return tuple(sorted(pairs, key=lambda way: (-(model.iou(*way) or 0.0), order[way[0]], way[1])))


def _reaches_floor(model: ModelNeeds, precision: str, size: Resolution) -> bool:
    """Exact ones always do at a size that the user or the model fixed: there is no better one."""
    if precision == model.files[0][1]:
        return True
    iou, floor = model.iou(precision, size), model.quality_floor
    return iou is not None and floor is not None and iou >= floor


def _fixed_resolution(
    model: ModelNeeds, settings: Settings, reasons: list[Reason]
) -> Resolution | None:
    wanted = settings.device.resolution
    width, height = model.resolution
    if model.multiple is None:
        code = "size_fixed" if wanted == "auto" else "size_fixed_unused"
        reasons.append(Reason(code, size=f"{width} x {height}"))
        return width, height
    if wanted == "auto":
        return None
    side = max(model.multiple, round(wanted / model.multiple) * model.multiple)
    reasons.append(Reason("size_set", size=f"{side} x {side}", multiple=model.multiple))
    return side, side


def _ladder(
    ways: tuple[tuple[str, Resolution], ...], model: ModelNeeds, settings: Settings
) -> tuple[Resolution, ...]:
    """Sizes that reach the floor; for a model without figures three quarters and half of its own.

    Below that the picture is not known, yet it is better than none when memory has run out.
    """
    sizes = {size for _, size in ways}
    multiple = model.multiple
    if multiple is not None and settings.device.resolution == "auto" and not model.quality:
        width, height = model.resolution
        sizes |= {
            (_floor(width * share, multiple), _floor(height * share, multiple))
            for share in (0.75, 0.5)
        }
    return tuple(sorted(sizes, key=lambda size: (size[0] * size[1], size), reverse=True))


def _floor(side: float, multiple: int) -> int:
    return max(multiple, int(side) // multiple * multiple)


def thread_counts(usable_cpus: float, callers: int) -> tuple[int, ...]:
    """Session threads worth trying: from one for each caller to all processors for one."""
    cpus = max(1, int(usable_cpus))
    counts = {1, max(1, cpus // callers), max(1, cpus // 2), cpus}
    return tuple(sorted({min(each, MAX_THREADS) for each in counts}))
