"""Existing networks written anew in other forms, as exports of the same network differ.

Each function takes and gives an ``onnx.ModelProto`` with one photo input, float32, NCHW.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

Shape = Sequence["int | str"]


def load(path: Path) -> ModelProto:
    """The model with weights that are no inputs, as newer exports have them."""
    model = onnx.load(str(path))
    weights = {weight.name for weight in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    del model.graph.value_info[:]  # they would contradict another size
    model.ir_version = 8
    return model


def shape_of(value: onnx.ValueInfoProto) -> list[int | str]:
    dims = value.type.tensor_type.shape.dim
    return [dim.dim_value or dim.dim_param or "free" for dim in dims]


def sized(model: ModelProto, width: int | str, height: int | str, batch: int | str) -> ModelProto:
    """Another size and batch on paper; the network must be able to run at it."""
    graph = model.graph
    _retype(graph.input[0], [batch, 3, height, width])
    for output in graph.output:
        _retype(output, [batch, 1, height, width])
    return model


def renamed(model: ModelProto, photo: str, matte: str) -> ModelProto:
    """Every name that an exporter chooses is another one."""
    graph = model.graph
    names = {graph.input[0].name: photo, graph.output[0].name: matte}
    for index, node in enumerate(graph.node):
        node.name = f"n{index}"
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    graph.name = "renamed"
    for value in (*graph.input, *graph.output):
        value.name = names.get(value.name, value.name)
    return model


def fed_with(model: ModelProto, mean: Sequence[float], std: Sequence[float]) -> ModelProto:
    """The same network trained on ``(photo - mean) / std``: it undoes that first, so a photo in
    [0, 1] comes to where it was."""
    name = f"undo{len(model.graph.node)}"  # may be applied twice
    photo = _before(model, name)
    shape = (1, 3, 1, 1)
    _weight(model, f"{name}_std", np.float32(std).reshape(shape))
    _weight(model, f"{name}_mean", np.float32(mean).reshape(shape))
    _first(
        model,
        helper.make_node("Mul", [photo, f"{name}_std"], [f"{name}_scaled"]),
        helper.make_node("Add", [f"{name}_scaled", f"{name}_mean"], [name]),
    )
    return model


def channels_last(model: ModelProto) -> ModelProto:
    photo = _before(model, "first")
    batch, _, height, width = shape_of(model.graph.input[0])
    _retype(model.graph.input[0], [batch, height, width, 3])
    _first(model, helper.make_node("Transpose", [photo], ["first"], perm=[0, 3, 1, 2]))
    return model


def fed_with_bytes(model: ModelProto) -> ModelProto:
    photo = _before(model, "floats")
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    _weight(model, "top", np.float32([255.0]))
    _first(
        model,
        helper.make_node("Cast", [photo], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["cast", "top"], ["floats"]),
    )
    return model


def logits(model: ModelProto) -> ModelProto:
    """The matte before its sigmoid, computed back from it."""
    matte = _behind(model, "closed")
    _weight(model, "most", np.float32([1.0 - 2e-6]))
    _weight(model, "least", np.float32([1e-6]))
    _weight(model, "one", np.float32([1.0]))
    model.graph.node.extend(
        [
            helper.make_node("Mul", ["closed", "most"], ["below"]),
            helper.make_node("Add", ["below", "least"], ["within"]),
            helper.make_node("Sub", ["one", "within"], ["rest"]),
            helper.make_node("Div", ["within", "rest"], ["odds"]),
            helper.make_node("Log", ["odds"], [matte]),
        ]
    )
    return model


def two_classes(model: ModelProto) -> ModelProto:
    matte = _behind(model, "subject")
    _weight(model, "one", np.float32([1.0]))
    _channels(model, 2)
    model.graph.node.extend(
        [
            helper.make_node("Sub", ["one", "subject"], ["ground"]),
            helper.make_node("Concat", ["ground", "subject"], [matte], axis=1),
        ]
    )
    return model


def rgba(model: ModelProto) -> ModelProto:
    matte, photo = _behind(model, "alpha_only"), model.graph.input[0].name
    _channels(model, 4)
    model.graph.node.append(helper.make_node("Concat", [photo, "alpha_only"], [matte], axis=1))
    return model


def inverted(model: ModelProto) -> ModelProto:
    matte = _behind(model, "subject")
    _weight(model, "one", np.float32([1.0]))
    model.graph.node.append(helper.make_node("Sub", ["one", "subject"], [matte]))
    return model


def many_outputs(model: ModelProto, count: int) -> ModelProto:
    """Side outputs behind the matte, as U-2-Net has them."""
    graph = model.graph
    for index in range(1, count):
        graph.node.append(helper.make_node("Sqrt", [graph.output[0].name], [f"d{index}"]))
        side = helper.make_tensor_value_info(
            f"d{index}", TensorProto.FLOAT, shape_of(graph.output[0])
        )
        graph.output.append(side)
    return model


def old_style(model: ModelProto) -> ModelProto:
    """Weights listed among the inputs, as exporters did before IR version 4."""
    for weight in model.graph.initializer:
        model.graph.input.append(
            helper.make_tensor_value_info(weight.name, weight.data_type, list(weight.dims))
        )
    model.ir_version = 3
    return model


def save(model: ModelProto, path: Path) -> Path:
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def _retype(value: onnx.ValueInfoProto, shape: Shape) -> None:
    kind = value.type.tensor_type.elem_type
    value.CopyFrom(helper.make_tensor_value_info(value.name, kind, list(shape)))


def _channels(model: ModelProto, count: int) -> None:
    shape = shape_of(model.graph.output[0])
    _retype(model.graph.output[0], [shape[0], count, *shape[2:]])


def _before(model: ModelProto, name: str) -> str:
    """Make the network read ``name`` instead of the photo; the photo's name."""
    photo = model.graph.input[0].name
    for node in model.graph.node:
        node.input[:] = [name if each == photo else each for each in node.input]
    return photo


def _behind(model: ModelProto, name: str) -> str:
    """Make the network write ``name`` instead of its matte; the matte's name."""
    matte = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = [name if each == matte else each for each in node.output]
        node.input[:] = [name if each == matte else each for each in node.input]
    return matte


def _first(model: ModelProto, *nodes: onnx.NodeProto) -> None:
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *rest])


def _weight(model: ModelProto, name: str, values: np.ndarray) -> None:
    model.graph.initializer.append(numpy_helper.from_array(values, name))
