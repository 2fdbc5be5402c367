"""An ONNX file read without any runtime: its tensors and its structure.

Own code because the ``onnx`` package is a tool for building models, larger than the appliance, and
because a file from elsewhere should be looked at before a runtime opens it. Field numbers are
those of ``onnx.proto3``.
"""

from __future__ import annotations

import mmap
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from edge_matting.core.errors import ModelError
from edge_matting.models.graph import protobuf
from edge_matting.models.graph.facts import GraphFacts, TensorFacts

_DTYPES: Final = MappingProxyType(
    {
        1: "float32",
        2: "uint8",
        3: "int8",
        6: "int32",
        7: "int64",
        9: "bool",
        10: "float16",
        11: "float64",
        16: "bfloat16",
    }
)
_STANDARD_DOMAINS: Final = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc")
_MOVES_ONLY: Final = frozenset(
    ("Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Cast", "Flatten")
)
_CONVOLUTIONS: Final = ("Conv", "FusedConv", "QLinearConv", "ConvInteger")
_EXTERNAL: Final = 1


@dataclass(slots=True)
class _Graph:
    """What one pass over the file collects."""

    inputs: list[TensorFacts] = field(default_factory=list)
    outputs: list[TensorFacts] = field(default_factory=list)
    weights: dict[str, str] = field(default_factory=dict)  # initialiser -> dtype
    operators: Counter[str] = field(default_factory=Counter)
    makers: dict[str, tuple[str, str]] = field(default_factory=dict)  # output -> op, first input
    first_stride: int | None = None
    foreign: set[str] = field(default_factory=set)  # domains of operators nobody has
    external: bool = False


def read_onnx(path: Path) -> GraphFacts:
    """Inputs, outputs and operators of an ONNX file.

    Raises ``ModelError`` for what is no ONNX file, keeps its weights in other files, or uses
    operators of a private library.
    """
    try:
        with path.open("rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        found = _read_model(data)
    except OSError as error:
        raise ModelError(f"{path}: the model cannot be read: {error.strerror}") from error
    except ValueError as error:  # WireError, and an empty file
        raise ModelError(f"{path}: no ONNX file: {error}") from error
    _refuse(path, found)
    return GraphFacts(
        "onnx",
        tuple(each for each in found.inputs if each.name not in found.weights),
        tuple(found.outputs),
        MappingProxyType(dict(found.operators)),
        found.first_stride,
        MappingProxyType({each.name: _maker(found, each.name) for each in found.outputs}),
        _precision(found),
    )


def _refuse(path: Path, found: _Graph) -> None:
    if not found.operators or not found.outputs:
        raise ModelError(f"{path}: no ONNX file: it holds no graph")
    if found.external:
        raise ModelError(
            f"{path}: its weights lie in other files",
            hint="save it as one file: onnx.save(model, path, save_as_external_data=False)",
        )
    if found.foreign:
        names = ", ".join(sorted(found.foreign))
        raise ModelError(
            f"{path}: it uses operators of a private library: {names}",
            hint="export it with standard operators",
        )


def _read_model(data: memoryview) -> _Graph:
    found = _Graph()
    own_domains: set[str] = set()
    for number, value in protobuf.fields(data):
        if number == 7:
            _read_graph(protobuf.message(value), found)
        elif number == 25:  # functions that the file itself defines
            own_domains.update(
                protobuf.text(v) for n, v in protobuf.fields(protobuf.message(value)) if n == 10
            )
    found.foreign -= own_domains
    return found


def _read_graph(data: memoryview, found: _Graph) -> None:
    for number, value in protobuf.fields(data):
        if number == 1:
            _read_node(protobuf.message(value), found)
        elif number == 5:
            _read_weight(protobuf.message(value), found)
        elif number == 11:
            found.inputs.append(_tensor(protobuf.message(value)))
        elif number == 12:
            found.outputs.append(_tensor(protobuf.message(value)))


def _read_node(data: memoryview, found: _Graph) -> None:
    inputs, outputs, operator, domain, stride = [], [], "", "", None
    for number, value in protobuf.fields(data):
        if number == 1:
            inputs.append(protobuf.text(value))
        elif number == 2:
            outputs.append(protobuf.text(value))
        elif number == 4:
            operator = protobuf.text(value)
        elif number == 5:
            stride = _stride(protobuf.message(value)) or stride
        elif number == 7:
            domain = protobuf.text(value)
    found.operators[operator] += 1
    for name in outputs:
        found.makers[name] = (operator, inputs[0] if inputs else "")
    if domain not in _STANDARD_DOMAINS:
        found.foreign.add(domain)
    if operator in _CONVOLUTIONS and found.first_stride is None:
        found.first_stride = stride or 1


def _stride(attribute: memoryview) -> int | None:
    name, values = "", []
    for number, value in protobuf.fields(attribute):
        if number == 1:
            name = protobuf.text(value)
        elif number == 8:
            values.extend(protobuf.numbers(value))
    return values[0] if name == "strides" and values else None


def _read_weight(data: memoryview, found: _Graph) -> None:
    name, dtype = "", ""
    for number, value in protobuf.fields(data):
        if number == 2 and isinstance(value, int):
            dtype = _DTYPES.get(value, "other")
        elif number == 8:
            name = protobuf.text(value)
        elif number == 14 and value == _EXTERNAL:
            found.external = True
    found.weights[name] = dtype


def _tensor(data: memoryview) -> TensorFacts:
    name, dtype, shape = "", "other", None
    for number, value in protobuf.fields(data):
        if number == 1:
            name = protobuf.text(value)
        elif number == 2:
            for kind, tensor in protobuf.fields(protobuf.message(value)):
                if kind == 1:
                    dtype, shape = _tensor_type(protobuf.message(tensor))
    return TensorFacts(name, shape, dtype)


def _tensor_type(data: memoryview) -> tuple[str, tuple[int | None, ...] | None]:
    dtype, shape = "other", None
    for number, value in protobuf.fields(data):
        if number == 1 and isinstance(value, int):
            dtype = _DTYPES.get(value, "other")
        elif number == 2:
            dims = protobuf.fields(protobuf.message(value))
            shape = tuple(_side(protobuf.message(dim)) for kind, dim in dims if kind == 1)
    return dtype, shape


def _side(dim: memoryview) -> int | None:
    for number, value in protobuf.fields(dim):
        if number == 1 and isinstance(value, int) and value > 0:
            return value
    return None


def _maker(found: _Graph, output: str) -> str:
    """The operator that computes ``output``, past those that only move values about."""
    operator, source = found.makers.get(output, ("", ""))
    for _ in range(len(found.makers)):
        if operator not in _MOVES_ONLY:
            break
        operator, source = found.makers.get(source, ("", ""))
    return operator


def _precision(found: _Graph) -> str:
    if found.operators["DequantizeLinear"] or found.operators["QLinearConv"]:
        return "int8"
    kinds = Counter(found.weights.values())
    return "fp16" if kinds["float16"] > kinds["float32"] else "fp32"
