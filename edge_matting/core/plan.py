"""The device as found, its readings, and the plan made from them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU that NVML (or, on a Jetson, sysfs) shows."""

    name: str
    memory_bytes: int | None
    compute_capability: tuple[int, int] | None
    integrated: bool


@dataclass(frozen=True, slots=True)
class DeviceProfile:
    """Facts that do not change while the appliance runs."""

    machine: str  # x86_64, aarch64
    board: str | None  # device-tree model, None on a PC
    family: str  # pc, jetson, raspberry, other
    cpu_model: str
    logical_cpus: int
    usable_cpus: float  # after affinity and cgroup quota
    memory_bytes: int  # after cgroup limits
    page_size: int
    gpus: tuple[Gpu, ...]
    notes: tuple[str, ...]  # what could not be read, and what follows


@dataclass(frozen=True, slots=True)
class Vitals:
    """Readings of one moment; a missing reading is None, never a number."""

    cpu_percent: float | None
    memory_available_bytes: int | None
    cpu_celsius: float | None
    gpu_percent: float | None
    gpu_memory_used_bytes: int | None
    gpu_celsius: float | None
    throttled: bool | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What the appliance does on this device, and why."""

    backend: str  # ort
    provider: str  # cpu, cuda, tensorrt: what is asked for
    precision: str
    resolution: tuple[int, int]  # width, height
    batch: int
    workers: int  # photos in flight
    pixels_in_flight: int  # of all of them together; a larger photo runs alone
    session_threads: int
    memory_bytes: int  # budget of the engine process; above it the process is recycled
    reasons: tuple[str, ...]
