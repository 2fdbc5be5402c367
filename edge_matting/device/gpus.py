"""NVIDIA GPUs through NVML: what they are, and how they feel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from edge_matting.core.device_values import Gpu
from edge_matting.device.nvml import Nvml

TEMPERATURE_SENSOR: Final = 0
SM_CLOCK: Final = 1
MHZ: Final = 1_000_000

SLOWDOWNS: Final = {
    0x04: "power_cap",
    0x08: "hardware",
    0x20: "thermal",
    0x40: "thermal",
    0x80: "power_brake",
}
"""``nvmlClocksEventReason*``; idle (0x1), set clocks and sync boost are none."""

FAULTS: Final = frozenset({"hardware", "thermal", "power_brake"})
"""Not the power cap: small cards and laptops meet it under any full load."""


@dataclass(frozen=True, slots=True)
class CardState:
    """Readings of one GPU; None where it gives none."""

    percent: float | None = None
    memory_used_bytes: int | None = None
    celsius: float | None = None
    headroom_celsius: float | None = None
    power_milliwatts: float | None = None
    clock_hz: int | None = None
    slowdowns: tuple[str, ...] | None = None


def list_gpus(nvml: Nvml) -> tuple[Gpu, ...]:
    """All GPUs in NVML's order, that of the PCI bus. Raises ``NvmlGone``."""
    gpus = tuple(_card(nvml, handle) for handle in _handles(nvml))
    nvml.settle()
    return gpus


def driver(nvml: Nvml) -> tuple[str | None, tuple[int, int] | None]:
    """The driver's version and the newest CUDA it serves. Raises ``NvmlGone``."""
    version = nvml.call("nvmlSystemGetDriverVersion")
    cuda = nvml.call("nvmlSystemGetCudaDriverVersion_v2", "nvmlSystemGetCudaDriverVersion")
    served = None if cuda is None else (int(cuda) // 1000, int(cuda) % 1000 // 10)
    return _text(version), served


def read_card(nvml: Nvml) -> CardState:
    """Readings of the first GPU. Raises ``NvmlGone``."""
    if not nvml.call("nvmlDeviceGetCount"):
        return CardState()
    state = _state(nvml, nvml.call("nvmlDeviceGetHandleByIndex", of=(0,)))
    nvml.settle()
    return state


def _handles(nvml: Nvml) -> list[Any]:
    count = nvml.call("nvmlDeviceGetCount") or 0
    found = [nvml.call("nvmlDeviceGetHandleByIndex", of=(index,)) for index in range(count)]
    return [handle for handle in found if handle is not None]


def _card(nvml: Nvml, handle: Any) -> Gpu:
    name = _text(nvml.call("nvmlDeviceGetName", of=(handle,))) or "unknown NVIDIA GPU"
    split = _split(nvml, handle)
    memory = nvml.call("nvmlDeviceGetMemoryInfo", of=(_memory_handle(nvml, handle, split),))
    capability = nvml.call("nvmlDeviceGetCudaComputeCapability", of=(handle,))
    clock = nvml.call("nvmlDeviceGetMaxClockInfo", of=(handle, SM_CLOCK))
    return Gpu(
        name=name,
        memory_bytes=None if memory is None else int(memory.total),
        compute_capability=None if capability is None else (capability[0], capability[1]),
        integrated="nvgpu" in name,
        uuid=_text(nvml.call("nvmlDeviceGetUUID", of=(handle,))),
        clock_max_hz=None if clock is None else clock * MHZ,
        power_limit_milliwatts=nvml.call("nvmlDeviceGetEnforcedPowerLimit", of=(handle,)),
        mig=split,
    )


def _state(nvml: Nvml, handle: Any) -> CardState:
    if handle is None:
        return CardState()
    load = nvml.call("nvmlDeviceGetUtilizationRates", of=(handle,))
    where = _memory_handle(nvml, handle, _split(nvml, handle))
    memory = nvml.call("nvmlDeviceGetMemoryInfo", of=(where,))
    clock = nvml.call("nvmlDeviceGetClockInfo", of=(handle, SM_CLOCK))
    return CardState(
        percent=None if load is None else float(load.gpu),
        memory_used_bytes=None if memory is None else int(memory.used),
        celsius=_number(
            nvml.call(
                "nvmlDeviceGetTemperatureV",
                "nvmlDeviceGetTemperature",
                of=(handle, TEMPERATURE_SENSOR),
            )
        ),
        headroom_celsius=_number(nvml.call("nvmlDeviceGetMarginTemperature", of=(handle,))),
        power_milliwatts=_number(nvml.call("nvmlDeviceGetPowerUsage", of=(handle,))),
        clock_hz=None if clock is None else clock * MHZ,
        slowdowns=_slowdowns(nvml, handle),
    )


def _slowdowns(nvml: Nvml, handle: Any) -> tuple[str, ...] | None:
    bits = nvml.call(
        "nvmlDeviceGetCurrentClocksEventReasons",
        "nvmlDeviceGetCurrentClocksThrottleReasons",
        of=(handle,),
    )
    if bits is None:
        return None
    return tuple(dict.fromkeys(word for bit, word in SLOWDOWNS.items() if bits & bit))


def _split(nvml: Nvml, handle: Any) -> bool | None:
    modes = nvml.call("nvmlDeviceGetMigMode", of=(handle,))
    return None if modes is None else modes[0] == 1


def _memory_handle(nvml: Nvml, handle: Any, split: bool | None) -> Any:
    """The card, or its first instance when it is split: CUDA sees only that one."""
    if not split:
        return handle
    for index in range(nvml.call("nvmlDeviceGetMaxMigDeviceCount", of=(handle,)) or 0):
        instance = nvml.call("nvmlDeviceGetMigDeviceHandleByIndex", of=(handle, index))
        if instance is not None:
            return instance
    return handle


def _text(value: str | bytes | None) -> str | None:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)
