"""The prepared training set: uint8 pixels in one memory-mapped file, with an index beside it.

Each item is an HxWxC uint8 array: photos have RGB, alpha, foreground RGB (C = 7); rendered objects
RGB, alpha (C = 4); backgrounds RGB (C = 3). Validation items keep their raw mask as alpha, and the
persons among them stand there once more with masks corrected by hand (`persons/README.md`).
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_matting.core.durable import durable_write
from tools.training.soft_targets import foreground_of, pet_alpha, soft_alpha
from tools.training.split import CUT_BY_COLOUR, WRONG_MASKS, held_out

U8 = NDArray[np.uint8]
PSEUDO = "pseudo"  # folder beside the prepared set
LONG_SIDE = 416  # of held-out pictures, so that figures stay comparable
TRAINING_SIDE = 512  # of pictures trained on: crops keep their sharpness at 320 to 384
PHOTOS = ("persons", "portraits", "salient", "pets")  # they have masks
UNLABELLED = ("persons_unlabelled", "products")  # theirs are made by tools.training.pseudo_labels
GROUPS = (*PHOTOS, *UNLABELLED, "objects", "backgrounds")
PORTRAITS = Path(__file__).with_name("portraits")  # masks made here, for photos of the data
CORRECTIONS = Path(__file__).with_name("persons") / "corrections.json"
CHECKED = "persons_checked"  # the held-out persons again, their masks corrected
PERSONS = ("persons", "portraits", "persons_unlabelled", CHECKED)


@dataclass(frozen=True)
class Item:
    group: str
    name: str
    shape: tuple[int, int, int]
    offset: int
    validation: bool
    soft: bool


def read(path: Path, how: int) -> U8:
    """An image file as OpenCV orders it: BGR, BGRA or grey uint8."""
    image = cv2.imread(str(path), how)
    if image is None:
        raise ValueError(f"{path}: not a readable image")
    return np.asarray(image, np.uint8)


def read_rgb(path: Path) -> U8:
    """Photo file -> HxWx3 RGB uint8."""
    return np.asarray(cv2.cvtColor(read(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)


def shrunk(image: U8, long_side: int, *, nearest: bool = False) -> U8:
    height, width = image.shape[:2]
    scale = long_side / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_NEAREST if nearest else cv2.INTER_AREA
    return cv2.resize(image, size, interpolation=how).astype(np.uint8)


def _made_masks(pseudo: Path, group: str) -> Path | None:
    """The folder of a group's masks that were made, and name the photos to use; else None."""
    if group in UNLABELLED:
        return pseudo / group
    return PORTRAITS / "masks" if group == "portraits" else None


def corrected(name: str, mask: U8) -> U8:
    """Mask HxW of a held-out person, in the photo's own size, -> binary {0, 255}, corrected."""
    binary = np.where(mask >= 128, 255, 0).astype(np.uint8)
    for step in json.loads(CORRECTIONS.read_text()).get(name, ()):
        for what, corners in step.items():
            value = {"add": 255, "cut": 0}[what]
            cv2.fillPoly(binary, [np.asarray(corners, np.int32)], value)
    return binary


def _photo_pixels(
    data: Path, pseudo: Path, group: str, name: str, validation: bool
) -> tuple[U8, bool] | None:
    pets = group == "pets"
    side = LONG_SIDE if validation else TRAINING_SIDE
    photos, masks = data / ("persons" if group == CHECKED else group), _made_masks(pseudo, group)
    if masks is None:
        photos, masks = photos / "images", photos / ("trimaps" if pets else "masks")
    rgb = shrunk(read_rgb(photos / f"{name}.jpg"), side)
    mask = read(masks / f"{name}.png", cv2.IMREAD_GRAYSCALE)
    if group == CHECKED:
        mask = corrected(name, mask)
    size = (rgb.shape[1], rgb.shape[0])
    how = cv2.INTER_NEAREST if pets else cv2.INTER_AREA
    mask = np.asarray(cv2.resize(mask, size, interpolation=how), np.uint8)
    if not (mask == 255).any():
        return None  # one of the pets has an empty trimap
    if validation and group != CHECKED:
        return np.dstack([rgb, mask, rgb]), False
    if pets:
        alpha, soft = pet_alpha(rgb, mask)
    else:
        hard = np.where(mask >= 128, 255, 0).astype(np.uint8)
        alpha, soft = soft_alpha(rgb, hard, person=group in PERSONS)
    return np.dstack([rgb, alpha, foreground_of(rgb, alpha)]), soft


def _object_pixels(data: Path, name: str) -> U8:
    bgra = read(data / "objects" / f"{name}.webp", cv2.IMREAD_UNCHANGED)
    rgba = np.asarray(cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGBA), np.uint8)
    rows, columns = np.flatnonzero(rgba[..., 3].max(1)), np.flatnonzero(rgba[..., 3].max(0))
    cut = rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return np.ascontiguousarray(shrunk(cut, LONG_SIDE))


def _pixels(job: tuple[Path, Path, str, str, bool]) -> tuple[str, str, bool, bool, U8] | None:
    data, pseudo, group, name, validation = job
    soft = True
    if group == "objects":
        pixels = _object_pixels(data, name)
    elif group == "backgrounds":
        pixels = shrunk(read_rgb(data / group / f"{name}.jpg"), LONG_SIDE)
    else:
        made = _photo_pixels(data, pseudo, group, name, validation)
        if made is None:
            return None
        pixels, soft = made
    return group, name, validation, soft, pixels


def jobs(data: Path, pseudo: Path) -> Iterator[tuple[Path, Path, str, str, bool]]:
    """What is to be prepared: data, folder of made masks, group, name, whether it is held out."""
    for group in GROUPS:
        masks = _made_masks(pseudo, group)
        if masks is not None:  # held-out portraits lie beside the masks, not in the set
            ours = held_out(group, CUT_BY_COLOUR) if group == "products" else frozenset()
            for name in sorted(p.stem for p in masks.glob("*.png")):
                yield data, pseudo, group, name, name in ours
            continue
        folder = data / group
        folder = folder / "images" if (folder / "images").is_dir() else folder
        names = sorted(p.stem for p in folder.iterdir() if p.suffix in {".jpg", ".webp"})
        ours = held_out(group, names)
        wrong = WRONG_MASKS.get(group, frozenset()) - ours
        for name in names:
            if name not in wrong:
                yield data, pseudo, group, name, name in ours
        if group == "persons":
            for name in sorted(ours):
                yield data, pseudo, CHECKED, name, True


def _single_thread() -> None:
    cv2.setNumThreads(1)


def prepare(data: Path, work: Path, processes: int = 2, say: Callable[[str], None] = print) -> None:
    """Read every photo once, make its soft target, and write `pixels.bin` and `index.json`.

    Masks of the UNLABELLED groups are taken from `pseudo` beside `work`, if it is there. The index
    is written last: where it stands, the set is complete.
    """
    work.mkdir(parents=True, exist_ok=True)
    todo = list(jobs(data, work.with_name(PSEUDO)))
    items: list[dict[str, object]] = []
    offset = 0
    context = multiprocessing.get_context("spawn")
    with (
        context.Pool(processes, _single_thread) as pool,
        (work / "pixels.bin").open("wb") as out,
    ):
        for done, made in enumerate(pool.imap_unordered(_pixels, todo, chunksize=8), 1):
            if done % 200 == 0:
                say(f"prepared {done} of {len(todo)}")
            if made is None:
                continue
            group, name, validation, soft, pixels = made
            out.write(np.ascontiguousarray(pixels).tobytes())
            items.append(
                {
                    "group": group,
                    "name": name,
                    "shape": list(pixels.shape),
                    "offset": offset,
                    "validation": validation,
                    "soft": soft,
                }
            )
            offset += pixels.size
    items.sort(key=lambda item: (str(item["group"]), str(item["name"])))
    durable_write(work / "index.json", json.dumps(items).encode())


class Store:
    """Read-only view of a prepared set."""

    def __init__(self, work: Path) -> None:
        raw = json.loads((work / "index.json").read_text())
        self.items = [Item(**{**r, "shape": tuple(r["shape"])}) for r in raw]
        self._pixels = np.memmap(work / "pixels.bin", np.uint8, "r")

    def select(self, group: str, *, validation: bool) -> list[Item]:
        """The items of one group on one side of the split, in the order of their names."""
        return [i for i in self.items if i.group == group and i.validation == validation]

    def pixels(self, item: Item) -> U8:
        """HxWxC uint8 (see the module's text for C)."""
        size = int(np.prod(item.shape))
        return np.asarray(self._pixels[item.offset : item.offset + size]).reshape(item.shape)
