"""Whether equalising the model's input helps on photos that are far too dark or too bright.

    python -m tools.bench.exposure IMAGES MASKS [IMAGES MASKS ...]

Photos held out of training are exposed by so many stops (in linear light, with the noise and the
rounding of an 8-bit camera) and matted with and without ``exposure: auto``. Printed are the mean
IoU of both, the share of mattes below .85, and on how many photos the recipe's rule set in.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_matting.config import Settings
from edge_matting.core.errors import EdgeMattingError
from edge_matting.engine.factory import load_tools, plan_for
from edge_matting.matting.exposure import equalised
from edge_matting.matting.preprocess import from_output, model_view, to_tensor
from tools.bench.machine import machine
from tools.training.augment import exposed
from tools.training.split import held_out

STOPS = (0.0, 3.5, 2.5, -4.0, -5.0, -6.0)


def pairs(images: Path, masks: Path) -> list[tuple[Path, Path]]:
    by_stem = {path.stem: path for path in masks.iterdir()}
    found = {path.stem: path for path in images.iterdir() if path.stem in by_stem}
    owned = held_out(images.parent.name, found)
    return [(found[name], by_stem[name]) for name in sorted(owned)]


def _read(image: Path, mask: Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    bgr, grey = cv2.imread(str(image)), cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE)
    assert bgr is not None, image
    assert grey is not None, mask
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8), np.asarray(grey) > 127


def main(arguments: list[str]) -> int:
    if not arguments or len(arguments) % 2:
        print(__doc__, file=sys.stderr)
        return 2
    settings = Settings()
    session, manifest = load_tools(settings, plan_for(settings), settings.model)
    resolution = session.describe().resolution

    def iou(view: np.ndarray, truth: np.ndarray) -> float:
        tensor, geometry = to_tensor(view, manifest.input, resolution)
        matte = from_output(session.run(tensor), manifest.output, geometry)
        found = cv2.resize(matte, truth.shape[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
        return float((found & truth).sum() / max(1, (found | truth).sum()))

    folders = [Path(argument) for argument in arguments]
    chosen = [p for i in range(0, len(folders), 2) for p in pairs(folders[i], folders[i + 1])]
    print(f"{machine()}\n{len(chosen)} held-out photos, model {manifest.id} {manifest.version}")
    for stops in STOPS:
        rng = np.random.default_rng(1)
        rows = []
        for image, mask in chosen:
            rgb, truth = _read(image, mask)
            view = model_view(exposed(rng, rgb, stops), manifest.input, resolution)
            better = equalised(view)
            plain = iou(view, truth)
            changes = better is not view
            rows.append((plain, iou(better, truth) if changes else plain, changes))
        before, after, changed = (np.array(column) for column in zip(*rows, strict=True))
        print(
            f"{stops:+4.1f} stops: IoU {before.mean():.3f} -> {after.mean():.3f}; "
            f"below .85: {(before < 0.85).mean():.0%} -> {(after < 0.85).mean():.0%}; "
            f"equalised {int(changed.sum())}"
            + (f", those alone {before[changed].mean():.3f} -> {after[changed].mean():.3f}"
               if changed.any() else "")
        )  # fmt: skip
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except EdgeMattingError as error:
        sys.exit(str(error))
