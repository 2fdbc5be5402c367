"""How good models of the catalog are: every measure of the field, per group of held-out pictures.

    python -m tools.training.evaluate --work WORK --models models/default --sheet sheet.jpg

WORK holds the set that ``tools.training.train`` prepared; its held-out pictures are chosen by name
(``tools/training/split.py``). A model is the folder of its manifest, `FOLDER:int8` its file in
another precision. The alpha is compared at the picture's size after bilinear resampling, without
refinement: this measures the network. ``--sheet`` keeps a contact sheet to look at, the worst
pictures first: photo, truth, alpha, and the cut-out over magenta. With several sides it is told
whether thin subjects gain by a larger one. ``--write`` keeps the figures in the manifest, from
which the planner chooses.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_matting.matting import from_output, to_tensor
from edge_matting.models.catalog import load_model_manifest
from edge_matting.runtimes.ort.session import OrtSession
from tools.bench.metrics import boundary_fscore, connectivity_error, gradient_error, iou, mse, sad
from tools.training.manifest_text import put_behind
from tools.training.store import Store
from tools.training.validation import EMPTY_LIMIT, Alpha, Case, cases

MEASURES = ("iou", "mad", "mse", "sad", "gradient", "connectivity", "psnr", "boundary")
# what the manifest's figures are means over; portraits and soft composites came later and are told
# apart, so that figures of versions compare
QUALITY_GROUPS = ("persons", "salient", "pets", "objects")
QUALITY_COMMENT = (
    "# tools/training/evaluate.py on the held-out pictures; models/MODEL_CARD.md says more"
)
QUALITY_BLOCK = r"^(?:# tools/.*\n)?quality:\n(?:  - .*\n)*(?:quality_floor: .*\n)?"
MAGENTA = (255, 0, 255)
THIN_OPENING, THIN_QUARTILE = 0.02, 0.75
SHEET_ROWS, SHEET_COLUMNS, TILE = 12, 2, 160


@dataclass(frozen=True)
class Score:
    """One picture. SAD, gradient and connectivity in thousands, as the papers print them."""

    model: str
    side: int
    group: str
    name: str
    iou: float  # an empty scene: 1 where the mean alpha is below EMPTY_LIMIT
    mad: float
    mse: float
    sad: float
    gradient: float
    connectivity: float
    psnr: float  # decibels, at most 99
    boundary: float  # NaN where part of the outline is not known
    thin: float  # share of the matte that an opening takes away


def score(model: str, side: int, case: Case, alpha: Alpha) -> Score:
    """Every measure of one alpha; where the truth is not known nothing counts."""
    known = case.known
    apart = float(np.abs(alpha - case.alpha)[known].mean())
    squared = mse(alpha, case.alpha, known)
    empty = case.group == "empty"
    return Score(
        model=model,
        side=side,
        group=case.group,
        name=case.name,
        iou=float(apart < EMPTY_LIMIT) if empty else iou(alpha, case.alpha, known),
        mad=apart,
        mse=squared,
        sad=sad(alpha, case.alpha, known) / 1000,
        gradient=gradient_error(alpha, case.alpha, known) / 1000,
        connectivity=connectivity_error(alpha, case.alpha, known) / 1000,
        psnr=min(99.0, float(10 * np.log10(1 / max(squared, 1e-12)))),
        boundary=boundary_fscore(alpha, case.alpha) if known.all() else float("nan"),
        thin=thinness(alpha),
    )


def thinness(alpha: Alpha) -> float:
    """Share of the matte (alpha >= 0.5) that an opening of 2 % of the short side takes away.

    What could be known of a photo's thin structures before a size is chosen, 0 to 1;
    0 for an empty matte.
    """
    subject = (alpha >= 0.5).astype(np.uint8)
    area = int(subject.sum())
    if area == 0:
        return 0.0
    width = max(3, round(THIN_OPENING * min(subject.shape))) | 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    kept = int(np.asarray(cv2.morphologyEx(subject, cv2.MORPH_OPEN, kernel)).sum())
    return 1.0 - kept / area


def alphas(model: str, side: int, pictures: Sequence[Case]) -> Iterator[tuple[Case, Alpha]]:
    """Each picture with the alpha that ``FOLDER`` or ``FOLDER:PRECISION`` makes of it."""
    folder, _, precision = model.partition(":")
    manifest = load_model_manifest(Path(folder))
    part = manifest.variant("ort", precision or manifest.precision)
    if part is None:
        raise SystemExit(f"{folder}: the manifest names no {precision} file for onnxruntime")
    session = OrtSession(manifest, Path(folder) / part.file, threads=1, resolution=(side, side))
    size = session.describe().resolution
    for case in pictures:
        tensor, geometry = to_tensor(case.rgb, manifest.input, size)
        small = from_output(session.run(tensor), manifest.output, geometry)
        height, width = case.alpha.shape
        yield case, np.asarray(cv2.resize(small, (width, height)), np.float32)
    session.close()


def table(scores: Sequence[Score]) -> str:
    """Markdown: one row a model, side and group, means over the pictures."""
    lines = [
        f"| model | side | group | pictures | {' | '.join(MEASURES)} |",
        "|---" * (4 + len(MEASURES)) + "|",
    ]
    keys = dict.fromkeys((each.model, each.side, each.group) for each in scores)
    for model, side, group in keys:
        part = [e for e in scores if (e.model, e.side, e.group) == (model, side, group)]
        means = " | ".join(
            f"{float(np.mean([getattr(each, name) for each in part])):.4f}" for name in MEASURES
        )
        lines.append(f"| {model} | {side} | {group} | {len(part)} | {means} |")
    return "\n".join(lines)


def quality_rows(scores: Sequence[Score]) -> str:
    """The manifest's ``quality``: means over QUALITY_GROUPS, each counting the same."""
    lines = []
    for model, side in dict.fromkeys((each.model, each.side) for each in scores):
        part = [e for e in scores if (e.model, e.side) == (model, side)]
        part = [e for e in part if e.group in QUALITY_GROUPS]
        groups = dict.fromkeys(each.group for each in part)
        if not groups:  # --groups named none of them
            continue
        iou_, mad_ = (
            float(np.mean([np.mean([getattr(e, n) for e in part if e.group == g]) for g in groups]))
            for n in ("iou", "mad")
        )
        precision = model.partition(":")[2] or "fp32"
        lines.append(
            f"  - {{precision: {precision}, resolution: [{side}, {side}], "
            f"iou: {iou_:.3f}, mad: {mad_:.4f}}}"
        )
    return "\n".join(lines)


def into_manifest(path: Path, rows: str, floor: float) -> None:
    """Put the rows and the floor behind the manifest's output, in place of those there."""
    block = f"{QUALITY_COMMENT}\nquality:\n{rows}\nquality_floor: {floor}\n"
    put_behind(path, "output", block, QUALITY_BLOCK)


def thin_rows(scores: Sequence[Score]) -> str:
    """IoU by side of one model, for the thin quarter of the pictures and for the others.

    Which are thin is told by the matte at the smallest side.
    """
    sides = sorted({each.side for each in scores})
    first = {(e.group, e.name): e.thin for e in scores if e.side == sides[0]}
    limit = float(np.quantile(list(first.values()), THIN_QUARTILE))
    lines = [f"thin: the quarter of the pictures with thinness >= {limit:.3f}"]
    for name, wanted in (("thin", True), ("others", False)):
        part = [e for e in scores if (first[e.group, e.name] >= limit) is wanted]
        means = [float(np.mean([e.iou for e in part if e.side == side])) for side in sides]
        told = "  ".join(f"{s}: {v:.4f}" for s, v in zip(sides, means, strict=True))
        lines.append(f"  {name:6} {told}")
    return "\n".join(lines)


def sheet(worst: Sequence[tuple[Case, Alpha]]) -> NDArray[np.uint8]:
    """H x W x 3 RGB uint8: each case as photo, truth, alpha and cut-out over magenta."""
    return in_rows([np.hstack(_tiles(case, alpha)) for case, alpha in worst], SHEET_COLUMNS)


def in_rows(strips: Sequence[NDArray[np.uint8]], columns: int) -> NDArray[np.uint8]:
    """Pictures of one size beside and below each other; what is left of the last row is white."""
    filled = [*strips, *[np.full_like(strips[0], 255)] * (-len(strips) % columns)]
    rows = [np.hstack(filled[at : at + columns]) for at in range(0, len(filled), columns)]
    return np.asarray(np.vstack(rows), np.uint8)


def _tiles(case: Case, alpha: Alpha) -> list[NDArray[np.uint8]]:
    grey = [np.repeat((a * 255)[..., None], 3, axis=2) for a in (case.alpha, alpha)]
    shown = (case.rgb, *grey, over_magenta(case.rgb, alpha))
    return [tile(np.asarray(p, np.uint8), TILE) for p in shown]


def over_magenta(rgb: NDArray[np.uint8], alpha: Alpha) -> NDArray[np.uint8]:
    """The cut-out over a ground that hides no fault, H x W x 3 RGB uint8."""
    over = alpha[..., None] * rgb + (1 - alpha[..., None]) * np.array(MAGENTA, np.float32)
    return np.asarray(over, np.uint8)


def tile(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The picture in a white square of ``side`` pixels."""
    height, width = picture.shape[:2]
    factor = side / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    square = np.full((side, side, 3), 255, np.uint8)
    square[: size[1], : size[0]] = small
    return square


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument(
        "--work", type=Path, required=True, help="where tools.training.train worked"
    )
    parser.add_argument("--models", nargs="+", default=["models/default"])
    parser.add_argument("--sides", nargs="+", type=int, default=[320])
    parser.add_argument("--groups", nargs="+", help="only these")
    parser.add_argument("--sheet", type=Path, help="JPEG of the first model's worst pictures")
    parser.add_argument(
        "--write",
        type=float,
        metavar="FLOOR",
        help="into the first model's manifest: these figures, and the IoU below which nothing is "
        "planned",
    )
    parser.add_argument("--json", type=Path, help="the figures of every picture")
    options = parser.parse_args()
    wanted = options.groups
    held_out = cases(Store(options.work / "set"), checked=True)
    pictures = [case for case in held_out if not wanted or case.group in wanted]
    scores: list[Score] = []
    first: list[tuple[float, Case, Alpha]] = []
    for model in options.models:
        for side in options.sides:
            for case, alpha in alphas(model, side, pictures):
                scores.append(score(model, side, case, alpha))
                if (model, side) == (options.models[0], options.sides[0]):
                    first.append((scores[-1].mad, case, alpha))
    print(table(scores))
    print("quality:")
    print(quality_rows(scores))
    if options.write is not None:
        folder = options.models[0].partition(":")[0]
        own = [each for each in scores if each.model.partition(":")[0] == folder]
        into_manifest(Path(folder) / "manifest.yaml", quality_rows(own), options.write)
    if len(options.sides) > 1:
        for model in options.models:
            subjects = [e for e in scores if e.model == model and e.group in QUALITY_GROUPS]
            print(f"{model}, by side, {thin_rows(subjects)}")
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(each) for each in scores]))
    if options.sheet is not None:
        first.sort(key=lambda each: -each[0])
        worst = [(case, alpha) for _, case, alpha in first[: SHEET_ROWS * SHEET_COLUMNS]]
        picture = cv2.cvtColor(sheet(worst), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(options.sheet), picture, [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main()
