"""What a runtime's error means, read from its text.

Neither onnxruntime (its issue 16307) nor the CUDA libraries under it have a typed error for want
of memory, and none for the errors that outlive the call. Shared by the backends.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from edge_matting.core.errors import (
    DeviceLost,
    GpuOutOfMemory,
    InferenceFailed,
    JobError,
    OutOfMemory,
)


class Failure(Enum):
    """What follows from an error of the runtime."""

    OUT_OF_MEMORY = "out of memory"  # a smaller plan may do
    DEVICE_LOST = "device lost"  # "sticky": only a new process can use the device again
    OTHER = "other"


_OUT_OF_MEMORY: Final = re.compile(
    "|".join(
        (
            "failed to allocate memory for requested buffer",  # arena
            r"available memory of .* is smaller than requested bytes",  # gpu_mem_limit
            "out of memory",  # CUDA, TensorRT, torch
            r"outofmemory \(requested size",  # TensorRT
            "requested amount of gpu memory",  # TensorRT
            r"\w+_status_alloc_failed",  # cuBLAS, cuDNN
            "bad_alloc",
            "nvmapmemalloc",  # Jetson driver
        )
    ),
    re.IGNORECASE,
)

_STICKY_CODES: Final = frozenset(
    {46, 214, 219, 220, 700, 702, 708, 709, 710, 714, 715, 716, 717, 718, 719, 999}
)
"""Of the CUDA runtime: device unavailable, uncorrectable ECC, NVLink, MPS, illegal access, launch
timeout, context destroyed, assert, hardware stack, illegal instruction, misaligned address,
invalid address space, invalid program counter, launch failure, unknown."""

_CODE: Final = re.compile(r"\b(?:CUDA|Cuda)\s+(?:failure|error|Error)\s*:?\s*(\d+)")

_DEVICE_LOST: Final = re.compile(
    "|".join(
        (
            "illegal memory access",
            "illegal instruction was encountered",
            "unspecified launch failure",
            "launch timed out and was terminated",
            "device-side assert triggered",
            "misaligned address",
            "uncorrectable ecc error",
            "context is destroyed",
            "gpu is lost",
            r"cu(?:dnn|blas)_status_execution_failed",
        )
    ),
    re.IGNORECASE,
)


def failure_of(error: BaseException) -> Failure:
    """The kind of an error, by its type and text."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return Failure.OUT_OF_MEMORY
    text = str(error)
    code = _CODE.search(text)
    if (code is not None and int(code[1]) in _STICKY_CODES) or _DEVICE_LOST.search(text):
        return Failure.DEVICE_LOST
    if _OUT_OF_MEMORY.search(text):
        return Failure.OUT_OF_MEMORY
    return Failure.OTHER


def inference_error(error: BaseException, where: str, *, on_gpu: bool = False) -> JobError:
    """A failed run as ``OutOfMemory``, ``DeviceLost`` or ``InferenceFailed``.

    ``on_gpu`` says that the session runs there: want of memory is then ``GpuOutOfMemory``.
    """
    text = f"{where}: {type(error).__name__}: {error}"
    match failure_of(error):
        case Failure.OUT_OF_MEMORY:
            kind = GpuOutOfMemory if on_gpu else OutOfMemory
            return kind(f"out of memory during inference: {text}")
        case Failure.DEVICE_LOST:
            return DeviceLost(text)
        case Failure.OTHER:
            return InferenceFailed(text)
