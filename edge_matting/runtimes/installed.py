"""Which inference runtimes are installed, read from package metadata without importing any."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata

from edge_matting.core.reasons import Reason


@dataclass(frozen=True, slots=True)
class InstalledRuntime:
    """One installed distribution."""

    distribution: str
    version: str


def installed_runtimes() -> tuple[InstalledRuntime, ...]:
    """Every installed onnxruntime distribution; more than one is a problem."""
    found = {
        (distribution.name or "").lower().replace("_", "-"): distribution.version
        for distribution in metadata.distributions()
        if (distribution.name or "").lower().startswith("onnxruntime")
    }
    return tuple(InstalledRuntime(name, version) for name, version in sorted(found.items()))


def runtime_problem(runtimes: tuple[InstalledRuntime, ...]) -> Reason | None:
    """What is wrong with the set of installed runtimes, or None.

    The CPU and the GPU wheel unpack into the same folder: the one installed last wins silently,
    and removing either deletes the folder of both.
    """
    if not runtimes:
        return Reason("no_runtime")
    if len(runtimes) > 1:
        names = " and ".join(f"{runtime.distribution} {runtime.version}" for runtime in runtimes)
        return Reason("two_runtimes", names=names)
    return None
