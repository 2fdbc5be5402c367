"""Rewriting of exported graphs: exact, for speed."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

PIXELS = ".pixels"  # the part of a split weight that reads the photo


def without_unused(model: onnx.ModelProto) -> None:
    """Drop nodes, weights and notes that nothing needs any more."""
    graph = model.graph
    wanted = {output.name for output in graph.output}
    for node in reversed(list(graph.node)):
        if wanted.isdisjoint(node.output):
            graph.node.remove(node)
        else:
            wanted.update(node.input)
    for stored in (graph.initializer, graph.value_info):
        for part in [part for part in stored if part.name not in wanted]:
            stored.remove(part)


def pixels_by_stride(model: onnx.ModelProto, weight: str) -> None:
    """Let a 1x1 convolution over [features, photo's pixels moved to depth] read the photo itself.

    Moving 2x2 pixels to depth and a 1x1 convolution are together a 2x2 convolution of stride 2;
    the move alone took a fifteenth of the network's time. `weight` names the 1x1 convolution's.
    """
    graph = model.graph
    stored = next(tensor for tensor in graph.initializer if tensor.name == weight)
    joined = numpy_helper.to_array(stored)
    image = graph.input[0].name
    channels = graph.input[0].type.tensor_type.shape.dim[1].dim_value
    convolution = next(node for node in graph.node if weight in node.input)
    together = next(node for node in graph.node if convolution.input[0] in node.output)
    if together.op_type != "Concat" or len(convolution.input) != 2:
        raise SystemExit(f"{weight}: not a convolution without bias over joined channels")
    pixels = joined[:, -4 * channels :].reshape(len(joined), channels, 2, 2)
    for note in [note for note in graph.value_info if note.name == weight]:
        graph.value_info.remove(note)  # it tells the old shape
    stored.CopyFrom(
        numpy_helper.from_array(np.ascontiguousarray(joined[:, : -4 * channels]), weight)
    )
    stem = weight.removesuffix(".weight")
    graph.initializer.append(
        numpy_helper.from_array(np.ascontiguousarray(pixels), f"{stem}{PIXELS}")
    )
    parts = [f"{convolution.output[0]}_features", f"{convolution.output[0]}_pixels"]
    nodes = [
        helper.make_node("Conv", [together.input[0], weight], parts[:1], f"{convolution.name}_a"),
        helper.make_node(
            "Conv", [image, f"{stem}{PIXELS}"], parts[1:], f"{convolution.name}_b", strides=[2, 2]
        ),
        helper.make_node("Add", parts, list(convolution.output), f"{convolution.name}_sum"),
    ]
    at = list(graph.node).index(convolution)
    graph.node.remove(convolution)
    for place, node in enumerate(nodes):
        graph.node.insert(at + place, node)
    without_unused(model)


def head_by_stride(model: onnx.ModelProto, weight: str) -> None:
    """Let the head give 4x4 pixels at every second position, not 2x2 at every one.

    A 3x3 convolution to four channels fills a quarter of the sixteen that the processor computes
    at a time. The same values come from a 4x4 convolution of stride 2 to sixteen channels, at
    less than half the cost; it was a tenth of the network's time. `weight` names the head's.
    """
    graph = model.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    convolution = next(node for node in graph.node if weight in node.input)
    shuffle = next(node for node in graph.node if convolution.output[0] in node.input)
    small = numpy_helper.to_array(stored[weight])
    if shuffle.op_type != "DepthToSpace" or small.shape[0] != 4 or small.shape[2:] != (3, 3):
        raise SystemExit(f"{weight}: not a 3x3 convolution whose four channels become 2x2 pixels")
    large = np.zeros((16, small.shape[1], 4, 4), small.dtype)
    for row in range(4):
        for column in range(4):
            (down, part), (right, side) = divmod(row, 2), divmod(column, 2)
            large[4 * row + column, :, down : down + 3, right : right + 3] = small[2 * part + side]
    bias = numpy_helper.to_array(stored[convolution.input[2]])
    each = [2 * (row % 2) + column % 2 for row in range(4) for column in range(4)]
    for name, value in ((weight, large), (convolution.input[2], bias[each])):
        stored[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value), name))
    _set(convolution, "strides", [2, 2])
    _set(convolution, "kernel_shape", [4, 4])
    _set(shuffle, "blocksize", 4)
    for note in [
        note
        for note in graph.value_info
        if note.name in {weight, convolution.input[2], convolution.output[0]}
    ]:
        graph.value_info.remove(note)  # they tell the old shapes


def _set(node: onnx.NodeProto, name: str, value: int | list[int]) -> None:
    for known in [part for part in node.attribute if part.name == name]:
        node.attribute.remove(known)
    node.attribute.append(helper.make_attribute(name, value))
