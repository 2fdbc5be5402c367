"""onnxruntime behind the session protocol; the only module that imports it.

Works with 1.20 to 1.32. Two silent things are made loud here: a session asked for on a GPU that
ends up on the CPU, and ``run`` rebuilding itself on the CPU after a failure.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge_matting.core.errors import SessionError, StartError
from edge_matting.core.model_io import ModelInput
from edge_matting.models.manifest import Manifest
from edge_matting.runtimes.environment import prepare_environment
from edge_matting.runtimes.failures import Failure, failure_of, inference_error
from edge_matting.runtimes.installed import installed_runtimes
from edge_matting.runtimes.ort.binding import DeviceBinding
from edge_matting.runtimes.ort.missing import Evidence, why_missing
from edge_matting.runtimes.ort.options import (
    PROVIDERS,
    OrtRequest,
    OrtSetup,
    Versions,
    setup_for,
)
from edge_matting.runtimes.ort.shared_libraries import (
    driver_problem,
    provider_problem,
    tensorrt_version,
)
from edge_matting.runtimes.session import GpuUse, SessionInfo, Tensor, constant_arrays

log = logging.getLogger(__name__)

_QUIET: Final = 4  # fatal only; what matters is compared after creation


class OrtSession:
    """A model loaded by onnxruntime. ``run`` may be called from several threads."""

    def __init__(
        self,
        manifest: Manifest,
        path: Path,
        *,
        provider: str = "cpu",
        precision: str | None = None,
        threads: int = 0,
        resolution: tuple[int, int] | None = None,
        batch: int = 1,
        gpu: GpuUse | None = None,
        runtime: Any = None,
    ) -> None:
        """Load ``path``; ``threads`` 0 leaves their number to onnxruntime.

        ``precision`` is the one to compute in, None the file's own; only TensorRT computes in
        another than the file's. ``batch`` is the largest that ``run`` will be given.
        ``runtime`` stands in for the onnxruntime module. A provider that cannot be had is no
        error here: ``describe`` gives what is used, and why. Raises ``SessionError`` for a
        file that cannot be loaded, ``OutOfMemory``, and ``StartError`` without onnxruntime.
        """
        size = manifest.input.size
        gpu = gpu or GpuUse()
        self._manifest = manifest
        self._requested = provider
        self._resolution = (
            resolution if resolution and size.rule != "fixed" else (size.width, size.height)
        )
        part = next((part for part in manifest.files if part.file == path.name), manifest.files[0])
        self._file_precision = part.precision
        self._precision = precision or part.precision
        self._constants = constant_arrays(manifest.input)
        request = OrtRequest(
            provider=provider,
            precision=self._precision,
            threads=threads,
            input_name=manifest.input.name,
            input_shape=input_shape(manifest.input, self._resolution, batch),
            free_shape=size.rule != "fixed",
            model_sha256=part.sha256,
            gpu_memory=gpu.memory,
            engine_dir=gpu.engine_dir,
        )
        runtime = runtime or _onnxruntime()
        self._runtime = runtime
        tensorrt = tensorrt_version() if provider == "tensorrt" else None
        versions = Versions(runtime.__version__, tensorrt or "none", gpu.name)
        setup = setup_for(request, versions, available_providers(runtime))
        self._session: Any = make_session(runtime, path, setup)
        _check_names(manifest, self._session, path)
        self._info = self._describe()
        self._binding = (
            None
            if self._info.actual_provider == "cpu"
            else DeviceBinding(runtime, self._session, manifest.output.name)
        )

    def run(self, batch: Tensor) -> Tensor:
        """The matte output for ``batch``, as the graph gives it (N first)."""
        if self._session is None:
            raise SessionError(f"model {self._manifest.id}: the session is closed")
        feeds = {self._manifest.input.name: batch, **self._constants}
        try:
            if self._binding is not None:
                return self._binding.run(feeds)
            (output,) = self._session.run([self._manifest.output.name], feeds)
        except Exception as error:
            on_gpu = self._binding is not None
            raise inference_error(error, f"model {self._manifest.id}", on_gpu=on_gpu) from error
        result: Tensor = output
        return result

    def warm(self) -> None:
        """One inference on a black picture."""
        spec = self._manifest.input
        self.run(np.zeros(input_shape(spec, self._resolution, 1), spec.dtype))

    def describe(self) -> SessionInfo:
        return self._info

    def close(self) -> None:
        self._session = None
        self._binding = None

    def _describe(self) -> SessionInfo:
        actual = _short_name(self._session.get_providers()[0])
        return SessionInfo(
            backend="ort",
            requested_provider=self._requested,
            actual_provider=actual,
            precision=self._precision if actual == "tensorrt" else self._file_precision,
            resolution=self._resolution,
            reason=None if actual == self._requested else why_not(self._requested, self._runtime),
            nodes=node_placement(self._session),
        )


def make_session(runtime: Any, path: Path, setup: OrtSetup) -> Any:
    """A bare ``InferenceSession`` that never changes provider by itself later."""
    options = runtime.SessionOptions()
    options.log_severity_level = _QUIET
    options.intra_op_num_threads = setup.threads
    for key, value in setup.entries:
        options.add_session_config_entry(key, value)
    text = io.StringIO()
    try:
        if setup.engine_dir is not None:
            setup.engine_dir.mkdir(parents=True, exist_ok=True)
        # onnxruntime prints what it cannot load, on a stdout that may have to be pure JSON.
        with contextlib.redirect_stdout(text) if setup.is_accelerated else contextlib.nullcontext():
            if setup.is_accelerated:
                _preload(runtime)
            session = runtime.InferenceSession(
                str(path), sess_options=options, providers=list(setup.providers)
            )
    except Exception as error:
        if failure_of(error) is not Failure.OTHER:
            raise inference_error(error, f"{path}: loading") from error
        raise SessionError(f"{path}: onnxruntime cannot load it: {error}") from error
    if setup.engine_dir is not None:
        os.utime(setup.engine_dir)  # the engines used last are kept
    if text.getvalue():
        log.debug("onnxruntime: %s", text.getvalue().strip())
    disable: Callable[[], None] | None = getattr(session, "disable_fallback", None)
    if disable is not None:
        disable()
    return session


def input_shape(spec: ModelInput, resolution: tuple[int, int], batch: int) -> tuple[int, ...]:
    """Shape of the input tensor for ``batch`` pictures."""
    width, height = resolution
    return (batch, 3, height, width) if spec.layout == "nchw" else (batch, height, width, 3)


def node_placement(session: Any) -> tuple[tuple[str, int], ...]:
    """Providers and how many of the graph's nodes each runs; () where it is not reported.

    onnxruntime reports it from 1.24 on.
    """
    report = getattr(session, "get_provider_graph_assignment_info", None)
    if report is None:
        return ()
    counts: Counter[str] = Counter()
    for part in report():
        counts[_short_name(part.ep_name)] += len(part.get_nodes())
    return tuple(counts.most_common())


def available_providers(runtime: Any = None) -> tuple[str, ...]:
    """Providers of the installed build (cpu, cuda, tensorrt); they may still not work."""
    present = (runtime or _onnxruntime()).get_available_providers()
    return tuple(short for short, name in PROVIDERS.items() if name in present)


def runtime_version() -> str:
    return str(_onnxruntime().__version__)


def why_not(provider: str, runtime: Any = None) -> str:
    """Why a session that asked for ``provider`` got another."""
    runtime = runtime or _onnxruntime()
    folder = Path(str(runtime.__file__)).parent / "capi"
    return why_missing(
        provider,
        Evidence(
            version=str(runtime.__version__),
            runtimes=installed_runtimes(),
            available=available_providers(runtime),
            library=provider_problem(provider, folder),
            driver=driver_problem(),
        ),
    )


def _onnxruntime() -> Any:
    prepare_environment("ort")
    try:
        import onnxruntime  # noqa: PLC0415  an optional extra: its absence is a stated error
    except ImportError as error:
        raise StartError(
            f"onnxruntime cannot be imported: {error}",
            hint="install a runtime: pip install edge-matting[cpu]",
        ) from error
    return onnxruntime


def _preload(runtime: Any) -> None:
    """Load CUDA and cuDNN where pip installed them; the wheel itself looks in the system only."""
    preload = getattr(runtime, "preload_dlls", None)  # absent before 1.21
    if preload is not None:
        preload()


def _check_names(manifest: Manifest, session: Any, path: Path) -> None:
    for kind, name, nodes in (
        ("input", manifest.input.name, session.get_inputs()),
        ("output", manifest.output.name, session.get_outputs()),
    ):
        names = [node.name for node in nodes]
        if name not in names:
            raise SessionError(f"{path}: no {kind} is called {name}; there is {', '.join(names)}")


def _short_name(provider: str) -> str:
    return next((short for short, name in PROVIDERS.items() if name == provider), provider)
