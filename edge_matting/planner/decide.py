"""The plan for a device, a model and the user's settings.

A first plan: processor or CUDA, threads, photos in flight; fp32 and batch 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_matting.config import Settings
from edge_matting.core.plan import DeviceProfile, Plan, Rungs
from edge_matting.planner.memory import BYTES_PER_PIXEL, ENGINE_BASE_BYTES

MAX_WORKERS = 8


@dataclass(frozen=True, slots=True)
class ModelNeeds:
    """What the plan must know of the model."""

    resolution: tuple[int, int]  # width, height it was made for
    multiple: int | None  # sizes must be multiples of this; None: the size is fixed


def make_plan(
    profile: DeviceProfile, model: ModelNeeds, settings: Settings, available: tuple[str, ...]
) -> Plan:
    """The plan for this device.

    ``available`` are the providers that the installed runtime contains, which proves nothing
    about what will run; the session compares requested and actual afterwards.
    """
    reasons: list[str] = []
    provider = _provider(profile, settings, available, reasons)
    resolution = _resolution(model, settings, reasons)
    workers = max(1, min(MAX_WORKERS, int(profile.usable_cpus)))
    threads = max(1, int(profile.usable_cpus) // workers)
    reasons.append(
        f"{workers} photos in flight, {threads} session thread(s): "
        f"{profile.usable_cpus:g} usable processors"
    )
    _tell_unused(settings, reasons)
    pixels = _pixels_in_flight(profile, reasons)
    largest = max(pixels, settings.limits.max_pixels)
    return Plan(
        backend="ort",
        provider=provider,
        precision="fp32",
        resolution=resolution,
        batch=1,
        workers=workers,
        pixels_in_flight=pixels,
        session_threads=threads,
        memory_bytes=ENGINE_BASE_BYTES + largest * BYTES_PER_PIXEL,
        reasons=tuple(reasons),
        encode_workers=workers,
        rungs=Rungs(
            providers=_providers(provider, settings),
            precisions=("fp32",),
            resolutions=_resolutions(resolution, model, settings),
            batches=(1,),
        ),
    )


def _providers(provider: str, settings: Settings) -> tuple[str, ...]:
    """The processor can always do what an accelerator cannot, unless it was forbidden."""
    fixed = provider == "cpu" or settings.device.missing_accelerator == "fail"
    return (provider,) if fixed else (provider, "cpu")


def _resolutions(
    resolution: tuple[int, int], model: ModelNeeds, settings: Settings
) -> tuple[tuple[int, int], ...]:
    """Three quarters and half of it, as far as the model's size rule goes."""
    if model.multiple is None or settings.device.resolution != "auto":
        return (resolution,)
    multiple = model.multiple
    smaller = tuple(
        (_floor(width * share, multiple), _floor(height * share, multiple))
        for share in (0.75, 0.5)
        for width, height in (resolution,)
    )
    return tuple(dict.fromkeys((resolution, *smaller)))


def _floor(side: float, multiple: int) -> int:
    return max(multiple, int(side) // multiple * multiple)


def _tell_unused(settings: Settings, reasons: list[str]) -> None:
    """Settings that this plan cannot follow yet are named, never silently ignored."""
    device = settings.device
    if device.precision not in {"auto", "fp32"}:
        reasons.append(f"fp32: device.precision {device.precision} is not built yet")
    if device.batch not in {"auto", 1}:
        reasons.append(f"batch 1: device.batch {device.batch} is not built yet")
    if device.backend == "torch":
        reasons.append("ort: device.backend torch is not built yet")


def _pixels_in_flight(profile: DeviceProfile, reasons: list[str]) -> int:
    """As many pixels as fit into half the memory, beside the engine itself."""
    room = profile.memory_bytes // 2 - ENGINE_BASE_BYTES
    pixels = max(1_000_000, room // BYTES_PER_PIXEL)
    reasons.append(
        f"at most {pixels // 1_000_000} megapixels in flight: half of "
        f"{profile.memory_bytes >> 20} MiB memory; a larger photo runs alone"
    )
    return pixels


def _provider(
    profile: DeviceProfile, settings: Settings, available: tuple[str, ...], reasons: list[str]
) -> str:
    wanted = settings.device.accelerator
    if wanted != "auto":
        reasons.append(f"{wanted}: set by device.accelerator")
        return wanted
    reasons += [f"{gpu.name} is not used: {gpu.problem}" for gpu in profile.gpus if gpu.problem]
    if not profile.usable_gpus:
        reasons.append("cpu: no usable GPU found")
        return "cpu"
    name = profile.usable_gpus[0].name
    if "cuda" not in available:
        reasons.append(f"cpu: {name} found, but the installed runtime has no CUDA")
        return "cpu"
    reasons.append(f"cuda: {name} found and the runtime has CUDA")
    return "cuda"


def _resolution(model: ModelNeeds, settings: Settings, reasons: list[str]) -> tuple[int, int]:
    wanted = settings.device.resolution
    width, height = model.resolution
    if wanted == "auto":
        reasons.append(f"{width} x {height}: the size the model was made for")
        return width, height
    if model.multiple is None:
        reasons.append(f"{width} x {height}: fixed by the model; device.resolution is not used")
        return width, height
    side = max(model.multiple, round(wanted / model.multiple) * model.multiple)
    reasons.append(f"{side} x {side}: device.resolution, as a multiple of {model.multiple}")
    return side, side
