"""What the runtimes' errors mean; the texts are the literal ones of the libraries."""

from __future__ import annotations

import pytest

from edge_matting.core.errors import (
    Blocked,
    DeviceLost,
    GpuOutOfMemory,
    InferenceFailed,
    OutOfMemory,
)
from edge_matting.runtimes.failures import Failure, failure_of, inference_error

OUT_OF_MEMORY = (
    "BFCArena::AllocateRawInternal(...) Failed to allocate memory for requested buffer of size 9",
    "Available memory of 1048576 is smaller than requested bytes of 2097152",
    "CUDA failure 2: out of memory ; GPU=0 ; hostname=box ; file=x.cc ; line=1 ; expr=cudaMalloc",
    "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0 ; hostname=box",
    "CUDNN failure 4: CUDNN_STATUS_ALLOC_FAILED ; GPU=0",
    "Error Code 1: Cuda Runtime (out of memory)",
    "Error Code 2: OutOfMemory (Requested size was 536870912 bytes.)",
    "Cuda Error in allocate: 2 (out of memory)",
    "Requested amount of GPU memory (536870912 bytes) could not be allocated",
    "NvMapMemAllocInternalTagged: 1075072515 error 12",
    "CUDA out of memory. Tried to allocate 2.00 GiB",
    "std::bad_alloc",
)
DEVICE_LOST = (
    "CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; hostname=box",
    "CUDA failure 719: unspecified launch failure ; GPU=0",
    "CUDA failure 702: the launch timed out and was terminated ; GPU=0",
    "CUDA failure 214: uncorrectable ECC error encountered ; GPU=0",
    "CUDA failure 999: unknown error ; GPU=0",
    "CUDA failure 710: device-side assert triggered",
    "CUDA error: an illegal memory access was encountered",
    "CUDA error: misaligned address",
    "CUDNN failure 5000: CUDNN_STATUS_EXECUTION_FAILED ; GPU=0",
    "GPU is lost",
)
OTHER = (
    "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Got invalid dimensions for input: image",
    "CUDA failure 100: no CUDA-capable device is detected ; GPU=0",
    "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version",
    "TensorRT EP failed to create engine from network",
    "the photo shows 700 people",
    "",
)


@pytest.mark.parametrize("text", OUT_OF_MEMORY)
def test_want_of_memory_is_known_by_its_text(text: str) -> None:
    assert failure_of(RuntimeError(text)) is Failure.OUT_OF_MEMORY
    error = inference_error(RuntimeError(text), "model x")
    assert isinstance(error, OutOfMemory)
    assert not error.refund
    on_gpu = inference_error(RuntimeError(text), "model x", on_gpu=True)
    assert isinstance(on_gpu, GpuOutOfMemory)
    assert on_gpu.refund  # each batch has the planned size, whatever the photo


@pytest.mark.parametrize("text", DEVICE_LOST)
def test_an_error_that_outlives_the_call_asks_for_a_new_process_and_blames_no_photo(
    text: str,
) -> None:
    error = inference_error(RuntimeError(text), "model x")
    assert isinstance(error, DeviceLost)
    assert isinstance(error, Blocked)
    assert error.refund
    assert "model x" in str(error)
    assert text in str(error)


@pytest.mark.parametrize("text", OTHER)
def test_any_other_error_stays_a_failure_of_the_inference(text: str) -> None:
    error = inference_error(RuntimeError(text), "model x")
    assert isinstance(error, InferenceFailed)
    assert text in str(error)


def test_typed_errors_need_no_text() -> None:
    class OutOfMemoryError(RuntimeError):
        """As torch names it."""

    assert failure_of(MemoryError()) is Failure.OUT_OF_MEMORY
    assert failure_of(OutOfMemoryError("anything")) is Failure.OUT_OF_MEMORY
