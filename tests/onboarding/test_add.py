"""Adding models: what the graph tells, what the photos tell, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import onnx
import pytest
from graphs import save, write_model, write_recurrent_model
from onnx import TensorProto, helper

from edge_matting.cli.main import main
from edge_matting.cli.onboarding_report import explain, rivals
from edge_matting.cli.sample import sample_photo, trial_photos
from edge_matting.cli.trial import BuiltInPhotos, reference_mattes
from edge_matting.core.errors import ModelError, SessionError
from edge_matting.core.model_io import ModelOutput
from edge_matting.matting import from_output, resample, to_tensor
from edge_matting.models import Catalog, Manifest, shipped_models_dir
from edge_matting.models.graph.facts import GraphFacts, TensorFacts
from edge_matting.onboarding.add import Added, add_model, default_id
from edge_matting.onboarding.families import recognise
from edge_matting.onboarding.judge import TrialScore, choose, judge, output_form, turned
from edge_matting.onboarding.propose import OnboardingOptions
from edge_matting.runtimes.registry import open_session, read_graph

Add = Callable[..., Added]


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path / "shipped", tmp_path / "added")


@pytest.fixture
def add(catalog: Catalog) -> Add:
    """Adds a file after a trial on the sample photo, without another model to compare with."""
    photo = np.ascontiguousarray(sample_photo()[::4, ::4])

    def added(path: Path, **answers: object) -> Added:
        return add_model(
            catalog, path, BuiltInPhotos([photo]), answers=OnboardingOptions(**answers)
        )

    return added


def matte_of(catalog: Catalog, manifest: Manifest) -> np.ndarray:
    """The matte that the added model makes of the sample photo."""
    part = manifest.files[0]
    session = open_session(manifest, catalog.verify(manifest.id), part, threads=1)
    session.warm()
    tensor, geometry = to_tensor(sample_photo(), manifest.input)
    return from_output(session.run(tensor), manifest.output, geometry)


def grey(manifest: Manifest) -> np.ndarray:
    """What the test graphs' matte must be: the mean of the channels at the model's size."""
    size = (manifest.input.size.width, manifest.input.size.height)
    return resample(sample_photo(), size).astype(np.float32).mean(axis=2) / 255.0


@pytest.mark.parametrize(
    ("layout", "dtype", "kind", "size"),
    list(
        product(
            ("nchw", "nhwc"),
            ("float32", "float16", "uint8"),
            ("alpha", "two_class", "rgba"),
            ((24, 32), ("h", "w")),
        )
    ),
)
def test_every_form_of_input_and_output_is_found_in_the_graph(  # noqa: PLR0917  parameters
    add: Add, catalog: Catalog, tmp_path: Path, layout: str, dtype: str, kind: str, size
) -> None:
    scale = 1.0 / 255.0 if dtype == "uint8" else 1.0
    path = tmp_path / "m.onnx"
    write_model(path, layout=layout, dtype=dtype, kind=kind, size=size, scale=scale)
    manifest = add(path, preset="unit").manifest
    assert (manifest.input.layout, manifest.input.dtype) == (layout, dtype)
    assert manifest.output.kind == kind
    if size == (24, 32):
        assert manifest.input.size.rule == "fixed"
        assert (manifest.input.size.width, manifest.input.size.height) == (32, 24)
    else:
        assert manifest.input.size.rule == "multiple_of"
    assert np.allclose(matte_of(catalog, manifest), grey(manifest), atol=0.005)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("alpha", ModelOutput("matte")),
        ("logits", ModelOutput("matte", "logits")),
        ("bytes", ModelOutput("matte", range=(0.0, 255.0))),
        ("signed", ModelOutput("matte", range=(-1.0, 1.0))),
    ],
)
def test_logits_bytes_and_signed_mattes_are_known_by_their_values(
    add: Add, catalog: Catalog, tmp_path: Path, form: str, expected: ModelOutput
) -> None:
    manifest = add(write_model(tmp_path / "m.onnx", form=form), preset="unit").manifest
    assert manifest.output == expected
    alpha, photo = matte_of(catalog, manifest), grey(manifest)
    made = {
        "logits": 1.0 / (1.0 + np.exp(4.0 - 12.0 * photo)),
        "signed": (np.tanh(3.0 * photo - 1.0) + 1.0) / 2.0,
    }
    assert np.allclose(alpha, made.get(form, photo), atol=0.005)


def test_two_mattes_in_one_output_are_not_taken_for_two_classes() -> None:
    picture = np.random.default_rng(0).random((1, 2, 8, 8), dtype=np.float32)
    assert output_form(ModelOutput("y", "two_class"), [picture], "Concat") == ModelOutput(
        "y", "alpha", channel=1
    )
    shares = np.concatenate([picture[:, :1], 1.0 - picture[:, :1]], axis=1)
    assert output_form(ModelOutput("y"), [shares], "Softmax").kind == "two_class"
    with pytest.raises(ModelError, match="no matte"):
        output_form(ModelOutput("y"), [np.zeros((1, 21, 8, 8))], "Conv")


def test_old_exports_and_free_batches_are_read(add: Add, tmp_path: Path) -> None:
    free = add(write_model(tmp_path / "free.onnx", weights_as_inputs=True), preset="unit")
    assert free.manifest.input.batch is None
    fixed = add(write_model(tmp_path / "fixed.onnx", batch=1), preset="unit")
    assert fixed.manifest.input.batch == 1


def test_the_first_of_several_outputs_is_taken_unless_another_is_named(
    add: Add, tmp_path: Path
) -> None:
    path = write_model(tmp_path / "m.onnx", extra_outputs=3)
    assert add(path, preset="unit").manifest.output.name == "matte"
    path = path.rename(tmp_path / "other.onnx")
    assert add(path, preset="unit", output="side1").manifest.output.name == "side1"
    path = path.rename(tmp_path / "third.onnx")
    with pytest.raises(ModelError, match="there is matte, side0, side1, side2"):
        add(path, output="nothing")


def test_robust_video_matting_runs_on_one_picture(
    add: Add, catalog: Catalog, tmp_path: Path
) -> None:
    added = add(write_recurrent_model(tmp_path / "rvm.onnx"), size=(64, 32))
    assert added.family.name == "rvm"
    assert added.manifest.output.name == "pha"
    assert [c.value for c in added.manifest.input.constants] == [0.0] * 4 + [1.0]
    alpha = matte_of(catalog, added.manifest)
    assert np.allclose(alpha, grey(added.manifest), atol=0.005)


def test_a_letterboxed_model_sees_the_whole_photo_undistorted(
    add: Add, catalog: Catalog, tmp_path: Path
) -> None:
    manifest = add(write_model(tmp_path / "m.onnx", size=(32, 64)), preset="unit").manifest
    boxed = replace(manifest.input, size=replace(manifest.input.size, fit="letterbox"))
    manifest = manifest.model_copy(update={"input": boxed})
    alpha = matte_of(catalog, manifest)
    assert alpha.shape == (32, 32)
    photo = resample(sample_photo(), (32, 32)).astype(np.float32).mean(axis=2) / 255.0
    assert np.allclose(alpha, photo, atol=0.005)


def test_a_size_that_the_graph_does_not_take_is_followed_by_others(
    add: Add, tmp_path: Path
) -> None:
    """Its sides are free on paper, yet a weight of 320 x 320 is added."""
    values = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1, "h", "w"])]
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[1], keepdims=1),
        helper.make_node("Add", ["m", "grid"], ["y"]),
    ]
    grid = helper.make_tensor("grid", TensorProto.FLOAT, [320, 320], np.zeros(320 * 320))
    path = save(helper.make_graph(nodes, "g", values, outputs, [grid]), tmp_path / "m.onnx")
    assert add(path).manifest.input.size.width == 320
    with pytest.raises(ModelError, match="it does not run: at 64 x 64"):
        add(path.rename(tmp_path / "again.onnx"), size=(64, 64))


@pytest.mark.parametrize(("scale", "words"), [(0.0, "flat"), (float("nan"), "not numbers")])
def test_a_model_that_gives_no_matte_is_not_added(
    add: Add, catalog: Catalog, tmp_path: Path, scale: float, words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        add(write_model(tmp_path / "bad.onnx", scale=scale))
    assert catalog.list() == ()


def test_a_model_is_stored_whole_and_once(add: Add, catalog: Catalog, tmp_path: Path) -> None:
    path = write_model(tmp_path / "mine.onnx")
    added = add(path)
    assert added.normalisation == "unit"
    assert added.scores == {}
    assert added.statistics.deviation > 0.05
    assert catalog.verify("mine").read_bytes() == path.read_bytes()
    with pytest.raises(ModelError, match="already"):
        add(path)


def test_only_plain_files_with_possible_names_are_added(
    add: Add, catalog: Catalog, tmp_path: Path
) -> None:
    path = write_model(tmp_path / "m.onnx")
    link = tmp_path / "link.onnx"
    link.symlink_to(path)
    with pytest.raises(ModelError, match="plain file"):
        add(link)
    with pytest.raises(ModelError, match="no model id"):
        add_model(catalog, path, BuiltInPhotos([sample_photo()]), model_id="../x")
    with pytest.raises(ModelError, match="unknown preset other"):
        add(path, preset="other")
    with pytest.raises(ModelError, match="32 x 24 only"):
        add(path, size=(64, 64))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no ONNX file"),
        (b"not a model", "no ONNX file"),
        (b"\x08\x08", "holds no graph"),
        (b"\x3a\xff\xff\xff\xff\x0f", "ends inside a field"),
        (b"\x80\x02}q\x00.", "a pickle"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "HDF5"),
        (b"\x1c\x00\x00\x00TFL3" + bytes(64), "TensorFlow Lite"),
        (b"\x40" + bytes(7) + b'{"a":1}', "safetensors"),
        (b"PK\x03\x04 broken", "cannot be read"),
    ],
)
def test_what_is_no_model_is_named_as_what_it_is(tmp_path: Path, content, words: str) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=words):
        read_graph(path)


def graph_with(inputs, outputs, operator: str = "Identity", domain: str = "") -> onnx.ModelProto:
    node = helper.make_node(operator, [inputs[0].name], [outputs[0].name], domain=domain)
    graph = helper.make_graph([node], "g", inputs, outputs)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(domain or "ai.onnx.ml", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def tensor(name: str, *shape: int | str, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, list(shape))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (graph_with([tensor("x", 1, 7)], [tensor("y", 1, 7)]), "3 channels, found x"),
        (graph_with([tensor("x", 1, 4, 8, 8)], [tensor("y", 1, 4, 8, 8)]), "3 channels"),
        (graph_with([tensor("x", 1, 3, 8, 8)], [tensor("y", 1, 1000)]), "does not run|flat|matte"),
        (graph_with([tensor("x", 1, 3, 8, 8)], [tensor("y", 1, 21, 8, 8)]), "can be a matte"),
        (
            graph_with([tensor("x", 1, 3, 8, 8), tensor("z", 1)], [tensor("y", 1, 1, 8, 8)]),
            "more than a photo",
        ),
        (
            graph_with(
                [tensor("x", 1, 3, 8, 8, kind=TensorProto.INT64)],
                [tensor("y", 1, 1, 8, 8, kind=TensorProto.INT64)],
            ),
            "int64, which is not fed",
        ),
        (
            graph_with([tensor("x", 1, 3, 8, 8)], [tensor("y", 1, 1, 8, 8)], "Magic", "acme"),
            "private library: acme",
        ),
    ],
)
def test_a_graph_that_cannot_be_fed_is_refused_in_words(
    add: Add, tmp_path: Path, model: onnx.ModelProto, words: str
) -> None:
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises((ModelError, SessionError), match=words):
        add(tmp_path / "m.onnx")


def test_weights_in_other_files_are_refused(add: Add, tmp_path: Path) -> None:
    weight = onnx.numpy_helper.from_array(np.ones((1, 3, 1, 1), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"])],
        "g",
        [tensor("x", 1, 3, 8, 8)],
        [tensor("y", 1, 3, 8, 8)],
        [weight],
    )
    path = save(
        graph, tmp_path / "m.onnx", save_as_external_data=True, size_threshold=0, location="w.bin"
    )
    with pytest.raises(ModelError, match="other files"):
        add(path)


def test_the_choice_goes_to_agreement_and_stays_with_the_usual_when_it_is_close() -> None:
    disc = np.zeros((64, 64), np.float32)
    disc[16:48, 16:48] = 1.0
    worse = np.full_like(disc, 0.5)
    good, bad = judge([disc], [disc], [disc]), judge([worse], [worse], [disc])
    assert (good.total, bad.total) == (0.0, 0.5)
    assert judge([1.0 - disc], [1.0 - disc], [disc]) == TrialScore(0.0, 0.0, inverted=True)
    assert choose({"unit": bad, "half": good}, "unit", 0.2) == "half"
    close = TrialScore(0.45, 0.0)
    assert choose({"unit": bad, "half": close}, "unit", 0.2) == "unit"
    assert choose({"half": close}, "unit", 0.2) == "half"


def test_ids_are_made_from_file_names() -> None:
    assert default_id(Path("/x/U2Net Small (v2).onnx")) == "u2net-small--v2"
    assert default_id(Path("ü.onnx")) == "model"


def test_the_shipped_model_is_not_told_from_a_stranger_by_its_name() -> None:
    shipped = Catalog(shipped_models_dir(), Path("/nonexistent"))
    facts = read_graph(shipped.path("default"))
    assert [(each.name, each.shape) for each in facts.inputs] == [("image", (None, 3, None, None))]
    assert (facts.backend, facts.precision) == ("ort", "fp32")
    assert recognise(facts).name == "none"


@pytest.mark.parametrize("size", ["512", "x", "0x512"])
def test_a_size_is_two_numbers_of_pixels(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["models", "add", "m.onnx", "--size", size])
    assert caught.value.code == 2
    assert "width and height in pixels" in capsys.readouterr().err


def test_the_judge_is_the_shipped_model_and_absent_where_none_is_shipped(
    catalog: Catalog, tmp_path: Path
) -> None:
    trial = BuiltInPhotos(trial_photos()[:2])
    assert reference_mattes(catalog, trial) is None
    mattes = reference_mattes(Catalog(shipped_models_dir(), tmp_path), trial)
    assert mattes is not None
    assert [matte.shape for matte in mattes] == [(320, 320)] * 2


def test_side_and_normalisation_of_an_unknown_network_are_found_by_trying(tmp_path: Path) -> None:
    """The shipped network under another name; at 512 it would do worse than at its own 320."""
    catalog = Catalog(shipped_models_dir(), tmp_path / "added")
    trial = BuiltInPhotos(trial_photos()[:5])
    added = add_model(
        catalog,
        catalog.path("default"),
        trial,
        model_id="again",
        reference=reference_mattes(catalog, trial),
    )
    assert added.normalisation == "half"
    assert added.manifest.input.size.width == 320
    assert added.scores["half"].disagreement == pytest.approx(0.0, abs=1e-6)
    assert rivals(added) == ()
    lines = "\n".join(explain(added))
    assert "recognised as: no known family" in lines
    assert "normalisation: half; tried, less is better: half 0.0" in lines


def test_near_rivals_are_named_with_the_option_that_chooses_one(add: Add, tmp_path: Path) -> None:
    scores = {
        "unit": TrialScore(0.10, 0.0),
        "half": TrialScore(0.12, 0.0),
        "raw": TrialScore(0.5, 0.0),
    }
    added = replace(add(write_model(tmp_path / "m.onnx")), scores=scores)
    assert rivals(added) == ("half",)
    assert "--preset half" in "\n".join(explain(added))


def test_turned_over_means_the_other_class_or_the_other_end() -> None:
    assert turned(ModelOutput("y", "two_class")).channel == 0
    assert turned(ModelOutput("y", "two_class", channel=0)).channel == 1
    assert turned(ModelOutput("y", "logits")).range == (1.0, 0.0)


def test_a_recognised_large_network_is_not_tried_in_other_ways(
    catalog: Catalog, tmp_path: Path
) -> None:
    path = write_recurrent_model(tmp_path / "rvm.onnx")
    with path.open("ab") as file:
        # A field that nobody knows, 65 MB long: what a reader has to skip.
        size = 65_000_000
        file.write(b"\xfa\x3f" + bytes([size & 127 | 128, size >> 7 & 127 | 128]))
        file.write(bytes([size >> 14 & 127 | 128, size >> 21 & 127]))
        file.write(bytes(size))
    photos = trial_photos()[:1]
    reference = [np.full((8, 8), 0.5, np.float32)]
    answers = OnboardingOptions(size=(64, 64))
    trial = BuiltInPhotos(photos)
    added = add_model(catalog, path, trial, answers=answers, reference=reference)
    assert list(added.scores) == ["unit"]


def test_ways_of_feeding_that_give_no_matte_are_left_out(catalog: Catalog, tmp_path: Path) -> None:
    """Above 1 the logarithm of the rest is not a number: only photos in [0, 1] give a matte."""
    values = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 32, 32])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 32, 32])]
    nodes = [
        helper.make_node("Sqrt", ["x"], ["root"]),
        helper.make_node("ReduceMean", ["root"], ["y"], axes=[1], keepdims=1),
    ]
    path = save(helper.make_graph(nodes, "g", values, outputs), tmp_path / "m.onnx")
    trial = BuiltInPhotos(trial_photos()[:2])
    reference = [trial_photo.mean(axis=2) / np.float32(255) for trial_photo in trial_photos()[:2]]
    added = add_model(catalog, path, trial, reference=reference)
    assert added.normalisation == "unit"
    assert not {"half", "imagenet", "centred", "caffe"} & set(added.scores)


PHOTO_FIRST = TensorFacts("x", (1, 3, 320, 320), "float32")
PHOTO_LAST = TensorFacts("x", (1, 256, 256, 3), "float32")
MATTE = TensorFacts("y", (1, 1, 320, 320), "float32")
POOLED = {"Conv": 119, "MaxPool": 33, "Concat": 51}


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("u2net", GraphFacts("onnx", (PHOTO_FIRST,), (MATTE,) * 7, POOLED, 1)),
        ("isnet", GraphFacts("onnx", (PHOTO_FIRST,), (MATTE,), POOLED, 2)),
        ("birefnet", GraphFacts("onnx", (PHOTO_FIRST,), (MATTE,), {"Softmax": 24, "MatMul": 150})),
        ("modnet", GraphFacts("onnx", (PHOTO_FIRST,), (MATTE,), {"InstanceNormalization": 12})),
        ("selfie", GraphFacts("onnx", (PHOTO_LAST,), (MATTE,), {"GlobalAveragePool": 10})),
        ("none", GraphFacts("onnx", (PHOTO_LAST,), (MATTE,), {"Conv": 50})),
        (
            "rgba",
            GraphFacts("onnx", (PHOTO_FIRST,), (TensorFacts("y", (1, 4, None, None), "float32"),)),
        ),
        (
            "two-class",
            GraphFacts("onnx", (PHOTO_LAST,), (TensorFacts("y", (1, 256, 256, 2), "float32"),)),
        ),
    ],
)
def test_families_are_told_by_structure_alone(name: str, facts: GraphFacts) -> None:
    assert recognise(facts).name == name


def test_a_family_as_preset_brings_its_normalisation_and_its_side(add: Add, tmp_path: Path) -> None:
    spec = add(write_model(tmp_path / "m.onnx", size=("h", "w")), preset="modnet").manifest.input
    assert (spec.size.width, spec.mean, spec.std) == (512, (0.5,) * 3, (0.5,) * 3)
