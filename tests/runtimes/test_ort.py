"""onnxruntime behind the protocol, on small graphs made here, and adding models to the catalog."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from graphs import manifest_of, write_model

from edge_matting.core.errors import (
    InferenceFailed,
    SessionError,
)
from edge_matting.core.model_io import ModelOutput
from edge_matting.runtimes import InstalledRuntime, Session, runtime_problem
from edge_matting.runtimes.installed import installed_runtimes
from edge_matting.runtimes.ort.session import (
    OrtSession,
    available_providers,
    why_not,
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "mean.onnx")


def test_a_session_runs_batches_and_says_where(model: Path) -> None:
    session: Session = OrtSession(manifest_of(model), model, threads=1)
    session.warm()
    batch = np.random.default_rng(0).random((3, 3, 24, 32), dtype=np.float32)
    assert np.allclose(session.run(batch), batch.mean(axis=1, keepdims=True), atol=1e-6)
    info = session.describe()
    assert (info.backend, info.actual_provider, info.resolution) == ("ort", "cpu", (32, 24))
    assert info.requested_provider == "cpu"
    assert info.reason is None
    session.close()
    with pytest.raises(SessionError, match="closed"):
        session.run(batch)


def test_a_provider_that_cannot_be_had_is_noticed_with_its_reason(model: Path) -> None:
    if "cuda" in available_providers():
        pytest.skip("this onnxruntime has CUDA built in")
    info = OrtSession(manifest_of(model), model, provider="tensorrt", threads=1).describe()
    assert (info.requested_provider, info.actual_provider) == ("tensorrt", "cpu")
    assert info.reason is not None
    assert "built without tensorrt" in info.reason
    assert "cuda" in why_not("cuda")


def test_the_run_that_does_not_fit_the_graph_fails_as_inference(model: Path) -> None:
    session = OrtSession(manifest_of(model), model, threads=1)
    with pytest.raises(InferenceFailed, match="model mean"):
        session.run(np.zeros((1, 3, 5, 5), np.float32))


def test_a_manifest_that_names_no_tensor_of_the_graph_is_refused(model: Path) -> None:
    with pytest.raises(SessionError, match="no output is called nothing; there is matte"):
        OrtSession(manifest_of(model, output=ModelOutput("nothing")), model)


def test_two_runtimes_or_none_are_a_stated_problem() -> None:
    cpu, gpu = (
        InstalledRuntime("onnxruntime", "1.31.1"),
        InstalledRuntime("onnxruntime-gpu", "1.31.1"),
    )
    assert runtime_problem((cpu,)) is None
    assert runtime_problem((gpu,)) is None
    both = runtime_problem((cpu, gpu))
    assert both is not None
    assert "onnxruntime 1.31.1 and onnxruntime-gpu 1.31.1" in both
    missing = runtime_problem(())
    assert missing is not None
    assert "edge-matting[cpu]" in missing
    assert any(runtime.distribution.startswith("onnxruntime") for runtime in installed_runtimes())
