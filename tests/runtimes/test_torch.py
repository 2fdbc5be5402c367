"""The torch backend: the same network gives the same matte, and no archive runs code."""

from __future__ import annotations

import io
import json
import logging
import pickle
import re
import sys
import warnings
import zipfile
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import manifest_of, save
from onnx import TensorProto, helper, numpy_helper

import edge_matting
from edge_matting.cli.main import main
from edge_matting.cli.sample import sample_photo
from edge_matting.cli.trial import BuiltInPhotos
from edge_matting.core.errors import InferenceFailed, ModelError, SessionError, StartError
from edge_matting.core.model_io import InputSize, ModelInput, ModelOutput
from edge_matting.core.plan import Plan
from edge_matting.engine.models.session_factory import part_for
from edge_matting.matting import from_output, to_tensor
from edge_matting.models import Catalog, Manifest, ModelFile
from edge_matting.models.graph.pt2_reader import archive_format, read_pt2
from edge_matting.onboarding.add import add_model
from edge_matting.runtimes.registry import available_providers, open_session, read_graph
from edge_matting.runtimes.torch.cuda_graph import KEPT, GraphedModule
from edge_matting.runtimes.torch.session import TorchSession

torch = pytest.importorskip(
    "torch", reason="torch is not installed: pip install edge-matting[torch]"
)

PHOTOS = Path(edge_matting.__file__).parent / "data" / "photos"
SPEC = ModelInput("image", InputSize(64, 48, "multiple_of", multiple=8))


class Net(torch.nn.Module):
    """Two convolutions and a sigmoid, with a side output."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.second = torch.nn.Conv2d(8, 1, 3, padding=1)

    def forward(self, photo: Any) -> tuple[Any, Any]:
        inner = torch.relu(self.first(photo))
        return torch.sigmoid(8.0 * self.second(inner)), inner


@contextmanager
def quiet():
    """torch's exporters warn of their own future."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="module")
def net() -> Any:
    return Net().eval()


@pytest.fixture(scope="module")
def exported(net: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("torch") / "net.pt2"
    sides = {
        2: 8 * torch.export.Dim("h", min=1, max=256),
        3: 8 * torch.export.Dim("w", min=1, max=256),
    }
    with quiet():
        shapes = ({0: torch.export.Dim("n", min=1, max=64), **sides},)
        torch.export.save(
            torch.export.export(net, (torch.rand(2, 3, 48, 64),), dynamic_shapes=shapes), path
        )
    return path


@pytest.fixture(scope="module")
def script(net: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("torch") / "net.pt"
    with quiet():
        torch.jit.trace(net, torch.rand(1, 3, 48, 64)).save(str(path))
    return path


def torch_manifest(path: Path, output: str = "output_0") -> Manifest:
    return manifest_of(path, backend="torch", input=SPEC, output=ModelOutput(output))


def same_as_onnx(net: Any, path: Path) -> Path:
    """The network's weights in an ONNX graph."""
    weights = [
        numpy_helper.from_array(value.numpy(), name) for name, value in net.state_dict().items()
    ]
    weights.append(numpy_helper.from_array(np.float32([8.0]), "eight"))
    nodes = [
        helper.make_node("Conv", ["image", "first.weight", "first.bias"], ["a"], pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "second.weight", "second.bias"], ["c"], pads=[1] * 4),
        helper.make_node("Mul", ["c", "eight"], ["d"]),
        helper.make_node("Sigmoid", ["d"], ["matte"]),
    ]
    photo = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])
    matte = helper.make_tensor_value_info("matte", TensorProto.FLOAT, ["n", 1, "h", "w"])
    return save(helper.make_graph(nodes, "net", [photo], [matte], weights), path)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("kind", ["exported", "script"])
def test_torch_gives_the_same_matte_as_onnxruntime(
    net: Any, request: pytest.FixtureRequest, tmp_path: Path, kind: str, precision: str
) -> None:
    path: Path = request.getfixturevalue(kind)
    onnx_path = same_as_onnx(net, tmp_path / "net.onnx")
    other = manifest_of(onnx_path, input=SPEC)
    reference = open_session(other, onnx_path, other.files[0], threads=1)
    manifest = torch_manifest(path)
    session = open_session(manifest, path, manifest.files[0], precision=precision, threads=1)
    session.warm()
    tensor, place = to_tensor(sample_photo(), SPEC, (128, 96))
    found = from_output(session.run(tensor), manifest.output, place)
    expected = from_output(reference.run(tensor), other.output, place)
    assert expected.std() > 0.01
    assert np.abs(found - expected).mean() < (1e-5 if precision == "fp32" else 2 / 255)
    info = session.describe()
    assert (info.backend, info.actual_provider, info.precision) == ("torch", "cpu", precision)
    assert session.run(np.concatenate([tensor, tensor])).shape == (2, 1, 96, 128)


def test_an_output_is_named_by_its_place(exported: Path) -> None:
    session = TorchSession(torch_manifest(exported, "output_1"), exported, threads=1)
    assert session.run(np.zeros((1, 3, 48, 64), np.float32)).shape == (1, 8, 48, 64)
    session.close()
    with pytest.raises(SessionError, match="closed"):
        session.run(np.zeros((1, 3, 48, 64), np.float32))


def test_a_batch_that_does_not_fit_fails_as_inference(exported: Path) -> None:
    session = TorchSession(torch_manifest(exported), exported)
    with pytest.raises(InferenceFailed, match="model mean"):
        session.run(np.zeros((1, 4, 48, 64), np.float32))
    with pytest.raises(SessionError, match="int8"):
        TorchSession(torch_manifest(exported), exported, precision="int8")


def test_a_gpu_that_is_not_there_is_told_with_its_reason(exported: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    for provider, words in (("cuda", "torch .*CUDA"), ("tensorrt", "no TensorRT")):
        info = TorchSession(torch_manifest(exported), exported, provider=provider).describe()
        assert (info.requested_provider, info.actual_provider) == (provider, "cpu")
        assert re.search(words, info.reason or "")


def test_the_providers_are_those_of_the_backend_that_runs() -> None:
    assert "cpu" in available_providers("torch")
    assert "cpu" in available_providers("ort")
    assert ("cuda" in available_providers("torch")) == torch.cuda.is_available()


def test_an_exported_program_is_added_like_any_model(exported: Path, tmp_path: Path) -> None:
    facts = read_graph(exported)
    assert [(each.name, each.shape) for each in facts.inputs] == [("photo", (None, 3, None, None))]
    assert [(each.name, each.shape) for each in facts.outputs] == [
        ("output_0", (None, 1, None, None)),
        ("output_1", (None, 8, None, None)),
    ]
    assert (facts.count("Conv"), facts.first_stride, facts.makers["output_0"]) == (2, 1, "Sigmoid")
    catalog = Catalog(tmp_path / "shipped", tmp_path / "added")
    added = add_model(catalog, exported, BuiltInPhotos([sample_photo()]))
    manifest = catalog.get("net")
    assert (manifest.backend, manifest.file, manifest.output.kind) == (
        "torch",
        "model.pt2",
        "alpha",
    )
    assert added.statistics.deviation > 0.02
    plan = Plan("ort", "cpu", "fp32", (512, 512), 1, 1, 1, 1, 1, ())
    assert part_for(manifest, plan).backend == "torch"


def test_torchscript_is_loaded_with_a_notice(
    script: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    catalog = Catalog(tmp_path / "shipped", tmp_path / "added")
    with caplog.at_level(logging.WARNING):
        added = add_model(catalog, script, BuiltInPhotos([sample_photo()]))
    assert "TorchScript is no longer developed" in caplog.text
    assert added.manifest.backend == "torch"
    assert added.manifest.input.size.rule == "multiple_of"


def test_a_part_is_chosen_by_the_plans_backend_then_by_its_precision(exported: Path) -> None:
    variants = [
        ModelFile(precision=precision, backend=backend, file=name, sha256="0" * 64)
        for precision, backend, name in (
            ("fp16", "ort", "half.onnx"),
            ("fp32", "torch", "net2.pt2"),
        )
    ]
    manifest = manifest_of(exported, variants=tuple(variants))

    def chosen(backend: str, precision: str) -> str:
        return part_for(manifest, Plan(backend, "cuda", precision, (1, 1), 1, 1, 1, 1, 1, ())).file

    assert chosen("ort", "fp16") == "half.onnx"
    assert chosen("ort", "int8") == "net.pt2"
    assert chosen("torch", "fp16") == "net2.pt2"


def test_a_pickle_is_no_model(tmp_path: Path, net: Any) -> None:
    torch.save(net.state_dict(), tmp_path / "weights.pt")
    with pytest.raises(ModelError, match="a pickle of weights"):
        read_graph(tmp_path / "weights.pt")
    with zipfile.ZipFile(tmp_path / "other.pt2", "w") as archive:
        archive.writestr("readme.txt", "nothing")
    with pytest.raises(ModelError, match="but no model"):
        archive_format(tmp_path / "other.pt2")


Change = Callable[[dict[str, bytes]], None]


def altered(source: Path, target: Path, change: Change) -> Path:
    """The archive with some of its parts changed; names are those below its top folder."""
    with zipfile.ZipFile(source) as archive:
        top = archive.namelist()[0].split("/")[0]
        parts = {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}
    change(parts)
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in parts.items():
            archive.writestr(f"{top}/{name}", content)
    return target


def edited(name: str, edit: Callable[[Any], None]) -> Change:
    def change(parts: dict[str, bytes]) -> None:
        value = json.loads(parts[name])
        edit(value)
        parts[name] = json.dumps(value).encode()

    return change


def first_weight(value: Any) -> Any:
    return next(iter(value["config"].values()))


def set_operator(value: Any) -> None:
    value["graph_module"]["graph"]["nodes"][0]["target"] = "torch.hub.load"


def set_expression(value: Any) -> None:
    sizes = value["graph_module"]["graph"]["tensor_values"]["photo"]["sizes"]
    sizes[2]["as_expr"]["expr_str"] = "__import__('os').system('true')"


MODEL, WEIGHTS = "models/model.json", "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
HOSTILE: dict[str, tuple[Change, str]] = {
    "pickled weight": (
        edited(WEIGHTS, lambda v: first_weight(v).update(use_pickle=True)),
        "pickled tensors",
    ),
    "legacy weights": (lambda parts: parts.pop(WEIGHTS), "pickled tensors"),
    "object": (
        edited(
            CONSTANTS,
            lambda v: v["config"].update(x={"path_name": "custom_obj_0", "use_pickle": False}),
        ),
        "no tensors",
    ),
    "operator": (edited(MODEL, set_operator), "torch.hub.load is not one"),
    "expression": (edited(MODEL, set_expression), "no plain arithmetic"),
    "range": (
        edited(MODEL, lambda v: v["range_constraints"].update({"open('/x')": {}})),
        "no plain arithmetic",
    ),
    "guard": (edited(MODEL, lambda v: v.update(guards_code=["print(1)"])), "of its sizes is no"),
    "compiled": (
        lambda parts: parts.update({"data/aotinductor/model/x.so": b"\x7fELF"}),
        "compiled code",
    ),
    "no json": (lambda parts: parts.update({MODEL: b"{"}), "no exported program"),
    "other json": (lambda parts: parts.update({MODEL: b"[]"}), "no exported program"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_an_archive_that_could_run_code_is_refused_before_torch_sees_it(
    exported: Path, tmp_path: Path, kind: str
) -> None:
    change, words = HOSTILE[kind]
    path = altered(exported, tmp_path / "net.pt2", change)
    with pytest.raises(ModelError, match=words):
        read_pt2(path)


def test_arithmetic_on_the_sizes_of_inputs_is_let_through(exported: Path, tmp_path: Path) -> None:
    """As torch writes it for networks that halve their sides often."""
    height, width = "L['photo'].size()[2]", "L['photo'].size()[3]"
    guards = [f"(2*({width} // 16)) == ({width} // 8)", f"max(1, {height} % 8) != 0"]
    path = altered(
        exported, tmp_path / "net.pt2", edited(MODEL, lambda v: v.update(guards_code=guards))
    )
    assert read_pt2(path).facts.count("Conv") == 2


def test_two_parts_of_one_name_are_refused(exported: Path, tmp_path: Path) -> None:
    path = altered(exported, tmp_path / "net.pt2", lambda parts: None)
    with zipfile.ZipFile(path, "a") as archive, quiet():
        archive.writestr(archive.namelist()[0], b"again")
    with pytest.raises(ModelError, match="one name"):
        read_pt2(path)


class Payload:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


def test_a_pickle_among_the_sample_inputs_is_not_run(exported: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    bait = io.BytesIO()
    torch.save(Payload(trace), bait, pickle_protocol=pickle.DEFAULT_PROTOCOL)

    def change(parts: dict[str, bytes]) -> None:
        parts["data/sample_inputs/model.pt"] = bait.getvalue()

    path = altered(exported, tmp_path / "net.pt2", change)
    with pytest.raises(SessionError, match="cannot load it"):
        TorchSession(torch_manifest(path), path)
    assert not trace.exists()


class FakeTensor:
    """As much of a CUDA tensor as the recording needs."""

    def __init__(self, value: float, shape: tuple[int, ...] = (1, 3, 8, 8)) -> None:
        self.value, self.shape = value, shape

    def clone(self) -> FakeTensor:
        return FakeTensor(self.value, self.shape)

    def copy_(self, other: FakeTensor) -> None:
        self.value = other.value


class FakeCuda:
    """Records what `torch.cuda.graph` sees and replays it, as a GPU would."""

    def __init__(self) -> None:
        self.recording: FakeCuda | None = None
        self.said: list[str] = []
        self.replay: Callable[[], None] = lambda: None
        self.cuda = self

    def Stream(self) -> FakeCuda:
        return self

    def current_stream(self) -> FakeCuda:
        return self

    def wait_stream(self, _other: FakeCuda) -> None:
        self.said.append("wait")

    @contextmanager
    def stream(self, _side: FakeCuda):
        self.said.append("side stream")
        yield

    def CUDAGraph(self) -> FakeCuda:
        return FakeCuda()

    @contextmanager
    def graph(self, graph: FakeCuda):
        self.said.append("record")
        self.recording = graph
        yield
        self.recording = None


def test_a_recording_is_made_once_for_each_shape_and_replayed() -> None:
    fake = FakeCuda()

    def module(photo: FakeTensor) -> dict[str, Any]:
        out = FakeTensor(2 * photo.value)
        if fake.recording is not None:
            fake.recording.replay = lambda: setattr(out, "value", 2 * photo.value)
        return {"matte": out, "sides": [out]}

    run = GraphedModule(fake, module)
    first = run(FakeTensor(1.0))
    assert first["matte"].value == 2.0
    assert fake.said == ["wait", "side stream", "wait", "record"]
    second = run(FakeTensor(5.0))
    assert (first["matte"].value, second["matte"].value) == (2.0, 10.0)
    assert second["sides"][0].value == 10.0
    assert fake.said.count("record") == 1
    for batch in range(2, KEPT + 3):
        run(FakeTensor(1.0, (batch, 3, 8, 8)))
    run(FakeTensor(3.0))
    assert fake.said.count("record") == 1 + KEPT + 1 + 1


def test_a_torch_model_does_photos_from_the_command_line(exported: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("state_dir: state\nhot_folders: [{path: hot}]\ndevice: {precision: bf16}\n")
    arguments = ["models", "add", str(exported), "--id", "mine", "--preset", "unit"]
    assert main([*arguments, "-c", str(config)]) == 0
    out = tmp_path / "out"
    photo = [str(path) for path in PHOTOS.glob("portrait-002.jpg")]
    command = ["process", *photo, "-o", str(out), "--model", "mine", "-c", str(config)]
    assert main(command) == 0
    (sidecar,) = out.rglob("*.json")
    told = json.loads(sidecar.read_text())["execution"]
    assert (told["backend"], told["provider"], told["precision"]) == ("torch", "cpu", "bf16")


class Dressed(torch.nn.Module):
    """Channels last, and the matte in a dictionary."""

    def forward(self, photo: Any) -> dict[str, Any]:
        return {"matte": photo.mean(dim=3, keepdim=True), "photo": photo}


def test_channels_last_and_dictionaries_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "dressed.pt2"
    with quiet():
        torch.export.save(torch.export.export(Dressed().eval(), (torch.rand(1, 32, 48, 3),)), path)
    catalog = Catalog(tmp_path / "shipped", tmp_path / "added")
    manifest = add_model(catalog, path, BuiltInPhotos([sample_photo()])).manifest
    assert (manifest.input.layout, manifest.input.batch) == ("nhwc", 1)
    session = TorchSession(manifest, catalog.verify("dressed"), threads=1)
    session.warm()
    batch = np.random.default_rng(0).random((1, 32, 48, 3), dtype=np.float32)
    assert np.allclose(session.run(batch), batch.mean(axis=3, keepdims=True), atol=1e-6)


class Pair(torch.nn.Module):
    def forward(self, photo: Any, other: Any) -> Any:
        return photo + other


def test_a_script_that_wants_more_than_a_photo_is_refused(tmp_path: Path) -> None:
    with quiet():
        torch.jit.trace(Pair(), (torch.rand(1), torch.rand(1))).save(str(tmp_path / "pair.pt"))
    with pytest.raises(ModelError, match="expected one input, found 2"):
        read_graph(tmp_path / "pair.pt")


def test_a_machine_without_torch_is_told_which_extra_to_install(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(StartError, match=r"edge-matting\[torch\]"):
        TorchSession(torch_manifest(exported), exported)


def test_a_damaged_script_is_a_session_error(script: Path, tmp_path: Path) -> None:
    def damage(parts: dict[str, bytes]) -> None:
        parts["constants.pkl"] = b"nothing"

    path = altered(script, tmp_path / "net.pt", damage)
    with pytest.raises(SessionError, match="torch cannot load it"):
        read_graph(path)
