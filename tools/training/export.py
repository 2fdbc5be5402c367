"""Export the trained model: one ONNX file, its manifest, and the figures in the model card.

    python -m tools.training.export --work WORK --card models/MODEL_CARD.md

The ONNX graph takes RGB already normalised to [-1, 1] and gives alpha; it is checked against torch
on held-out photos before anything is written beside it.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import tempfile
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from edge_matting.core.durable import durable_write
from tools.training.augment import resized
from tools.training.checkpoint import Progress, averaged_net
from tools.training.dataset import to_input, training_views
from tools.training.network import EXPANSIONS, AlphaNet, MattingNet
from tools.training.onnx_graph import head_by_stride, pixels_by_stride
from tools.training.store import Store
from tools.training.validation import Case, cases, figures, stretched, table
from tools.training.warm_start import between, without_attention

SIZE = 320
OPSET, NEWEST_IR = 18, 10  # 18: the oldest that torch 2.13 writes; onnxruntime 1.19 reads 21
LARGEST_FILE = 10_000_000
TOLERANCE = 1e-4
FOLD_BATCHES = 20  # of 8 pictures
ORIGIN = "Started from the ImageNet-trained MobileNetV2 of google-coral/test_data (Apache-2.0)."

MANIFEST = """\
id: {id}
version: "{version}"
name: {title}
task: matting
file: {file}
sha256: {sha256}
input:
  name: image
  layout: nchw
  dtype: float32
  channels: rgb
  size: {{rule: multiple_of, multiple: 32, width: {size}, height: {size}, fit: stretch}}
  range: [0, 1]
  mean: [0.5, 0.5, 0.5]
  std: [0.5, 0.5, 0.5]
output: {{name: alpha, kind: alpha}}
licence: Apache-2.0
provenance: |
  {made}
  {origin}
  Trained on:
  - full-body street photos with masks, bearpaw/clothing-co-parsing (CCP): the repository is
    Apache-2.0; the photographers' rights are not evidenced.
  - ECSSD, through yunusgunay/Salient-Object-Segmentation: a research set without stated terms.
  - Oxford-IIIT Pet, a subset through Naveen-Dodda/Sample_Pets_dataset: CC BY-SA 4.0 by the set's
    authors.
  - portraits of cjdowner/interfaces: CC0; masks made by this project.
  - renders of the product scans of ChenEating716/pybullet-URDF-models: MIT; some scans resemble
    the YCB object set, which is credited here.
  - backgrounds: HDRI Haven through pmndrs/drei-assets (CC0), wallpapers of Pop!_OS, elementary OS
    and Budgie (CC0, Unsplash, Pexels, public domain), grocery shelves of
    marcusklasson/GroceryStoreDataset (MIT).
{unlabelled}  Soft targets were made from the binary masks by closed-form matting on a narrow band.
  Details, figures and weaknesses: models/MODEL_CARD.md.
"""

WITHOUT_MASKS = {
    "persons_unlabelled": """\
  - more of CCP's street photos, which have no masks: theirs are what earlier versions agreed on.
""",
    "products": """\
  - clothes of alexeygrigorev/clothing-dataset-small (CC0) and goods on white of
    marcusklasson/GroceryStoreDataset (MIT): masks from earlier versions and GrabCut, looked at.
""",
}
"""Lines of the manifest on groups of the set that only some trainings had."""


def without_traces(model: onnx.ModelProto) -> None:
    """Drop what the exporter notes of its own call: stack traces with this machine's paths."""
    graph = model.graph
    parts = (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info)
    for part in (*parts, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""


def to_onnx(net: MattingNet, path: Path) -> None:
    """Batch, height and width stay open; height and width must be multiples of 32."""
    batch = torch.export.Dim("batch", min=1, max=64)
    rows, columns = torch.export.Dim("rows", min=2, max=64), torch.export.Dim("cols", min=2, max=64)
    torch.onnx.export(
        AlphaNet(net).eval(),
        (torch.zeros(2, 3, SIZE, SIZE - 32),),
        path,
        input_names=["image"],
        output_names=["alpha"],
        opset_version=OPSET,
        dynamo=True,
        external_data=False,
        optimize=True,
        dynamic_shapes={"image": {0: batch, 2: 32 * rows, 3: 32 * columns}},
    )
    model = onnx.load(path)
    without_traces(model)
    pixels_by_stride(model, "net.up2.skip.weight")
    head_by_stride(model, "net.head.weight")
    model.ir_version = min(model.ir_version, NEWEST_IR)
    onnx.checker.check_model(model, full_check=True)
    opset = {o.domain: o.version for o in model.opset_import}[""]
    if opset != OPSET:
        raise SystemExit(f"{path}: opset {opset} where {OPSET} was asked for")
    onnx.save(model, path)
    if path.stat().st_size > LARGEST_FILE:
        raise SystemExit(f"{path}: {path.stat().st_size} bytes, more than {LARGEST_FILE}")


def session_of(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def onnx_alpha(session: onnxruntime.InferenceSession, rgb: NDArray[np.uint8]) -> Any:
    """HxWx3 RGB uint8, sides multiples of 32 -> alpha float32 HxW."""
    image = ((rgb.astype(np.float32) / 255 - 0.5) / 0.5).transpose(2, 0, 1)[None]
    return session.run(["alpha"], {"image": np.ascontiguousarray(image)})[0][0, 0]


def largest_difference(
    net: MattingNet, session: onnxruntime.InferenceSession, pictures: list[Case]
) -> float:
    """Between torch and onnxruntime over real photos, in several sizes and one batch of two."""
    worst = 0.0
    for i, case in enumerate(pictures[::20]):
        width, height = ((SIZE, SIZE), (256, 384), (512, 320))[i % 3]
        rgb = resized(case.rgb, width, height)
        with torch.inference_mode():
            image = to_input(torch.from_numpy(rgb)[None]).contiguous()
            theirs = AlphaNet(net)(torch.cat((image, image.flip(3)))).numpy()
        both = np.concatenate((image.numpy(), image.flip(3).numpy()))
        ours = session.run(["alpha"], {"image": both})[0]
        worst = max(worst, float(np.abs(ours - theirs).max()))
        worst = max(worst, float(np.abs(onnx_alpha(session, rgb) - theirs[0, 0]).max()))
    return worst


def made(progress: Progress, layout: Mapping[str, Any], machine: str) -> str:
    """A sentence on what the network is and how long it learned."""
    said = f"A U-Net with a MobileNetV2 encoder of width {layout['width']:.2g}"
    if layout["attention"]:
        said += ", with attention in the decoder"
    if tuple(layout["expansions"]) != EXPANSIONS:
        inside = " ".join(f"{factor:g}" for factor in layout["expansions"])
        said += f", the blocks of its stages {inside} times as wide inside as outside"
    return (
        f"{said}, trained by tools/training/train.py of this project: {progress.samples:,} samples "
        f"in {progress.total / 60:.0f} minutes on {machine}."
    )


def indented(sentence: str) -> str:
    """Lines for the manifest."""
    return "\n  ".join(textwrap.wrap(sentence, 97))


def write_manifest(
    path: Path,
    progress: Progress,
    layout: Mapping[str, Any],
    store: Store,
    options: argparse.Namespace,
) -> None:
    """For the model at `path`. Last of all: a manifest means that the model beside it is whole."""
    text = MANIFEST.format(
        id=options.to.name,
        version=options.version,
        title=options.title,
        file=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        size=options.side,
        made=indented(made(progress, layout, options.machine)),
        origin=indented(options.origin),
        unlabelled="".join(
            said for group, said in WITHOUT_MASKS.items() if store.select(group, validation=False)
        )
        + (options.also.read_text() if options.also else ""),
    )
    durable_write(path.with_name("manifest.yaml"), text.encode())


def into_card(card: Path, text: str) -> None:
    """Replace what stands between the `figures` marks of the model card."""
    marks = re.compile(r"(<!-- figures -->\n).*?(<!-- end of figures -->)", re.DOTALL)
    old = card.read_text()
    if not marks.search(old):
        raise SystemExit(f"{card}: no <!-- figures --> ... <!-- end of figures --> to fill")
    card.write_text(marks.sub(lambda m: m[1] + text + "\n" + m[2], old))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument(
        "--work", type=Path, required=True, help="where tools.training.train worked"
    )
    parser.add_argument("--to", type=Path, default=Path("models/default"))
    parser.add_argument("--card", type=Path, help="model card to write the figures into")
    parser.add_argument("--file", default="matting_mobilenetv2_unet.onnx", help="its name")
    parser.add_argument("--title", default="General matting, MobileNetV2 U-Net")
    parser.add_argument("--side", type=int, default=SIZE, help="planned side of the input")
    parser.add_argument(
        "--start",
        type=Path,
        metavar="FILE.onnx",
        help="what `tools.training.train --from` went on from",
    )
    parser.add_argument(
        "--share", type=float, default=1.0, help="of the way from there to the weights reached"
    )
    parser.add_argument(
        "--fold-attention",
        action="store_true",
        help="what it says on average over training photos becomes part of the weights",
    )
    parser.add_argument(
        "--also", type=Path, metavar="FILE", help="more lines on what it was trained on"
    )
    parser.add_argument("--version", default="2026.11.30")
    parser.add_argument("--machine", default="2 CPU cores")
    parser.add_argument("--origin", default=ORIGIN, help="what the weights began as, a sentence")
    options = parser.parse_args()
    net, progress = averaged_net(options.work / "checkpoint.pt")
    if net.layout["encoder"] == "plain":
        raise SystemExit(f"{options.work}: a network for comparison, which is not shipped")
    if options.share < 1.0:
        with tempfile.TemporaryDirectory() as scratch:
            trained = Path(scratch) / "trained.onnx"
            to_onnx(net, trained)
            attention = bool(net.layout["attention"])
            net = between(options.start, trained, options.share, attention=attention)
    store = Store(options.work / "set")
    if options.fold_attention:
        net = without_attention(net, training_views(store, options.side, FOLD_BATCHES, seed=0))
    options.to.mkdir(parents=True, exist_ok=True)
    path: Path = options.to / options.file
    temporary = path.with_suffix(".onnx.tmp")
    to_onnx(net, temporary)
    session = session_of(temporary)
    pictures = list(cases(store, checked=True))
    worst = largest_difference(net, session, pictures)
    if worst > TOLERANCE:
        raise SystemExit(f"onnxruntime and torch differ by {worst:.2e}, more than {TOLERANCE}")
    rows = figures(stretched(lambda rgb: onnx_alpha(session, rgb), options.side), pictures)
    temporary.replace(path)
    write_manifest(path, progress, net.layout, store, options)
    text = (
        f"{table(rows)}\n\nMeasured on the exported ONNX at {options.side} x {options.side}, "
        f"stretched, after {progress.samples:,} samples\n({progress.step:,} steps in "
        f"{progress.total / 60:.0f} minutes on {options.machine}). Largest difference between\n"
        f"onnxruntime {onnxruntime.__version__} and torch {torch.__version__} on held-out photos: "
        f"{worst:.1e}."
    )
    print(text)
    if options.card:
        into_card(options.card, text)


if __name__ == "__main__":
    main()
