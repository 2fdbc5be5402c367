"""Masks for photos without any: kept where the views agree, and prepared like the others."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from photo_set import make_photo_set

ROOT = Path(__file__).resolve().parents[2]

pytest.importorskip("torch", reason="training needs torch")


def test_views_agree_as_far_as_the_one_that_lies_farthest_off() -> None:
    import numpy as np

    from tools.training.pseudo_labels import agreed

    whole = np.zeros((8, 10), np.float32)
    whole[2:6, 2:8] = 1.0
    half = whole.copy()
    half[:, 5:] = 0.0
    mean, agreement = agreed(np.stack([whole, whole, whole]))
    assert (mean == whole).all()
    assert agreement == 1.0
    mean, agreement = agreed(np.stack([whole, whole, half]))
    assert mean[3, 6] == pytest.approx(2 / 3)
    assert agreement == pytest.approx(0.5)
    assert agreed(np.zeros((3, 8, 10), np.float32))[1] == 0.0


def test_a_cut_by_colour_mends_a_matte_that_missed_half_of_the_subject() -> None:
    import numpy as np

    from tools.training.pseudo_labels import cut_by_colour

    rng = np.random.default_rng(2)
    true = np.zeros((120, 90), bool)
    true[30:100, 20:70] = True
    rgb = np.where(true[..., None], (40, 60, 160), (200, 190, 170)) + rng.integers(
        -9, 9, (120, 90, 3)
    )
    doubtful = np.where(true, 0.99, 0.1).astype(np.float32)
    doubtful[70:, :] = 0.2  # the lower part is hardly seen
    mask = cut_by_colour(np.asarray(rgb, np.uint8), doubtful)
    assert set(np.unique(mask)) == {0, 255}
    assert ((mask == 255) == true).mean() > 0.99


def test_a_clear_photo_gets_a_mask_and_one_without_subject_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cv2 = pytest.importorskip("cv2")
    import numpy as np

    from tools.training import pseudo_labels
    from tools.training.split import WRONG_MATTES

    data, work, sheets = tmp_path / "data", tmp_path / "work", tmp_path / "sheets"
    for group in ("persons_unlabelled", "products"):
        (data / group).mkdir(parents=True)
    clear = ROOT / "edge_matting" / "data" / "photos" / "portrait-002.jpg"
    wrong = min(WRONG_MATTES["persons_unlabelled"])
    for name in ("clear", wrong):
        shutil.copy(clear, data / "persons_unlabelled" / f"{name}.jpg")
    grey = np.full((300, 200, 3), 120, np.uint8)
    cv2.imwrite(str(data / "products" / "nothing.jpg"), grey)
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(
        sys, "argv", ["", "--data", str(data), "--work", str(work), "--sheet", str(sheets)]
    )
    pseudo_labels.main()

    made = sorted(str(p.relative_to(work)) for p in work.rglob("*.png"))
    assert made == ["pseudo/persons_unlabelled/clear.png"]
    mask = cv2.imread(str(work / made[0]), cv2.IMREAD_UNCHANGED)
    photo = cv2.imread(str(clear))
    assert set(np.unique(mask)) == {0, 255}
    assert mask.shape[0] / mask.shape[1] == pytest.approx(photo.shape[0] / photo.shape[1], rel=0.02)
    assert 0.2 < (mask == 255).mean() < 0.9
    assert [p.name for p in sheets.iterdir()] == ["persons_unlabelled_0.png"]


def test_photos_with_made_masks_are_drawn_where_they_are_and_not_missed_where_not(
    tmp_path: Path,
) -> None:
    import numpy as np

    from tools.training.dataset import MIX, Sampler
    from tools.training.store import UNLABELLED, Store

    make_photo_set(tmp_path)
    rng = np.random.default_rng(1)
    without = Sampler(Store(tmp_path / "set"), rng)
    assert {kind for kind, _ in MIX} - {kind for kind, _ in without.mix} == set(UNLABELLED)

    index = tmp_path / "set" / "index.json"
    items = json.loads(index.read_text())
    photo = next(i for i in items if i["group"] == "salient" and not i["validation"])
    index.write_text(json.dumps([*items, {**photo, "group": "products"}]))
    mix = (("products", 1.0),)
    rgb, alpha = Sampler(Store(tmp_path / "set"), rng, mix=mix).batch(20, 64)
    assert rgb.shape == (20, 64, 64, 3)
    assert alpha.max() == 200


def test_only_photos_that_got_a_mask_are_prepared(tmp_path: Path) -> None:
    from tools.training import split
    from tools.training.store import GROUPS, PSEUDO, jobs

    data, pseudo = tmp_path / "data", tmp_path / PSEUDO
    for group in GROUPS:
        (data / group / "images").mkdir(parents=True)
    (pseudo / "products").mkdir(parents=True)
    for name in ("kept", "doubted"):
        (data / "products" / f"{name}.jpg").touch()
    (pseudo / "products" / "kept.png").touch()
    held_out = min(split.held_out("products", split.CUT_BY_COLOUR))
    (pseudo / "products" / f"{held_out}.png").touch()
    unlabelled = [(group, name, held) for _, _, group, name, held in jobs(data, pseudo)]
    assert ("products", "kept", False) in unlabelled
    assert ("products", held_out, True) in unlabelled
    assert not [name for _, name, _ in unlabelled if name == "doubted"]
