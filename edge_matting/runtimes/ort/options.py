"""What onnxruntime is told for one session: a pure decision, tested as values.

Options and their defaults: onnxruntime's documentation of the CUDA and TensorRT execution
providers. Every value is text, as onnxruntime takes it; it accepts misspelt keys in silence, so
the names stand here once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from edge_matting.runtimes.session import GpuMemory

PROVIDERS: Final = MappingProxyType(
    {
        "cpu": "CPUExecutionProvider",
        "cuda": "CUDAExecutionProvider",
        "tensorrt": "TensorrtExecutionProvider",
    }
)
_CHAIN: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"cpu": ("cpu",), "cuda": ("cuda", "cpu"), "tensorrt": ("tensorrt", "cuda", "cpu")}
)
"""The order that onnxruntime asks for: nodes that one provider cannot run go to the next."""

_SMALL_WORKSPACE_BYTES: Final = 256 << 20


@dataclass(frozen=True, slots=True)
class Versions:
    """What a compiled engine depends on besides its model and options."""

    onnxruntime: str
    tensorrt: str
    gpu: str  # name and compute capability


@dataclass(frozen=True, slots=True)
class OrtRequest:
    """What a session is wanted for."""

    provider: str = "cpu"
    precision: str = "fp32"  # of the computation; a fp16 model file needs no fp16 here
    threads: int = 0  # 0 leaves their number to onnxruntime
    input_name: str = ""
    input_shape: tuple[int, ...] = ()  # batch first, as planned
    free_shape: bool = False  # whether the graph itself leaves a side or the batch open
    model_sha256: str = ""
    gpu_memory: GpuMemory | None = None
    engine_dir: Path | None = None  # under which compiled engines are kept; None: they are not


@dataclass(frozen=True, slots=True)
class OrtSetup:
    """Arguments of one ``InferenceSession``."""

    providers: tuple[tuple[str, dict[str, str]], ...]  # best first, CPU last
    threads: int
    entries: tuple[tuple[str, str], ...]  # session config entries
    engine_dir: Path | None = None  # must exist before the session is made

    @property
    def is_accelerated(self) -> bool:
        """Whether more than the processor is to be tried."""
        return len(self.providers) > 1


def setup_for(request: OrtRequest, versions: Versions, available: tuple[str, ...]) -> OrtSetup:
    """Options for ``request`` with the providers (cpu, cuda, tensorrt) built into the runtime."""
    wanted = tuple(name for name in _CHAIN[request.provider] if name in available)
    engines: Path | None = None
    providers: list[tuple[str, dict[str, str]]] = []
    for name in wanted:
        options: dict[str, str] = {}
        if name == "cuda":
            options = cuda_options(request)
        elif name == "tensorrt":
            options = tensorrt_options(request)
            engines = engine_folder(request, versions, options)
            options |= _engine_cache(engines)
        providers.append((PROVIDERS[name], options))
    return OrtSetup(tuple(providers), request.threads, _entries(request), engines)


def cuda_options(request: OrtRequest) -> dict[str, str]:
    """The card is always number 0: each engine process is shown one card alone."""
    memory = request.gpu_memory
    small = memory is not None and memory.is_small
    options = {
        "device_id": "0",
        "do_copy_in_default_stream": "1",
        # Sizes are planned and stay: the slow search is paid once. It needs memory to try in.
        "cudnn_conv_algo_search": "HEURISTIC" if small else "EXHAUSTIVE",
        "cudnn_conv_use_max_workspace": "0" if small else "1",
        "arena_extend_strategy": "kSameAsRequested" if small else "kNextPowerOfTwo",
        # TF32 moves soft edges; who plans fp32 gets fp32.
        "use_tf32": "0" if request.precision == "fp32" else "1",
    }
    if memory is not None:
        options["gpu_mem_limit"] = str(memory.arena_bytes)
    return options


def tensorrt_options(request: OrtRequest) -> dict[str, str]:
    """All that changes the engine; where it is kept comes on top."""
    fp16 = request.precision == "fp16"
    options = {
        "device_id": "0",
        "trt_fp16_enable": _flag(fp16),
        "trt_int8_enable": _flag(request.precision == "int8"),
        # Variances overflow in half precision.
        "trt_layer_norm_fp32_fallback": _flag(fp16),
    }
    if request.gpu_memory is not None and request.gpu_memory.is_small:
        options["trt_max_workspace_size"] = str(_SMALL_WORKSPACE_BYTES)
        options["trt_auxiliary_streams"] = "0"
    if request.free_shape:
        # Without profiles a new shape would rebuild the engine in the middle of a photo.
        batch, *rest = request.input_shape
        smallest, largest = (
            f"{request.input_name}:{'x'.join(map(str, (n, *rest)))}" for n in (1, batch)
        )
        options["trt_profile_min_shapes"] = smallest
        options["trt_profile_opt_shapes"] = largest
        options["trt_profile_max_shapes"] = largest
    return options


def engine_folder(request: OrtRequest, versions: Versions, options: dict[str, str]) -> Path | None:
    """Where the engine for exactly this model, software, card and these options is kept.

    onnxruntime does not notice when any of them changes; a folder of its own does.
    """
    if request.engine_dir is None:
        return None
    key = json.dumps(
        [
            request.model_sha256,
            versions.onnxruntime,
            versions.tensorrt,
            versions.gpu,
            sorted(options.items()),
        ]
    )
    return request.engine_dir / hashlib.sha256(key.encode()).hexdigest()[:32]


def _engine_cache(folder: Path | None) -> dict[str, str]:
    if folder is None:
        return {}
    return {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(folder),
    }


def _entries(request: OrtRequest) -> tuple[tuple[str, str], ...]:
    entries = [
        # Idle threads that spin burn a processor that decoding and the page need.
        ("session.intra_op.allow_spinning", "0"),
        ("session.inter_op.allow_spinning", "0"),
        # Which node runs where, told after the session is made; unknown before 1.24.
        ("session.record_ep_graph_assignment_info", "1"),
    ]
    if request.provider != "cpu":
        entries.append(("session.use_device_allocator_for_initializers", "1"))
    return tuple(entries)


def _flag(value: bool) -> str:
    return "1" if value else "0"
