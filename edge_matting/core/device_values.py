"""The device as found, and its readings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge_matting.core.reasons import Reason


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU that NVML (or, on a Jetson, the device tree) shows."""

    name: str
    memory_bytes: int | None  # its own; None where it shares the main memory
    compute_capability: tuple[int, int] | None
    integrated: bool
    uuid: str | None = None
    clock_max_hz: int | None = None  # on a Jetson the cap of the power mode at the probe
    power_limit_milliwatts: int | None = None
    mig: bool | None = None  # split into instances; memory_bytes is then the first one's
    problem: str | None = None  # why it cannot be used; None: nothing speaks against it


VNNI: Final = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
"""Features of an x86 processor that multiply and sum 8 bits in one exact step."""


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
    notes: tuple[Reason, ...]  # what could not be read, and what follows
    cpu_features: tuple[str, ...] = ()  # those that decide speed: avx2, avx512_vnni, asimddp
    cpu_clock_max_hz: int | None = None
    soc: str | None = None  # tegra234
    module: str | None = None  # Jetson module by its part number, such as "Orin Nano 8GB"
    release: str | None = None  # Jetson Linux, such as "36.5.0"
    jetpack: str | None = None  # the name of that release, as far as it is known here
    power_mode: str | None = None  # name at the probe; Vitals follows it
    passive_celsius: float | None = None  # the kernel slows the processor down from here
    driver: str | None = None  # NVIDIA driver
    cuda_driver: tuple[int, int] | None = None  # newest CUDA that the driver serves

    @property
    def exact_int8(self) -> bool:
        """Whether the processor sums products of 8 bits without loss.

        On x86 without VNNI onnxruntime adds pairs of them in 16 bits, where they saturate: of
        eight photos' mattes one was 17 dB from the exact one, with VNNI 33.
        """
        return self.machine != "x86_64" or not VNNI.isdisjoint(self.cpu_features)

    @property
    def usable_gpus(self) -> tuple[Gpu, ...]:
        """The GPUs that nothing speaks against."""
        return tuple(gpu for gpu in self.gpus if gpu.problem is None)


@dataclass(frozen=True, slots=True)
class Rail:
    """Power through one supply rail."""

    name: str
    milliwatts: float


@dataclass(frozen=True, slots=True)
class Vitals:
    """Readings of one moment; a missing reading is None, never a number.

    The words of the slowdowns: thermal, power_cap, power_brake, hardware (NVML, Jetson);
    under_voltage, over_current, frequency_capped, throttled, soft_temperature (Jetson, Raspberry).
    """

    cpu_percent: float | None  # since the reading before
    memory_available_bytes: int | None  # of the machine or of the cgroup, what is less
    cpu_celsius: float | None
    gpu_percent: float | None  # on a Jetson the mean of the last readings: it is an instant there
    gpu_memory_used_bytes: int | None
    gpu_celsius: float | None
    throttled: bool | None  # slowed down by heat or power; a mere power cap is no fault
    taken_at: float | None = None  # seconds since the epoch, UTC
    taken_monotonic_seconds: float | None = None
    junction_celsius: float | None = None  # hottest spot, where the chip has a sensor (Tegra)
    heat_headroom_celsius: float | None = None  # least distance to a passive trip or GPU slowdown
    passive_headroom_celsius: float | None = None  # to a passive trip alone
    cpu_clock_limit_hz: int | None = None
    gpu_clock_hz: int | None = None
    gpu_clock_limit_hz: int | None = None
    gpu_clock_locked: bool | None = None  # jetson_clocks
    gpu_power_milliwatts: float | None = None
    input_power_milliwatts: float | None = None  # of the whole module
    rails: tuple[Rail, ...] = ()
    over_current_events: int | None = None  # since the first reading
    slowdowns: tuple[str, ...] | None = None  # () means asked, and none
    slowdowns_since_boot: tuple[str, ...] | None = None
    memory_some_stall_percent: float | None = None  # PSI, mean of 10 s: some task waited
    memory_full_stall_percent: float | None = None  # PSI, mean of 10 s: all tasks waited
    power_mode: str | None = None
    gpu_problem: Reason | None = None  # why the GPU does not answer, such as "GPU is lost"
