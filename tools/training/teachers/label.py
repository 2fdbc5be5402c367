"""What each teacher says of each photo, kept on disk.

    python -m tools.training.teachers.label PHOTOS [PHOTOS ...] --to LABELS \\
        --u2net u2net.onnx --u2netp u2netp.onnx

writes LABELS/FOLDER/STEM.png: the alphas of `TEACHERS` side by side, 320 x 320 each. Photos that
have their file are passed over, so the run resumes; it takes about a second of one core a photo.
The photos come in an order of chance (the same each time), so that what is there after any time is
a fair sample. `tools.training.teachers.agreement` makes labels of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from tools.training.reserved import order
from tools.training.store import read_rgb, shrunk
from tools.training.teachers.networks import SIDE, U8, Teacher, mirrored, ours, u2net

TEACHERS = ("default", "u2net", "u2netp")
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
LONG_SIDE = 512


def group_of(folder: Path) -> str:
    """`more/groups/images` -> `groups`."""
    return folder.parent.name if folder.name == "images" else folder.name


def photos(folders: list[Path]) -> Iterator[tuple[Path, Path]]:
    """Each photo with its path below LABELS, in an order of chance."""
    found = [
        (path, Path(group_of(folder)))
        for folder in folders
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES
    ]
    found.sort(key=lambda pair: order(pair[0].stem))
    for path, group in found:
        yield path, group / f"{path.stem}.png"


def said(teachers: dict[str, Teacher], rgb: U8) -> U8:
    """The alphas of TEACHERS for one photo, 320 x 960 uint8."""
    default = 0.5 * teachers["default"](rgb) + 0.5 * mirrored(teachers["default"], rgb)
    views = [
        default,
        teachers["u2net"](rgb),
        mirrored(teachers["u2netp"], rgb),  # the others as they are: mirroring u2net costs half
    ]
    return np.round(np.clip(np.hstack(views), 0, 1) * 255).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("folders", nargs="+", type=Path, metavar="PHOTOS")
    parser.add_argument("--to", type=Path, required=True, metavar="LABELS")
    parser.add_argument("--u2net", type=Path, required=True, metavar="FILE.onnx")
    parser.add_argument("--u2netp", type=Path, required=True, metavar="FILE.onnx")
    parser.add_argument(
        "--default", type=Path, default=Path("models/default/matting_mobilenetv2_unet.onnx")
    )
    options = parser.parse_args()
    cv2.setNumThreads(1)
    todo = [(p, options.to / t) for p, t in photos(options.folders)]
    todo = [(path, target) for path, target in todo if not target.exists()]
    print(f"{len(todo)} photos to be labelled", flush=True)
    if not todo:
        return
    teachers = {
        "default": ours(options.default, SIDE),
        "u2net": u2net(options.u2net),
        "u2netp": u2net(options.u2netp),
    }
    for done, (path, target) in enumerate(todo, 1):
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}")
        cv2.imwrite(str(beside), said(teachers, shrunk(read_rgb(path), LONG_SIDE)))
        beside.replace(target)
        if done % 100 == 0:
            print(f"{done} of {len(todo)}", flush=True)


if __name__ == "__main__":
    main()
