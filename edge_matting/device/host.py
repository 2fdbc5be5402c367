"""The host: board, processor, memory, and what a container leaves of them."""

from __future__ import annotations

import os

import psutil

from edge_matting.device import cgroups
from edge_matting.device.files import as_int
from edge_matting.device.system import System

DEVICE_TREE = "sys/firmware/devicetree/base"
"""Not ``/proc/device-tree``: a unit with ``ProcSubset=pid`` hides that."""

CPUS = "sys/devices/system/cpu"

X86_FEATURES = {
    "sse4_2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16",
    "avx_vnni", "amx_int8", "amx_bf16",
}  # fmt: skip
ARM_FEATURES = {"asimd", "fphp", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2"}
FEATURES = frozenset(X86_FEATURES | ARM_FEATURES)
"""Processor features that decide how fast a network runs, as ``/proc/cpuinfo`` spells them."""

ARM_PARTS = {
    "0xd03": "Cortex-A53",
    "0xd08": "Cortex-A72",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd42": "Cortex-A78AE",
}
"""The kernel's ``cputype.h``: ARM processors give a part number and no name."""


def board_model(system: System) -> str | None:
    return system.text(f"{DEVICE_TREE}/model")


def compatible(system: System) -> tuple[str, ...]:
    return system.strings(f"{DEVICE_TREE}/compatible")


def family(system: System) -> str:
    """pc, jetson, raspberry or other, by tokens of the device tree's ``compatible``."""
    tokens = compatible(system)
    if not tokens:
        return "pc"
    if any(token.startswith("nvidia,tegra") for token in tokens):
        return "jetson"
    return "raspberry" if any(token.startswith("raspberrypi,") for token in tokens) else "other"


def cpu_model(system: System) -> str:
    facts = _cpuinfo(system)
    part = ARM_PARTS.get(facts.get("CPU part", ""))
    return facts.get("model name") or part or facts.get("Model") or "unknown"


def cpu_features(system: System) -> tuple[str, ...]:
    facts = _cpuinfo(system)
    words = set((facts.get("flags") or facts.get("Features") or "").split())
    return tuple(sorted(words & FEATURES))


def _cpuinfo(system: System) -> dict[str, str]:
    """The first processor's entries, and those that stand only once."""
    facts: dict[str, str] = {}
    for line in (system.text("proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    return facts


def logical_cpus(system: System) -> int:
    return _listed(system.text(f"{CPUS}/online")) or os.cpu_count() or 1


def usable_cpus(system: System) -> float:
    """Processors left by affinity and by the cgroup's CPU quota."""
    allowed = None
    for line in (system.text("proc/self/status") or "").splitlines():
        if line.startswith("Cpus_allowed_list:"):
            allowed = _listed(line.partition(":")[2].strip())
    # The mask may name processors that are offline or were never there.
    cpus = float(min(allowed or logical_cpus(system), logical_cpus(system)))
    quota = cgroups.cpu_quota(system)
    return min(cpus, quota) if quota else cpus


def _listed(text: str | None) -> int:
    """How many processors a kernel list names, such as ``0-3,5``."""
    count = 0
    for part in (text or "").split(","):
        first, _, last = part.strip().partition("-")
        low, high = as_int(first), as_int(last or first)
        if low is not None and high is not None:
            count += max(0, high - low + 1)
    return count


def meminfo(system: System) -> dict[str, int]:
    """``/proc/meminfo`` in bytes; empty when it cannot be read."""
    sizes: dict[str, int] = {}
    for line in (system.text("proc/meminfo") or "").splitlines():
        key, _, value = line.partition(":")
        if (size := as_int(value)) is not None:
            sizes[key] = size * (1024 if value.endswith("kB") else 1)
    return sizes


def memory_bytes(system: System) -> int:
    """Physical memory, or the cgroup's limit where that is smaller."""
    # psutil where there is no /proc: a developer's Mac.
    total = meminfo(system).get("MemTotal") or int(psutil.virtual_memory().total)
    group = cgroups.memory_group(system)
    return total if group is None else min(total, group.limit_bytes)


def clock_policies(system: System) -> tuple[str, ...]:
    """One cpufreq folder for each kind of core: the cores of a kind share their limits."""
    folders = system.find(f"{CPUS}/cpufreq/policy[0-9]*") or system.find(
        f"{CPUS}/cpu[0-9]*/cpufreq"
    )
    kinds: dict[int, str] = {}
    for folder in folders:
        highest = system.integer(f"{folder}/cpuinfo_max_freq")
        if highest is not None:
            kinds.setdefault(highest, folder)
    return tuple(kinds.values())


def clock_hz(system: System, policies: tuple[str, ...], name: str) -> int | None:
    """The highest of these cores' values, such as ``scaling_max_freq``; the files are in kHz."""
    values = [system.integer(f"{policy}/{name}") for policy in policies]
    return max((value * 1000 for value in values if value is not None), default=None)
