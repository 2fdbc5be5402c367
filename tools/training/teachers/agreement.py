"""The label rule: one alpha from what the teachers say, or none where they disagree.

    python -m tools.training.teachers.agreement LABELS PHOTOS [PHOTOS ...] --to SET

packs the photos that pass, with their labels, as a set for `tools.training.further` (the format is
that of `tools.training.store`). The rule was found on photos with true masks: the weighted mean of
the teachers, its contrast doubled, lies closer to them than any teacher does.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, combinations
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_matting.core.durable import durable_write
from tools.bench.metrics import iou
from tools.training.reserved import reserved
from tools.training.store import read, read_rgb, shrunk
from tools.training.teachers.label import LONG_SIDE, TEACHERS, group_of, photos
from tools.training.teachers.networks import Alpha

U8 = NDArray[np.uint8]
WEIGHTS = {"default": 1.0, "u2net": 1.5, "u2netp": 1.0}
CONTRAST = 2.0
AGREE, AGREE_AGAINST_DEFAULT, CONTRADICTS = 0.85, 0.80, 0.85  # IoU
LEAST_COVERAGE, MOST_COVERAGE = 0.008, 0.95
MOST_UNSURE = 0.35  # of the subject
SAME_REGION, BLUR = 0.25, 4.0  # mean difference, pixels: where the default's edge is taken
HARD, EASY, MASKED = "taught_hard", "taught", "masked"
"""Groups of the set: photos on which the default lies far from the label, the others, and photos
with masks."""
MASK_BLUR = 0.7  # pixels: binary masks have the edge of a lens


@dataclass(frozen=True)
class Label:
    """An alpha SxS float32; ``contradicts`` where the default is far from it."""

    alpha: Alpha
    contradicts: bool


def alphas_of(sheet: U8) -> dict[str, Alpha]:
    """320 x 960 uint8 as `tools.training.teachers.label` writes it -> alpha of each teacher."""
    alphas = np.asarray(sheet, np.float32) / np.float32(255)
    parts: list[Alpha] = np.split(alphas, len(TEACHERS), axis=1)
    return dict(zip(TEACHERS, parts, strict=True))


def weighted(alphas: dict[str, Alpha]) -> Alpha:
    """The mean of the teachers with its contrast doubled around a half."""
    total = sum(WEIGHTS[name] * alpha for name, alpha in alphas.items())
    mean = np.asarray(total, np.float32) / sum(WEIGHTS.values())
    return np.clip((mean - 0.5) * CONTRAST + 0.5, 0, 1)


def with_fine_edges(region: Alpha, default: Alpha) -> Alpha:
    """The region from the teachers; where the default sees the same one, its edge.

    U2-Net's edges are smooth, the default's were learned from soft targets.
    """
    apart = np.abs(cv2.GaussianBlur(region - default, (0, 0), BLUR))
    apart = cv2.dilate(apart, np.ones((5, 5), np.uint8))
    take = np.clip(2 - 2 * apart / SAME_REGION, 0, 1)
    return np.asarray(region + take * (default - region), np.float32)


def refusal(alphas: dict[str, Alpha], alpha: Alpha) -> str:
    """Why the photo is left out; empty where it is kept."""
    subject = float((alpha >= 0.5).mean())
    if not LEAST_COVERAGE <= subject <= MOST_COVERAGE:
        return "coverage"
    if float(((alpha > 0.2) & (alpha < 0.8)).mean()) > MOST_UNSURE * subject:
        return "unsure"
    pairs = {
        (one, other): iou(alphas[one], alphas[other]) for one, other in combinations(alphas, 2)
    }
    if max(pairs.values()) < AGREE:
        return "no two agree"
    if iou(alphas["default"], alpha) < CONTRADICTS:
        against = (pairs["u2net", "u2netp"], pairs["default", "u2net"])
        if max(against) < AGREE_AGAINST_DEFAULT:
            return "against the default alone"
    return ""


def label_of(sheet: U8) -> tuple[Label | None, str]:
    """The label of a photo, or why it has none."""
    alphas = alphas_of(sheet)
    alpha = weighted(alphas)
    why = refusal(alphas, alpha)
    if why:
        return None, why
    far = iou(alphas["default"], alpha) < CONTRADICTS
    return Label(with_fine_edges(alpha, alphas["default"]), far), ""


def labelled(
    labels: Path, folders: list[Path], left_out: frozenset[str]
) -> Iterator[tuple[str, str, U8]]:
    """Group, stem and HxWx4 uint8 (RGB, alpha) of each photo that passes and is not reserved."""
    for folder in folders:
        left_out |= reserved(folder, group_of(folder))
    for path, target in photos(folders):
        if path.stem in left_out or not (labels / target).exists():
            continue
        label, _ = label_of(read(labels / target, cv2.IMREAD_GRAYSCALE))
        if label is None:
            continue
        rgb = shrunk(read_rgb(path), LONG_SIDE)
        size = (rgb.shape[1], rgb.shape[0])
        alpha = cv2.resize(label.alpha, size, interpolation=cv2.INTER_LINEAR)
        pixels = np.dstack([rgb, np.round(alpha * 255).astype(np.uint8)])
        yield HARD if label.contradicts else EASY, f"{target.parent}_{path.stem}", pixels


def masked(folders: list[Path]) -> Iterator[tuple[str, str, U8]]:
    """Photos that have masks, `FOLDER/images` and `FOLDER/masks`, as `labelled` gives them."""
    for folder in folders:
        for path in sorted((folder / "images").iterdir()):
            mask_path = folder / "masks" / f"{path.stem}.png"
            if not mask_path.exists():
                continue
            rgb = shrunk(read_rgb(path), LONG_SIDE)
            mask = read(mask_path, cv2.IMREAD_GRAYSCALE)
            soft = cv2.GaussianBlur(mask, (0, 0), MASK_BLUR)
            alpha = cv2.resize(soft, (rgb.shape[1], rgb.shape[0]), interpolation=cv2.INTER_AREA)
            yield (
                MASKED,
                f"{folder.name}_{path.stem}",
                np.dstack([rgb, alpha.reshape(rgb.shape[:2])]),
            )


def pack(to: Path, rows: Iterator[tuple[str, str, U8]]) -> int:
    """Write a set; the index last: where it stands, the set is complete."""
    to.mkdir(parents=True, exist_ok=True)
    items: list[dict[str, object]] = []
    offset = 0
    with (to / "pixels.bin").open("wb") as out:
        for group, name, pixels in rows:
            out.write(np.ascontiguousarray(pixels).tobytes())
            items.append(
                {
                    "group": group,
                    "name": name,
                    "shape": list(pixels.shape),
                    "offset": offset,
                    "validation": False,
                    "soft": True,
                }
            )
            offset += pixels.size
    durable_write(to / "index.json", json.dumps(items).encode())
    return len(items)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("labels", type=Path, metavar="LABELS")
    parser.add_argument("folders", nargs="+", type=Path, metavar="PHOTOS")
    parser.add_argument("--to", type=Path, required=True, metavar="SET")
    parser.add_argument(
        "--masked", nargs="*", type=Path, default=[], help="folders of photos with masks"
    )
    parser.add_argument("--leave-out", type=Path, metavar="FILE", help="stems, one a line")
    options = parser.parse_args()
    text = options.leave_out.read_text() if options.leave_out else ""
    rows = labelled(options.labels, options.folders, frozenset(text.split()))
    rows = chain(rows, masked(options.masked))
    print(f"{pack(options.to, rows)} photos with labels in {options.to}", flush=True)


if __name__ == "__main__":
    main()
