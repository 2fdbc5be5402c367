"""How good a model is at each input size, on the held-out pictures of ``tools.training``.

    python -m tools.resolutions --work WORK --model models/default --sides 192 256 320 384 448

WORK holds the set that ``tools.train`` prepares. The printed rows are the manifest's ``quality``:
means over the four groups with a subject, each group counting the same. ``--cases FILE`` keeps
the figures of every picture, for a closer look.

Also printed: what the higher sizes bring for pictures with thin structures against the others.
Thin is the share of the subject that an opening of 2 % of the short side takes away, measured on
the alpha at the smallest size: what a planner could know of a photo before it decides.
``--long-side N`` shrinks the pictures first: do small ones gain by being blown up to the size?
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from edge_matting.inference.catalog import load_model_manifest
from edge_matting.inference.ort import OrtSession
from edge_matting.matting import from_output, to_tensor
from tools.training.store import Store
from tools.training.validation import Alpha, Case, cases, iou_at_half

THIN_OPENING = 0.02
THIN_QUARTILE = 0.75


@dataclass(frozen=True)
class Score:
    """One held-out picture at one input size."""

    group: str
    name: str
    side: int
    iou: float
    mad: float
    thin: float


def thinness(alpha: Alpha) -> float:
    """Share of the subject (alpha >= 0.5) that an opening takes away, 0 to 1; 0 when empty."""
    subject = (alpha >= 0.5).astype(np.uint8)
    area = int(subject.sum())
    if area == 0:
        return 0.0
    width = max(3, round(THIN_OPENING * min(subject.shape))) | 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    kept = int(np.asarray(cv2.morphologyEx(subject, cv2.MORPH_OPEN, kernel)).sum())
    return 1.0 - kept / area


def shrunk(case: Case, long_side: int) -> Case:
    """The picture with its longer side at most ``long_side`` pixels."""
    height, width = case.alpha.shape
    scale = long_side / max(height, width)
    if scale >= 1:
        return case
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    rgb = np.asarray(cv2.resize(case.rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    alpha = np.asarray(cv2.resize(case.alpha, size, interpolation=cv2.INTER_AREA), np.float32)
    known = cv2.resize(case.known.view(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return Case(case.group, case.name, rgb, alpha, np.asarray(known, np.bool_))


def pictures_of(work: Path, long_side: int | None) -> list[Case]:
    """The held-out pictures with a subject."""
    found = [case for case in cases(Store(work / "set")) if case.group != "empty"]
    return found if long_side is None else [shrunk(case, long_side) for case in found]


def score(model: Path, pictures: Sequence[Case], sides: Sequence[int]) -> list[Score]:
    """Every picture at every size."""
    manifest = load_model_manifest(model)
    scores: list[Score] = []
    thin: dict[str, float] = {}
    for side in sorted(sides):
        session = OrtSession(manifest, model / manifest.file, threads=1, resolution=(side, side))
        for case in pictures:
            tensor, geometry = to_tensor(case.rgb, manifest.input, (side, side))
            small = from_output(session.run(tensor), manifest.output, geometry)
            height, width = case.alpha.shape
            alpha = np.asarray(cv2.resize(small, (width, height)), np.float32)
            scores.append(_score(case, side, alpha, thin.setdefault(case.name, thinness(alpha))))
        session.close()
    return scores


def _score(case: Case, side: int, alpha: Alpha, thin: float) -> Score:
    mad = float(np.abs(alpha - case.alpha)[case.known].mean())
    return Score(case.group, case.name, side, iou_at_half(alpha, case), mad, thin)


def of_side(scores: Sequence[Score], side: int) -> tuple[float, float]:
    """IoU and mean absolute difference at one size, each group counting the same."""
    groups = sorted({each.group for each in scores})
    rows = [[e for e in scores if e.side == side and e.group == group] for group in groups]
    ious = [float(np.mean([e.iou for e in row])) for row in rows]
    mads = [float(np.mean([e.mad for e in row])) for row in rows]
    return float(np.mean(ious)), float(np.mean(mads))


def _gains(scores: Sequence[Score], sides: Sequence[int]) -> None:
    """What each size brings against the smallest, for thin subjects and for the others."""
    limit = float(np.quantile([e.thin for e in scores if e.side == sides[0]], THIN_QUARTILE))
    print(f"thin: the quarter of the pictures with thinness >= {limit:.3f}")
    for name, wanted in (("thin", True), ("other", False)):
        part = [e for e in scores if (e.thin >= limit) is wanted]
        row = [float(np.mean([e.iou for e in part if e.side == side])) for side in sides]
        print(f"  {name:6}", "  ".join(f"{s}: {v:.4f}" for s, v in zip(sides, row, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=Path("models/default"))
    parser.add_argument("--sides", type=int, nargs="+", default=[192, 256, 320, 384, 448])
    parser.add_argument("--long-side", type=int)
    parser.add_argument("--cases", type=Path)
    options = parser.parse_args()
    sides = sorted(options.sides)
    scores = score(options.model, pictures_of(options.work, options.long_side), sides)
    print("quality:")
    for side in sides:
        iou, mad = of_side(scores, side)
        print(
            f"  - {{precision: fp32, resolution: [{side}, {side}], iou: {iou:.4f}, mad: {mad:.4f}}}"
        )
    _gains(scores, sides)
    if options.cases is not None:
        options.cases.write_text(json.dumps([asdict(each) for each in scores]))


if __name__ == "__main__":
    main()
