"""Real photos: figures where masks are known, and sheets to look at where they are not.

    python -m tools.grounds.photos --images DATA/salient/images --masks DATA/salient/masks
    python -m tools.grounds.photos --images DATA/products --only 'iconic_*' --sheet goods.png

A photo whose ground is not plain must come out bit for bit as before; this is checked on each. With
masks (binary or trimaps: 128 is not counted) the means over the photos whose ground is plain are
printed, before and after. Sheets show photo, cut-out before and cut-out after over magenta.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.matting import estimate_foreground, refine
from edge_matting.matting.ground import KnownGround, plain_ground
from tools.bench.metrics import iou
from tools.grounds.network import Network

MAGENTA = np.array([255, 0, 255], np.float32)


def cut_out(rgb: Rgb, network: Network) -> tuple[Alpha, Alpha, KnownGround | None]:
    """The matte alone, the matte with a plain ground used, and the ground."""
    matte = network.matte(rgb)
    alone = refine(rgb, matte)
    known, _ = plain_ground(rgb, matte)
    return alone, alone if known is None else known.refined(rgb), known


def over_magenta(rgb: Rgb, alpha: Alpha, known: KnownGround | None) -> NDArray[np.uint8]:
    """The cut-out as a user sees it, H x W x 3."""
    front = estimate_foreground(rgb, alpha, None if known is None else known.behind)
    share = alpha[..., None]
    return np.asarray(front * share + MAGENTA * (1 - share), np.uint8)


def tile(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The picture in a white square; never enlarged."""
    scale = min(1.0, side / max(picture.shape[:2]))
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    square = np.full((side, side, 3), 255, np.uint8)
    square[: size[1], : size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return square


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--masks", type=Path)
    parser.add_argument("--only", default="*", metavar="GLOB")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--model", type=Path, default=Path("models/default"))
    parser.add_argument("--sheet", type=Path, help="PNG of those whose ground is plain")
    parser.add_argument("--side", type=int, default=200)
    parser.add_argument("--columns", type=int, default=3, help="photos a row of the sheet")
    parser.add_argument("--most", type=int, default=48, help="photos on the sheet")
    parser.add_argument(
        "--changed",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="only photos whose matte changed by this mean or more",
    )
    options = parser.parse_args()
    cv2.setNumThreads(1)
    network = Network(options.model)
    strips: list[NDArray[np.uint8]] = []
    rows: list[tuple[float, ...]] = []
    plain = count = 0
    for path in sorted(options.images.glob(options.only))[:: options.every]:
        with Image.open(path) as picture:
            rgb = np.asarray(picture.convert("RGB"))
        alone, keyed, known = cut_out(rgb, network)
        count += 1
        if known is None:
            assert keyed is alone
            continue
        plain += 1
        change = float(np.abs(keyed - alone).mean())
        said = (
            f"{path.stem:28} {known.found.kind:5} {known.found.plainness:.2f} changed {change:.4f}"
        )
        if options.masks is not None:
            with Image.open(next(options.masks.glob(f"{path.stem}.*"))) as picture:
                mask = np.asarray(picture.convert("L").resize(rgb.shape[1::-1], 0))
            certain, truth = np.abs(mask.astype(int) - 128) > 60, mask / np.float32(255)
            row = (
                *(iou(a, truth, certain) for a in (alone, keyed)),
                *(float(np.abs(a - truth)[certain].mean()) for a in (alone, keyed)),
            )
            rows.append(row)
            said += f" iou {row[0]:.3f} -> {row[1]:.3f}"
        if change < options.changed:
            continue
        print(said)
        if options.sheet is not None and len(strips) < options.most:
            shown = [rgb, over_magenta(rgb, alone, None), over_magenta(rgb, keyed, known)]
            strips.append(np.hstack([tile(each, options.side) for each in shown]))
    print(f"{count} photos, {plain} on a plain ground")
    if rows:
        means = np.mean(rows, axis=0)
        print(
            f"iou {means[0]:.4f} -> {means[1]:.4f}, MAD {means[2]:.4f} -> {means[3]:.4f}; "
            f"worse by .02 or more: {sum(r[1] < r[0] - 0.02 for r in rows)}, "
            f"better: {sum(r[1] > r[0] + 0.02 for r in rows)}"
        )
    if strips:
        while len(strips) % options.columns:
            strips.append(np.full_like(strips[0], 255))
        lines = [
            np.hstack(strips[at : at + options.columns])
            for at in range(0, len(strips), options.columns)
        ]
        cv2.imwrite(str(options.sheet), cv2.cvtColor(np.vstack(lines), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
