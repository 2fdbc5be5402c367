"""Which of several engines a work process is, and what part of the machine is its own."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Final

from edge_matting.core.device_values import DeviceProfile

JOB_SOURCE: Final = "job source"
"""The place of an obstacle that keeps an engine from all its jobs."""


@dataclass(frozen=True, slots=True)
class EngineIdentity:
    """One engine's place; the daemon assigns it, the engine keeps to it."""

    number: int = 0
    engines: int = 1  # that share the processors and the memory
    gpu: str | None = None  # UUID of the card that is its own; None: whatever there is
    gpu_lost: str | None = None  # why the GPU is not to be used; None: it may be

    @property
    def owner(self) -> str:
        """Whose claims in the ledger are its own."""
        return str(self.number)

    @property
    def lock_name(self) -> str:
        return f"engine-{self.number}.lock" if self.number else "engine.lock"

    def share_of(self, profile: DeviceProfile) -> DeviceProfile:
        """The device as far as it belongs to this engine."""
        gpus = tuple(gpu for gpu in profile.gpus if self.gpu in {None, gpu.uuid})
        return replace(
            profile,
            gpus=gpus,
            usable_cpus=max(1.0, profile.usable_cpus / self.engines),
            memory_bytes=profile.memory_bytes // self.engines,
        )

    def as_argument(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_argument(cls, text: str) -> EngineIdentity:
        return cls(**json.loads(text))
