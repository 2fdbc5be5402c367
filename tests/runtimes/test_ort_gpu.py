"""A session on a GPU that is not there: the onnxruntime module is a stand-in (its ``runtime``)."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from edge_matting.core.errors import DeviceLost, OutOfMemory, SessionError
from edge_matting.core.model_io import ConstantInput, InputSize, ModelInput
from edge_matting.models import Manifest
from edge_matting.runtimes.ort.session import OrtSession, why_not
from edge_matting.runtimes.session import GpuMemory, GpuUse
from tests.runtimes.test_ort import manifest_of, write_model

BATCH = np.full((1, 3, 24, 32), 0.5, np.float32)


class Value:
    """An ``OrtValue``."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    @classmethod
    def ortvalue_from_numpy(cls, array: np.ndarray, _device: str, _number: int) -> Value:
        return cls(array)

    def update_inplace(self, array: np.ndarray) -> None:
        self.array = array


class Session:
    """An ``InferenceSession`` whose GPU halves what it is given."""

    def __init__(self, runtime: Runtime, options: Any, providers: list[Any]) -> None:
        self.runtime = runtime
        self.entries = options.entries
        self.options = dict(providers)
        self.names = runtime.names or list(self.options)
        self.bound: dict[str, np.ndarray] = {}

    def get_providers(self) -> list[str]:
        return self.names

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="image")]

    def get_outputs(self) -> list[Any]:
        return [SimpleNamespace(name="matte")]

    def io_binding(self) -> Session:
        return self

    def bind_ortvalue_input(self, name: str, value: Value) -> None:
        self.bound[name] = value.array

    def bind_output(self, *_where: Any) -> None:
        """It lies where it is computed."""

    def run_with_iobinding(self, _binding: Session) -> None:
        if self.runtime.fault is not None:
            raise RuntimeError(self.runtime.fault)

    def copy_outputs_to_cpu(self) -> list[np.ndarray]:
        return [self.bound["image"] / 2]


class Options:
    def __init__(self) -> None:
        self.entries: dict[str, str] = {}

    def add_session_config_entry(self, key: str, value: str) -> None:
        self.entries[key] = value


class Runtime:
    """The onnxruntime module of a GPU wheel."""

    __version__ = "1.31.1"
    SessionOptions = Options
    OrtValue = Value

    def __init__(self) -> None:
        self.__file__ = "/nowhere/onnxruntime/__init__.py"
        self.names: list[str] | None = None  # what is registered instead of what was asked for
        self.fault: str | None = None
        self.load_fault: str | None = None
        self.preloaded = 0

    def get_available_providers(self) -> list[str]:
        return ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]

    def preload_dlls(self) -> None:
        self.preloaded += 1
        print("Failed to load libcudnn.so.9")

    def InferenceSession(self, _path: str, *, sess_options: Options, providers: list[Any]) -> Any:
        if self.load_fault is not None:
            raise RuntimeError(self.load_fault)
        return Session(self, sess_options, providers)


@pytest.fixture
def runtime() -> Runtime:
    return Runtime()


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return manifest_of(write_model(tmp_path / "mean.onnx"))


def open_on(runtime: Runtime, manifest: Manifest, tmp_path: Path, provider: str) -> OrtSession:
    return OrtSession(
        manifest,
        tmp_path / "mean.onnx",
        provider=provider,
        precision="fp16",
        gpu=GpuUse("Fake GPU 8.9", GpuMemory(8 << 30), tmp_path / "engines"),
        runtime=runtime,
    )


def test_a_session_on_cuda_runs_through_the_buffers_of_the_gpu(
    runtime, manifest, tmp_path, capsys
) -> None:
    session = open_on(runtime, manifest, tmp_path, "cuda")
    session.warm()
    assert np.array_equal(session.run(BATCH), BATCH / 2)
    info = session.describe()
    assert (info.actual_provider, info.reason, info.nodes) == ("cuda", None, ())
    assert info.precision == "fp32"  # CUDA computes in the file's precision
    assert runtime.preloaded == 1
    assert capsys.readouterr().out == ""  # what onnxruntime prints stays off stdout
    assert list(tmp_path.glob("engines/*")) == []
    session.close()
    with pytest.raises(SessionError, match="closed"):
        session.run(BATCH)


def test_tensorrt_computes_in_the_planned_precision_and_keeps_its_engine(
    runtime, manifest, tmp_path
) -> None:
    session = open_on(runtime, manifest, tmp_path, "tensorrt")
    assert (session.describe().actual_provider, session.describe().precision) == (
        "tensorrt",
        "fp16",
    )
    (folder,) = (tmp_path / "engines").iterdir()
    options = session._session.options["TensorrtExecutionProvider"]
    assert options["trt_engine_cache_path"] == str(folder)
    assert session._session.entries["session.intra_op.allow_spinning"] == "0"


def test_a_silent_fallback_is_told_with_its_reason(runtime, manifest, tmp_path) -> None:
    runtime.names = ["CPUExecutionProvider"]
    info = open_on(runtime, manifest, tmp_path, "cuda").describe()
    assert (info.requested_provider, info.actual_provider) == ("cuda", "cpu")
    assert "libonnxruntime_providers_cuda.so is not part of" in (info.reason or "")


def test_errors_of_a_run_are_typed(runtime, manifest, tmp_path) -> None:
    session = open_on(runtime, manifest, tmp_path, "cuda")
    runtime.fault = "CUDA failure 2: out of memory ; GPU=0"
    with pytest.raises(OutOfMemory):
        session.run(BATCH)
    runtime.fault = "CUDA failure 700: an illegal memory access was encountered ; GPU=0"
    with pytest.raises(DeviceLost, match="model mean"):
        session.run(BATCH)


def test_errors_of_a_load_are_typed(runtime, manifest, tmp_path) -> None:
    runtime.load_fault = "Requested amount of GPU memory (5 bytes) could not be allocated"
    with pytest.raises(OutOfMemory, match="loading"):
        open_on(runtime, manifest, tmp_path, "tensorrt")
    runtime.load_fault = "TensorRT EP failed to create engine from network"
    with pytest.raises(SessionError, match="cannot load it"):
        open_on(runtime, manifest, tmp_path, "tensorrt")


def test_constant_inputs_are_fed_with_each_picture(runtime, tmp_path) -> None:
    path = write_model(tmp_path / "mean.onnx")
    ratio = ConstantInput("ratio", (1,), 0.25)
    manifest = manifest_of(path, input=ModelInput("image", InputSize(32, 24), constants=(ratio,)))
    session = open_on(runtime, manifest, tmp_path, "cuda")
    session.run(BATCH)
    assert np.array_equal(session._session.bound["ratio"], np.array([0.25], np.float32))


def test_why_not_asks_the_installed_module_by_default() -> None:
    assert onnxruntime.__version__ in why_not("tensorrt")
