"""The endless stream of training batches: which kind of sample, from where, made how."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from tools.training.augment import Rng, bare_view, bust_view, camera, random_view
from tools.training.compose import (
    covered,
    flat_shape,
    over,
    placed,
    studio_ground,
    tiled_ground,
    turned,
)
from tools.training.rendered import blurred, hairy, lace
from tools.training.split import WITH_SUBJECT
from tools.training.store import GROUPS, PHOTOS, UNLABELLED, Item, Store

U8 = NDArray[np.uint8]
Sample = tuple[U8, U8]
Mix = tuple[tuple[str, float], ...]

MIX: Mix = (
    ("persons", 0.28),
    ("portraits", 0.04),
    ("salient", 0.26),
    ("pets", 0.08),
    ("objects", 0.12),
    ("moved", 0.09),  # a person, pet or thing over another background
    ("soft", 0.06),  # exact soft alpha: hair, lace, motion, defocus
    ("empty", 0.07),
    (
        "persons_unlabelled",
        0.08,
    ),  # these two only where tools.training.pseudo_labels made masks for them
    ("products", 0.10),
)
PHOTOS_MIX = tuple((group, share) for group, share in MIX if group in PHOTOS)
HAIR, LACE, MOTION = range(3)  # of the soft ones
BUSTS = 0.25  # of the persons
COVERED = 0.28  # of the objects
TILED = 0.25  # of the plain grounds in training; held-out pictures stay as they are
BARE = 0.5  # of the empty ones: what lies behind the subjects of photos


class Sampler:
    """Draws samples (RGB uint8 SxSx3, alpha uint8 SxS) from the training side of a store.

    `mix` names the kinds of samples with their shares, in any unit.
    """

    def __init__(self, store: Store, rng: Rng, *, validation: bool = False, mix: Mix = MIX) -> None:
        self.store, self.rng = store, rng
        self.tiled = 0.0 if validation else TILED
        self.items = {g: store.select(g, validation=validation) for g in GROUPS}
        absent = [group for group in UNLABELLED if not self.items[group]]
        self.mix = tuple((kind, share) for kind, share in mix if kind not in absent)
        # shop shelves hold products, some of them in a hand in front: clutter, never "no subject"
        scenes = [i for i in self.items["backgrounds"] if i.name not in WITH_SUBJECT]
        self.shelves = [i for i in scenes if i.name.startswith("shelf")]
        self.scenes = [i for i in scenes if not i.name.startswith("shelf")]

    def _one(self, items: list[Item]) -> U8:
        return self.store.pixels(items[int(self.rng.integers(len(items)))])

    def plain(self, size: int) -> U8:
        """A ground without things on it, size x size x 3: of one tone, or with a pattern."""
        if self.tiled and self.rng.random() < self.tiled:
            motif = random_view(self.rng, self._one(self.scenes), 64)
            return tiled_ground(self.rng, motif, size)
        return studio_ground(self.rng, size)

    def ground(self, size: int, plain_share: float, clutter_share: float = 0.12) -> U8:
        """A background of size x size x 3 RGB uint8; shelves only out of focus."""
        if self.rng.random() < plain_share:
            return self.plain(size)
        if self.rng.random() < clutter_share:
            view = random_view(self.rng, self._one(self.shelves), size)
            sigma = self.rng.uniform(0.01, 0.03) * size
            return cv2.GaussianBlur(view, (0, 0), sigma).astype(np.uint8, copy=False)
        return random_view(self.rng, self._one(self.scenes), size)

    def photo(self, group: str, size: int) -> Sample:
        """A photo of one of the sets with its soft target."""
        near = group in ("persons", "persons_unlabelled") and self.rng.random() < BUSTS
        make = bust_view if near else random_view
        pixels = self._one(self.items[group])[..., :4]
        if group == "products":  # from above: any side of the picture can be its top
            pixels = np.rot90(pixels, int(self.rng.integers(4)))
        view = make(self.rng, pixels, size)
        return view[..., :3], view[..., 3]

    def rendered_products(self, size: int) -> Sample:
        """One to three rendered products over a table, a plain ground or a scene."""
        rng = self.rng
        count = 1 if rng.random() < 0.8 else int(rng.integers(2, 4))
        frames = []
        for _ in range(count):
            subject = turned(rng, self._one(self.items["objects"]), rng.normal(0, 12))
            top = 1.05 if count == 1 else 0.5
            frames.append(placed(rng, subject, size, (0.22, top), standing=rng.random() < 0.7))
        return over(rng, frames, self.ground(size, 0.5), shadow_chance=0.6)

    def covered(self, size: int) -> Sample:
        """A large outline with a pattern of its own on a bare ground: cartons, folded cloth."""
        rng = self.rng
        group = (None, None, "objects", "salient")[int(rng.integers(4))]
        outline = flat_shape(rng) if group is None else self._one(self.items[group])[..., 3]
        pattern = self._one(self.items[("backgrounds", "salient")[int(rng.integers(2))]])[..., :3]
        subject = covered(rng, outline, random_view(rng, pattern, 256))
        frame = placed(rng, subject, size, (0.5, 1.05), standing=rng.random() < 0.5)
        return over(rng, [frame], self.plain(size), shadow_chance=0.6)

    def objects(self, size: int) -> Sample:
        """Rendered products, or outlines covered with a pattern."""
        return self.covered(size) if self.rng.random() < COVERED else self.rendered_products(size)

    def moved(self, size: int) -> Sample:
        """A subject from a photo over another background."""
        rng = self.rng
        groups = ["persons", "persons", "portraits", "pets", "salient"]
        if self.items["products"]:
            groups.append("products")
        group = groups[int(rng.integers(len(groups)))]
        pixels = self._one(self.items[group])
        subject = np.dstack([pixels[..., 4:7], pixels[..., 3]])
        if group == "persons":
            share, count = (0.45, 2.2), 1 if rng.random() < 0.8 else 2
            frames = [placed(rng, subject, size, share, standing=True) for _ in range(count)]
        else:
            frames = [random_view(rng, subject, size)]
        return over(rng, frames, self.ground(size, 0.35), shadow_chance=0.25)

    def soft(self, size: int, kind: int | None = None) -> Sample:
        """A subject with exact soft alpha: hair around it, holes in it, in motion or defocused.

        Which of these, `HAIR`, `LACE` or `MOTION`, is drawn too where it is not given.
        """
        rng = self.rng
        if kind is None:
            kind = int(rng.integers(3))
        ground = self.ground(size, 0.35)
        if kind == MOTION:
            subject = turned(rng, self._one(self.items["objects"]), rng.normal(0, 12))
            frame = placed(rng, subject, size, (0.3, 0.95), standing=rng.random() < 0.5)
            return over(rng, [blurred(rng, frame)], ground, shadow_chance=0.2)
        source = self._one(self.scenes) if rng.random() < 0.5 else studio_ground(rng, 256)
        pattern = random_view(rng, source, 256)
        if kind == LACE:
            subject = lace(rng, pattern)
        else:
            near = rng.random() < 0.5
            body = flat_shape(rng) if near else self._one(self.items["objects"])[..., 3]
            subject = hairy(rng, body, pattern)
        frame = placed(rng, subject, size, (0.5, 1.2), standing=rng.random() < 0.5)
        return over(rng, [frame], ground, shadow_chance=0.3)

    def empty(self, size: int) -> Sample:
        """A background with no subject: alpha 0 everywhere."""
        if self.rng.random() < BARE:
            for _ in range(10):
                group = ("persons", "pets", "salient")[int(self.rng.integers(3))]
                view = bare_view(self.rng, self._one(self.items[group]), size)
                if view is not None:
                    return view, np.zeros((size, size), np.uint8)
        return self.ground(size, 0.3, clutter_share=0.0), np.zeros((size, size), np.uint8)

    def draw(self, size: int) -> Sample:
        """One finished training sample of the mix."""
        kinds, shares = zip(*self.mix, strict=True)
        kind = kinds[int(self.rng.choice(len(kinds), p=np.divide(shares, sum(shares))))]
        makers: dict[str, Callable[[int], Sample]] = {
            "objects": self.objects,
            "moved": self.moved,
            "soft": self.soft,
            "empty": self.empty,
        }
        rgb, alpha = makers[kind](size) if kind in makers else self.photo(kind, size)
        rgb = camera(self.rng, np.ascontiguousarray(rgb))
        if self.rng.random() < 0.5:
            rgb, alpha = rgb[:, ::-1], alpha[:, ::-1]
        return np.ascontiguousarray(rgb), np.ascontiguousarray(alpha)

    def batch(self, count: int, size: int) -> tuple[U8, U8]:
        """RGB uint8 NxSxSx3 and alpha uint8 NxSxS."""
        samples = [self.draw(size) for _ in range(count)]
        return np.stack([s[0] for s in samples]), np.stack([s[1] for s in samples])


def training_views(store: Store, side: int, batches: int, seed: int) -> Iterator[Tensor]:
    """Batches of eight training samples as inputs, 8x3xSxS in [-1, 1], to measure a network on."""
    sampler = Sampler(store, np.random.default_rng(seed))
    for _ in range(batches):
        yield to_input(torch.from_numpy(sampler.batch(8, side)[0]))


class Batches(IterableDataset[tuple[Tensor, Tensor]]):
    """Endless batches made in a worker process.

    `stage` is a shared integer: the trainer raises it as time passes, and the batches grow from
    `sizes[0]` to the mix of sizes of the later stages. A batch has about `pixels`, in at least 6
    pictures and, if given, `most`.
    """

    def __init__(
        self,
        work: Path,
        seed: int,
        pixels: int,
        stages: list[list[int]],
        stage: Any,
        *,
        most: int | None = None,
        mix: Mix = MIX,
    ) -> None:
        super().__init__()
        self.most, self.mix = most, mix
        self.work, self.seed, self.pixels, self.stages = work, seed, pixels, stages
        self.stage = stage

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        cv2.setNumThreads(1)
        cv2.setRNGSeed(self.seed & 0x7FFFFFFF)
        rng = np.random.default_rng(self.seed)
        sampler = Sampler(Store(self.work), rng, mix=self.mix)
        while True:
            sizes = self.stages[min(int(self.stage.value), len(self.stages) - 1)]
            size = sizes[int(rng.integers(len(sizes)))]
            count = max(6, round(self.pixels / size**2))
            if self.most is not None:
                count = min(count, self.most)
            rgb, alpha = sampler.batch(count, size)
            yield torch.from_numpy(rgb), torch.from_numpy(alpha)


def to_input(rgb: Tensor) -> Tensor:
    """RGB uint8 NxHxWx3 -> float32 Nx3xHxW in [-1, 1], channels last in memory."""
    return rgb.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)
