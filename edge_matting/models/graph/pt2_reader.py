"""What a torch file is, and whether it may be loaded: read from its zip archive without torch.

``torch.export.load`` unpickles parts of an archive, evaluates its size expressions as Python and
resolves operators by name, so a hostile ``.pt2`` could run anything. Only archives that leave no
room for that are let through: raw tensors, ATen operators, plain arithmetic on sizes.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from edge_matting.core.errors import ModelError
from edge_matting.models.graph.facts import GraphFacts, TensorFacts

_MODEL: Final = "models/model.json"
_WORDS: Final = re.compile(r"[A-Za-z_]\w*")
_SIZE_WORDS: Final = re.compile(
    "Mul|Add|Pow|Integer|Rational|Symbol|Max|Min|FloorDiv|CeilDiv|CleanDiv|Mod|PythonMod|"
    "ModularIndexing|TruncToInt|CeilToInt|FloorToInt|ToFloat|IntTrueDiv|FloatTrueDiv|RoundToInt|"
    r"Eq|Ne|Le|Lt|Ge|Gt|positive|nonnegative|integer|real|finite|True|False|oo|int_oo|max|min|[suz]\d+"
)
_SIZE_CHARACTERS: Final = re.compile(r"[\w\s()*+\-/,='<>%!]*")
_SIZE_OF_INPUT: Final = re.compile(r"L\['\w+'\](\[\d+\])?\.size\(\)\[\d+\]")
_OPERATORS: Final = re.compile(
    r"torch\.ops\.(aten|prims)\.\w+(\.\w+)?|math\.\w+|torch\.sym_\w+|"
    r"_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|neg|pow|eq|ne|lt|le|gt|ge|and_|or_|not_)"
)
_DTYPES: Final = MappingProxyType(
    {1: "uint8", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 12: "bool", 13: "bfloat16"}
)
_AS_ONNX: Final = MappingProxyType(
    {
        "conv2d": "Conv",
        "convolution": "Conv",
        "max_pool2d": "MaxPool",
        "cat": "Concat",
        "instance_norm": "InstanceNormalization",
        "softmax": "Softmax",
        "_softmax": "Softmax",
        "scaled_dot_product_attention": "Softmax",
        "linear": "MatMul",
        "matmul": "MatMul",
        "adaptive_avg_pool2d": "GlobalAveragePool",
        "mean": "GlobalAveragePool",
        "sigmoid": "Sigmoid",
        "tanh": "Tanh",
    }
)
"""ATen's operators by ONNX's names, as far as families are told by them."""


@dataclass(frozen=True, slots=True)
class Pt2Contents:
    """What was read of an exported program."""

    facts: GraphFacts
    sample_inputs: bytes  # a pickle: only to be read with weights_only


def archive_format(path: Path) -> str:
    """``pt2`` or ``torchscript``. Raises ``ModelError`` for anything else."""
    names = _names(path)
    if any(name.endswith(f"/{_MODEL}") for name in names):
        return "pt2"
    if any(name.endswith("/constants.pkl") for name in names) and any(
        "/code/" in name for name in names
    ):
        return "torchscript"
    if any(name.endswith("data.pkl") for name in names):
        raise ModelError(
            f"{path}: a pickle of weights or of a Python object, which is not loaded here",
            hint="export the network: torch.export.save(torch.export.export(...), 'model.pt2')",
        )
    raise ModelError(f"{path}: a zip archive, but no model")


def read_pt2(path: Path) -> Pt2Contents:
    """Inputs, outputs and operators of an exported program, and that it holds no code.

    Raises ``ModelError`` naming what is not let through.
    """
    names = _names(path)
    top = next(name for name in names if name.endswith(f"/{_MODEL}")).removesuffix(_MODEL)
    if len(set(names)) < len(names):
        raise ModelError(f"{path}: two parts of the archive have one name")
    with zipfile.ZipFile(path) as archive:
        try:
            model = json.loads(archive.read(top + _MODEL))
            configs = [
                json.loads(archive.read(name))
                for name in names
                if name.endswith(("_weights_config.json", "_constants_config.json"))
            ]
            _refuse(path, names, model, configs)
            facts = _facts(model["graph_module"], configs)
            samples = f"{top}data/sample_inputs/model.pt"
            sample_inputs = archive.read(samples) if samples in names else b""
        except (KeyError, TypeError, ValueError, AttributeError, zipfile.BadZipFile) as error:
            raise ModelError(
                f"{path}: no exported program as torch writes it: {error!r}"
            ) from error
    return Pt2Contents(facts, sample_inputs)


def _names(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path}: the model cannot be read: {error}") from error


def _refuse(path: Path, names: list[str], model: Any, configs: list[Any]) -> None:
    for fault in _faults(names, model, configs):
        raise ModelError(
            f"{path}: {fault}",
            hint="export only the network, with torch.export.save of torch 2.9 or later",
        )


def _faults(names: list[str], model: Any, configs: list[Any]) -> Iterator[str]:
    if any("/data/aotinductor/" in name or name.endswith(".so") for name in names):
        yield "it holds compiled code"
    parts = [part for config in configs for part in config["config"].values()]
    if len(configs) != 2 or any(part["use_pickle"] for part in parts):
        yield "it holds pickled tensors"
    if any(not re.fullmatch(r"(weight|tensor)_\d+", part["path_name"]) for part in parts):
        yield "it holds objects that are no tensors"
    for guard in model.get("guards_code") or ():
        if not _plain_arithmetic(_SIZE_OF_INPUT.sub("s0", guard)):
            yield f"the guard {guard!r} of its sizes is no plain arithmetic"
    for node in model["graph_module"]["graph"]["nodes"]:
        if not _OPERATORS.fullmatch(node["target"]):
            yield f"operator {node['target']} is not one of ATen's"
    for expression in (*_expressions(model["graph_module"]), *model["range_constraints"]):
        if not _plain_arithmetic(expression):
            yield f"the size {expression!r} is no plain arithmetic"


def _plain_arithmetic(expression: str) -> bool:
    words = _WORDS.findall(expression)
    known = all(_SIZE_WORDS.fullmatch(word) for word in words)
    return known and _SIZE_CHARACTERS.fullmatch(expression) is not None


def _expressions(value: Any) -> Iterator[str]:
    """Every ``expr_str`` in a tree of JSON."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            if "expr_str" in each:
                yield str(each["expr_str"])
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)


def _facts(module: Any, configs: list[Any]) -> GraphFacts:
    graph, signature = module["graph"], module["signature"]
    tensors = graph["tensor_values"]
    inputs = [
        spec["user_input"]["arg"]["as_tensor"]["name"]
        for spec in signature["input_specs"]
        if "user_input" in spec
    ]
    outputs = [
        spec["user_output"]["arg"]["as_tensor"]["name"]
        for spec in signature["output_specs"]
        if "user_output" in spec
    ]
    operators: dict[str, int] = {}
    makers: dict[str, str] = {}
    for node in graph["nodes"]:
        operator = _operator(node["target"])
        operators[operator] = operators.get(operator, 0) + 1
        makers.update((name, operator) for name in _produced(node))
    return GraphFacts(
        "pt2",
        tuple(_tensor(name, tensors[name]) for name in inputs),
        tuple(_tensor(name, tensors[name]) for name in outputs),
        MappingProxyType(operators),
        _first_stride(graph["nodes"]),
        MappingProxyType({name: makers.get(name, "") for name in outputs}),
        _precision(configs),
    )


def _operator(target: str) -> str:
    name = target.split(".")[3] if target.startswith("torch.ops.") else target
    return _AS_ONNX.get(name, name)


def _produced(node: Any) -> list[str]:
    return [each["as_tensor"]["name"] for each in node["outputs"] if "as_tensor" in each]


def _first_stride(nodes: list[Any]) -> int | None:
    for node in nodes:
        if _operator(node["target"]) == "Conv":
            strides = [each["arg"] for each in node["inputs"] if each.get("name") == "stride"]
            return int(strides[0]["as_ints"][0]) if strides else 1
    return None


def _tensor(name: str, meta: Any) -> TensorFacts:
    sides = tuple(size.get("as_int") for size in meta["sizes"])
    return TensorFacts(name, sides, _DTYPES.get(meta["dtype"], "other"))


def _precision(configs: list[Any]) -> str:
    kinds = [
        _DTYPES.get(part["tensor_meta"]["dtype"], "other")
        for config in configs
        for part in config["config"].values()
        if part["is_param"]
    ]
    for dtype, precision in (("float16", "fp16"), ("bfloat16", "bf16")):
        if 2 * kinds.count(dtype) > len(kinds):
            return precision
    return "fp32"
