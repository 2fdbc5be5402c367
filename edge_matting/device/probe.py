"""Facts and readings put together."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import psutil

from edge_matting.core.plan import DeviceProfile, Gpu, Vitals
from edge_matting.device import host, nvml

ROOT = Path("/")


def probe_device(root: Path = ROOT) -> DeviceProfile:
    """The device as found."""
    family = host.family(root)
    gpus, missing = nvml.list_gpus()
    return DeviceProfile(
        machine=platform.machine(),
        board=host.board_model(root),
        family=family,
        cpu_model=host.cpu_model(root),
        logical_cpus=os.cpu_count() or 1,
        usable_cpus=host.usable_cpus(root),
        memory_bytes=host.memory_bytes(root),
        page_size=os.sysconf("SC_PAGE_SIZE"),
        gpus=gpus,
        notes=_notes(family, gpus, missing),
    )


def _notes(family: str, gpus: tuple[Gpu, ...], missing: str | None) -> tuple[str, ...]:
    notes = [missing] if missing else []
    if family == "jetson":
        notes.append("a Jetson: its own sensors and power modes are not read yet")
    if family == "jetson" and not gpus:
        notes.append("NVML shows no GPU; JetPack 5 has no NVML at all")
    return tuple(notes)


def read_vitals(root: Path = ROOT, *, has_gpu: bool = False) -> Vitals:
    """The readings of this moment; CPU load is that since the previous call."""
    gpu = nvml.read_gpu() if has_gpu else nvml.GpuReadings()
    return Vitals(
        cpu_percent=psutil.cpu_percent(interval=None),
        memory_available_bytes=psutil.virtual_memory().available,
        cpu_celsius=host.cpu_celsius(root),
        gpu_percent=gpu.percent,
        gpu_memory_used_bytes=gpu.memory_used_bytes,
        gpu_celsius=gpu.celsius,
        throttled=None,
    )
