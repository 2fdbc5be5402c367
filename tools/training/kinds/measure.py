"""Figures of exported networks on every validation set, the plain network at one or more sizes.

    python -m tools.training.kinds.measure FILE.onnx [...] --sets SETS --base WORK/set --sides 320

SETS is what `tools.training.kinds.build` wrote, WORK/set what `tools.training.store` prepared. One
row a set: IoU at 0.5, mean absolute difference, IoU in the band around the true edge, and the
gradient error (Rhemann et al. 2009) in thousands. No finishing: this measures the network.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.bench.metrics import gradient_error, iou
from tools.training.store import Store, read, read_rgb
from tools.training.teachers.networks import ours
from tools.training.validation import EMPTY_LIMIT, Alpha, Case, cases

GROUPS = ("shop", "groups", "small", "products")
BAND = 0.015  # of the diagonal, to both sides of the true edge
FIGURES = ("iou", "mad", "band", "gradient")


def in_folder(sets: Path) -> Iterator[Case]:
    """The photos of the sets that `build` wrote."""
    for group in GROUPS:
        for path in sorted((sets / group / "images").glob("*.jpg")):
            mask = read(sets / group / "masks" / f"{path.stem}.png", cv2.IMREAD_GRAYSCALE)
            rgb = read_rgb(path)
            known = np.ones(mask.shape, bool)
            yield Case(group, path.stem, rgb, np.asarray(mask / 255, np.float32), known)


def band_of(truth: Alpha) -> NDArray[np.bool_]:
    """Where the true edge is near."""
    reach = max(2, round(BAND * float(np.hypot(*truth.shape))))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    inside = (truth >= 0.5).astype(np.uint8)
    wide = cv2.dilate(inside, disc)
    narrow = cv2.erode(inside, disc, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(wide != narrow, np.bool_)


def figures(case: Case, alpha: Alpha) -> tuple[float, float, float, float]:
    """In the order of FIGURES; of an empty picture the first is whether the matte is empty."""
    mad = float(np.abs(alpha - case.alpha)[case.known].mean())
    if case.group == "empty":
        return float(mad < EMPTY_LIMIT), mad, float("nan"), float("nan")
    band = band_of(case.alpha) & case.known
    gradient = gradient_error(alpha, case.alpha, case.known) / 1000
    near = iou(alpha, case.alpha, band) if band.any() else float("nan")
    return iou(alpha, case.alpha, case.known), mad, near, gradient


def measured(
    network: Callable[[NDArray[np.uint8]], Alpha], pictures: list[Case]
) -> dict[str, NDArray[np.float64]]:
    """Each group's means, in the order of FIGURES."""
    rows: dict[str, list[tuple[float, float, float, float]]] = {}
    for case in pictures:
        small = network(case.rgb)
        height, width = case.alpha.shape
        alpha = np.asarray(np.clip(cv2.resize(small, (width, height)), 0, 1), np.float32)
        rows.setdefault(case.group, []).append(figures(case, alpha))
    return {group: np.nanmean(np.array(values), axis=0) for group, values in rows.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.onnx")
    parser.add_argument("--sets", type=Path, required=True)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--sides", type=int, nargs="+", default=[320])
    parser.add_argument("--only", nargs="+", metavar="GROUP")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    pictures = list(in_folder(options.sets))
    if options.base is not None:
        pictures += cases(Store(options.base), checked=True)
    if options.only:
        pictures = [case for case in pictures if case.group in options.only]
    print("| network | side | set | " + " | ".join(FIGURES) + " |\n" + "|---" * 7 + "|")
    kept = []
    for path in options.files:
        for side in options.sides:
            for group, row in measured(ours(path, side), pictures).items():
                told = " | ".join(f"{value:.4f}" for value in row)
                print(f"| {path.stem} | {side} | {group} | {told} |", flush=True)
                kept.append([str(path), side, group, *map(float, row)])
    if options.json is not None:
        options.json.write_text(json.dumps(kept))


if __name__ == "__main__":
    main()
