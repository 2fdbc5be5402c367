"""Biases of an int8 graph, moved so that each layer's mean is that of the exact graph.

Rounding weights and activations shifts what a convolution gives by a little that does not average
out, and the layers behind it add up such shifts. Nagel et al., "Data-Free Quantization Through
Weight Equalization and Bias Correction" (2019), section 4.2, in its empirical form: the means are
measured on photos, layer by layer, each with the layers before it corrected already.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Inputs = dict[str, NDArray[Any]]
Means = dict[str, NDArray[np.float64]]


def correct_biases(
    exact: onnx.ModelProto, rounded: onnx.ModelProto, photos: Sequence[Inputs]
) -> None:
    """Change the int32 biases of ``rounded``, a QDQ graph that was made from ``exact``.

    A convolution is known by its node's name in both graphs. ``photos`` are inputs of the graphs.
    """
    stored = {tensor.name: tensor for tensor in rounded.graph.initializer}
    made_by = {name: node for node in rounded.graph.node for name in node.output}
    wanted = {node.name: node.output[0] for node in exact.graph.node if node.op_type == "Conv"}
    layers = [
        (node, made_by[node.input[2]])
        for node in rounded.graph.node
        if node.op_type == "Conv" and len(node.input) == 3 and node.input[2] in made_by
    ]
    means = _channel_means(exact, [wanted[node.name] for node, _bias in layers], photos)
    for node, bias in layers:
        name = node.output[0]
        shift = means[wanted[node.name]] - _channel_means(rounded, [name], photos)[name]
        scale = numpy_helper.to_array(stored[bias.input[1]])
        tensor = stored[bias.input[0]]
        moved = numpy_helper.to_array(tensor) + np.rint(shift / scale).astype(np.int64)
        tensor.CopyFrom(numpy_helper.from_array(moved.astype(np.int32), tensor.name))


def _channel_means(model: onnx.ModelProto, names: list[str], photos: Sequence[Inputs]) -> Means:
    """Mean of each channel of these tensors (N x C x h x w) over all photos, before activation."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    del shown.graph.output[:]
    shown.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    session = onnxruntime.InferenceSession(
        shown.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    totals: Means = {}
    for photo in photos:
        for name, value in zip(names, session.run(names, photo), strict=True):
            mean = np.asarray(value.mean((0, 2, 3), dtype=np.float64))
            totals[name] = totals.get(name, np.zeros_like(mean)) + mean / len(photos)
    return totals
