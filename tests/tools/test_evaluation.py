"""The tools that measure a model and make its smaller files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parents[2]

from edge_matting.models.manifest import load_manifest  # noqa: E402
from tools.training import evaluate, quantise  # noqa: E402
from tools.training.bias_correction import correct_biases  # noqa: E402
from tools.training.onnx_graph import head_by_stride, pixels_by_stride  # noqa: E402
from tools.training.validation import Case, Figure  # noqa: E402

MODEL = ROOT / "models" / "default"


def _sum_then_norm(rng: np.random.Generator) -> onnx.ModelProto:
    """Two convolutions, one enlarged, added up, then batch norm: what the decoder does."""
    gains = {name: rng.uniform(0.5, 2, 3).astype(np.float32) for name in "gbmv"}
    weights = {name: rng.normal(size=(3, 2, 1, 1)).astype(np.float32) for name in ("w1", "w2")}
    scales = {"scales": np.array([1, 1, 2, 2], np.float32)}
    nodes = [
        helper.make_node("Conv", ["low", "w1"], ["a"]),
        helper.make_node("Resize", ["a", "", "scales"], ["b"], mode="linear"),
        helper.make_node("Conv", ["high", "w2"], ["c"]),
        helper.make_node("Add", ["b", "c"], ["d"]),
        helper.make_node("BatchNormalization", ["d", "g", "b_", "m", "v"], ["e"], name="norm"),
        helper.make_node("Relu", ["e"], ["out"]),
    ]
    constants = {**weights, **scales, **{("b_" if k == "b" else k): v for k, v in gains.items()}}
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info("low", TensorProto.FLOAT, [1, 2, 4, 4]),
            helper.make_tensor_value_info("high", TensorProto.FLOAT, [1, 2, 8, 8]),
        ],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 3, 8, 8])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_folding_the_norm_changes_nothing_but_the_graph() -> None:
    rng = np.random.default_rng(1)
    model = _sum_then_norm(rng)
    inputs = {
        "low": rng.normal(size=(1, 2, 4, 4)).astype(np.float32),
        "high": rng.normal(size=(1, 2, 8, 8)).astype(np.float32),
    }

    def run(graph: onnx.ModelProto) -> np.ndarray:
        session = onnxruntime.InferenceSession(
            graph.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        return np.asarray(session.run(None, inputs)[0])

    before = run(model)
    after = quantise.folded(model)
    assert not [node for node in after.graph.node if node.op_type == "BatchNormalization"]
    np.testing.assert_allclose(run(after), before, atol=1e-5)


@pytest.mark.parametrize(
    ("lost", "psnr", "speed", "told"),
    [
        (0.0, 40.0, 1.4, []),
        (0.006, 40.0, 1.4, ["IoU"]),
        (0.0, 35.0, 1.4, ["dB"]),
        (0.0, 35.0, 1.2, ["dB", "fast"]),
    ],
)
def test_a_file_that_breaks_a_promise_is_not_kept(
    lost: float, psnr: float, speed: float, told: list[str]
) -> None:
    rows = [Figure("persons", 1, 0.9, 0.01)]
    found = quantise.faults("int8", quantise.Comparison(rows, lost, psnr, speed))
    assert len(found) == len(told)
    assert all(word in line for word, line in zip(told, found, strict=True))


def test_a_new_variant_is_named_beside_those_there(tmp_path: Path) -> None:
    shutil.copytree(MODEL, tmp_path / "default")
    manifest = tmp_path / "default" / "manifest.yaml"
    quantise.into_manifest(manifest, {"int8": load_manifest(manifest).file})
    variants = {part.precision: part for part in load_manifest(MODEL / "manifest.yaml").variants}
    changed = {part.precision: part for part in load_manifest_unchecked(manifest)}
    assert changed.keys() == variants.keys()
    assert changed["fp16"] == variants["fp16"]
    assert changed["int8"] != variants["int8"]


def load_manifest_unchecked(path: Path) -> list[object]:
    """The variants alone: a file named twice, as this test does, is no valid manifest."""
    import yaml

    from edge_matting.models.manifest import ModelFile

    return [ModelFile(**row) for row in yaml.safe_load(path.read_text())["variants"]]


def _case(group: str, name: str, alpha: np.ndarray) -> Case:
    rgb = np.zeros((*alpha.shape, 3), np.uint8)
    return Case(group, name, rgb, alpha.astype(np.float32), np.ones(alpha.shape, bool))


def test_a_perfect_alpha_scores_perfectly() -> None:
    truth = np.zeros((40, 40), np.float32)
    truth[10:30, 10:30] = 1.0
    found = evaluate.score("m", 320, _case("persons", "a", truth), truth)
    assert (found.iou, found.mad, found.mse, found.sad, found.boundary) == (1, 0, 0, 0, 1)
    assert found.psnr == 99.0


def test_the_photos_pixels_are_read_by_stride_instead_of_moved_to_depth() -> None:
    rng = np.random.default_rng(3)
    weight = rng.normal(size=(5, 2 + 12, 1, 1)).astype(np.float32)
    to_depth = helper.make_node("SpaceToDepth", ["image"], ["blocks"], blocksize=2)
    # torch's order of the moved pixels: colour first, then place
    order = np.arange(12).reshape(4, 3).T.ravel()
    nodes = [
        to_depth,
        helper.make_node("Gather", ["blocks", "order"], ["moved"], axis=1),
        helper.make_node("Concat", ["features", "moved"], ["joined"], axis=1),
        helper.make_node("Conv", ["joined", "net.skip.weight"], ["out"], "skip"),
    ]
    shape = {"image": (1, 3, 8, 6), "features": (1, 2, 4, 3), "out": (1, 5, 4, 3)}
    image, features, out = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, sides)
        for name, sides in shape.items()
    )
    constants = {"net.skip.weight": weight, "order": order}
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", [image, features], [out], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    inputs = {n: rng.normal(size=shape[n]).astype(np.float32) for n in ("image", "features")}
    before = onnxruntime.InferenceSession(model.SerializeToString()).run(None, inputs)[0]
    pixels_by_stride(model, "net.skip.weight")
    after = onnxruntime.InferenceSession(model.SerializeToString()).run(None, inputs)[0]
    assert np.allclose(before, after, atol=1e-5)
    assert [node.op_type for node in model.graph.node] == ["Conv", "Conv", "Add"]


def test_the_head_gives_four_times_the_pixels_at_a_quarter_of_the_positions() -> None:
    rng = np.random.default_rng(4)
    constants = {
        "head.weight": rng.normal(size=(4, 5, 3, 3)).astype(np.float32),
        "head.bias": rng.normal(size=4).astype(np.float32),
    }
    nodes = [
        helper.make_node(
            "Conv", ["x", "head.weight", "head.bias"], ["parts"], pads=[1] * 4, strides=[1, 1]
        ),
        helper.make_node("DepthToSpace", ["parts"], ["out"], mode="CRD", blocksize=2),
    ]
    x, out = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, sides)
        for name, sides in {"x": (2, 5, 8, 6), "out": (2, 1, 16, 12)}.items()
    )
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", [x], [out], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    inputs = {"x": rng.normal(size=(2, 5, 8, 6)).astype(np.float32)}
    before = onnxruntime.InferenceSession(model.SerializeToString()).run(None, inputs)[0]
    head_by_stride(model, "head.weight")
    onnx.checker.check_model(model, full_check=True)
    after = onnxruntime.InferenceSession(model.SerializeToString()).run(None, inputs)[0]
    assert np.allclose(before, after, atol=1e-5)
    assert [tensor.dims[0] for tensor in model.graph.initializer] == [16, 16]


def test_a_bias_that_int8_moved_is_put_where_the_exact_mean_is(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    constants = {
        "w1": rng.normal(size=(8, 3, 1, 1)).astype(np.float32),
        "b1": rng.normal(size=8).astype(np.float32),
        "w2": rng.normal(size=(2, 8, 1, 1)).astype(np.float32),
        "b2": rng.normal(size=2).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["a"], "first"),
        helper.make_node("Relu", ["a"], ["b"], "between"),
        helper.make_node("Conv", ["b", "w2", "b2"], ["out"], "second"),
    ]
    x, out = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, channels, 8, 8))
        for name, channels in {"x": 3, "out": 2}.items()
    )
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", [x], [out], stored)
    exact = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    photos = [{"x": rng.normal(size=(1, 3, 8, 8)).astype(np.float32)} for _ in range(6)]
    onnx.save(exact, tmp_path / "exact.onnx")

    class Given(quantise.CalibrationDataReader):  # type: ignore[misc]
        given = iter(photos)

        def get_next(self) -> quantise.Inputs | None:
            return next(self.given, None)

    quantise.quantize_static(
        tmp_path / "exact.onnx", tmp_path / "int8.onnx", Given(), per_channel=True
    )
    rounded = onnx.load(tmp_path / "int8.onnx")
    for tensor in rounded.graph.initializer:
        if tensor.name == "b1_quantized":
            moved = numpy_helper.to_array(tensor) + 300
            tensor.CopyFrom(numpy_helper.from_array(moved, tensor.name))

    def shift() -> float:
        models = [
            onnxruntime.InferenceSession(model.SerializeToString()) for model in (exact, rounded)
        ]
        apart = [np.subtract(*(m.run(None, photo)[0] for m in models)) for photo in photos]
        return float(np.abs(np.mean(apart, axis=(0, 1, 3, 4))).max())

    before = shift()
    correct_biases(exact, rounded, photos)
    assert shift() < 0.1 * before


def test_int8_leaves_the_first_stage_and_all_of_the_last_step_alone() -> None:
    model = quantise.folded(onnx.load(MODEL / load_manifest(MODEL / "manifest.yaml").file))
    kept = set(quantise.kept_in_fp32(model))
    nodes = {node.name: node for node in model.graph.node}
    made_by = {name: node.name for node in nodes.values() for name in node.output}
    head = next(node for node in nodes.values() if "net.head.weight" in node.input)
    before, seen = [made_by[head.input[0]]], set()
    while before:  # back through the last step, to what reads the step before it
        node = nodes[before.pop()]
        seen.add(node.op_type)
        assert node.name in kept
        if not any(f"net.up2.{part}" in name for part in ("narrow", "skip") for name in node.input):
            before += [made_by[name] for name in node.input if name in made_by]
    assert seen >= {"Conv", "Relu", "Add", "Resize"}
    rounded = [node for node in nodes.values() if node.op_type == "Conv" and node.name not in kept]
    assert any("net.encoder.stages.1." in name for node in rounded for name in node.input)


def test_an_empty_scene_counts_by_its_mean_alpha() -> None:
    nothing = np.zeros((40, 40), np.float32)
    case = _case("empty", "a", nothing)
    assert evaluate.score("m", 320, case, nothing + 0.01).iou == 1.0
    assert evaluate.score("m", 320, case, nothing + 0.03).iou == 0.0


def test_every_group_counts_the_same_in_the_manifests_quality() -> None:
    full, half = np.ones((8, 8), np.float32), np.ones((8, 8), np.float32)
    half[:, 4:] = 0.0
    scores = [
        evaluate.score("m:int8", 256, _case("pets", str(n), full), full) for n in range(3)
    ] + [evaluate.score("m:int8", 256, _case("persons", "x", full), half)]
    line = evaluate.quality_rows(scores)
    assert line == "  - {precision: int8, resolution: [256, 256], iou: 0.750, mad: 0.2500}"


def test_the_figures_take_the_place_of_those_in_the_manifest(tmp_path: Path) -> None:
    old = (MODEL / "manifest.yaml").read_text()
    path = tmp_path / "manifest.yaml"
    path.write_text(old)
    rows = "  - {precision: fp32, resolution: [320, 320], iou: 0.940, mad: 0.0200}"
    for _ in range(2):
        evaluate.into_manifest(path, rows, 0.93)
    manifest = load_manifest(path)
    assert [(q.resolution, q.iou, q.mad) for q in manifest.quality] == [((320, 320), 0.94, 0.02)]
    assert manifest.quality_floor == 0.93
    kept = [line for line in path.read_text().splitlines() if "iou" not in line]
    assert [line for line in old.splitlines() if "iou" not in line] == [
        line.replace("0.93", "0.935") if "floor" in line else line for line in kept
    ]
    path.write_text("id: x\n")
    with pytest.raises(SystemExit, match="output"):
        evaluate.into_manifest(path, rows, 0.93)


def test_thin_pictures_are_told_by_their_matte_at_the_smallest_side() -> None:
    block, line = np.zeros((60, 60), np.float32), np.zeros((60, 60), np.float32)
    block[10:50, 10:50] = 1.0
    line[30, :] = 1.0
    assert evaluate.thinness(block) < 0.1
    assert evaluate.thinness(line) == 1.0
    assert evaluate.thinness(line * 0) == 0.0
    scores = [evaluate.score("m", 192, _case("pets", str(n), block), block) for n in range(3)]
    scores.append(evaluate.score("m", 192, _case("pets", "thin", line), line))
    scores += [evaluate.score("m", 320, _case("pets", str(n), block), block) for n in range(3)]
    scores.append(evaluate.score("m", 320, _case("pets", "thin", line), line * 0))
    _, thin, others = evaluate.thin_rows(scores).splitlines()
    assert thin.split() == ["thin", "192:", "1.0000", "320:", "0.0000"]
    assert others.split() == ["others", "192:", "1.0000", "320:", "1.0000"]


def test_every_shipped_precision_gives_the_same_matte_of_a_photo() -> None:
    import cv2

    photo = cv2.imread(str(ROOT / "edge_matting" / "data" / "photos" / "astronaut.jpg"))
    rgb = np.ascontiguousarray(photo[..., ::-1])
    case = Case("persons", "astronaut", rgb, np.zeros(rgb.shape[:2], np.float32), rgb[..., 0] >= 0)
    made = {
        name: next(evaluate.alphas(f"{MODEL}{name}", 320, [case]))[1]
        for name in ("", ":int8", ":fp16")
    }
    assert 0.2 < made[""].mean() < 0.8
    assert np.abs(made[":int8"] - made[""]).mean() < 0.02
    assert np.abs(made[":fp16"] - made[""]).mean() < 0.002
    with pytest.raises(SystemExit, match="names no bf16 file"):
        next(evaluate.alphas(f"{MODEL}:bf16", 320, [case]))


def test_clutter_is_told_by_what_is_behind_the_subject_alone() -> None:
    from tools.training.scenes import clutter
    from tools.training.validation import Case

    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (96, 96, 3), np.uint8)
    inside = np.zeros((96, 96), bool)
    inside[32:64, 32:64] = True
    known = np.ones((96, 96), bool)

    def case(rgb: np.ndarray) -> Case:
        return Case("salient", "one", rgb, inside.astype(np.float32), known)

    plain = np.where(inside[..., None], noise, 128).astype(np.uint8)
    assert clutter(case(plain)) == 0
    assert clutter(case(noise)) > 10
    everywhere = Case("salient", "all", noise, np.ones((96, 96), np.float32), known)
    assert clutter(everywhere) == 0


def test_a_scenes_row_tells_successes_and_what_the_gate_did() -> None:
    from tools.training.scenes import Outcome, row

    outcomes = [Outcome(0.95, 0.01, False), Outcome(0.9, 0.02, True), Outcome(0.5, 0.3, True)]
    assert row("dark", outcomes) == "| dark | 3 | 67% | 0.783 | 0.1100 | 1 of 1 | 1 of 2 |"
    assert row("none", outcomes[:1]).endswith("| none | 1 of 1 |")
