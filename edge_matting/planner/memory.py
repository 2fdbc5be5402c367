"""What memory a plan takes, and how much of the device's memory it may take.

Every figure says how it was measured (2 shared cores, x86-64, onnxruntime 1.32, the default
model); what was not measured says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_matting.core.device_values import DeviceProfile, Gpu, Vitals
from edge_matting.core.reasons import Reason

BYTES_PER_PIXEL = 40
"""Peak of one photo in flight over decoding, finishing and encoding. ``tools/bench/memory.py``
measures 15 to 31 by the photo's kind."""

ENGINE_BASE_BYTES = 200 * 2**20
"""The engine with a loaded model before the first photo: 120 MiB measured, the rest for what the
allocator keeps."""

INPUT_PIXEL_BYTES = 200
"""Peak of one inference for each pixel of the model's input: 140 to 175 measured for the default
model. Not measured for other models; where it is too little, the ladder steps down."""

FILE_COPIES = 3
"""Weights in memory for each byte of the model's file: read, parsed, and rearranged (120 MiB with
and 69 MiB without a loaded model of 7.5 MiB are less than this and the runtime's own)."""

CUDA_CONTEXT_BYTES = 600 * 2**20
"""Context, cuDNN and cuBLAS workspaces on the GPU. Not measured."""

GPU_SHARE = 0.8
"""Of a card's own memory; a screen and other programs have the rest."""

MEMORY_SHARE = 0.5
RESERVED_BYTES = 160 * 2**20
"""What a small machine needs for its system and our control process (60 MiB resident)."""

LEAST_PIXELS = 250_000
"""Room for a small photo is the least that a plan is made for."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Bytes that may be used."""

    main: int  # of the engine process; on a Jetson the GPU's part is in it
    gpu: int | None  # of a card with memory of its own
    problem: Reason | None  # why even the least is more than the device has
    why: Reason


def budget_of(profile: DeviceProfile, gpu: Gpu | None, vitals: Vitals | None, least: int) -> Budget:
    """The budget on this device; ``gpu`` is the one in use, ``least`` what a plan needs at least.

    Half the memory, on a small machine all but the system's; never more than four fifths of what
    is available beside other programs, unless the least needs it.
    """
    memory = profile.memory_bytes
    share = max(int(memory * MEMORY_SHARE), memory - RESERVED_BYTES if memory < 2**30 else 0)
    why = Reason("memory_share", share=share >> 20, all=memory >> 20)
    available = None if vitals is None else vitals.memory_available_bytes
    if available is not None and int(available * 0.8) < share:
        share = int(available * 0.8)
        why = Reason("memory_left_by_others", share=share >> 20)
    if share < least:
        share = min(least, memory)
        why = Reason("memory_least", share=share >> 20)
    problem = None
    if least > memory:
        problem = Reason("memory_too_little", all=memory >> 20, least=least >> 20)
    own = None if gpu is None else gpu.memory_bytes
    return Budget(share, None if own is None else int(own * GPU_SHARE), problem, why)


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one engine with one model takes."""

    base: int
    file_bytes: int
    gpu: Gpu | None  # the one in use; None: the processor computes

    def needed(self, resolution: tuple[int, int], workers: int, pixels: int) -> int:
        """Bytes of main memory: every photo in flight may be in the model at once."""
        context = CUDA_CONTEXT_BYTES if self.gpu is not None and self.gpu.integrated else 0
        session = self._session(resolution, workers)
        return self.base + context + session + pixels * BYTES_PER_PIXEL

    def workers(self, wanted: int, resolution: tuple[int, int], budget: Budget) -> int:
        """As many photos in flight as memory allows, one at least."""
        workers = wanted
        while workers > 1 and not self._fits(resolution, workers, budget):
            workers -= 1
        return workers

    def pixels(self, resolution: tuple[int, int], workers: int, budget: Budget) -> int:
        """Pixels in flight that fit beside engine and model."""
        room = budget.main - self.needed(resolution, workers, 0)
        return max(1, room // BYTES_PER_PIXEL)

    def _fits(self, resolution: tuple[int, int], workers: int, budget: Budget) -> bool:
        if self.needed(resolution, workers, LEAST_PIXELS) > budget.main:
            return False
        on_card = CUDA_CONTEXT_BYTES + self._session(resolution, workers)
        return budget.gpu is None or on_card <= budget.gpu

    def _session(self, resolution: tuple[int, int], runs: int) -> int:
        """A loaded model and ``runs`` inferences at once."""
        width, height = resolution
        return self.file_bytes * FILE_COPIES + width * height * INPUT_PIXEL_BYTES * runs
