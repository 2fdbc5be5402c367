"""What the dynamic loader says about the libraries that an execution provider needs.

onnxruntime tells of a missing library only in its log; the loader names it in its error.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

Load = Callable[[str], Any]

_PROVIDER_LIBRARIES: Final = MappingProxyType(
    {
        "cuda": "libonnxruntime_providers_cuda.so",
        "tensorrt": "libonnxruntime_providers_tensorrt.so",
    }
)
_SHARED: Final = "libonnxruntime_providers_shared.so"
_CUDNN: Final = "libcudnn.so.9"
"""Loaded by the CUDA provider when it is first needed, so its loading alone does not prove it."""

_DRIVER: Final = "libcuda.so.1"
_NVINFER: Final = "libnvinfer.so.10"

_CUDA_ERRORS: Final = MappingProxyType(
    {
        3: "the NVIDIA driver is not initialised",
        34: "a stub of the CUDA driver is loaded instead of the driver",
        100: "the NVIDIA driver shows no GPU",
        101: "the NVIDIA driver shows no such GPU",
        802: "the NVIDIA driver is not ready yet",
        803: "the NVIDIA driver and its kernel module differ: restart the machine",
        999: "the NVIDIA driver fails with an unknown error; is /dev/nvidia-uvm there?",
    }
)


def _open(name: str) -> Any:
    return ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)


def provider_problem(provider: str, folder: Path, load: Load = _open) -> str | None:
    """Why the library of ``provider`` (cuda, tensorrt) in onnxruntime's ``folder`` does not load.

    None when it loads; the missing library is named.
    """
    library = _PROVIDER_LIBRARIES.get(provider)
    if library is None:
        return None
    if not (folder / library).is_file():
        return f"{library} is not part of the installed onnxruntime"
    for path in (folder / _SHARED, folder / library):
        if (problem := _problem_of(str(path), load)) is not None:
            return problem
    return _problem_of(_CUDNN, load)


def driver_problem(load: Load = _open) -> str | None:
    """Why CUDA cannot be used whatever the runtime; None when the driver starts."""
    if _problem_of(_DRIVER, load) is not None:
        return f"{_DRIVER} is missing: no NVIDIA driver is installed, or it is hidden from here"
    status = int(load(_DRIVER).cuInit(0))
    if status == 0:
        return None
    return _CUDA_ERRORS.get(status, f"the NVIDIA driver does not start: CUDA error {status}")


def tensorrt_version(load: Load = _open) -> str | None:
    """Version of the TensorRT that would be loaded, as its number; None without it."""
    if _problem_of(_NVINFER, load) is not None:
        return None
    return str(load(_NVINFER).getInferLibVersion())


def _problem_of(name: str, load: Load) -> str | None:
    try:
        load(name)
    except OSError as error:
        return _in_words(str(error))
    return None


def _in_words(text: str) -> str:
    missing = re.match(r"(\S+): cannot open shared object file", text)
    return text if missing is None else f"{Path(missing[1]).name} is missing"
