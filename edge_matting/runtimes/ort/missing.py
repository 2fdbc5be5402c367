"""Why an accelerator that was asked for is not used: one sentence that says what to do."""

from __future__ import annotations

from dataclasses import dataclass

from edge_matting.runtimes.installed import InstalledRuntime, runtime_problem


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found when the session ended up elsewhere."""

    version: str  # of the runtime
    runtimes: tuple[InstalledRuntime, ...]  # installed distributions
    available: tuple[str, ...]  # providers (cpu, cuda, tensorrt) built into it
    library: str | None  # why the provider's library does not load
    driver: str | None  # why the driver does not start


def why_missing(provider: str, evidence: Evidence) -> str:
    """The reason, the most fundamental one first."""
    problem = runtime_problem(evidence.runtimes)
    if problem is not None:
        return problem
    runtime = f"onnxruntime {evidence.version}"
    if provider not in evidence.available:
        wheel = " and ".join(r.distribution for r in evidence.runtimes)
        return (
            f"the installed {runtime} ({wheel}) is built without {provider}; with an NVIDIA card "
            "on x86-64: pip uninstall onnxruntime, then pip install edge-matting[gpu]; a Jetson "
            "needs NVIDIA's own wheel"
        )
    found = [fact for fact in (evidence.library, evidence.driver) if fact is not None]
    if found:
        return f"{runtime} could not start {provider}: {'; '.join(found)}"
    return (
        f"{runtime} could not start {provider}, although its libraries and the driver load: the "
        "card may be too old for this build, or its memory in use"
    )
