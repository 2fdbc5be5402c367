"""A sheet of photos with what this program makes of them, to be looked at.

    python -m tools.pictures.contact_sheet PHOTOS [PHOTOS ...] -o docs/images/contact-sheet.jpg

PHOTOS are files and folders. Each photo goes through the whole pipeline at its own size, with the
shipped model or the one named; shown are the photo, its matte, the cut-out over magenta (which
hides no fault of the edge) and a composite over a gradient with a shadow. What the gate would send
to ``review/`` is labelled so. One line for each photo goes to stdout.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from edge_matting.config import Recipe, Settings
from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.core.errors import EdgeMattingError
from edge_matting.core.jobs import Quality
from edge_matting.engine.factory import load_tools, plan_for
from edge_matting.imaging import decode
from edge_matting.matting import assess, refine
from edge_matting.matting.exposure import equalised
from edge_matting.matting.preprocess import model_view
from edge_matting.models import Manifest
from edge_matting.pipeline.matte import infer, second_look
from edge_matting.pipeline.outputs import render_outputs
from edge_matting.runtimes import Session

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".avif", ".heic", ".tif", ".tiff"})
CELL, GAP, LABEL = 168, 3, 15  # pixels
GROUPS_A_ROW = 3
MOST_BYTES = 1_500_000
PAPER, INK, DOUBT = (250, 250, 250), (40, 40, 40), (190, 0, 0)
MAGENTA = Recipe.model_validate(
    {
        "outputs": ({"kind": "composite"}, {"kind": "alpha"}),
        "background": "#ff00ff",
        "colour": "srgb",
    }
)
SCENE = Recipe.model_validate(
    {
        "outputs": ({"kind": "composite"},),
        "background": {"gradient": ("#f4f6f8", "#9fb4c4")},
        "shadow": {},
        "colour": "srgb",
    }
)


@dataclass(frozen=True, slots=True)
class Row:
    """One photo: its four pictures, each fitted into a cell."""

    name: str
    quality: Quality
    pictures: tuple[Image.Image, ...]


def photos_in(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (file for file in found if file.suffix.lower() in SUFFIXES)


def make_row(path: Path, session: Session, manifest: Manifest) -> Row:
    photo = decode(path.read_bytes(), path.name, max_pixels=10**9)
    alpha = finished_alpha(photo.rgb, session, manifest)
    if photo.alpha is not None:
        alpha = alpha * photo.alpha
    over, matte = (file.data for file in render_outputs(photo, alpha, MAGENTA))
    (scene,) = (file.data for file in render_outputs(photo, alpha, SCENE))
    before = Image.fromarray((photo.rgb >> (8 * (photo.rgb.itemsize - 1))).astype(np.uint8))
    made = (Image.open(io.BytesIO(data)).convert("RGB") for data in (matte, over, scene))
    look = None if photo.alpha is not None else second_look(session, manifest, equalise=True)
    return Row(path.stem, assess(photo.rgb, alpha, look), tuple(map(fitted, (before, *made))))


def finished_alpha(rgb: Rgb, session: Session, manifest: Manifest) -> Alpha:
    """The matte at the photo's own size as the default recipe makes it, float32 H x W in [0, 1]."""
    view = model_view(rgb, manifest.input, session.describe().resolution)
    return refine(rgb, infer(equalised(view), session, manifest))


def fitted(picture: Image.Image) -> Image.Image:
    """The whole picture in the middle of a cell."""
    small = picture.copy()
    small.thumbnail((CELL, CELL), Image.Resampling.BOX, reducing_gap=None)
    cell = Image.new("RGB", (CELL, CELL), PAPER)
    cell.paste(small, ((CELL - small.width) // 2, (CELL - small.height) // 2))
    return cell


def sheet(rows: Sequence[Row]) -> Image.Image:
    group = 4 * (CELL + GAP) + 3 * GAP, CELL + LABEL + 2 * GAP
    lines = -(-len(rows) // GROUPS_A_ROW)
    page = Image.new("RGB", (GROUPS_A_ROW * group[0], lines * group[1]), PAPER)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(11)
    for number, row in enumerate(rows):
        left, top = number % GROUPS_A_ROW * group[0], number // GROUPS_A_ROW * group[1]
        for column, picture in enumerate(row.pictures):
            page.paste(picture, (left + GAP + column * (CELL + GAP), top + LABEL))
        doubted = row.quality.verdict == "review"
        text = row.name + (f" - review: {', '.join(row.quality.reasons)}" if doubted else "")
        draw.text((left + GAP, top + 1), text, fill=DOUBT if doubted else INK, font=font)
    return page


def encoded(page: Image.Image) -> bytes:
    """JPEG of the best quality that stays below the limit."""
    for quality in range(90, 40, -5):
        target = io.BytesIO()
        page.save(target, "JPEG", quality=quality, optimize=True, progressive=True)
        if target.tell() < MOST_BYTES:
            break
    return target.getvalue()


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PHOTOS")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE.jpg")
    parser.add_argument("--model", default="default", metavar="ID")
    options = parser.parse_args(arguments)
    settings = Settings(model=options.model)
    rows = []
    try:
        session, manifest = load_tools(settings, plan_for(settings), settings.model)
        for path in photos_in(options.paths):
            row = make_row(path, session, manifest)
            q = row.quality
            print(f"{path.name}: {q.verdict} {', '.join(q.reasons)} coverage {q.coverage:.3f} "
                  f"uncertain {q.uncertain_fraction:.3f}", flush=True)  # fmt: skip
            rows.append(row)
    except (EdgeMattingError, OSError) as error:
        print(f"contact_sheet: {error}", file=sys.stderr)
        return 1
    if not rows:
        print("contact_sheet: no photos there", file=sys.stderr)
        return 1
    data = encoded(sheet(rows))
    options.out.write_bytes(data)
    print(f"{options.out}: {len(rows)} photos, {len(data)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
