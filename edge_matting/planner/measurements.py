"""What was measured on this device, and what it says: pure arithmetic on frozen values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from edge_matting.core.device_values import DeviceProfile, Vitals

VERSION: Final = 1

Ended = Literal["complete", "time", "work"]
"""How a calibration ended: got through, had no time left, or was broken off by photos."""


@dataclass(frozen=True, slots=True)
class MeasuredOn:
    """What measurements hold for; another value of any field asks for new ones."""

    model_sha256: str
    device: str
    power: str  # power mode and clock caps: the name of a mode says nothing of its speed
    runtime: str  # its name and version


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one way to run the model, medians."""

    provider: str
    precision: str
    resolution: tuple[int, int]  # width, height
    threads: int  # of the session
    callers: int  # threads that call it at once
    batch: int
    alone_seconds: float  # one call, nobody else calling
    photo_seconds: float  # wall-clock seconds a photo while all callers call


@dataclass(frozen=True, slots=True)
class Measurements:
    """What a calibration found."""

    on: MeasuredOn
    taken_at: float  # seconds since the epoch, UTC
    took_seconds: float
    ended: Ended
    timings: tuple[Timing, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """Latency of a batch of n photos: ``a * n + b`` seconds."""

    a: float
    b: float

    def seconds(self, batch: int) -> float:
        return self.a * batch + self.b


def fit(points: Iterable[tuple[int, float]]) -> Line | None:
    """Least squares through (batch, seconds), neither slope nor offset below 0; None without.

    One batch size alone says nothing of the offset and is taken as all slope.
    """
    found = [(float(n), seconds) for n, seconds in points]
    if not found:
        return None
    count = len(found)
    mean_n = sum(n for n, _ in found) / count
    mean_s = sum(s for _, s in found) / count
    spread = sum((n - mean_n) ** 2 for n, _ in found)
    if spread == 0.0:
        return Line(mean_s / mean_n, 0.0)
    a = max(0.0, sum((n - mean_n) * (s - mean_s) for n, s in found) / spread)
    b = mean_s - a * mean_n
    if b < 0.0:  # through the origin then
        return Line(sum(n * s for n, s in found) / sum(n * n for n, _ in found), 0.0)
    return Line(a, b)


def measured_on(
    model_sha256: str, profile: DeviceProfile, vitals: Vitals | None, runtime: str
) -> MeasuredOn:
    """The key of measurements taken now."""
    gpus = ", ".join(gpu.name for gpu in profile.usable_gpus) or "no GPU"
    device = (
        f"{profile.board or profile.cpu_model}, {profile.usable_cpus:g} processors, "
        f"{profile.memory_bytes >> 20} MiB, {gpus}"
    )
    return MeasuredOn(model_sha256, device, power_state(profile, vitals), runtime)


def power_state(profile: DeviceProfile, vitals: Vitals | None) -> str:
    """Power mode and, where the mode sets it, the GPU's clock cap. The processor's cap moves with
    its heat, and so does a card's: they are left out."""
    mode = profile.power_mode if vitals is None else vitals.power_mode or profile.power_mode
    gpu = next((gpu for gpu in profile.gpus if gpu.integrated), None)
    cap = None if gpu is None else gpu.clock_max_hz
    if gpu is not None and vitals is not None and vitals.gpu_clock_limit_hz is not None:
        cap = vitals.gpu_clock_limit_hz
    parts = [mode, None if cap is None else f"GPU up to {cap // 1_000_000} MHz"]
    return ", ".join(part for part in parts if part is not None) or "no modes"


def as_text(measurements: Measurements) -> str:
    """The content of the file that keeps them."""
    return json.dumps({"version": VERSION, **asdict(measurements)}, indent=1) + "\n"


def from_text(text: str) -> Measurements | None:
    """What ``as_text`` wrote; None for another version or anything else: it is measured anew."""
    try:
        values = json.loads(text)
        return _parsed(values) if values["version"] == VERSION else None
    except (ValueError, KeyError, TypeError):
        return None


def _parsed(values: Mapping[str, Any]) -> Measurements:
    return Measurements(
        on=MeasuredOn(**values["on"]),
        taken_at=float(values["taken_at"]),
        took_seconds=float(values["took_seconds"]),
        ended=values["ended"],
        timings=tuple(
            Timing(**{**each, "resolution": tuple(each["resolution"])})
            for each in values["timings"]
        ),
    )
