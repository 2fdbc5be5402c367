"""What the training tools learn and are judged from: the split, and samples drawn and lit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from photo_set import make_photo_set

ROOT = Path(__file__).resolve().parents[2]


def test_the_split_is_decided_by_name_alone() -> None:
    from tools.training.split import held_out, object_family

    names = [f"{i:04d}" for i in range(500)]
    chosen = held_out("persons", names)
    assert len(chosen) == 60
    assert chosen == held_out("persons", reversed(names))
    assert chosen != held_out("salient", names)
    assert object_family("blue_cup_03") == object_family("red_cup_11") == "cup"


def test_no_product_kind_stands_on_both_sides() -> None:
    from tools.training.split import held_out, object_family

    kinds = ("cup", "spoon", "knife", "fork", "glue_1", "soap", "plate", "lamp", "book", "pear")
    names = [f"{colour}_{k}_{i:02d}" for colour in ("red", "blue") for k in kinds for i in range(3)]
    ours = held_out("objects", names)
    theirs = set(names) - ours
    assert ours
    assert theirs
    assert not {object_family(n) for n in ours} & {object_family(n) for n in theirs}


def test_the_portraits_held_out_are_those_the_split_names_and_never_trained_on() -> None:
    from tools.training.split import held_out

    folder = ROOT / "tools" / "training" / "portraits"
    photos, alphas, masks = (
        {p.stem for p in (folder / name).iterdir()} for name in ("photos", "alphas", "masks")
    )
    assert photos == alphas == held_out("portraits", [f"{i:03d}" for i in range(1, 81)])
    assert len(photos) == 40
    assert not photos & masks
    assert sum(p.stat().st_size for p in folder.rglob("*.*")) < 3_000_000


def test_a_mask_is_corrected_in_the_order_of_the_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np = pytest.importorskip("numpy")
    from tools.training import store

    mask = np.zeros((20, 30), np.uint8)
    mask[5:10, 5:10] = 200
    square = [[0, 0], [9, 0], [9, 9], [0, 9]]
    steps = {"0001": [{"add": square}, {"cut": [[0, 0], [4, 0], [4, 9], [0, 9]]}]}
    (tmp_path / "c.json").write_text(json.dumps(steps))
    monkeypatch.setattr(store, "CORRECTIONS", tmp_path / "c.json")
    found = store.corrected("0001", mask)
    assert (found[:10, 5:10] == 255).all()
    assert found.sum() == 50 * 255
    assert (store.corrected("0002", mask) == np.where(mask > 0, 255, 0)).all()


def test_what_is_held_out_or_wrong_is_not_trained_on_and_persons_are_judged_twice(
    tmp_path: Path,
) -> None:
    pytest.importorskip("numpy")
    from tools.training import store
    from tools.training.split import WRONG_MASKS, held_out

    names = [f"{n:04d}" for n in range(1, 853)]
    for group in ("persons", "salient", "pets", "objects", "backgrounds"):
        (tmp_path / group / "images").mkdir(parents=True)
    for name in names:
        (tmp_path / "persons" / "images" / f"{name}.jpg").touch()
    kept = held_out("persons", names)
    sides: dict[tuple[str, bool], set[str]] = {}
    for _, _, group, name, validation in store.jobs(tmp_path, tmp_path / "pseudo"):
        sides.setdefault((group, validation), set()).add(name)
    assert sides["persons", True] == sides[store.CHECKED, True] == kept
    assert sides["persons", False] == set(names) - kept - WRONG_MASKS["persons"]
    assert set(json.loads(store.CORRECTIONS.read_text())) <= kept


def test_over_all_pictures_a_person_with_two_masks_counts_once(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="what draws composites needs torch")
    from tools.training.store import CHECKED, Store
    from tools.training.validation import cases

    make_photo_set(tmp_path)
    store = Store(tmp_path / "set")
    once, twice = ([c.group for c in cases(store, checked=many)] for many in (False, True))
    assert CHECKED not in once
    assert sorted(once) == sorted(group for group in twice if group != CHECKED)
    assert twice.count(CHECKED) == 1


def test_gaps_and_straps_narrower_than_the_band_stay_known() -> None:
    np = pytest.importorskip("numpy")
    pytest.importorskip("cv2")
    from tools.training.soft_targets import BAND, trimap_of

    side = 400
    mask = np.zeros((side, side), np.uint8)
    mask[100:350, 100:200] = 255
    mask[100:350, 206:240] = 255  # an arm, six pixels from the waist
    mask[340:350, 200:206] = 255
    mask[50:101, 150:153] = 255  # a strap
    assert round(BAND * side) > 3, "the gap and the strap lie in the band"
    trimap = trimap_of(mask, person=False)
    assert (trimap[150:330, 202:204] == 0).all()
    assert (trimap[60:90, 151] == 255).all()
    assert (trimap[150:330, [199, 200, 205, 206]] == 128).all()
    ragged = mask.copy()
    ragged[200:202, 96:100] = 255  # a corner that sticks out is no strap
    assert (trimap_of(ragged, person=False)[195:207, 90:100] != 255).all()


def test_drawn_subjects_have_soft_alpha_and_colours_everywhere() -> None:
    np = pytest.importorskip("numpy")
    pytest.importorskip("cv2")
    from tools.training.rendered import blurred, hairy, lace

    rng = np.random.default_rng(1)
    pattern = rng.integers(60, 200, (40, 40, 3), np.uint8)
    body = np.zeros((80, 60), np.uint8)
    body[10:70, 10:50] = 255
    frame = np.zeros((96, 96, 4), np.uint8)
    frame[30:60, 20:70] = (200, 90, 40, 255)
    for subject in (hairy(rng, body, pattern), lace(rng, pattern), blurred(rng, frame)):
        alpha = subject[..., 3]
        assert subject.dtype == np.uint8
        assert ((alpha > 25) & (alpha < 230)).any()
        assert (alpha == 0).any()
    smeared = blurred(rng, frame)
    seen = smeared[..., 3] > 40
    assert abs(smeared[seen][:, :3].astype(int) - (200, 90, 40)).max() <= 4


def test_the_part_beside_a_subject_has_nothing_of_it() -> None:
    np = pytest.importorskip("numpy")
    pytest.importorskip("cv2")
    from tools.training.augment import bare_box, bare_view

    rng = np.random.default_rng(1)
    pixels = np.zeros((300, 400, 4), np.uint8)
    pixels[:, :250] = 255  # the subject is white
    part = bare_box(rng, pixels[..., 3], tries=200)
    assert part is not None
    assert not pixels[part].any()
    view = next(v for v in (bare_view(rng, pixels, 64) for _ in range(50)) if v is not None)
    assert view.shape == (64, 64, 3)
    assert not view.any()
    assert bare_box(rng, np.full((300, 400), 255, np.uint8), tries=200) is None


def test_a_tiled_ground_shows_one_motif_again_and_again() -> None:
    np = pytest.importorskip("numpy")
    pytest.importorskip("cv2")
    from tools.training.compose import tiled_ground

    motif = np.random.default_rng(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    for seed in range(20):
        ground = tiled_ground(np.random.default_rng(seed), motif, 192)
        assert ground.shape == (192, 192, 3)
        waves = np.abs(np.fft.rfft2(ground.mean(2) - ground.mean()))
        power = np.sort(waves.ravel() ** 2)
        # what repeats has few frequencies; the motif alone has a fifth of its power in so many
        assert power[-len(power) // 20 :].sum() > 0.4 * power.sum()


def test_badly_lit_photos_are_darker_or_blown_out_and_keep_their_shape() -> None:
    np = pytest.importorskip("numpy")
    pytest.importorskip("cv2")
    from tools.training.augment import camera, exposed

    rng = np.random.default_rng(2)
    photo = rng.integers(40, 220, (64, 64, 3)).astype(np.uint8)
    assert exposed(rng, photo, -5.0).mean() < 0.3 * photo.mean()
    assert exposed(rng, photo, 2.5).mean() > 1.3 * photo.mean()
    taken = [camera(rng, photo) for _ in range(200)]
    assert {(each.shape, each.dtype.name) for each in taken} == {((64, 64, 3), "uint8")}


def test_masks_alone_need_no_composites(tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    pytest.importorskip("torch", reason="training needs torch")
    from tools.training.dataset import PHOTOS_MIX, Sampler
    from tools.training.store import Store

    make_photo_set(tmp_path)
    store = Store(tmp_path / "set")
    rgb, alpha = Sampler(store, np.random.default_rng(1), mix=PHOTOS_MIX).batch(40, 64)
    assert rgb.shape == (40, 64, 64, 3)
    assert alpha.max() == 200
    with pytest.raises(ValueError, match="high"):  # a composite has no background to choose from
        Sampler(store, np.random.default_rng(1)).batch(40, 64)
