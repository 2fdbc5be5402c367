"""What the appliance does on this device: the plan, and what it may be stepped down to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_matting.core.reasons import Reason


@dataclass(frozen=True, slots=True)
class Fallbacks:
    """What a plan may be stepped down to, its own value among them, best first.

    A single entry is fixed: by the user, by the model or by the device.
    """

    providers: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()  # those that the model has a file for, exact ones first
    resolutions: tuple[tuple[int, int], ...] = ()  # width, height
    batches: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What the appliance does on this device, and why."""

    backend: str  # ort, torch
    provider: str  # cpu, cuda, tensorrt: what is asked for
    precision: str  # fp32, fp16, bf16, int8
    resolution: tuple[int, int]  # width, height
    batch: int
    workers: int  # photos in flight
    pixels_in_flight: int  # of all of them together; a larger photo runs alone
    session_threads: int
    memory_bytes: int  # budget of the engine process; above it the process is recycled
    reasons: tuple[Reason, ...]
    fallbacks: Fallbacks = Fallbacks()

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Plan:
        """The plan that ``dataclasses.asdict`` and JSON made plain values of."""
        fallbacks = values["fallbacks"]
        plain = {
            **values,
            "resolution": tuple(values["resolution"]),
            "reasons": tuple(map(Reason.from_coded, values["reasons"])),
            "fallbacks": Fallbacks(
                providers=tuple(fallbacks["providers"]),
                precisions=tuple(fallbacks["precisions"]),
                resolutions=tuple((width, height) for width, height in fallbacks["resolutions"]),
                batches=tuple(fallbacks["batches"]),
            ),
        }
        return cls(**plain)
