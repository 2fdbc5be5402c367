"""How much a known ground brings: figures of rendered scenes, plates and screens, and a sheet.

    python -m tools.grounds.measure --data DATA --kind scenes --count 180 --seed 2 --sheet worst.png

Each photo is cut out twice with the same network: refined alone, and with its ground known. The
figures are means over photos; the gradient error is in thousands (Rhemann et al. 2009). Holes of at
least 0.02 % of the picture count as open where their alpha is below 0.2 on average. ``lost`` is the
share of the sure subject whose alpha falls below a half.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.core.jobs import GroundFound
from edge_matting.matting import estimate_foreground, refine
from edge_matting.matting.ground import KEYS, KnownGround, direction_of, plain_ground, plate, screen
from tools.bench.metrics import gradient_error, iou
from tools.grounds.network import Network
from tools.grounds.plates import screens, series
from tools.grounds.scenes import scenes

LEAST_HOLE = 2e-4
MOST_LOST = 0.005


@dataclass(frozen=True)
class Figures:
    """Of one matte."""

    mad: float
    gradient: float
    iou: float
    holes: int
    opened: int
    lost: float
    spill: float  # of 255, mean of the key's chroma in soft edges above the truth's


@dataclass(frozen=True)
class Row:
    """The figures of one photo."""

    name: str
    pale: bool
    found: str
    before: Figures
    after: Figures


@dataclass(frozen=True)
class Case:
    """One photo with its truth, cut out both ways."""

    row: Row
    rgb: Rgb
    truth: Alpha
    alone: Alpha
    keyed: Alpha


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """Every photo of the kind that was asked for."""
    network = Network(options.model)
    for shot in photos(options):
        matte = network.matte(shot.rgb)
        known, found = shot.find(matte)
        alone = refine(shot.rgb, matte)
        keyed = alone if known is None else known.refined(shot.rgb)
        before, after = figures(shot, alone, None), figures(shot, keyed, known)
        row = Row(shot.name, shot.pale, found.kind, before, after)
        yield Case(row, shot.rgb, shot.truth, alone, keyed)


@dataclass(frozen=True)
class Photo:
    """A photo with its truth, and how its ground is found."""

    name: str
    pale: bool  # white on white
    rgb: Rgb
    truth: Alpha
    front: NDArray[np.float32]
    find: Callable[[Alpha], tuple[KnownGround | None, GroundFound]]

    @property
    def key(self) -> str:
        """The screen's name, where it is one."""
        return self.name.rpartition("-")[2]


def photos(options: argparse.Namespace) -> Iterator[Photo]:
    """Every photo of the kind that was asked for."""
    if options.kind == "scenes":
        for scene in scenes(options.data, options.count, options.seed):
            find = partial(plain_ground, scene.rgb)
            yield Photo(scene.name, scene.pale, scene.rgb, scene.alpha, scene.front, find)
    elif options.kind == "plates":
        for shot in series(options.data, options.count, 4, options.seed):
            assert shot.plate is not None
            empty = partial(plate, shot.rgb, empty=shot.plate)
            yield Photo(shot.name, False, shot.rgb, shot.alpha, shot.front, empty)
    else:
        for shot in screens(options.data, options.count, options.seed):
            key = KEYS[shot.name.rpartition("-")[2]]
            keyed = partial(screen, shot.rgb, key=key)
            yield Photo(shot.name, False, shot.rgb, shot.alpha, shot.front, keyed)


def figures(shot: Photo, alpha: Alpha, known: KnownGround | None) -> Figures:
    """What one matte measures."""
    truth = shot.truth
    gaps = holes(truth)
    sure = truth > 0.98
    return Figures(
        mad=float(np.abs(alpha - truth).mean()),
        gradient=gradient_error(alpha, truth) / 1000,
        iou=iou(alpha, truth),
        holes=len(gaps),
        opened=sum(float(alpha[gap].mean()) < 0.2 for gap in gaps),
        lost=float(((alpha < 0.5) & sure).sum() / max(1, sure.sum())),
        spill=_spill(shot, alpha, known) if shot.key in KEYS else float("nan"),
    )


def holes(truth: Alpha) -> list[NDArray[np.bool_]]:
    """Enclosed pieces of background of at least LEAST_HOLE of the picture."""
    empty = (truth < 0.1).astype(np.uint8)
    count, marks, stats, _ = cv2.connectedComponentsWithStats(empty, connectivity=4)
    height, width = truth.shape
    found = []
    for index in range(1, count):
        left, top, across, down, area = stats[index]
        inside = left > 0 and top > 0 and left + across < width and top + down < height
        if inside and area >= LEAST_HOLE * truth.size:
            found.append((marks == index) & (truth < 0.02))
    return found


def _spill(shot: Photo, alpha: Alpha, known: KnownGround | None) -> float:
    colours = estimate_foreground(shot.rgb, alpha, None if known is None else known.behind)
    if known is not None:
        colours = known.without_spill(colours, alpha)
    band = (shot.truth > 0.05) & (shot.truth < 0.95) & (alpha > 0.02)
    along = direction_of(KEYS[shot.key])
    more = (colours[band] / np.float32(255) - shot.front[band]) @ along
    if not band.any():
        return 0.0
    # noise is no spill: what counts is what remains on average, as far as it is seen
    return max(0.0, float(np.average(more, weights=alpha[band])) * 255)


def summary(kind: str, done: Sequence[Row]) -> str:
    """The figures of all photos, before and after."""
    lines = [f"{kind}: {len(done)} photos, ground known on {sum(c.found != 'none' for c in done)}"]
    for field in fields(Figures):
        if field.name in {"holes", "opened"}:
            continue
        before, after = (
            np.nanmean([getattr(f, field.name) for f in part] or [np.nan])
            for part in ([c.before for c in done], [c.after for c in done])
        )
        if not np.isnan(before):
            change = after / before - 1 if before else 0.0
            lines.append(f"  {field.name:9} {before:.4f} -> {after:.4f} ({change:+.0%})")
    total = sum(c.before.holes for c in done)
    if total:
        lines.append(
            f"  holes open {sum(c.before.opened for c in done) / total:.3f} -> "
            f"{sum(c.after.opened for c in done) / total:.3f} of {total}"
        )
    pale = [c for c in done if c.pale]
    if pale:
        kept = np.mean([c.after.lost < MOST_LOST for c in pale])
        harmed = np.mean([c.after.lost - c.before.lost < MOST_LOST for c in pale])
        before_kept = np.mean([c.before.lost < MOST_LOST for c in pale])
        lines.append(
            f"  white on white, {len(pale)} photos: lost below {MOST_LOST:.1%} on "
            f"{before_kept:.0%} -> {kept:.0%}; by the key less than that on {harmed:.0%}"
        )
    return "\n".join(lines)


def sheet(done: Sequence[Case], side: int = 240) -> NDArray[np.uint8]:
    """Photo, matte alone, matte with the ground known, and its error; three photos a row."""
    strips = []
    for case in done:
        grey = [
            np.repeat(np.rint(a * 255).astype(np.uint8)[..., None], 3, 2)
            for a in (case.alone, case.keyed, np.abs(case.keyed - case.truth))
        ]
        strips.append(np.hstack([_tile(np.asarray(p, np.uint8), side) for p in (case.rgb, *grey)]))
    while len(strips) % 3:
        strips.append(np.full_like(strips[0], 255))
    return np.vstack([np.hstack(strips[at : at + 3]) for at in range(0, len(strips), 3)])


def _tile(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    scale = side / max(picture.shape[:2])
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    square = np.full((side, side, 3), 255, np.uint8)
    square[: size[1], : size[0]] = small
    return square


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--kind", choices=("scenes", "plates", "screens"), default="scenes")
    parser.add_argument("--model", type=Path, default=Path("models/default"))
    parser.add_argument("--count", type=int, default=60, help="photos; series of 4 for plates")
    parser.add_argument("--seed", type=int, default=2, help="1 is what the weights were fitted on")
    parser.add_argument("--sheet", type=Path, help="PNG of the worst")
    parser.add_argument("--worst", type=int, default=24)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    done: list[Row] = []
    kept: list[Case] = []
    for case in cases(options):
        done.append(case.row)
        kept = sorted([*kept, case], key=lambda c: -c.row.after.mad)[: options.worst]
    print(summary(options.kind, done))
    for row in (case.row for case in kept):
        print(
            f"  {row.name:34} {row.found:6} MAD {row.before.mad:.4f} -> {row.after.mad:.4f}  "
            f"gradient {row.before.gradient:.1f} -> {row.after.gradient:.1f}"
        )
    if options.sheet is not None:
        cv2.imwrite(str(options.sheet), cv2.cvtColor(sheet(kept), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
