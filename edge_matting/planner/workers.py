"""How many photos are in work at once, and what they do."""

from __future__ import annotations

from typing import Final

from edge_matting.core.device_values import DeviceProfile
from edge_matting.core.providers import is_processor

MAX_WORKERS: Final = 8
PREFETCH: Final = 2


def wanted_workers(profile: DeviceProfile) -> int:
    """Photos in flight as far as processors go."""
    return max(1, min(MAX_WORKERS, int(profile.usable_cpus)))


def split_workers(workers: int, provider: str) -> tuple[int, int]:
    """Photos read ahead of the model and photos finished behind it; one is in the model.

    On the processor each photo goes all the way in its own thread: nothing is read ahead.
    """
    if is_processor(provider) or workers == 1:
        return 0, workers
    prefetch = min(PREFETCH, (workers - 1) // 2)
    return prefetch, workers - 1 - prefetch
