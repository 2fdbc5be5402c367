"""Why an accelerator that was asked for is not used: one sentence that says what to do."""

from __future__ import annotations

from dataclasses import dataclass

from edge_matting.core.reasons import Reason
from edge_matting.runtimes.installed import InstalledRuntime, runtime_problem


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found when the session ended up elsewhere."""

    version: str  # of the runtime
    runtimes: tuple[InstalledRuntime, ...]  # installed distributions
    available: tuple[str, ...]  # providers (cpu, cuda, tensorrt) built into it
    library: str | None  # why the provider's library does not load
    driver: str | None  # why the driver does not start


def why_missing(provider: str, evidence: Evidence) -> Reason:
    """The reason, the most fundamental one first."""
    problem = runtime_problem(evidence.runtimes)
    if problem is not None:
        return problem
    runtime = f"onnxruntime {evidence.version}"
    if provider not in evidence.available:
        wheel = " and ".join(r.distribution for r in evidence.runtimes)
        return Reason("runtime_without_provider", runtime=runtime, wheel=wheel, provider=provider)
    found = [fact for fact in (evidence.library, evidence.driver) if fact is not None]
    if found:
        return Reason(
            "provider_did_not_start", runtime=runtime, provider=provider, why="; ".join(found)
        )
    return Reason("provider_did_not_start_unknown", runtime=runtime, provider=provider)
