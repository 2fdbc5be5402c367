"""How often the appliance succeeds, by kind of scene: one table for the model card.

    python -m tools.training.scenes --work WORK [--model models/default]

The held-out photos by what is behind the subject (a third of them each: the plainest and the most
cluttered), the same photos as a camera would have taken them with far too little or too much light,
the hand-checked portraits for hair, and composites with exact soft alpha drawn anew for each kind.
Each goes the appliance's way: exposure, network at its planned size, refinement, gate. Success is
an IoU of 0.9 or more, which is what the gate predicts.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from edge_matting.matting import assess
from edge_matting.models.catalog import load_model_manifest
from edge_matting.models.manifest import Manifest
from edge_matting.pipeline.matte import second_look
from edge_matting.runtimes.ort.session import OrtSession
from tools.pictures.contact_sheet import finished_alpha
from tools.training.augment import exposed
from tools.training.dataset import HAIR, LACE, MOTION, Sampler
from tools.training.store import PHOTOS, Store
from tools.training.validation import Case, cases, composite, iou_at_half

SUCCESS = 0.9  # IoU
DARK, BRIGHT = -5.0, 2.5  # stops
DRAWN = {"hair, drawn": HAIR, "lace and holes": LACE, "motion and defocus": MOTION}
DRAWN_COUNT, DRAWN_SIDE, SEED = 40, 384, 20261129
MARGIN = 0.03  # of the long side: so near the subject is not looked at for clutter


@dataclass(frozen=True)
class Outcome:
    """What came of one picture."""

    iou: float
    mad: float
    review: bool


def clutter(case: Case) -> float:
    """Mean luma gradient (levels a pixel) away from the subject; 0 where nothing is left."""
    luma = cv2.cvtColor(case.rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    size = max(3, round(MARGIN * max(luma.shape)) | 1)
    subject = ((case.alpha > 0) | ~case.known).astype(np.uint8)
    behind = np.asarray(cv2.dilate(subject, np.ones((size, size), np.uint8))) == 0
    slope = np.hypot(cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1)) / 8
    return float(slope[behind].mean()) if behind.any() else 0.0


def scenes(store: Store) -> Iterator[tuple[str, list[Case]]]:
    """Name and held-out pictures of each kind."""
    photos = sorted((c for c in cases(store) if c.group in PHOTOS), key=clutter)
    third = len(photos) // 3
    yield "plain ground", photos[:third]
    yield "in between", photos[third:-third]
    yield "cluttered ground", photos[-third:]
    for name, stops in (("dark", DARK), ("over-exposed", BRIGHT)):
        rng = np.random.default_rng(SEED)
        lit = [replace(case, rgb=exposed(rng, case.rgb, stops)) for case in photos]
        yield f"{name} ({stops:+g} stops)", lit
    yield "hair, portraits", [case for case in photos if case.group == "portraits"]
    for name, kind in DRAWN.items():
        sampler = Sampler(store, np.random.default_rng(SEED), validation=True)
        drawn = (sampler.soft(DRAWN_SIDE, kind) for _ in range(DRAWN_COUNT))
        yield name, [composite("soft", f"{kind}_{i:02d}", each) for i, each in enumerate(drawn)]


def outcome(case: Case, session: OrtSession, manifest: Manifest) -> Outcome:
    """The picture done as the appliance does it."""
    alpha = finished_alpha(case.rgb, session, manifest)
    look = second_look(session, manifest, equalise=True)
    return Outcome(
        iou=iou_at_half(alpha, case),
        mad=float(np.abs(alpha - case.alpha)[case.known].mean()),
        review=assess(case.rgb, alpha, look).verdict == "review",
    )


def row(name: str, outcomes: Sequence[Outcome]) -> str:
    """Markdown."""
    good = [each.iou >= SUCCESS for each in outcomes]
    sent = [each.review for each in outcomes if each.iou < SUCCESS]
    spared = [not each.review for each in outcomes if each.iou >= SUCCESS]
    told = [f"{sum(part)} of {len(part)}" if part else "none" for part in (sent, spared)]
    means = [float(np.mean([getattr(e, n) for e in outcomes])) for n in ("iou", "mad")]
    return (
        f"| {name} | {len(outcomes)} | {np.mean(good):.0%} | {means[0]:.3f} | {means[1]:.4f} "
        f"| {told[0]} | {told[1]} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument(
        "--work", type=Path, required=True, help="where tools.training.train worked"
    )
    parser.add_argument("--model", type=Path, default=Path("models/default"))
    options = parser.parse_args()
    manifest = load_model_manifest(options.model)
    session = OrtSession(manifest, options.model / manifest.file, threads=1)
    print(
        "| scene | pictures | IoU 0.9 or more | mean IoU | MAD | failures to review | good kept |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, pictures in scenes(Store(options.work / "set")):
        print(row(name, [outcome(case, session, manifest) for case in pictures]), flush=True)


if __name__ == "__main__":
    main()
