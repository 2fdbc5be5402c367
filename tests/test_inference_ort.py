"""onnxruntime behind the protocol, on small graphs made here, and adding models to the catalog."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import edge_matting
from edge_matting.core.errors import (
    InferenceFailed,
    ModelError,
    SessionError,
)
from edge_matting.core.tensors import InputSize, ModelInput, ModelOutput
from edge_matting.imaging import decode
from edge_matting.inference import Catalog, Manifest, Runtime, Session, runtime_problem
from edge_matting.inference.add import add_model, default_id
from edge_matting.inference.catalog import file_sha256
from edge_matting.inference.ort import (
    OrtSession,
    available_providers,
    graph_shapes,
    why_not,
)
from edge_matting.inference.propose import propose_manifest
from edge_matting.inference.runtimes import installed_runtimes
from edge_matting.matting import from_output, to_tensor

PHOTO = Path(edge_matting.__file__).parent / "data" / "photos" / "astronaut.jpg"
TYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8}


def write_model(
    path: Path,
    *,
    layout: str = "nchw",
    dtype: str = "float32",
    kind: str = "alpha",
    size: tuple[int | str, int | str] = (24, 32),
    extra_outputs: int = 0,
    scale: float = 1.0,
) -> Path:
    """A graph whose matte is the mean of the photo's channels, in the form ``kind`` says."""
    shape = ["n", 3, *size] if layout == "nchw" else ["n", *size, 3]
    axis = 1 if layout == "nchw" else 3
    channels = {"two_class": 2, "rgba": 4}.get(kind, 1)
    out_shape = [s if i != axis else channels for i, s in enumerate(shape)]
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["mean"], axes=[axis], keepdims=1),
        helper.make_node("Mul", ["mean", "scale"], ["scaled"]),
        helper.make_node("Concat", ["scaled"] * channels, ["matte"], axis=axis),
        *(helper.make_node("Neg", ["matte"], [f"side{i}"]) for i in range(extra_outputs)),
    ]
    names = ["matte", *(f"side{i}" for i in range(extra_outputs))]
    graph = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info("image", TYPES[dtype], shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, out_shape) for name in names],
        [helper.make_tensor("scale", TensorProto.FLOAT, [1], [scale])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def manifest_of(path: Path, **changes: object) -> Manifest:
    values: dict[str, object] = {
        "id": "mean",
        "version": "1",
        "name": "mean",
        "file": path.name,
        "sha256": file_sha256(path),
        "input": ModelInput("image", InputSize(32, 24)),
        "output": ModelOutput("matte"),
        "licence": "CC0",
        "provenance": "made here",
    }
    return Manifest.model_validate({**values, **changes})


def trial(manifest: Manifest, session: Session) -> np.ndarray:
    photo = decode(PHOTO.read_bytes(), "astronaut.jpg", max_pixels=10**6)
    tensor, geometry = to_tensor(photo.rgb, manifest.input)
    return from_output(session.run(tensor), manifest.output, geometry)


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
    assert info.as_requested
    assert info.reason is None
    session.close()
    with pytest.raises(SessionError, match="closed"):
        session.run(batch)


def test_a_provider_that_cannot_be_had_is_noticed_with_its_reason(model: Path) -> None:
    if "cuda" in available_providers():
        pytest.skip("this onnxruntime has CUDA built in")
    info = OrtSession(manifest_of(model), model, provider="tensorrt", threads=1).describe()
    assert (info.requested_provider, info.actual_provider) == ("tensorrt", "cpu")
    assert not info.as_requested
    assert info.reason is not None
    assert "built without tensorrt" in info.reason
    assert "cuda" in why_not("cuda")


def test_the_run_that_does_not_fit_the_graph_fails_as_inference(model: Path) -> None:
    session = OrtSession(manifest_of(model), model, threads=1)
    with pytest.raises(InferenceFailed, match="model mean"):
        session.run(np.zeros((1, 3, 5, 5), np.float32))


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x08"])
def test_a_file_that_is_no_model_is_a_session_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(SessionError, match=r"bad\.onnx"):
        graph_shapes(path)


def test_a_manifest_that_names_no_tensor_of_the_graph_is_refused(model: Path) -> None:
    with pytest.raises(SessionError, match="no output is called nothing; there is matte"):
        OrtSession(manifest_of(model, output=ModelOutput("nothing")), model)


def test_two_runtimes_or_none_are_a_stated_problem() -> None:
    cpu, gpu = Runtime("onnxruntime", "1.31.1"), Runtime("onnxruntime-gpu", "1.31.1")
    assert runtime_problem((cpu,)) is None
    assert runtime_problem((gpu,)) is None
    both = runtime_problem((cpu, gpu))
    assert both is not None
    assert "onnxruntime 1.31.1 and onnxruntime-gpu 1.31.1" in both
    missing = runtime_problem(())
    assert missing is not None
    assert "edge-matting[cpu]" in missing
    assert any(runtime.distribution.startswith("onnxruntime") for runtime in installed_runtimes())


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
@pytest.mark.parametrize("kind", ["alpha", "two_class", "rgba"])
@pytest.mark.parametrize("size", [(24, 32), ("h", "w")])
def test_a_manifest_is_proposed_from_the_graph_and_works(
    tmp_path: Path, layout: str, dtype: str, kind: str, size
) -> None:
    path = write_model(tmp_path / "m.onnx", layout=layout, dtype=dtype, kind=kind, size=size)
    manifest = propose_manifest(path, "m")
    assert (manifest.input.layout, manifest.input.dtype) == (layout, dtype)
    assert manifest.output.kind == kind
    fixed = size == (24, 32)
    assert manifest.input.size.rule == ("fixed" if fixed else "multiple_of")
    if fixed:
        assert (manifest.input.size.width, manifest.input.size.height) == (32, 24)
    session = OrtSession(manifest, path, threads=1)
    session.warm()
    assert trial(manifest, session).max() > 0.4


def test_the_first_of_several_outputs_is_taken(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx", extra_outputs=3)
    assert propose_manifest(path, "m").output.name == "matte"


def test_presets_set_the_normalisation(model: Path) -> None:
    assert propose_manifest(model, "m").input.mean == (0.0, 0.0, 0.0)
    assert propose_manifest(model, "m", "half").input.std == (0.5, 0.5, 0.5)
    assert propose_manifest(model, "m", "imagenet").input.mean == (0.485, 0.456, 0.406)
    with pytest.raises(ModelError, match="imagenet"):
        propose_manifest(model, "m", "other")


def test_a_model_is_added_with_its_statistics_and_runs_from_the_catalog(
    model: Path, tmp_path: Path
) -> None:
    catalog = Catalog(tmp_path / "shipped", tmp_path / "state" / "models")
    added = add_model(catalog, model, trial, model_id="mine")
    assert 0.0 <= added.statistics.minimum < added.statistics.maximum <= 1.0
    assert added.statistics.deviation > 0.05
    path = catalog.verify("mine")
    assert path.read_bytes() == model.read_bytes()
    session = OrtSession(catalog.get("mine"), path, threads=1)
    assert trial(catalog.get("mine"), session).shape == (24, 32)
    with pytest.raises(ModelError, match="already"):
        add_model(catalog, model, trial, model_id="mine")


@pytest.mark.parametrize(("scale", "words"), [(0.0, "flat"), (float("nan"), "not numbers")])
def test_a_model_that_gives_no_matte_is_not_added(tmp_path: Path, scale, words: str) -> None:
    path = write_model(tmp_path / "bad.onnx", scale=scale)
    catalog = Catalog(tmp_path / "shipped", tmp_path / "added")
    with pytest.raises(ModelError, match=words):
        add_model(catalog, path, trial)
    assert catalog.list() == ()


def test_links_and_impossible_names_are_not_added(model: Path, tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "shipped", tmp_path / "added")
    link = tmp_path / "link.onnx"
    link.symlink_to(model)
    with pytest.raises(ModelError, match="plain file"):
        add_model(catalog, link, trial)
    with pytest.raises(ModelError, match="no model id"):
        add_model(catalog, model, trial, model_id="../x")


def test_a_graph_that_takes_no_picture_is_refused(tmp_path: Path) -> None:
    values = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 7])]
    graph = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["y"])],
        "g",
        values,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 7])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(tmp_path / "vector.onnx"))
    with pytest.raises(ModelError, match="3 channels"):
        propose_manifest(tmp_path / "vector.onnx", "m")


def test_ids_are_made_from_file_names() -> None:
    assert default_id(Path("/x/U2Net Small (v2).onnx")) == "u2net-small--v2"
    assert default_id(Path("ü.onnx")) == "model"
