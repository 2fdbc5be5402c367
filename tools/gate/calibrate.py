"""Calibrate the quality gate, and measure it on photos that it was not calibrated on.

    python -m tools.gate.calibrate measure --data DATA --models MODELS --sets SETS --work WORK
    python -m tools.gate.calibrate fit --work WORK [--write]

``measure`` runs models on photos with known mattes and keeps what the gate measures of each matte
beside its real IoU, in WORK/gate.jsonl; SETS is what `tools.training.kinds.build` wrote: goods,
groups and small persons. ``fit`` calibrates on the photos that the default model was
trained on, judges on those held out from both, and with ``--write`` stores the weights in
edge_matting/matting/quality_gate/weights.py and the curve in docs/images/gate.png.

Mattes are made hard by real means: the default model at small sizes, models for other subjects.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_matting.core.model_io import InputSize, ModelInput, ModelOutput
from edge_matting.matting import refine
from edge_matting.matting.quality_gate.features import Reduced, disagreement, measure
from edge_matting.models import Manifest
from edge_matting.models.manifest import load_manifest
from edge_matting.pipeline.matte import infer, second_look
from edge_matting.runtimes.ort.session import OrtSession
from tools.bench.metrics import iou
from tools.gate.fit import fit_gate, write_weights
from tools.gate.report import draw_curve, table
from tools.training.split import held_out

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / "edge_matting" / "matting" / "quality_gate" / "weights.py"
CURVE = ROOT / "docs" / "images" / "gate.png"
GROUPS = {"salient": 120, "pets": 60, "persons": 60}  # photos to calibrate on
GOODS = 80  # of the goods that were trained on
JUDGED = ("shop", "groups", "small")
SIZES = (320, 192, 128, 96)  # of the default model
OTHERS = {
    "selfie_segmentation_landscape.onnx": (
        ModelInput("input_1", InputSize(256, 144), layout="nhwc"),
        ModelOutput("segment_back"),
    ),
    "prisma_nchw.onnx": (
        ModelInput("input_3", InputSize(256, 256)),
        ModelOutput("permute_2"),
    ),
}
SEED = 5


@dataclass(frozen=True, slots=True)
class Case:
    """A photo, its true matte, where that is known, and whether it is kept for the judging."""

    name: str
    rgb: NDArray[np.uint8]
    truth: NDArray[np.float32]
    known: NDArray[np.bool_]
    kept: bool


def cases(data: Path, sets: Path | None) -> Iterator[Case]:
    """Held-out photos of each group, then some of those that the model was trained on.

    Of ``sets``, if it is given, goods that were trained on, and the sets kept for judging.
    """
    rng = np.random.default_rng(SEED)
    for group, count in GROUPS.items():
        files = sorted((data / group / "images").iterdir())
        kept = held_out(group, [file.stem for file in files])
        others = [file for file in files if file.stem not in kept]
        chosen = [others[i] for i in rng.permutation(len(others))[:count]]
        for file in [file for file in files if file.stem in kept] + chosen:
            yield _case(group, file, kept=file.stem in kept)
    if sets is None:
        return
    goods = sorted((sets / "goods" / "images").iterdir())
    for i in rng.permutation(len(goods))[:GOODS]:
        yield _case("goods", goods[i], kept=False)
    for group in JUDGED:
        for file in sorted((sets / group / "images").iterdir()):
            yield _case(group, file, kept=True)


def _case(group: str, file: Path, *, kept: bool) -> Case:
    with Image.open(file) as picture:
        rgb = np.asarray(picture.convert("RGB"))
    masks = file.parents[1] / ("trimaps" if group == "pets" else "masks")
    with Image.open(next(masks.glob(f"{file.stem}.*"))) as picture:
        same = picture.convert("L").resize(rgb.shape[1::-1], Image.Resampling.NEAREST)
        mask = np.asarray(same)
    known = np.ones(mask.shape, np.bool_)
    if group == "pets":  # their border band is wide and tells nothing
        known = (mask < 64) | (mask > 192)
    return Case(f"{group}/{file.stem}", rgb, (mask / 255).astype(np.float32), known, kept)


def sessions(
    models: Path | None, sizes: Sequence[int]
) -> Iterator[tuple[str, Manifest, OrtSession]]:
    folder = ROOT / "models" / "default"
    manifest = load_manifest(folder / "manifest.yaml")
    for side in sizes:
        session = OrtSession(manifest, folder / manifest.file, threads=1, resolution=(side, side))
        yield f"default at {side}", manifest, session
    if models is None:
        return
    for name, (photo, output) in OTHERS.items():
        other = manifest.model_copy(update={"id": "other", "input": photo, "output": output})
        yield name, other, OrtSession(other, models / name, threads=1)


def rows(
    data: Path, models: Path | None, sets: Path | None, sizes: Sequence[int]
) -> Iterator[dict[str, Any]]:
    """One row a matte: what the gate measures, what a second look says, and the real IoU."""
    made = list(sessions(models, sizes))
    for number, case in enumerate(cases(data, sets)):
        if number % 20 == 0:
            print(f"{number} photos", flush=True)
        for name, manifest, session in made:
            alpha = refine(case.rgb, infer(case.rgb, session, manifest))
            if alpha.mean() < 0.003 or alpha.max() < 0.5:
                continue  # said to be without a subject: that verdict needs no calibration
            yield {
                "photo": case.name,
                "kept": case.kept,
                "model": name,
                "iou": iou(alpha, case.truth, case.known),
                **_measured(case.rgb, alpha, second_look(session, manifest)),
            }


def _measured(rgb: Any, alpha: Any, look: Callable[[Any], Any]) -> dict[str, float]:
    reduced = Reduced.of(rgb, alpha)
    return {**measure(reduced).values(), "disagreement": disagreement(rgb, reduced, look)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=("measure", "fit"))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--models", type=Path, help="folder of models for other subjects")
    parser.add_argument("--sets", type=Path, help="goods, groups and small persons too")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="of the default model")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--write", action="store_true", help="store weights and curve")
    options = parser.parse_args()
    store = options.work / "gate.jsonl"
    cv2.setNumThreads(1)
    if options.step == "measure":
        if options.data is None:
            parser.error("measure needs --data")
        with store.open("w", encoding="utf-8") as file:
            for row in rows(options.data, options.models, options.sets, options.sizes):
                file.write(json.dumps(row) + "\n")
        return
    mattes = [json.loads(line) for line in store.read_text("utf-8").splitlines()]
    gate = fit_gate([row for row in mattes if not row["kept"]])
    kept = [row for row in mattes if row["kept"]]
    print(table(gate, kept))
    if options.write:
        write_weights(gate, WEIGHTS)
        draw_curve(gate, kept, CURVE)


if __name__ == "__main__":
    main()
