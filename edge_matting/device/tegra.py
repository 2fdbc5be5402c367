"""Jetson: which one it is, which release it runs, and which power mode.

Everything is found by tokens: Super boards carry a suffix, carrier makers change the model text,
and NVIDIA renames folders with each release.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge_matting.core.device_values import Gpu
from edge_matting.core.reasons import Reason
from edge_matting.device import host
from edge_matting.device.system import System
from edge_matting.device.tegra_gpu import find_gpu_node

SOCS: dict[str, tuple[str, tuple[int, int]]] = {
    "tegra194": ("Xavier", (7, 2)),
    "tegra234": ("Orin", (8, 7)),
    "tegra264": ("Thor", (11, 0)),
}
"""Chip: name and CUDA compute capability (jetson_stats' CUDA_TABLE)."""

MODULES = {
    "p3767-0000": "Orin NX 16GB",
    "p3767-0001": "Orin NX 8GB",
    "p3767-0003": "Orin Nano 8GB",
    "p3767-0004": "Orin Nano 4GB",
    "p3767-0005": "Orin Nano 8GB",  # of the developer kit
    "p3701-0000": "AGX Orin",  # of the older developer kit
    "p3701-0004": "AGX Orin 32GB",
    "p3701-0005": "AGX Orin 64GB",
    "p3834-0008": "Thor",
}
"""Part number: module (jetson_stats' MODULE_NAME_TABLE)."""

JETPACKS = {
    "39.2.1": "7.2.1", "39.2.0": "7.2", "39.0.0": "7.2 EA", "38.4.0": "7.1", "38.2": "7.0",
    "36.5.0": "6.2.2", "36.4.7": "6.2.1", "36.4.4": "6.2.1", "36.4.3": "6.2", "36.4.0": "6.1",
    "36.3.0": "6.0",
    "35.6.4": "5.1.6", "35.6.3": "5.1.5", "35.6.2": "5.1.5", "35.6.1": "5.1.5", "35.6.0": "5.1.4",
    "35.5.0": "5.1.3", "35.4.1": "5.1.2", "35.3.1": "5.1.1", "35.2.1": "5.1", "35.1.0": "5.0.2",
}  # fmt: skip
"""The table always lags; the first number of the release is the fact."""

MAJORS = {32: "4", 34: "5", 35: "5", 36: "6", 38: "7", 39: "7"}
OLDEST_MAJOR = 36

RELEASE = re.compile(
    r"^# R([0-9]{1,4}) \(release\), REVISION: ([0-9]{1,4}(?:\.[0-9]{1,4})*)", re.MULTILINE
)
DPKG_RELEASE = re.compile(
    r"^Package: nvidia-l4t-core$(?:\n.+)*?\nVersion: ([0-9]{1,4}(?:\.[0-9]{1,4})*)", re.MULTILINE
)
POWER_MODEL = re.compile(r"<\s*POWER_MODEL\s+ID=([0-9]{1,6})\s+NAME=(\S+)\s*>")
POWER_STATUS = re.compile(r"\bpmode:([0-9]{1,6})")

IGPU_NODES = "dev/nvgpu/igpu0"


@dataclass(frozen=True, slots=True)
class Jetson:
    """What a Jetson is and runs; None is what could not be read."""

    soc: str | None
    module: str | None
    release: str | None
    jetpack: str | None
    power_mode: str | None
    gpu: Gpu | None


def probe(system: System) -> Jetson:
    tokens = ",".join(host.compatible(system))
    soc = next((name for name in SOCS if name in tokens), None)
    release = find_release(system)
    return Jetson(
        soc=soc,
        module=next((text for part, text in MODULES.items() if part in tokens), None),
        release=release,
        jetpack=None if release is None else jetpack(release),
        power_mode=power_mode(system),
        gpu=None if soc is None else _gpu(system, soc, release),
    )


def find_release(system: System) -> str | None:
    """``36.5.0`` from ``/etc/nv_tegra_release``; in a container that lacks it, from dpkg."""
    found = RELEASE.search(system.text("etc/nv_tegra_release") or "")
    if found is not None:
        return f"{found[1]}.{found[2]}"
    found = DPKG_RELEASE.search(system.text("var/lib/dpkg/status") or "")
    return None if found is None else found[1]


def jetpack(release: str) -> str | None:
    series = release.rpartition(".")[0]
    return JETPACKS.get(release) or JETPACKS.get(series) or MAJORS.get(_major(release))


def _major(release: str) -> int:
    return int(release.partition(".")[0])


def refusal(release: str | None) -> Reason | None:
    """Why the GPU of this release is not used; None when it is supported or not known."""
    if release is None or _major(release) >= OLDEST_MAJOR:
        return None
    return Reason("jetpack_too_old", jetpack=jetpack(release) or "before 5", release=release)


def power_mode(system: System) -> str | None:
    """The power mode by name: its number means another mode on each board.

    Read from nvpmodel's files, because the command may ask for root and for ``YES``.
    """
    status = POWER_STATUS.search(system.text("var/lib/nvpmodel/status") or "")
    if status is None:
        return None
    names = dict(POWER_MODEL.findall(system.text("etc/nvpmodel.conf") or ""))
    return {int(number): name for number, name in names.items()}.get(int(status[1]))


def _gpu(system: System, soc: str, release: str | None) -> Gpu:
    name, capability = SOCS[soc]
    node = find_gpu_node(system)
    return Gpu(
        name=f"{name} ({soc})",
        memory_bytes=None,
        compute_capability=capability,
        integrated=True,
        clock_max_hz=None if node is None else system.integer(f"{node}/max_freq"),
        problem=refusal(release) or dead(system),
    )


def dead(system: System) -> Reason | None:
    """The driver's probe failed at boot: its folder is there and its control node is not."""
    if system.exists(IGPU_NODES) and not system.exists(f"{IGPU_NODES}/ctrl"):
        return Reason("gpu_driver_dead", path=f"{IGPU_NODES}/ctrl")
    return None
