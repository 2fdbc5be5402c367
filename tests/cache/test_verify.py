"""What may share a matte and what may not, on the built-in photo; the large trial is a tool."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from harness import PHOTO

from edge_matting.cache.verify import (
    Distances,
    MatchTolerances,
    comparable_size,
    compare,
    same_aspect,
)
from tools.bench.adversary.edits import Scene, edits
from tools.bench.adversary.reexports import accepted_reexports, exposed, resized, saved

RGB = cv2.cvtColor(cv2.imread(str(PHOTO)), cv2.COLOR_BGR2RGB)
MODEL = (320, 320)


def view(rgb: np.ndarray) -> np.ndarray:
    return cv2.resize(rgb, MODEL, interpolation=cv2.INTER_AREA)


def subject(shape: tuple[int, int]) -> np.ndarray:
    """A soft ellipse about where the astronaut is."""
    alpha = np.zeros(shape, np.float32)
    height, width = shape
    middle, axes = (int(width * 0.45), int(height * 0.62)), (int(width * 0.3), int(height * 0.45))
    cv2.ellipse(alpha, middle, axes, 0, 0, 360, 1.0, -1)
    return cv2.GaussianBlur(alpha, (0, 0), 1.5)


ALPHA = subject((320, 320))


def distances(photo: np.ndarray) -> Distances:
    size = comparable_size((512, 512), (photo.shape[1], photo.shape[0]), MODEL)
    assert size is not None
    return compare(view(RGB), view(photo), ALPHA, size)


def test_reexports_share_the_matte():
    refused = {
        name: found
        for name, rgb in accepted_reexports(RGB)
        if not (found := distances(rgb)).within(MatchTolerances())
    }
    assert len(refused) <= 1, refused


@pytest.mark.parametrize("name", [name for name, _ in edits(np.random.default_rng(0))])
def test_an_edit_never_does(name):
    scene = Scene(RGB, subject(RGB.shape[:2]))
    for seed in range(3):
        chance = np.random.default_rng(seed)
        edit = dict(edits(chance))[name]
        edited = saved(edit(scene, chance), "jpg", 85)
        found = distances(edited)
        assert not found.within(MatchTolerances()), (seed, found)


def test_a_global_change_of_exposure_is_taken_away():
    brighter = distances(exposed(RGB, 0.92, 6.0))
    assert brighter.gain == pytest.approx(0.08, abs=0.01)
    assert brighter.difference < 3
    assert not distances(exposed(RGB, 0.6, 0.0)).within(MatchTolerances())


def test_a_flat_picture_has_an_offset_and_no_gain():
    flat = np.full((320, 320, 3), 90, np.uint8)
    found = compare(flat, flat + np.uint8(3), np.zeros((320, 320), np.float32), MODEL)
    assert found == Distances(0, 0, 0, 0, 0)


def test_the_mattes_doubt_weighs():
    noisy = saved(RGB, "jpg", 75)
    sure = compare(view(RGB), view(noisy), np.zeros((320, 320), np.float32), MODEL)
    unsure = compare(view(RGB), view(noisy), np.full((320, 320), 0.5, np.float32), MODEL)
    assert sure.drift == 0
    assert unsure.drift > MatchTolerances().drift


def test_a_difference_at_the_mattes_edge_counts_in_full():
    changed = view(RGB).copy()
    rows, columns = np.nonzero((ALPHA > 0.4) & (ALPHA < 0.6))
    row, column = int(rows[0]), int(columns[0])
    patch = changed[row - 3 : row + 4, column - 3 : column + 4]
    patch[...] = np.where(patch > 128, patch - 30, patch + 30)
    there = compare(view(RGB), changed, ALPHA, MODEL)
    elsewhere = compare(view(RGB), changed, np.zeros_like(ALPHA), MODEL)
    assert there.difference == pytest.approx(elsewhere.difference / 0.6, rel=0.01)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((827, 550), (413, 275), True),
        ((827, 550), (1654, 1100), True),
        ((1000, 1000), (990, 1000), False),
        ((4000, 3000), (3000, 4000), False),
        ((4000, 3000), (3960, 3000), False),
        ((6000, 4000), (320, 213), True),
    ],
)
def test_the_aspect_ratio_holds_within_rounding(one, other, expected):
    assert same_aspect(one, other) is expected
    assert same_aspect(other, one) is expected


def test_too_small_photos_are_not_compared():
    assert comparable_size((827, 550), (165, 110), MODEL) == (165, 110)
    assert comparable_size((827, 550), (120, 80), MODEL) is None
    tiny = resized(RGB, 0.1)
    assert comparable_size((512, 512), (tiny.shape[1], tiny.shape[0]), MODEL) is None


def test_every_distance_has_its_limit():
    near = Distances(0, 0, 0, 0, 0)
    assert near.within(MatchTolerances())
    for name in MatchTolerances.__dataclass_fields__:
        assert not replace(near, **{name: 1000.0}).within(MatchTolerances()), name
