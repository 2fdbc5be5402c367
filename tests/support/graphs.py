"""Small ONNX graphs in every form that a matting model comes in; nothing is trained."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from edge_matting.core.model_io import InputSize, ModelInput, ModelOutput
from edge_matting.models import Manifest
from edge_matting.models.catalog import file_sha256

TYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8}


FORMS = {
    "alpha": (1.0, 0.0, None),
    "logits": (12.0, -4.0, None),
    "inverted": (-1.0, 1.0, None),
    "bytes": (255.0, 0.0, None),
    "signed": (3.0, -1.0, "Tanh"),
}
"""Scale, offset and last operator that make another form of output from a matte."""


def write_model(
    path: Path,
    *,
    layout: str = "nchw",
    dtype: str = "float32",
    kind: str = "alpha",
    form: str = "alpha",
    size: tuple[int | str, int | str] = (24, 32),
    batch: int | str = "n",
    extra_outputs: int = 0,
    scale: float = 1.0,
    weights_as_inputs: bool = False,
    names: tuple[str, str] = ("image", "matte"),
) -> Path:
    """A graph whose matte is the mean of the photo's channels, as alpha, two classes or RGBA.

    ``form`` is how the subject's channel is written down, ``scale`` what the matte is multiplied
    with before that.
    """
    shape = [batch, 3, *size] if layout == "nchw" else [batch, *size, 3]
    axis = 1 if layout == "nchw" else 3
    channels = {"two_class": 2, "rgba": 4}.get(kind, 1)
    out_shape = [s if i != axis else channels for i, s in enumerate(shape)]
    stretch, offset, last = FORMS[form]
    photo, matte = names
    parts = [
        helper.make_node("Cast", [photo], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["mean"], axes=[axis], keepdims=1),
        helper.make_node("Mul", ["mean", "scale"], ["scaled"]),
        helper.make_node("Mul", ["scaled", "stretch"], ["stretched"]),
        helper.make_node("Add", ["stretched", "offset"], ["moved"]),
        helper.make_node(last or "Identity", ["moved"], ["formed"]),
        helper.make_node("Sub", ["one", "formed"], ["rest"]),
        helper.make_node("Concat", ["rest"] * (channels - 1) + ["formed"], [matte], axis=axis)
        if channels > 1
        else helper.make_node("Identity", ["formed"], [matte]),
        *(helper.make_node("Neg", [matte], [f"side{i}"]) for i in range(extra_outputs)),
    ]
    constants = {"scale": scale, "stretch": stretch, "offset": offset, "one": 1.0}
    inputs = [helper.make_tensor_value_info(photo, TYPES[dtype], shape)]
    if weights_as_inputs:
        inputs += [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in constants]
    graph = helper.make_graph(
        parts,
        "mean",
        inputs,
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, out_shape)
            for name in (matte, *(f"side{i}" for i in range(extra_outputs)))
        ],
        [helper.make_tensor(n, TensorProto.FLOAT, [1], [v]) for n, v in constants.items()],
    )
    return save(graph, path)


def write_recurrent_model(path: Path) -> Path:
    """Inputs and outputs like those of RobustVideoMatting: four states and a ratio beside the
    photo; the foreground before the matte."""
    any_size = ["n", 3, "h", "w"]
    states = [f"r{i}i" for i in range(1, 5)]
    nodes = [
        helper.make_node("ReduceMean", ["src"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Add", ["mean", "r1i"], ["a0"]),
        *(
            helper.make_node("Add", [f"a{i}", state], [f"a{i + 1}"])
            for i, state in enumerate(states[1:])
        ),
        helper.make_node("Mul", ["a3", "downsample_ratio"], ["pha"]),
        helper.make_node("Identity", ["src"], ["fgr"]),
        *(helper.make_node("Identity", [state], [f"r{state[1]}o"]) for state in states),
    ]
    floats = TensorProto.FLOAT
    inputs = [helper.make_tensor_value_info("src", floats, any_size)]
    inputs += [helper.make_tensor_value_info(s, floats, ["n", s + "c", "h", "w"]) for s in states]
    inputs.append(helper.make_tensor_value_info("downsample_ratio", floats, [1]))
    outputs = [
        helper.make_tensor_value_info("fgr", floats, any_size),
        helper.make_tensor_value_info("pha", floats, ["n", 1, "h", "w"]),
    ]
    outputs += [
        helper.make_tensor_value_info(f"r{i}o", floats, ["n", 16, "h", "w"]) for i in range(1, 5)
    ]
    return save(helper.make_graph(nodes, "recurrent", inputs, outputs), path)


def save(graph: onnx.GraphProto, path: Path, **options: object) -> Path:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path), **options)
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
