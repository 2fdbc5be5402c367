"""Inference runtimes, execution providers and precisions: one table of each.

Settings, manifests, planner, engine and verification read these tables, and no other module names
an entry. To add a runtime, write its folder below ``runtimes/`` with a ``plugin`` module
(``runtimes.session.RuntimePlugin``) and add its entry here, with one entry for each provider that
is its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Annotated, Final, TypeAlias, TypeVar

from pydantic import AfterValidator

AUTO: Final = "auto"
"""In settings: chosen by the appliance."""


class DeviceKind(str, Enum):
    """What computes. The values are part of the cache's keys."""

    PROCESSOR = "cpu"
    GPU = "gpu"


@dataclass(frozen=True, slots=True)
class Precision:
    """A number format of the computation."""

    name: str
    tolerance: float
    """Largest mean absolute difference of alpha that the self-test accepts. The shipped model
    rounds to 0.0001 in fp16 and 0.001 in int8; another matte, an empty one or noise is off by 0.4
    and more (docs/inference.md)."""
    is_half: bool = False
    """Floating point of 16 bits: gains nothing on a processor, which computes it through casts."""
    is_integer: bool = False
    """Sums of products of 8 bits, which some processors saturate."""


@dataclass(frozen=True, slots=True)
class Provider:
    """What a session runs on, as settings, plan, page and metrics name it."""

    name: str
    label: str
    """For sentences."""
    device: DeviceKind
    precisions: tuple[str, ...]
    """What it computes natively, exact ones first."""
    automatic: bool = True
    """Whether ``device.accelerator: auto`` may choose it."""
    meanwhile: str | None = None
    """The provider that serves while this one compiles an engine for minutes; None: it does not."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """A library that runs models."""

    name: str
    label: str
    """What its version follows in sentences and in the key of measurements."""
    plugin: str
    """Its module, imported when it is needed (``runtimes.session.RuntimePlugin``)."""
    computes: Mapping[str, tuple[str, ...]]
    """Its providers, and what each computes by itself from a file of full precision."""
    formats: tuple[str, ...] = ()
    """File formats of its own, as ``models.graph`` names them."""
    suffix: str = ""
    """What the name of a file of its own ends in."""
    marks: tuple[bytes, ...] = ()
    """First bytes of a file of its own; a file without any known ones is the main runtime's."""
    reads: tuple[str, ...] = ()
    """Runtimes whose files it reads beside its own."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Set before the library is imported, where the user has not set it."""

    @property
    def files(self) -> tuple[str, ...]:
        """The manifest's ``backend`` of files that it reads, its own first."""
        return (self.name, *self.reads)


PRECISIONS: Final[Mapping[str, Precision]] = MappingProxyType(
    {
        each.name: each
        for each in (
            Precision("fp32", tolerance=0.01),
            Precision("bf16", tolerance=0.04, is_half=True),
            Precision("fp16", tolerance=0.02, is_half=True),
            Precision("int8", tolerance=0.08, is_integer=True),
        )
    }
)
"""By name, the exact ones first."""

FULL_PRECISION: Final = next(iter(PRECISIONS))
"""The precision of references, and of a file whose manifest says nothing else."""

PROVIDERS: Final[Mapping[str, Provider]] = MappingProxyType(
    {
        each.name: each
        for each in (
            Provider(
                "tensorrt",
                "TensorRT",
                DeviceKind.GPU,
                precisions=("fp32", "fp16", "int8"),
                automatic=False,
                meanwhile="cuda",
            ),
            # int8 on CUDA and fp16 on a processor are computed through casts, slower than fp32.
            Provider("cuda", "CUDA", DeviceKind.GPU, precisions=("fp32", "bf16", "fp16")),
            Provider("cpu", "the processor", DeviceKind.PROCESSOR, precisions=("fp32", "int8")),
        )
    }
)
"""By name, in order of preference."""

PROCESSOR: Final = next(
    each.name for each in PROVIDERS.values() if each.device is DeviceKind.PROCESSOR
)
"""The provider that is always there: the last resort, and the reference of every other."""

RUNTIMES: Final[Mapping[str, Runtime]] = MappingProxyType(
    {
        each.name: each
        for each in (
            Runtime(
                "ort",
                "onnxruntime",
                plugin="edge_matting.runtimes.ort.plugin",
                computes={"tensorrt": ("fp16", "int8"), "cuda": (), "cpu": ()},
                formats=("onnx",),
                suffix=".onnx",
                # It would look up its maker's servers and keep an identifier of the machine.
                environment={"ORT_DISABLE_TELEMETRY": "1"},
            ),
            Runtime(
                "torch",
                "torch",
                plugin="edge_matting.runtimes.torch.plugin",
                computes={"cuda": ("bf16", "fp16"), "cpu": ("bf16", "fp16")},
                formats=("pt2", "torchscript"),
                suffix=".pt2",
                marks=(b"PK",),
            ),
        )
    }
)
"""By name, in order of preference."""

MAIN_RUNTIME: Final = next(iter(RUNTIMES))
"""The runtime of a file whose manifest names none."""


Entry = TypeVar("Entry")


def _name_in(table: Mapping[str, Entry], *, or_auto: bool = False) -> AfterValidator:
    def check(value: str) -> str:
        known = (*((AUTO,) if or_auto else ()), *table)
        if value not in known:
            *first, last = (repr(name) for name in known)
            raise ValueError(f"expected {', '.join(first)} or {last}")
        return value

    return AfterValidator(check)


PrecisionName: TypeAlias = Annotated[str, _name_in(PRECISIONS)]
RuntimeName: TypeAlias = Annotated[str, _name_in(RUNTIMES)]
WantedPrecision: TypeAlias = Annotated[str, _name_in(PRECISIONS, or_auto=True)]
WantedProvider: TypeAlias = Annotated[str, _name_in(PROVIDERS, or_auto=True)]
WantedRuntime: TypeAlias = Annotated[str, _name_in(RUNTIMES, or_auto=True)]


def is_processor(provider: str) -> bool:
    """Whether a provider computes on the processor; one that a runtime alone knows does not."""
    entry = PROVIDERS.get(provider)
    return entry is not None and entry.device is DeviceKind.PROCESSOR


def device_class(provider: str) -> str:
    """The part of a cache key within which mattes of one precision are interchangeable."""
    entry = PROVIDERS.get(provider)
    return provider if entry is None else entry.device.value


def automatic_gpu_providers() -> tuple[Provider, ...]:
    """What ``device.accelerator: auto`` takes on a machine with a GPU, the best first."""
    return tuple(p for p in PROVIDERS.values() if p.automatic and p.device is DeviceKind.GPU)


def exact_first(precisions: Iterable[str]) -> tuple[str, ...]:
    """The same precisions, the exact ones first."""
    found = set(precisions)
    return tuple(name for name in PRECISIONS if name in found)


def computed_precisions(runtime: str, provider: str) -> tuple[str, ...]:
    """What a runtime computes there by itself from a file of full precision."""
    return RUNTIMES[runtime].computes.get(provider, ())


def runtime_of_format(file_format: str) -> str:
    """The runtime whose own format that is."""
    return next(each.name for each in RUNTIMES.values() if file_format in each.formats)


def reads(runtime: str, files_of: str) -> bool:
    """Whether a runtime reads the files of another, or its own."""
    return files_of in RUNTIMES[runtime].files


def choose_runtime(wanted: str, accelerator: str, offered: Sequence[str]) -> str:
    """The runtime that ``device.backend`` and ``device.accelerator`` mean for a model.

    ``offered`` are the runtimes of the model's files, the main one first. With ``auto`` it is the
    main file's, or where that has not the accelerator asked for, one that has it and reads a file
    of the model. Where the model has no file for the wanted one it is the main file's.
    """
    able = [name for name in RUNTIMES if any(reads(name, each) for each in offered)]
    main = offered[0]
    if wanted != AUTO:
        return wanted if wanted in able else main
    if accelerator == AUTO or accelerator in RUNTIMES[main].computes:
        return main
    return next((name for name in able if accelerator in RUNTIMES[name].computes), main)


def runtime_with(provider: str, runtime: str) -> str:
    """``runtime`` where it has that provider, else one that has it and reads the same files."""
    if provider in RUNTIMES[runtime].computes:
        return runtime
    files = RUNTIMES[runtime].files
    others = (
        name
        for name, entry in RUNTIMES.items()
        if provider in entry.computes and any(reads(name, each) for each in files)
    )
    return next(others, runtime)
