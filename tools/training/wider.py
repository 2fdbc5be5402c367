"""The wider mix: the base sets, photos labelled by teachers, and the made kinds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from tools.training.augment import Rng, camera, random_view, resized
from tools.training.compose import over, placed
from tools.training.dataset import MIX, Sample, Sampler
from tools.training.goods.scenes import goods
from tools.training.groups import group, trimmed
from tools.training.neighbours import beside
from tools.training.store import Store
from tools.training.strands import with_strands
from tools.training.teachers.agreement import HARD, MASKED

U8 = NDArray[np.uint8]

OFTENER = {HARD: 2.5, MASKED: 1.0}  # times as often: photos on which the default failed
WHOLE = 0.6  # of the labelled photos are shown whole: they are small
SHARES = {
    "base": 0.46,
    "taught": 0.21,
    "groups": 0.11,
    "goods": 0.14,
    "neighbours": 0.04,
    "strands": 0.04,
}
"""Of the samples; what is missing (no set of labelled photos, say) is shared out."""
BASE_MIX = (*((kind, share) for kind, share in MIX if kind != "empty"), ("empty", 0.14))
"""Of the base samples: more without a subject, for every photo with a label has one."""


@dataclass(frozen=True)
class Sets:
    """Folders of the prepared sets: `tools.training.store` and `teachers.agreement` write them."""

    base: Path
    taught: Path | None = None


class Wider:
    """Draws samples (RGB uint8 SxSx3, alpha uint8 SxS) of all kinds."""

    def __init__(self, sets: Sets, rng: Rng, shares: dict[str, float]) -> None:
        self.rng = rng
        self.base = Sampler(Store(sets.base), rng, mix=BASE_MIX)
        self.taught = None if sets.taught is None else Store(sets.taught)
        shares = {k: s for k, s in shares.items() if s > 0 and (k != "taught" or self.taught)}
        self.kinds = tuple(shares)
        self.shares = np.divide(list(shares.values()), sum(shares.values()))
        if self.taught is not None:
            self.photos = self.taught.items
            odds = np.array([OFTENER.get(item.group, 1.0) for item in self.photos])
            self.odds = odds / odds.sum()

    def draw(self, size: int) -> Sample:
        kind = self.kinds[int(self.rng.choice(len(self.kinds), p=self.shares))]
        if kind == "base":
            return self.base.draw(size)
        rgb, alpha = getattr(self, f"_{kind}")(size)
        rgb = camera(self.rng, np.ascontiguousarray(rgb))
        if self.rng.random() < 0.5:
            rgb, alpha = rgb[:, ::-1], alpha[:, ::-1]
        return np.ascontiguousarray(rgb), np.ascontiguousarray(alpha)

    def _taught(self, size: int) -> Sample:
        assert self.taught is not None
        item = self.photos[int(self.rng.choice(len(self.photos), p=self.odds))]
        pixels = self.taught.pixels(item)
        if self.rng.random() < WHOLE:
            view = resized(np.ascontiguousarray(pixels), size, size)
        else:
            view = random_view(self.rng, pixels, size)
        return view[..., :3], view[..., 3]

    def person(self) -> U8:
        """A cut-out person, RGBA with the colours of the subject alone."""
        items = self.base.items["persons"]
        pixels = self.base.store.pixels(items[int(self.rng.integers(len(items)))])
        return np.dstack([pixels[..., 4:7], pixels[..., 3]])

    def _groups(self, size: int) -> Sample:
        return group(self.rng, self.person, self.base.ground(size, 0.15))

    def _goods(self, size: int) -> Sample:
        return goods(self.rng, size, lambda side: self.base.ground(side, 0.0), self._pattern)

    def _pattern(self) -> U8:
        group_ = ("backgrounds", "salient")[int(self.rng.integers(2))]
        items = self.base.items[group_]
        pixels = self.base.store.pixels(items[int(self.rng.integers(len(items)))])
        return random_view(self.rng, np.ascontiguousarray(pixels[..., :3]), 192)

    def _cut(self, groups: tuple[str, ...]) -> U8:
        """A cut-out of one of the base sets, RGBA."""
        name = groups[int(self.rng.integers(len(groups)))]
        items = self.base.items[name]
        pixels = self.base.store.pixels(items[int(self.rng.integers(len(items)))])
        if name == "objects":
            return pixels
        return np.dstack([pixels[..., 4:7], pixels[..., 3]])

    def _neighbours(self, size: int) -> Sample:
        subject = self._cut(("persons", "objects", "pets", "salient"))
        other = self._cut(("objects", "salient", "pets"))
        return beside(self.rng, subject, other, self.base.ground(size, 0.3))

    def _strands(self, size: int) -> Sample:
        head = self.rng.random() < 0.6
        cut = self._cut(("persons", "portraits") if head else ("objects", "pets", "salient"))
        cut = trimmed(cut)
        if head and cut.shape[0] > 1.6 * cut.shape[1]:  # head and shoulders are looked at
            cut = np.ascontiguousarray(cut[: round(cut.shape[0] * self.rng.uniform(0.25, 0.6))])
        cut = with_strands(self.rng, cut, head=head)
        frame = placed(self.rng, cut, size, (0.5, 1.15), standing=head)
        return over(self.rng, [frame], self.base.ground(size, 0.35), shadow_chance=0.2)

    def batch(self, count: int, size: int) -> tuple[U8, U8]:
        """RGB uint8 NxSxSx3 and alpha uint8 NxSxS."""
        samples = [self.draw(size) for _ in range(count)]
        return np.stack([s[0] for s in samples]), np.stack([s[1] for s in samples])


class WiderBatches(IterableDataset[tuple[Tensor, Tensor]]):
    """Endless batches of about ``pixels`` made in a worker process, of one of ``sizes`` each."""

    def __init__(
        self, sets: Sets, seed: int, pixels: int, sizes: list[int], shares: dict[str, float]
    ) -> None:
        super().__init__()
        self.given: tuple[Any, ...] = (sets, seed, pixels, sizes, shares)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        sets, seed, pixels, sizes, shares = self.given
        cv2.setNumThreads(1)
        torch.set_num_threads(1)
        cv2.setRNGSeed(seed & 0x7FFFFFFF)
        rng = np.random.default_rng(seed)
        wider = Wider(sets, rng, shares)
        while True:
            size = sizes[int(rng.integers(len(sizes)))]
            rgb, alpha = wider.batch(max(6, round(pixels / size**2)), size)
            yield torch.from_numpy(rgb), torch.from_numpy(alpha)
