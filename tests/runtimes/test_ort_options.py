"""Session options as values, the path over the GPU's memory, and why an accelerator is missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_matting.runtimes import InstalledRuntime as Installed
from edge_matting.runtimes.ort.binding import DeviceBinding
from edge_matting.runtimes.ort.missing import Evidence, why_missing
from edge_matting.runtimes.ort.options import OrtRequest, Versions, setup_for
from edge_matting.runtimes.ort.shared_libraries import (
    driver_problem,
    provider_problem,
    tensorrt_version,
)
from edge_matting.runtimes.session import GpuMemory

ALL = ("cpu", "cuda", "tensorrt")
VERSIONS = Versions("1.31.1", "101300", "NVIDIA L4 8.9")
REQUEST = OrtRequest(
    provider="tensorrt",
    precision="fp16",
    threads=3,
    input_name="image",
    input_shape=(4, 3, 320, 512),
    free_shape=True,
    model_sha256="a" * 64,
    gpu_memory=GpuMemory(24 << 30),
    engine_dir=Path("/state/engines"),
)


def options(request: OrtRequest, provider: str) -> dict[str, str]:
    return dict(setup_for(request, VERSIONS, ALL).providers)[provider]


def test_providers_come_best_first_and_only_those_that_the_build_has() -> None:
    def names(provider: str, available: tuple[str, ...]) -> list[str]:
        setup = setup_for(replace(REQUEST, provider=provider), VERSIONS, available)
        return [name for name, _ in setup.providers]

    everything = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    assert names("tensorrt", ALL) == everything
    assert names("cuda", ALL) == everything[1:]
    assert names("cpu", ALL) == everything[2:]
    assert names("tensorrt", ("cpu",)) == everything[2:]


def test_threads_do_not_spin_and_keep_to_the_plan() -> None:
    setup = setup_for(replace(REQUEST, provider="cpu"), VERSIONS, ALL)
    entries = dict(setup.entries)
    assert setup.threads == 3
    assert entries["session.intra_op.allow_spinning"] == "0"
    assert entries["session.inter_op.allow_spinning"] == "0"
    assert entries["session.record_ep_graph_assignment_info"] == "1"
    assert "session.use_device_allocator_for_initializers" not in entries
    assert setup.engine_dir is None


def test_a_small_or_shared_memory_is_given_out_sparingly() -> None:
    card = options(replace(REQUEST, provider="cuda"), "CUDAExecutionProvider")
    assert card["arena_extend_strategy"] == "kNextPowerOfTwo"
    assert card["cudnn_conv_algo_search"] == "EXHAUSTIVE"
    assert int(card["gpu_mem_limit"]) == int((24 << 30) * 0.8)
    for memory in (GpuMemory(8 << 30), GpuMemory(64 << 30, unified=True)):
        board = replace(REQUEST, provider="cuda", gpu_memory=memory)
        sparing = options(board, "CUDAExecutionProvider")
        assert sparing["arena_extend_strategy"] == "kSameAsRequested"
        assert sparing["cudnn_conv_use_max_workspace"] == "0"
        assert int(sparing["gpu_mem_limit"]) < memory.total_bytes
        engine = options(replace(board, provider="tensorrt"), "TensorrtExecutionProvider")
        assert int(engine["trt_max_workspace_size"]) == 256 << 20
    unknown = options(replace(REQUEST, gpu_memory=None), "CUDAExecutionProvider")
    assert "gpu_mem_limit" not in unknown


def test_planned_fp32_is_not_computed_in_tf32() -> None:
    assert options(replace(REQUEST, precision="fp32"), "CUDAExecutionProvider")["use_tf32"] == "0"
    assert options(REQUEST, "CUDAExecutionProvider")["use_tf32"] == "1"


def test_an_engine_has_full_profiles_where_the_graph_leaves_its_shape_open() -> None:
    engine = options(REQUEST, "TensorrtExecutionProvider")
    assert engine["trt_profile_min_shapes"] == "image:1x3x320x512"
    assert engine["trt_profile_opt_shapes"] == engine["trt_profile_max_shapes"]
    assert engine["trt_profile_max_shapes"] == "image:4x3x320x512"
    assert engine["trt_fp16_enable"] == engine["trt_layer_norm_fp32_fallback"] == "1"
    fixed = options(replace(REQUEST, free_shape=False), "TensorrtExecutionProvider")
    assert not [key for key in fixed if "profile" in key]


def test_every_change_that_spoils_an_engine_gives_it_another_folder() -> None:
    def folder(request: OrtRequest = REQUEST, versions: Versions = VERSIONS) -> Path | None:
        return setup_for(request, versions, ALL).engine_dir

    changed = [
        folder(versions=replace(VERSIONS, onnxruntime="1.32.0")),
        folder(versions=replace(VERSIONS, tensorrt="101400")),
        folder(versions=replace(VERSIONS, gpu="NVIDIA A10 8.6")),
        folder(replace(REQUEST, model_sha256="b" * 64)),
        folder(replace(REQUEST, precision="fp32")),
        folder(replace(REQUEST, input_shape=(4, 3, 256, 256))),
        folder(replace(REQUEST, gpu_memory=GpuMemory(8 << 30))),
    ]
    assert len({folder(), *changed}) == len(changed) + 1
    assert folder() == folder(replace(REQUEST, threads=1))
    engine = options(REQUEST, "TensorrtExecutionProvider")
    assert engine["trt_engine_cache_path"] == engine["trt_timing_cache_path"] == str(folder())
    assert folder(replace(REQUEST, engine_dir=None)) is None
    assert "trt_engine_cache_enable" not in options(
        replace(REQUEST, engine_dir=None), "TensorrtExecutionProvider"
    )


class FakeValue:
    """An ``OrtValue`` on a card that is not there."""

    made = 0

    def __init__(self, array: np.ndarray) -> None:
        self.array = array.copy()

    @classmethod
    def ortvalue_from_numpy(cls, array: np.ndarray, device: str, number: int) -> FakeValue:
        assert (device, number) == ("cuda", 0)
        cls.made += 1
        return cls(array)

    def update_inplace(self, array: np.ndarray) -> None:
        assert array.shape == self.array.shape
        self.array[...] = array


class FakeSession:
    """Doubles what is bound to its input, on the device."""

    def io_binding(self):
        return self

    def bind_ortvalue_input(self, name: str, value: FakeValue) -> None:
        assert name == "image"
        self.value = value

    def bind_output(self, name: str, device: str, number: int) -> None:
        assert (name, device, number) == ("matte", "cuda", 0)

    def run_with_iobinding(self, binding) -> None:
        self.result = binding.value.array * 2

    def copy_outputs_to_cpu(self):
        return [self.result]


def test_the_buffer_on_the_gpu_is_reused_until_the_shape_changes() -> None:
    class Runtime:
        OrtValue = FakeValue

    FakeValue.made = 0
    binding = DeviceBinding(Runtime, FakeSession(), "matte")
    for value in (1.0, 2.0, 3.0):
        batch = np.full((2, 3, 4, 4), value, np.float32)
        assert np.array_equal(binding.run({"image": batch}), batch * 2)
    assert FakeValue.made == 1
    binding.run({"image": np.ones((1, 3, 4, 4), np.float32)})
    assert FakeValue.made == 2


GPU_WHEEL = Evidence("1.31.1", (Installed("onnxruntime-gpu", "1.31.1"),), ALL, None, None)


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        (replace(GPU_WHEEL, runtimes=()), "no onnxruntime is installed"),
        (
            replace(GPU_WHEEL, runtimes=(Installed("onnxruntime", "1"), *GPU_WHEEL.runtimes)),
            "onnxruntime 1 and onnxruntime-gpu 1.31.1 are both installed",
        ),
        (
            replace(GPU_WHEEL, runtimes=(Installed("onnxruntime", "1.31.1"),), available=("cpu",)),
            r"\(onnxruntime\) is built without cuda.*edge-matting\[gpu\].*Jetson",
        ),
        (replace(GPU_WHEEL, library="libcublasLt.so.13 is missing"), "libcublasLt.so.13 is miss"),
        (
            replace(
                GPU_WHEEL, library="libcudnn.so.9 is missing", driver="libcuda.so.1 is missing"
            ),
            "libcudnn.so.9 is missing; libcuda.so.1 is missing",
        ),
        (GPU_WHEEL, "although its libraries and the driver load"),
    ],
)
def test_the_reason_names_what_is_missing(evidence: Evidence, words: str) -> None:
    import re

    assert re.search(words, why_missing("cuda", evidence))


class Loader:
    """A dynamic loader with only some libraries at hand."""

    def __init__(self, missing: dict[str, str] | None = None, status: int = 0) -> None:
        self.missing = missing or {}
        self.status = status

    def __call__(self, name: str):
        for library, words in self.missing.items():
            if name.endswith(library):
                raise OSError(words)
        return self

    def cuInit(self, _flags: int) -> int:
        return self.status

    def getInferLibVersion(self) -> int:
        return 101300


NOT_THERE = "{}: cannot open shared object file: No such file or directory"


def test_the_library_that_does_not_load_is_named(tmp_path: Path) -> None:
    library = "libonnxruntime_providers_cuda.so"
    assert "not part of" in (provider_problem("cuda", tmp_path, Loader()) or "")
    (tmp_path / library).touch()
    assert provider_problem("cuda", tmp_path, Loader()) is None
    assert provider_problem("cpu", tmp_path, Loader()) is None
    needs = Loader({library: NOT_THERE.format("libcublasLt.so.13")})
    assert provider_problem("cuda", tmp_path, needs) == "libcublasLt.so.13 is missing"
    lazy = Loader({"libcudnn.so.9": NOT_THERE.format("libcudnn.so.9")})
    assert provider_problem("cuda", tmp_path, lazy) == "libcudnn.so.9 is missing"
    odd = Loader({library: "undefined symbol: cublasCreate_v2"})
    assert "undefined symbol" in (provider_problem("cuda", tmp_path, odd) or "")


def test_a_driver_that_does_not_start_says_why() -> None:
    assert driver_problem(Loader()) is None
    assert "kernel module differ" in (driver_problem(Loader(status=803)) or "")
    assert "CUDA error 4" in (driver_problem(Loader(status=4)) or "")
    gone = Loader({"libcuda.so.1": NOT_THERE.format("libcuda.so.1")})
    assert "libcuda.so.1 is missing" in (driver_problem(gone) or "")


def test_the_version_of_tensorrt_is_asked_of_its_library() -> None:
    assert tensorrt_version(Loader()) == "101300"
    assert tensorrt_version(Loader({"libnvinfer.so.10": "no"})) is None
