"""The sheet of photos that documentation shows: every photo in its place, small enough to ship."""

from __future__ import annotations

import numpy as np
import pytest
from harness import PHOTO
from PIL import Image

from edge_matting.core.jobs import Quality
from tools.pictures.contact_sheet import (
    CELL,
    GROUPS_A_ROW,
    MOST_BYTES,
    Row,
    encoded,
    main,
    photos_in,
    sheet,
)


def row(name: str, verdict: str = "ok") -> Row:
    reasons = ("no_subject",) if verdict == "review" else ()
    pictures = tuple(Image.new("RGB", (CELL, CELL), colour) for colour in ("red", "blue") * 2)
    return Row(name, Quality(verdict, reasons, 0.0, 0.0, 0.0), pictures)


def test_a_photo_becomes_a_row_of_four_pictures(tmp_path, capsys) -> None:
    out = tmp_path / "sheet.jpg"
    assert main([str(PHOTO), "-o", str(out)]) == 0
    assert "astronaut.jpg: ok" in capsys.readouterr().out
    with Image.open(out) as page:
        pixels = np.asarray(page.convert("RGB")).astype(int)
    magenta = (pixels[:, :, 0] > 200) & (pixels[:, :, 1] < 60) & (pixels[:, :, 2] > 200)
    assert 0.1 < magenta.sum() / CELL**2 < 0.9  # the ground of one cell, around the subject


def test_24_photos_stand_in_eight_lines_and_stay_below_the_limit() -> None:
    page = sheet([row(f"photo {n}") for n in range(24)])
    assert page.width // GROUPS_A_ROW > 4 * CELL
    assert page.height // 8 > CELL
    noise = np.random.default_rng(1).integers(0, 255, (page.height, page.width, 3), dtype=np.uint8)
    assert len(encoded(page)) < MOST_BYTES
    assert len(encoded(Image.fromarray(noise))) > 0  # noise cannot be made so small: best effort


def test_what_the_gate_doubts_is_marked_in_red() -> None:
    plain, doubted = (
        np.asarray(sheet([row("a", verdict)])).astype(int) for verdict in ("ok", "review")
    )
    head = slice(0, 14)
    red = (doubted[head, :, 0] - doubted[head, :, 1]) > 100
    assert red.any()
    assert not ((plain[head, :, 0] - plain[head, :, 1]) > 100).any()


def test_folders_are_searched_for_photos_only(tmp_path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.jpg", "a.PNG", "notes.txt", "sub/c.webp"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in photos_in([tmp_path])] == ["a.PNG", "b.jpg", "c.webp"]


@pytest.mark.parametrize("wrong", ["nothing", "broken"])
def test_a_sheet_of_nothing_is_an_error(tmp_path, capsys, wrong) -> None:
    if wrong == "broken":
        (tmp_path / "a.jpg").write_bytes(b"no picture")
    assert main([str(tmp_path), "-o", str(tmp_path / "out.jpg")]) == 1
    assert "contact_sheet:" in capsys.readouterr().err
