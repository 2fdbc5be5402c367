"""What may be chosen from: accelerators, precisions and sizes that device, model and user allow."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from edge_matting.config import Settings
from edge_matting.core.device_values import DeviceProfile, Gpu
from edge_matting.core.reasons import Reason
from edge_matting.planner.model_requirements import ModelNeeds, Resolution

MAX_THREADS: Final = 16

EXACTNESS: Final = ("fp32", "bf16", "fp16", "int8")
PRECISIONS: Final = MappingProxyType(
    {
        # fp16 on a processor and int8 on CUDA are computed through casts, slower than fp32.
        "cpu": ("fp32", "int8"),
        "cuda": ("fp32", "bf16", "fp16"),
        "tensorrt": ("fp32", "fp16", "int8"),
    }
)
"""What a provider computes natively, the exact ones first."""


_COMPUTED: Final = MappingProxyType(
    {
        ("ort", "tensorrt"): ("fp16", "int8"),
        ("torch", "cuda"): ("bf16", "fp16"),
        ("torch", "cpu"): ("bf16", "fp16"),
    }
)
"""What a backend computes from a file of fp32 by itself."""


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
        found = {precision for precision, _ in self.ways}
        return tuple(each for each in EXACTNESS if each in found)


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
    gpu = None if provider == "cpu" else next(iter(profile.usable_gpus), None)
    may_fall = provider != "cpu" and settings.device.missing_accelerator != "fail"
    precisions = _precisions(backend, provider, model, settings, reasons)
    if provider == "cpu" and not profile.exact_int8:
        precisions = _without_int8(precisions, settings, reasons)
    ways = _ways(precisions, model, settings, reasons)
    return Choices(
        backend=backend,
        provider=provider,
        gpu=gpu,
        fallbacks=(provider, "cpu") if may_fall else (provider,),
        ways=ways,
        ladder=_ladder(ways, model, settings),
    )


def _backend(model: ModelNeeds, settings: Settings, reasons: list[Reason]) -> str:
    wanted = settings.device.backend
    offered = tuple(dict.fromkeys(backend for backend, _ in model.files))
    if wanted == "auto" or wanted in offered:
        backend = offered[0] if wanted == "auto" else wanted
        if wanted != "auto":
            reasons.append(Reason("set_by", what=backend, key="device.backend"))
        return backend
    reasons.append(Reason("backend_without_file", backend=offered[0], wanted=wanted))
    return offered[0]


def _provider(
    profile: DeviceProfile, settings: Settings, available: tuple[str, ...], reasons: list[Reason]
) -> str:
    reasons += [
        Reason("gpu_not_used", name=gpu.name, why=gpu.problem)
        for gpu in profile.gpus
        if gpu.problem
    ]
    wanted = settings.device.accelerator
    if wanted != "auto":
        reasons.append(Reason("set_by", what=wanted, key="device.accelerator"))
        return wanted
    if not profile.usable_gpus:
        reasons.append(Reason("cpu_no_gpu"))
        return "cpu"
    name = profile.usable_gpus[0].name
    if "cuda" not in available:
        reasons.append(Reason("cpu_no_cuda", name=name))
        return "cpu"
    reasons.append(Reason("cuda_found", name=name))
    return "cuda"


def _precisions(
    backend: str, provider: str, model: ModelNeeds, settings: Settings, reasons: list[Reason]
) -> tuple[str, ...]:
    """Precisions to choose from, the exact ones first; never empty."""
    wanted = settings.device.precision
    offered = model.precisions(backend)
    if wanted != "auto":
        if wanted in offered or wanted in _COMPUTED.get((backend, provider), ()):
            reasons.append(Reason("set_by", what=wanted, key="device.precision"))
            return (wanted,)
        reasons.append(Reason("precision_without_file", precision=offered[0], wanted=wanted))
        return offered[:1]
    native = [each for each in PRECISIONS[provider] if each in offered]
    return tuple(native) or offered[:1]


def _without_int8(
    precisions: tuple[str, ...], settings: Settings, reasons: list[Reason]
) -> tuple[str, ...]:
    """Only the user, or a model with nothing else, has int8 where its sums are not exact."""
    others = tuple(each for each in precisions if each != "int8")
    if others == precisions:
        return precisions
    why = Reason("no_vnni")
    if others:
        reasons.append(Reason("int8_not_used", why=why))
        return others
    by_user = settings.device.precision == "int8"
    who = "device.precision" if by_user else Reason("only_file")
    reasons.append(Reason("int8_costs_quality", who=who, why=why))
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
