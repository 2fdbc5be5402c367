"""Build the sets `shop`, `groups`, `small` and `goods` from two public repositories.

    git clone https://github.com/MachineLearning2020/Homework2-Caltech101 CALTECH
    git clone https://github.com/gmguarino/PennFudan PENN
    python -m tools.training.kinds.build --caltech CALTECH/.git --penn PENN/.git --to SETS

writes SETS/GROUP/{images,masks}/NAME.{jpg,png}. The first three are never trained on.

- `shop`: photos of Caltech-101 (Li, Andreetto, Ranzato, Perona; CC BY 4.0 as CaltechDATA publishes
  it) of goods on plain grounds: wheels, chairs, lamps, chandeliers, jugs, headphones, scissors,
  watches. The masks are cut by colour (`shop.json` has the threshold and the least hole of each)
  and were looked at one by one; those with a wrong one were left out.
- `groups`, `small`: street photos of the Penn-Fudan pedestrian set (Wang, Shi, Song, Shen 2007; no
  stated licence, so none lies here) with its masks; photos with persons left unmasked were left out
  by eye. `small`: the persons cover 5 to 12 % of the frame.
- `goods`, to train on: more photos of the kinds of `shop` (`goods.txt`), none within 6 bits of a
  photo of `shop` by a perceptual hash, cut in one way; each was looked at.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.training.kinds.plain_ground import cut_out

U8 = NDArray[np.uint8]
SHOP = Path(__file__).with_name("shop.json")
GOODS = Path(__file__).with_name("goods.txt")
THRESHOLD, LEAST_HOLE = 8.0, 14.0  # of the goods
LONG_SIDE = 480


def _named(names: str) -> list[str]:
    return names.split()


SOLID = _named(
    """
    watch camera cellphone soccer_ball laptop barrel umbrella accordion nautilus cup binocular
    stapler
    """
)
"""Kinds whose holes are pale parts of their own."""
GROUPS = _named(
    """
    FudanPed00009 FudanPed00012 FudanPed00016 FudanPed00019 FudanPed00022 FudanPed00026
    FudanPed00028 FudanPed00043 FudanPed00054 FudanPed00056 FudanPed00059 FudanPed00060
    FudanPed00061 FudanPed00062 FudanPed00064 FudanPed00065 FudanPed00071 FudanPed00073
    FudanPed00074 PennPed00004 PennPed00007 PennPed00010 PennPed00013 PennPed00014 PennPed00016
    PennPed00017 PennPed00018 PennPed00019 PennPed00029 PennPed00030
    """
)
SMALL = _named(
    """
    FudanPed00001 FudanPed00011 FudanPed00013 FudanPed00020 FudanPed00023 FudanPed00024
    FudanPed00030 FudanPed00031 FudanPed00032 FudanPed00036 FudanPed00037 FudanPed00039
    FudanPed00040 FudanPed00050 FudanPed00051 FudanPed00052 FudanPed00053 FudanPed00066
    FudanPed00067 FudanPed00068 FudanPed00069 FudanPed00070 FudanPed00072 PennPed00012
    PennPed00023 PennPed00024 PennPed00031 PennPed00032 PennPed00038 PennPed00041
    """
)


def stored(git: Path, path: str, how: int) -> U8:
    """An image of a repository's newest commit, as OpenCV orders it."""
    shown = subprocess.run(
        ["git", "--git-dir", str(git), "show", f"HEAD:{path}"], capture_output=True, check=True
    )
    image = cv2.imdecode(np.frombuffer(shown.stdout, np.uint8), how)
    if image is None:
        raise SystemExit(f"{git}: {path} is no image; is the clone whole?")
    return np.asarray(image, np.uint8)


def kept(to: Path, group: str, name: str, bgr: U8, mask: U8) -> None:
    for folder in ("images", "masks"):
        (to / group / folder).mkdir(parents=True, exist_ok=True)
    factor = min(1.0, LONG_SIDE / max(bgr.shape[:2]))
    size = (round(bgr.shape[1] * factor), round(bgr.shape[0] * factor))
    quality = [cv2.IMWRITE_JPEG_QUALITY, 95]
    cv2.imwrite(
        str(to / group / "images" / f"{name}.jpg"),
        cv2.resize(bgr, size, interpolation=cv2.INTER_AREA),
        quality,
    )
    cv2.imwrite(
        str(to / group / "masks" / f"{name}.png"),
        cv2.resize(mask, size, interpolation=cv2.INTER_AREA),
    )


def photo(git: Path, root: str, name: str) -> U8:
    """`lamp_image_0001` of Caltech-101, BGR."""
    kind, _, stem = name.rpartition("_image_")
    return stored(git, f"{root}/{kind}/image_{stem}.jpg", cv2.IMREAD_COLOR)


def goods(git: Path, to: Path, root: str) -> int:
    names = GOODS.read_text().split()
    for name in names:
        bgr = photo(git, root, name)
        hole = math.inf if name.rpartition("_image_")[0] in SOLID else LEAST_HOLE
        mask = cut_out(np.ascontiguousarray(bgr[..., ::-1]), THRESHOLD, hole)
        kept(to, "goods", name, bgr, mask)
    return len(names)


def shop(git: Path, to: Path, root: str) -> int:
    told = json.loads(SHOP.read_text())
    for name, how in told.items():
        bgr = photo(git, root, name)
        hole = math.inf if how["least_hole"] is None else how["least_hole"]
        rgb = np.ascontiguousarray(bgr[..., ::-1])
        mask = cut_out(rgb, how["threshold"], hole, how.get("edits", ()))
        kept(to, "shop", name, bgr, mask)
    return len(told)


def persons(git: Path, to: Path, group: str, names: list[str]) -> int:
    for name in names:
        bgr = stored(git, f"data/PennFudanPed/PNGImages/{name}.png", cv2.IMREAD_COLOR)
        mask = stored(git, f"data/PennFudanPed/PedMasks/{name}_mask.png", cv2.IMREAD_UNCHANGED)
        mask = mask if mask.ndim == 2 else mask.max(2)
        kept(to, group, name, bgr, (mask > 0).astype(np.uint8) * np.uint8(255))
    return len(names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--caltech", type=Path, required=True, metavar="GIT")
    parser.add_argument(
        "--caltech-root", default="101_ObjectCategories", help="folder of the kinds in it"
    )
    parser.add_argument("--penn", type=Path, required=True, metavar="GIT")
    parser.add_argument("--to", type=Path, required=True, metavar="SETS")
    options = parser.parse_args()
    print(f"shop: {shop(options.caltech, options.to, options.caltech_root)} photos")
    print(f"goods: {goods(options.caltech, options.to, options.caltech_root)} photos")
    for group, names in (("groups", GROUPS), ("small", SMALL)):
        print(f"{group}: {persons(options.penn, options.to, group, names)} photos")


if __name__ == "__main__":
    main()
