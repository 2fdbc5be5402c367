"""Make the int8 and fp16 files of a trained model and name them in its manifest.

    python -m tools.training.quantise --work WORK --model models/default

int8: static quantisation with QDQ nodes (Jacob et al., CVPR 2018; onnxruntime's tool), weights
per channel, activations from training photos; then the biases are corrected. The stem, the first
stage, the last upward step and the head stay in fp32: MobileNetV2's first layers have few channels
of very different range, and a matte's edges come from the last ones.
fp16: weights and computation in half precision, input and output in fp32, for GPUs.

Nothing is written unless the file keeps what was promised against fp32 on held-out pictures: the
IoU (`MOST_IOU_LOST`), the alpha (`LEAST_PSNR`) and, for int8, the speed on this processor
(`LEAST_SPEED_UP`). `--all-the-same` writes it with what it lacks said aloud, for the model card.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.transformers.float16 import convert_float_to_float16

from edge_matting.matting import to_tensor
from edge_matting.models.catalog import load_model_manifest
from edge_matting.models.manifest import Manifest, load_manifest
from tools.training.bias_correction import Inputs, correct_biases
from tools.training.manifest_text import put_behind
from tools.training.network import KEPT_IN_FP32
from tools.training.one_thread import medians, session_of
from tools.training.store import Store
from tools.training.validation import Case, Figure, cases, figures, stretched

GROUPS = ("persons", "salient", "pets")
CALIBRATION_PHOTOS = 36  # their activations are all held in memory
CORRECTION_PHOTOS = 96
RANGE_PERCENTILE = 99.999  # of activations: rare extremes cost 2 dB
MOST_IOU_LOST = 0.005
LEAST_PSNR = 36.0
LEAST_SPEED_UP = 1.3
TIMED = 31


def folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Batch norm after a sum of convolutions, folded into them; exact but for rounding.

    Each may reach the sum through a Resize, which commutes with a factor per channel.
    """
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    for norm in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        total, gain, offset, mean, variance = norm.input
        g, b, m, v = (numpy_helper.to_array(weights[n]) for n in (gain, offset, mean, variance))
        epsilon = next((a.f for a in norm.attribute if a.name == "epsilon"), 1e-5)
        factor = g / np.sqrt(v + epsilon)
        parts = list(_summands(made_by[total], made_by))
        if any(part.op_type != "Conv" or len(part.input) != 2 for part in parts):
            raise SystemExit(f"{norm.name}: not after a sum of convolutions without bias")
        for part in parts:
            old = weights[part.input[1]]
            scaled = numpy_helper.to_array(old) * factor[:, None, None, None]
            old.CopyFrom(numpy_helper.from_array(scaled.astype(np.float32), old.name))
        bias = numpy_helper.from_array((b - m * factor).astype(np.float32), f"{norm.name}_bias")
        graph.initializer.append(bias)
        weights[bias.name] = bias
        parts[-1].input.append(bias.name)
        for node in graph.node:
            node.input[:] = [total if name == norm.output[0] else name for name in node.input]
        graph.node.remove(norm)
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)
    onnx.checker.check_model(model, full_check=True)
    return model


def _summands(node: onnx.NodeProto, made_by: dict[str, onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """What is added up in `node`, in order."""
    if node.op_type == "Resize":
        yield from _summands(made_by[node.input[0]], made_by)
    elif node.op_type == "Add":
        for name in node.input:
            yield from _summands(made_by[name], made_by)
    else:
        yield node


class Photos(CalibrationDataReader):  # type: ignore[misc]
    """Training photos as inputs of the network, evenly from every group."""

    def __init__(self, store: Store, manifest: Manifest, count: int) -> None:
        self._inputs = photos(store, manifest, count)

    def get_next(self) -> Inputs | None:
        return next(self._inputs, None)


def photos(store: Store, manifest: Manifest, count: int) -> Iterator[Inputs]:
    """About ``count`` training photos at the planned size, as inputs of the network."""
    for group in GROUPS:
        items = store.select(group, validation=False)
        for item in items[:: max(1, len(items) * len(GROUPS) // count)]:
            rgb = np.ascontiguousarray(store.pixels(item)[..., :3])
            yield {manifest.input.name: to_tensor(rgb, manifest.input)[0]}


def kept_in_fp32(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes that int8 leaves alone.

    What only such nodes feed stays with them: the sums of the last step were made of three
    tensors of half the picture's size, and rounding these cost more time than it saved.
    """
    stored = {tensor.name for tensor in model.graph.initializer}
    kept: dict[str, str] = {}  # what a kept node gives, and its name
    for node in model.graph.node:
        named = any(f"net.{part}." in name for name in node.input for part in KEPT_IN_FP32)
        data = [name for name in node.input if name and name not in stored]
        follows = node.op_type != "Conv" and bool(data) and all(name in kept for name in data)
        if named or follows:
            kept |= dict.fromkeys(node.output, node.name)
    return list(dict.fromkeys(kept.values()))


def to_int8(source: Path, target: Path, store: Store, manifest: Manifest) -> None:
    """Write the QDQ graph of ``source``."""
    model = folded(onnx.load(source))
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "folded.onnx"
        onnx.save(model, prepared)
        quantize_static(
            prepared,
            target,
            Photos(store, manifest, CALIBRATION_PHOTOS),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=kept_in_fp32(model),
            calibrate_method=CalibrationMethod.Percentile,
            extra_options={"CalibPercentile": RANGE_PERCENTILE},
        )
    rounded = onnx.load(target)
    correct_biases(model, rounded, list(photos(store, manifest, CORRECTION_PHOTOS)))
    onnx.save(rounded, target)


def to_fp16(source: Path, target: Path) -> None:
    """Write ``source`` in half precision, its input and output as they were."""
    model = convert_float_to_float16(folded(onnx.load(source)), keep_io_types=True)
    onnx.save(model, target)


@dataclass(frozen=True)
class Comparison:
    """A file against the fp32 one, in one run."""

    rows: list[Figure]
    iou_lost: float  # mean over the groups with a subject
    psnr: float  # of all held-out alphas together, decibels
    speed_up: float  # processor time of one inference, one thread, medians interleaved


def compare(manifest: Manifest, exact: Path, other: Path, pictures: list[Case]) -> Comparison:
    """Quality and speed of ``other`` against ``exact``."""
    side = manifest.input.size.width
    sessions = {"exact": session_of(exact), "other": session_of(other)}
    tensors = [to_tensor(case.rgb, manifest.input)[0] for case in pictures]

    def alpha(name: str, tensor: NDArray[Any]) -> NDArray[np.float32]:
        return np.asarray(sessions[name].run(None, {manifest.input.name: tensor})[0][0, 0])

    def matte(name: str, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        return alpha(name, to_tensor(rgb, manifest.input)[0])

    def turn_of(name: str, turn: int) -> NDArray[np.float32]:
        return alpha(name, tensors[turn % len(tensors)])

    squares = [float(np.square(alpha("exact", t) - alpha("other", t)).mean()) for t in tensors]
    rows = {
        name: figures(
            stretched(partial(matte, name), side),
            pictures,
        )
        for name in sessions
    }
    mean = {
        name: float(np.mean([row.iou for row in part if row.group != "empty"]))
        for name, part in rows.items()
    }
    times = medians([partial(turn_of, name) for name in sessions], TIMED)
    return Comparison(
        rows["other"],
        mean["exact"] - mean["other"],
        float(10 * np.log10(1 / np.mean(squares))),
        times[0] / times[1],
    )


def faults(precision: str, found: Comparison) -> list[str]:
    """What the file does not keep."""
    wrong = []
    if found.iou_lost > MOST_IOU_LOST:
        wrong.append(f"loses {found.iou_lost:.4f} IoU, at most {MOST_IOU_LOST} is allowed")
    if found.psnr < LEAST_PSNR:
        wrong.append(f"its alpha is {found.psnr:.1f} dB from fp32's, at least {LEAST_PSNR} is due")
    if precision == "int8" and found.speed_up < LEAST_SPEED_UP:
        wrong.append(f"runs {found.speed_up:.2f} times as fast, at least {LEAST_SPEED_UP} is due")
    return wrong


def into_manifest(path: Path, files: dict[str, str]) -> None:
    """Name the variants (precision -> file) behind the main file's digest, beside those there."""
    known = load_manifest(path).variants
    files = {**{part.precision: part.file for part in known if part.backend == "ort"}, **files}
    lines = ["variants:"]
    for precision, file in files.items():
        digest = hashlib.sha256((path.parent / file).read_bytes()).hexdigest()
        lines.append(
            f"  - {{precision: {precision}, backend: ort, file: {file}, sha256: {digest}}}"
        )
    put_behind(path, "sha256", "\n".join(lines) + "\n", old=r"^variants:\n(?:  - .*\n)*")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument(
        "--work", type=Path, required=True, help="where tools.training.train worked"
    )
    parser.add_argument("--model", type=Path, default=Path("models/default"))
    parser.add_argument(
        "--precisions", nargs="+", default=["int8", "fp16"], choices=["int8", "fp16"]
    )
    parser.add_argument(
        "--all-the-same", action="store_true", help="keep a file that misses a limit, and say so"
    )
    options = parser.parse_args()
    manifest = load_model_manifest(options.model)
    exact = options.model / manifest.file
    store = Store(options.work / "set")
    pictures = list(cases(store))
    made: dict[str, str] = {}
    for precision in options.precisions:
        name = f"{exact.stem}.{precision}.onnx"
        draft = options.model / f"{name}.tmp"
        if precision == "int8":
            to_int8(exact, draft, store, manifest)
        else:
            to_fp16(exact, draft)
        found = compare(manifest, exact, draft, pictures)
        print(
            f"{precision}: {draft.stat().st_size / 1e6:.2f} MB, IoU lost {found.iou_lost:.4f}, "
            f"{found.psnr:.1f} dB, {found.speed_up:.2f} times as fast as fp32"
        )
        for row in found.rows:
            print(f"  {row.group:8} {row.iou:.4f} {row.mae:.4f}")
        wrong = "; ".join(faults(precision, found))
        if wrong and not options.all_the_same:
            draft.unlink()
            raise SystemExit(f"{name} is not kept: {wrong}")
        if wrong:
            print(f"{name} is kept all the same: {wrong}")
        draft.replace(options.model / name)
        made[precision] = name
    into_manifest(options.model / "manifest.yaml", made)


if __name__ == "__main__":
    main()
