"""Held-out figures: IoU at 0.5 and mean absolute error per group, one photo at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.bench.metrics import iou
from tools.training.augment import bare_box, resized
from tools.training.dataset import Sample, Sampler
from tools.training.split import BESIDE_ANOTHER
from tools.training.store import CHECKED, PORTRAITS, Store, read, read_rgb

U8 = NDArray[np.uint8]
Alpha = NDArray[np.float32]
Matte = Callable[[U8], Alpha]  # RGB uint8 HxWx3 -> alpha float32 HxW, same size

COMPOSITES, SOFT_COMPOSITES = 60, 40
COMPOSITE_SEED, SOFT_SEED, BARE_SEED = 20261122, 20261127, 20261128
EMPTY_LIMIT = 0.02


@dataclass(frozen=True)
class Case:
    """One held-out picture: RGB uint8, true alpha float32, and where the truth is known."""

    group: str
    name: str
    rgb: U8
    alpha: Alpha
    known: NDArray[np.bool_]


@dataclass(frozen=True)
class Figure:
    group: str
    photos: int
    iou: float
    mae: float


def portraits() -> Iterator[Case]:
    """The portraits whose alpha was checked by hand; they lie in the repository."""
    for path in sorted(PORTRAITS.glob("photos/*.jpg")):
        alpha = read(PORTRAITS / "alphas" / f"{path.stem}.png", cv2.IMREAD_GRAYSCALE)
        known = np.ones(alpha.shape, bool)
        yield Case(
            "portraits", path.stem, read_rgb(path), np.asarray(alpha / 255, np.float32), known
        )


def cases(store: Store, *, checked: bool = False) -> Iterator[Case]:
    """Every held-out picture: photos with their raw masks, portraits, composites of held-out
    products over held-out backgrounds with exact alpha, the same with soft subjects (hair, lace,
    motion, defocus), and pictures without a subject: scenes, and parts of the photos above that
    lie away from their subject.

    Photos are at most 416 px long. The wide border band of the pets' trimaps counts as unknown.
    ``checked``: the persons once more with corrected masks and soft edges, for tables by group;
    what is taken over all pictures together would count them twice.
    """
    for group in ("persons", *((CHECKED,) if checked else ()), "salient", "pets", "products"):
        for item in store.select(group, validation=True):
            pixels = store.pixels(item)
            mask = pixels[..., 3]
            known = np.ones(mask.shape, bool)
            if group == "pets":
                known = (mask < 64) | (mask > 192)
            alpha = np.asarray(mask / 255, np.float32)
            yield Case(group, item.name, np.ascontiguousarray(pixels[..., :3]), alpha, known)
    yield from portraits()
    sampler = Sampler(store, np.random.default_rng(COMPOSITE_SEED), validation=True)
    for i in range(COMPOSITES):
        yield composite("objects", f"composite_{i:02d}", sampler.rendered_products(384))
    drawn = Sampler(store, np.random.default_rng(SOFT_SEED), validation=True)
    for i in range(SOFT_COMPOSITES):
        yield composite("soft", f"soft_{i:02d}", drawn.soft(384))
    for item in sampler.scenes:
        yield _empty(item.name, store.pixels(item))
    yield from _bare(store)


def composite(group: str, name: str, sample: Sample) -> Case:
    """A drawn sample, whose alpha is exact everywhere."""
    rgb, mask = sample
    return Case(group, name, rgb, np.asarray(mask / 255, np.float32), np.ones(mask.shape, bool))


def _bare(store: Store) -> Iterator[Case]:
    """What lies beside the subjects of held-out photos, without those that show another one."""
    rng = np.random.default_rng(BARE_SEED)
    for group, left_out in BESIDE_ANOTHER.items():
        for item in store.select(group, validation=True):
            pixels = store.pixels(item)
            part = bare_box(rng, pixels[..., 3], tries=600)
            if part is not None and item.name not in left_out:
                yield _empty(f"beside_{group}_{item.name}", pixels[part][..., :3])


def _empty(name: str, rgb: U8) -> Case:
    """A picture without a subject."""
    size = rgb.shape[:2]
    whole = np.ascontiguousarray(rgb)
    return Case("empty", name, whole, np.zeros(size, np.float32), np.ones(size, bool))


def iou_at_half(alpha: Alpha, case: Case) -> float:
    """Intersection over union of alpha and truth, both cut at 0.5; 1 where both are empty."""
    return iou(alpha, case.alpha, case.known)


def figures(matte: Matte, pictures: list[Case]) -> list[Figure]:
    """One row a group; for `empty`, "IoU" is the share of pictures with mean alpha < 0.02."""
    rows: dict[str, list[tuple[float, float]]] = {}
    for case in pictures:
        alpha = matte(case.rgb)
        mae = float(np.abs(alpha - case.alpha)[case.known].mean())
        iou = float(mae < EMPTY_LIMIT) if case.group == "empty" else iou_at_half(alpha, case)
        rows.setdefault(case.group, []).append((iou, mae))
    return [
        Figure(g, len(r), float(np.mean([i for i, _ in r])), float(np.mean([m for _, m in r])))
        for g, r in rows.items()
    ]


def stretched(predict: Callable[[U8], Alpha], size: int) -> Matte:
    """A matte function from one that takes size x size RGB uint8: the photo is stretched to the
    square and the alpha stretched back, as the appliance does with `fit: stretch`."""

    def matte(rgb: U8) -> Alpha:
        height, width = rgb.shape[:2]
        alpha = predict(resized(rgb, size, size))
        return np.asarray(
            cv2.resize(alpha, (width, height), interpolation=cv2.INTER_LINEAR), np.float32
        )

    return matte


def table(rows: list[Figure]) -> str:
    """Markdown."""
    lines = ["| held-out set | pictures | IoU at 0.5 | MAE |", "|---|---|---|---|"]
    for r in rows:
        iou = f"{r.iou:.3f}"
        if r.group == "empty":
            iou = f"{r.iou:.0%} have mean alpha < {EMPTY_LIMIT}"
        lines.append(f"| {r.group} | {r.photos} | {iou} | {r.mae:.4f} |")
    return "\n".join(lines)
