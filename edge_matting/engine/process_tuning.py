"""How native libraries use this process: one thread a call, and buffers that stay for a while.

Photos are what runs in parallel here, one worker thread each. OpenCV's own pool would let every
small call of every worker wake threads that compete with the other workers: that cost a photo an
eighth more of the processor. And glibc hands each large buffer back to the kernel at once, which
then zeroes the same pages for the next photo: 5000 page faults a photo of 2 megapixels, a tenth of
the time without refinement. And each thread had a heap of its own, whose holes the others could not
fill: over 14,000 photos the engine grew by 14 MB, with one heap for all by 4, in which no photo
took longer.
"""

from __future__ import annotations

import ctypes
import logging
from typing import Final

import cv2

log = logging.getLogger(__name__)

_KEPT_BYTES: Final = 32 << 20  # the most that glibc allows; larger buffers go back at once
_TRIM_BYTES: Final = 64 << 20  # free memory at the top of an arena beyond which it is handed back
_HEAPS: Final = 1  # "arenas"; otherwise up to eight for each processor
_M_TRIM_THRESHOLD: Final = -1  # malloc.h
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8


def tune_process() -> None:
    """Call once, before the first photo and before worker threads start."""
    cv2.setNumThreads(1)
    library = _c_library()
    if not hasattr(library, "mallopt"):  # musl has no such thing
        log.debug("this C library has no memory tuning")
        return
    # Either one that is set stops glibc from moving both by itself, so both are.
    library.mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)
    library.mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
    library.mallopt(_M_ARENA_MAX, _HEAPS)


def return_free_memory() -> None:
    """Give the kernel every free page of every arena, wherever it lies (malloc_trim(3)).

    Small pieces that live on keep large free ones below them from being handed back by themselves:
    over thousands of photos that adds up to tens of megabytes. It takes a few milliseconds, in
    which no other thread can allocate, and the next photo's page faults.
    """
    library = _c_library()
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


def _c_library() -> ctypes.CDLL:
    return ctypes.CDLL(None)
