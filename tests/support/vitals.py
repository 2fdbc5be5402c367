"""Readings of a machine at ease, to change one at a time."""

from __future__ import annotations

from edge_matting.core.device_values import Vitals

READINGS = Vitals(
    cpu_percent=20.0,
    memory_available_bytes=None,
    cpu_celsius=None,
    gpu_percent=None,
    gpu_memory_used_bytes=None,
    gpu_celsius=None,
    throttled=False,
)
"""What a PC without sensors tells."""
