"""Masks for photos that have none, where several views of the shipped models agree on them.

    python -m tools.training.pseudo_labels --data DATA --work WORK

writes WORK/pseudo/GROUP/NAME.png (0 or 255, at most 512 px) for the unlabelled groups of DATA;
`tools.training.train` then prepares these photos with the others, if its set is not prepared yet.
Each photo is shown to two models, at three sizes, as it is and mirrored (test-time augmentation);
where one of the mattes lies far from their mean the photo is left out (self-training with a filter,
Xie et al., "Self-training with Noisy Student improves ImageNet classification", 2020), unless its
subject can be told from the ground by colour (Rother et al., "GrabCut", 2004). What was found
wrong, and which cuts by colour were found right, both by eye, is named in
`tools/training/split.py`: other models or photos want another look, at the sheets that `--sheet`
keeps.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.bench.metrics import iou
from tools.training.evaluate import alphas, in_rows, over_magenta, tile
from tools.training.split import CUT_BY_COLOUR, WRONG_MATTES
from tools.training.store import PSEUDO, TRAINING_SIDE, UNLABELLED, read_rgb, shrunk
from tools.training.validation import Alpha, Case

VIEWS = (("default", 256), ("default", 320), ("quality", 384))
AGREEMENT = {"persons_unlabelled": 0.95, "products": 0.93}  # least IoU of a view with their mean
CHUNK = 64  # photos in memory
SURE, MARGIN, ROUNDS = 0.97, 0.02, 6  # of GrabCut
ISLAND, HOLE = 0.02, 0.01  # of the subject
SHEET_PICTURES, SHEET_COLUMNS, SHEET_TILE = 63, 7, 112


def agreed(views: NDArray[np.float32]) -> tuple[Alpha, float]:
    """Mattes NxHxW of one photo -> their mean, and the least IoU at 0.5 of one with the mean."""
    mean = np.asarray(views.mean(axis=0), np.float32)
    if not (mean >= 0.5).any():
        return mean, 0.0
    return mean, min(iou(view, mean) for view in views)


def cut_by_colour(rgb: NDArray[np.uint8], alpha: Alpha) -> NDArray[np.uint8]:
    """HxWx3 RGB and a doubtful matte HxW -> mask HxW {0, 255}: GrabCut, begun at the matte.

    The picture's margin is ground where the matte is low; small islands go, small holes close.
    """
    guess = np.where(alpha >= 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    guess[alpha > SURE] = cv2.GC_FGD
    margin = np.ones(alpha.shape, bool)
    width = max(2, round(MARGIN * min(alpha.shape)))
    margin[width:-width, width:-width] = False
    guess[margin & (alpha < 0.3)] = cv2.GC_BGD
    cv2.setRNGSeed(1)
    models = np.zeros((2, 1, 65))
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    whole = (0, 0, 1, 1)  # not looked at: the guess is given
    cv2.grabCut(bgr, guess, whole, models[0], models[1], ROUNDS, cv2.GC_INIT_WITH_MASK)
    subject = ((guess == cv2.GC_FGD) | (guess == cv2.GC_PR_FGD)).astype(np.uint8)
    pixels = subject.sum()
    subject &= ~_small(subject, ISLAND * pixels)
    subject |= _small(1 - subject, HOLE * pixels)
    return subject * np.uint8(255)


def _small(mask: NDArray[np.uint8], pixels: float) -> NDArray[np.uint8]:
    """1 in the parts of mask (0 or 1) that have fewer pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    few = stats[:, cv2.CC_STAT_AREA] < pixels
    few[0] = False  # what is not in the mask
    return few[labels].astype(np.uint8)


def mattes(paths: list[Path], models: Path) -> Iterator[tuple[Path, Case, Alpha, float]]:
    """Each photo with its mean matte and the views' agreement."""
    for start in range(0, len(paths), CHUNK):
        part = paths[start : start + CHUNK]
        photos = [shrunk(read_rgb(path), TRAINING_SIDE) for path in part]
        both = [_case(rgb) for rgb in photos]
        both += [_case(np.ascontiguousarray(rgb[:, ::-1])) for rgb in photos]
        made: list[list[Alpha]] = [[] for _ in part]
        for model, side in VIEWS:
            for at, (_, alpha) in enumerate(alphas(str(models / model), side, both)):
                made[at % len(part)].append(alpha if at < len(part) else alpha[:, ::-1])
        for path, case, views in zip(part, both, made, strict=False):
            yield path, case, *agreed(np.stack(views))


def _case(rgb: NDArray[np.uint8]) -> Case:
    nothing = np.zeros(rgb.shape[:2], np.float32)
    return Case("unlabelled", "", rgb, nothing, nothing == 0)


def labelled(name: str, rgb: NDArray[np.uint8], alpha: Alpha) -> NDArray[np.uint8]:
    """Photo and cut-out over magenta side by side, with the name above."""
    pair = np.hstack([tile(rgb, SHEET_TILE), tile(over_magenta(rgb, alpha), SHEET_TILE)])
    strip = np.vstack([np.full((13, pair.shape[1], 3), 255, np.uint8), pair])
    cv2.putText(strip, name, (2, 10), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (0, 0, 0), 1, cv2.LINE_AA)
    return strip


def write_sheets(folder: Path, group: str, strips: list[NDArray[np.uint8]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for page, start in enumerate(range(0, len(strips), SHEET_PICTURES)):
        sheet = in_rows(strips[start : start + SHEET_PICTURES], SHEET_COLUMNS)
        path = str(folder / f"{group}_{page}.png")
        cv2.imwrite(path, cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder of the photo sets")
    parser.add_argument(
        "--work", type=Path, required=True, help="where tools.training.train will work"
    )
    parser.add_argument("--models", type=Path, default=Path("models"), help="folder of the models")
    parser.add_argument("--sheet", type=Path, metavar="FOLDER", help="of sheets to look at")
    options = parser.parse_args()
    for group in UNLABELLED:
        folder = options.work / PSEUDO / group
        folder.mkdir(parents=True, exist_ok=True)
        paths = sorted((options.data / group).glob("*.jpg"))
        strips = []
        for path, case, alpha, agreement in mattes(paths, options.models):
            if path.stem in CUT_BY_COLOUR:
                mask = cut_by_colour(case.rgb, alpha)
            elif agreement >= AGREEMENT[group] and path.stem not in WRONG_MATTES[group]:
                mask = np.where(alpha >= 0.5, 255, 0).astype(np.uint8)
            else:
                continue
            cv2.imwrite(str(folder / f"{path.stem}.png"), mask)
            strips.append(labelled(path.stem, case.rgb, np.asarray(mask / 255, np.float32)))
        print(f"{group}: {len(strips)} of {len(paths)} photos", flush=True)
        if options.sheet is not None:
            write_sheets(options.sheet, group, strips)


if __name__ == "__main__":
    main()
