"""How many photos are in work at once."""

from __future__ import annotations

from typing import Final

from edge_matting.core.device_values import DeviceProfile

MAX_WORKERS: Final = 8


def wanted_workers(profile: DeviceProfile) -> int:
    """Photos in flight as far as processors go."""
    return max(1, min(MAX_WORKERS, int(profile.usable_cpus)))
