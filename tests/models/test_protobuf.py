"""Reading protocol buffers: every kind of field, and every way to break one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edge_matting.core.errors import ModelError
from edge_matting.models.graph import protobuf
from edge_matting.models.graph.onnx_reader import read_onnx


def read(data: bytes) -> list[tuple[int, object]]:
    return [
        (number, value if isinstance(value, int) else bytes(value))
        for number, value in protobuf.fields(memoryview(data))
    ]


def test_every_kind_of_field_is_read() -> None:
    data = b"\x08\x96\x01" + b"\x12\x02hi" + b"\x1d\x01\x02\x03\x04" + b"\x21" + bytes(8)
    assert read(data) == [(1, 150), (2, b"hi"), (3, b"\x01\x02\x03\x04"), (4, bytes(8))]
    assert read(b"\x08" + b"\xff" * 9 + b"\x01") == [(1, -1)]
    assert protobuf.numbers(memoryview(b"\x01\x96\x01")) == [1, 150]
    assert protobuf.numbers(7) == [7]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x00\x01", "field 0"),
        (b"\x0b", "wire type 3"),
        (b"\x12\x05hi", "inside a field"),
        (b"\x08\x96", "inside a number"),
        (b"\x08" + b"\xff" * 11, "ten bytes"),
        (b"\x1d\x01", "inside a field"),
    ],
)
def test_what_is_broken_is_named(data: bytes, words: str) -> None:
    with pytest.raises(protobuf.WireError, match=words):
        read(data)
    for convert in (protobuf.text, protobuf.message):
        with pytest.raises(protobuf.WireError, match="a number where"):
            convert(5)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_raise(data: bytes) -> None:
    try:
        assert all(number > 0 for number, _ in read(data))
    except protobuf.WireError:
        pass


@settings(deadline=None)
@given(st.integers(0, 400), st.integers(0, 255))
def test_a_damaged_model_is_read_or_refused(place: int, value: int) -> None:
    data = bytearray(MODEL)
    data[place % len(data)] = value
    path = FOLDER / "damaged.onnx"
    path.write_bytes(data)
    told = path.name
    try:
        assert read_onnx(path).outputs
    except ModelError as error:
        told = str(error)
    assert path.name in told


def small_model(weights: np.ndarray, operator: str = "Mul") -> bytes:
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [numpy_helper.from_array(weights, "w")],
    )
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


MODEL = small_model(np.ones((1, 3, 1, 1), np.float32))


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    global FOLDER  # noqa: PLW0603  hypothesis takes no function-scoped fixture
    FOLDER = tmp_path_factory.mktemp("damaged")


FOLDER = Path()


@pytest.mark.parametrize(
    ("data", "precision"),
    [
        (MODEL, "fp32"),
        (small_model(np.ones((1, 3, 1, 1), np.float16)), "fp16"),
        (small_model(np.ones((1, 3, 1, 1), np.int8), "DequantizeLinear"), "int8"),
    ],
)
def test_the_precision_is_that_of_the_weights(tmp_path: Path, data: bytes, precision: str) -> None:
    (tmp_path / "m.onnx").write_bytes(data)
    assert read_onnx(tmp_path / "m.onnx").precision == precision


def test_the_reader_tells_what_the_onnx_package_tells(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(MODEL)
    facts, model = read_onnx(tmp_path / "m.onnx"), onnx.load_from_string(MODEL)
    assert [each.name for each in facts.outputs] == [each.name for each in model.graph.output]
    assert (facts.inputs[0].shape, facts.inputs[0].dtype) == ((None, 3, 8, 8), "float32")
    assert dict(facts.operators) == {"Mul": 1}
    with pytest.raises(ModelError, match="cannot be read"):
        read_onnx(tmp_path / "missing.onnx")
