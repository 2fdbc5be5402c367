"""Judge mattes by hand: numbered sheets to look at, and a count of what was said.

    python -m tools.training.kinds.judge sheet SETS/shop/images --model default -o SHEETS
    python -m tools.training.kinds.judge count tools/training/kinds/verdicts/*.json

``sheet`` runs every photo through the product and writes pages of photo, matte and cut-out over
magenta, with SHEETS/names.txt: the number of each photo and its name. Who judges writes a file
{"date", "model", "by", "good": [numbers], "usable": [numbers], "bad": [numbers], "names"}:
good can be sold as it is, usable needs a touch, bad is of no use. ``count`` prints the shares.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from edge_matting.config import Settings
from edge_matting.engine.factory import load_tools, plan_for
from tools.pictures.contact_sheet import CELL, GAP, INK, LABEL, PAPER, Row, make_row, photos_in

A_PAGE, A_ROW, SHOWN = 40, 5, 3  # photo, matte, cut-out
SAID = ("good", "usable", "bad")


def page(rows: list[tuple[int, Row]]) -> Image.Image:
    """Numbered rows beside and below each other."""
    width, height = SHOWN * (CELL + GAP) + 2 * GAP, CELL + LABEL + GAP
    lines = -(-len(rows) // A_ROW)
    sheet = Image.new("RGB", (A_ROW * width, lines * height), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for place, (number, row) in enumerate(rows):
        left, top = place % A_ROW * width, place // A_ROW * height
        for column, picture in enumerate(row.pictures[:SHOWN]):
            sheet.paste(picture, (left + column * (CELL + GAP), top + LABEL))
        draw.text((left + GAP, top), f"{number}  {row.name}", fill=INK, font=font)
    return sheet


def write_sheets(photos: list[Path], model: str, to: Path) -> None:
    settings = Settings(model=model)
    session, manifest = load_tools(settings, plan_for(settings), settings.model)
    rows = [(number, make_row(path, session, manifest)) for number, path in enumerate(photos)]
    to.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(rows), A_PAGE):
        page(rows[start : start + A_PAGE]).save(to / f"page_{start // A_PAGE}.png")
    names = "\n".join(f"{number} {row.name}" for number, row in rows)
    (to / "names.txt").write_text(f"{manifest.id} {manifest.version}\n{names}\n")
    print(f"{to}: {len(rows)} photos, {manifest.id} {manifest.version}")


def told(path: Path) -> str:
    """One line of Markdown for a file of verdicts; each photo is judged once."""
    verdicts = json.loads(path.read_text())
    numbers = [number for word in SAID for number in verdicts[word]]
    if sorted(numbers) != list(range(len(verdicts["names"]))):
        raise SystemExit(f"{path}: every photo is judged once, and none that is not named")
    counts = [len(verdicts[word]) for word in SAID]
    shares = " | ".join(f"{count} ({count / len(numbers):.0%})" for count in counts)
    return f"| {verdicts['model']} | {verdicts['date']} | {verdicts['by']} | {shares} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    steps = parser.add_subparsers(dest="step", required=True)
    sheet = steps.add_parser("sheet")
    sheet.add_argument("photos", nargs="+", type=Path)
    sheet.add_argument("--model", default="default", metavar="ID")
    sheet.add_argument("-o", "--out", type=Path, required=True, metavar="SHEETS")
    count = steps.add_parser("count")
    count.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()
    if options.step == "sheet":
        write_sheets(list(photos_in(options.photos)), options.model, options.out)
        return
    print("| model | date | judged by | good | usable | bad |\n" + "|---" * 6 + "|")
    for path in options.files:
        print(told(path))


if __name__ == "__main__":
    main()
