"""A manifest proposed from a model's own graph."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Final

from edge_matting.core.errors import ModelError
from edge_matting.core.tensors import InputSize, ModelInput, ModelOutput
from edge_matting.inference.catalog import file_sha256
from edge_matting.inference.manifest import Manifest
from edge_matting.inference.ort import TensorShape, graph_shapes

Triple = tuple[float, float, float]

PRESETS: Final = MappingProxyType(
    {
        "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    }
)
"""Mean and standard deviation that a model was trained with; the graph does not tell."""

_DTYPES: Final = MappingProxyType(
    {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8"}
)
_FREE_SIDE, _FREE_MULTIPLE = 512, 32


def propose_manifest(path: Path, model_id: str, preset: str = "unit") -> Manifest:
    """What the manifest of ``path`` would be, by its inputs and outputs.

    Several outputs: the first is taken, which the families with side outputs (U-2-Net) agree on.
    Raises ``ModelError`` when the graph is no matting model, ``SessionError`` when it cannot be
    loaded.
    """
    if preset not in PRESETS:
        raise ModelError(f"unknown preset {preset}", hint=f"known: {', '.join(PRESETS)}")
    inputs, outputs = graph_shapes(path)
    if len(inputs) != 1 or not outputs:
        raise ModelError(
            f"{path}: expected one input and at least one output, found "
            f"{len(inputs)} and {len(outputs)}"
        )
    values = {
        "id": model_id,
        "version": "1",
        "name": path.stem,
        "task": "matting",
        "file": "model.onnx",
        "sha256": file_sha256(path),
        "input": _input(path, inputs[0], preset),
        "output": _output(path, outputs[0]),
        "licence": "unknown",
        "provenance": f"added from {path.name}",
    }
    return Manifest.model_validate(values)


def _input(path: Path, tensor: TensorShape, preset: str) -> ModelInput:
    layout, height, width = _picture(path, tensor, wanted=3)
    dtype = _DTYPES.get(tensor.type)
    if dtype is None:
        raise ModelError(f"{path}: input {tensor.name} is {tensor.type}, which is not fed here")
    mean, std = PRESETS[preset]
    top = 255.0 if dtype == "uint8" else 1.0
    return ModelInput(
        name=tensor.name,
        size=_size(width, height),
        layout=layout,  # type: ignore[arg-type]
        dtype=dtype,  # type: ignore[arg-type]
        range=(0.0, top),
        mean=mean if top == 1.0 else (0.0, 0.0, 0.0),
        std=std if top == 1.0 else (1.0, 1.0, 1.0),
    )


def _size(width: int | None, height: int | None) -> InputSize:
    if width is not None and height is not None:
        return InputSize(width, height)
    side = width or height or _FREE_SIDE
    return InputSize(width or side, height or side, "multiple_of", multiple=_FREE_MULTIPLE)


def _output(path: Path, tensor: TensorShape) -> ModelOutput:
    if len(tensor.shape) == 4 and 2 in (tensor.shape[1], tensor.shape[3]):
        return ModelOutput(tensor.name, "two_class")
    if len(tensor.shape) == 4 and 4 in (tensor.shape[1], tensor.shape[3]):
        return ModelOutput(tensor.name, "rgba")
    if len(tensor.shape) not in (2, 3, 4):
        raise ModelError(f"{path}: output {tensor.name} of shape {tensor.shape} is no picture")
    return ModelOutput(tensor.name, "alpha")


def _picture(path: Path, tensor: TensorShape, wanted: int) -> tuple[str, int | None, int | None]:
    """Layout, height and width of a four-dimensional tensor."""
    if len(tensor.shape) == 4:
        if tensor.shape[1] == wanted:
            return "nchw", tensor.shape[2], tensor.shape[3]
        if tensor.shape[3] == wanted:
            return "nhwc", tensor.shape[1], tensor.shape[2]
    raise ModelError(
        f"{path}: input {tensor.name} of shape {tensor.shape} does not take {wanted} channels"
    )
