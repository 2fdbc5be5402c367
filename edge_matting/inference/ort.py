"""onnxruntime behind the session protocol; the only module that imports it.

Works with 1.20 to 1.31. Two silent things are made loud here: a session asked for on a GPU that
ends up on the CPU, and ``run`` rebuilding itself on the CPU after a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from edge_matting.core.errors import (
    EdgeMattingError,
    InferenceFailed,
    OutOfMemory,
    SessionError,
    StartError,
)
from edge_matting.inference.manifest import Manifest
from edge_matting.inference.runtimes import installed_runtimes, runtime_problem
from edge_matting.inference.session import SessionInfo, Tensor, constant_arrays

PROVIDERS: Final = MappingProxyType(
    {
        "cpu": "CPUExecutionProvider",
        "cuda": "CUDAExecutionProvider",
        "tensorrt": "TensorrtExecutionProvider",
    }
)
_FALLBACKS: Final = MappingProxyType(
    {"cpu": ("cpu",), "cuda": ("cuda", "cpu"), "tensorrt": ("tensorrt", "cuda", "cpu")}
)
_OUT_OF_MEMORY: Final = (
    "failed to allocate memory",
    "available memory of",
    "out of memory",
    "outofmemory",
    "_alloc_failed",
    "gpu memory",
    "bad_alloc",
    "nvmapmemalloc",
)
"""Texts of allocation failures from the arena, CUDA, cuBLAS, cuDNN and TensorRT; onnxruntime has
no typed error for them (its issue 16307)."""

_QUIET: Final = 4  # fatal only; what matters is compared after creation


@dataclass(frozen=True, slots=True)
class TensorShape:
    """A graph's input or output; None stands for a free side."""

    name: str
    shape: tuple[int | None, ...]
    type: str  # tensor(float), tensor(float16), tensor(uint8)


class OrtSession:
    """A model loaded by onnxruntime. ``run`` may be called from several threads."""

    def __init__(
        self,
        manifest: Manifest,
        path: Path,
        *,
        provider: str = "cpu",
        threads: int = 0,
        resolution: tuple[int, int] | None = None,
    ) -> None:
        """Load ``path``; ``threads`` 0 leaves their number to onnxruntime.

        A provider that cannot be had is no error here: ``describe`` says what was had instead,
        and why. Raises ``SessionError`` for a file that cannot be loaded and ``StartError``
        without onnxruntime.
        """
        self._manifest = manifest
        self._requested = provider
        self._constants = constant_arrays(manifest.input)
        size = manifest.input.size
        self._resolution = (
            resolution if resolution and size.rule != "fixed" else (size.width, size.height)
        )
        self._session: Any = create_session(path, provider=provider, threads=threads)
        _check_names(manifest, self._session, path)

    def run(self, batch: Tensor) -> Tensor:
        """The matte output for ``batch``, as the graph gives it (N first)."""
        if self._session is None:
            raise SessionError(f"model {self._manifest.id}: the session is closed")
        try:
            (output,) = self._session.run(
                [self._manifest.output.name], {self._manifest.input.name: batch, **self._constants}
            )
        except MemoryError as error:
            raise OutOfMemory(f"model {self._manifest.id}: no memory left") from error
        except Exception as error:
            raise classify(error, f"model {self._manifest.id}") from error
        result: Tensor = output
        return result

    def warm(self) -> None:
        """One inference on a black picture."""
        spec = self._manifest.input
        width, height = self._resolution
        shape = (1, 3, height, width) if spec.layout == "nchw" else (1, height, width, 3)
        self.run(np.zeros(shape, spec.dtype))

    def describe(self) -> SessionInfo:
        actual = _short_name(self._session.get_providers()[0]) if self._session else "none"
        return SessionInfo(
            backend="ort",
            requested_provider=self._requested,
            actual_provider=actual,
            precision="fp16" if self._manifest.input.dtype == "float16" else "fp32",
            resolution=self._resolution,
            reason=None if actual == self._requested else why_not(self._requested),
        )

    def close(self) -> None:
        self._session = None


def create_session(path: Path, *, provider: str = "cpu", threads: int = 0) -> Any:
    """A bare ``InferenceSession`` that never changes provider by itself later."""
    ort = _onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = _QUIET
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    wanted = [PROVIDERS[name] for name in _FALLBACKS[provider]]
    present = set(ort.get_available_providers())
    usable = [name for name in wanted if name in present]
    try:
        session = ort.InferenceSession(str(path), sess_options=options, providers=usable)
    except Exception as error:
        raise SessionError(f"{path}: onnxruntime cannot load it: {error}") from error
    disable: Callable[[], None] | None = getattr(session, "disable_fallback", None)
    if disable is not None:
        disable()
    return session


def graph_shapes(path: Path) -> tuple[tuple[TensorShape, ...], tuple[TensorShape, ...]]:
    """Inputs and outputs of a model file, read by onnxruntime itself."""
    session = create_session(path, threads=1)
    return _shapes(session.get_inputs()), _shapes(session.get_outputs())


def available_providers() -> tuple[str, ...]:
    """Providers of the installed build (cpu, cuda, tensorrt); says nothing of what works."""
    present = _onnxruntime().get_available_providers()
    return tuple(short for short, name in PROVIDERS.items() if name in present)


def runtime_version() -> str:
    return str(_onnxruntime().__version__)


def classify(error: Exception, where: str) -> EdgeMattingError:
    """A failed run by its text: ``OutOfMemory`` or ``InferenceFailed``."""
    text = str(error)
    if any(words in text.lower() for words in _OUT_OF_MEMORY):
        return OutOfMemory(f"{where}: out of memory during inference: {text}")
    return InferenceFailed(f"{where}: {type(error).__name__}: {text}")


def why_not(provider: str) -> str:
    """Why a session that asked for ``provider`` got another."""
    problem = runtime_problem(installed_runtimes())
    if problem is not None:
        return problem
    if provider not in available_providers():
        return f"the installed onnxruntime {runtime_version()} is built without {provider}"
    return (
        f"onnxruntime {runtime_version()} could not start {provider}: "
        "its libraries, the driver or the GPU are missing"
    )


def _onnxruntime() -> Any:
    try:
        import onnxruntime  # noqa: PLC0415  an optional extra: its absence is a stated error
    except ImportError as error:
        raise StartError(
            f"onnxruntime cannot be imported: {error}",
            hint="install a runtime: pip install edge-matting[cpu]",
        ) from error
    return onnxruntime


def _check_names(manifest: Manifest, session: Any, path: Path) -> None:
    for kind, name, nodes in (
        ("input", manifest.input.name, session.get_inputs()),
        ("output", manifest.output.name, session.get_outputs()),
    ):
        names = [node.name for node in nodes]
        if name not in names:
            raise SessionError(f"{path}: no {kind} is called {name}; there is {', '.join(names)}")


def _shapes(nodes: Sequence[Any]) -> tuple[TensorShape, ...]:
    return tuple(
        TensorShape(
            node.name,
            tuple(side if isinstance(side, int) and side > 0 else None for side in node.shape),
            node.type,
        )
        for node in nodes
    )


def _short_name(provider: str) -> str:
    return next((short for short, name in PROVIDERS.items() if name == provider), provider)
