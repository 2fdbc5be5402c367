"""NVIDIA GPUs through NVML (module ``pynvml`` of nvidia-ml-py).

Every call may answer NotSupported: on a Jetson only the name works, and even a healthy NVML
is no proof that a session will run on the GPU.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from edge_matting.core.plan import Gpu


@dataclass(frozen=True, slots=True)
class GpuReadings:
    percent: float | None = None
    memory_used_bytes: int | None = None
    celsius: float | None = None


def list_gpus(nvml: ModuleType | None = None) -> tuple[tuple[Gpu, ...], str | None]:
    """The GPUs and, when there are none to be seen, why."""
    nvml = nvml or _module()
    try:
        with _initialised(nvml):
            return tuple(_gpu(nvml, handle) for handle in _handles(nvml)), None
    except nvml.NVMLError as error:
        return (), f"no NVIDIA GPU through NVML: {error}"


def read_gpu(nvml: ModuleType | None = None) -> GpuReadings:
    """Readings of the first GPU; whatever it does not tell is None."""
    nvml = nvml or _module()
    try:
        with _initialised(nvml):
            return next((_readings(nvml, handle) for handle in _handles(nvml)), GpuReadings())
    except nvml.NVMLError:
        return GpuReadings()


def _module() -> ModuleType:
    # By name, because a start without NVIDIA hardware should not pay for the import.
    return importlib.import_module("pynvml")


@contextmanager
def _initialised(nvml: Any) -> Iterator[None]:
    nvml.nvmlInit()
    try:
        yield
    finally:
        nvml.nvmlShutdown()


def _handles(nvml: Any) -> Iterator[Any]:
    for index in range(nvml.nvmlDeviceGetCount()):
        yield nvml.nvmlDeviceGetHandleByIndex(index)


def _tried(nvml: Any, call: Callable[[], Any]) -> Any:
    """The call's answer, or None where this device does not tell."""
    try:
        return call()
    except nvml.NVMLError:
        return None


def _gpu(nvml: Any, handle: Any) -> Gpu:
    name = _tried(nvml, lambda: nvml.nvmlDeviceGetName(handle)) or "unknown NVIDIA GPU"
    text = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
    memory = _tried(nvml, lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
    capability = _tried(nvml, lambda: nvml.nvmlDeviceGetCudaComputeCapability(handle))
    return Gpu(
        name=text,
        memory_bytes=None if memory is None else int(memory.total),
        compute_capability=None if capability is None else (capability[0], capability[1]),
        integrated="nvgpu" in text,
    )


def _readings(nvml: Any, handle: Any) -> GpuReadings:
    load = _tried(nvml, lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
    memory = _tried(nvml, lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
    celsius = _tried(nvml, lambda: nvml.nvmlDeviceGetTemperature(handle, 0))
    return GpuReadings(
        percent=None if load is None else float(load.gpu),
        memory_used_bytes=None if memory is None else int(memory.used),
        celsius=None if celsius is None else float(celsius),
    )
