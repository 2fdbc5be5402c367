"""The finishing bench on its small built-in scene: exact truth, and our methods against it."""

from __future__ import annotations

import numpy as np
import pytest

from edge_matting.matting import resample
from tools.bench.finishing import compare, composite_error, summary
from tools.bench.rendered import built_in, native_crop


@pytest.fixture(scope="module")
def scene():
    return built_in((640, 480))


def test_the_scene_is_made_of_its_own_parts(scene) -> None:
    share = scene.alpha[..., np.newaxis]
    mixed = scene.front * share + scene.back * (1 - share)
    apart = scene.rgb - mixed
    assert abs(float(apart.mean())) < 0.1
    assert 1.0 < float(apart.std()) < 2.0  # the sensor's noise
    assert 0.1 < scene.alpha.mean() < 0.5
    assert 0.005 < ((scene.alpha > 0.02) & (scene.alpha < 0.98)).mean() < 0.1


def test_ours_is_nearer_to_the_truth_than_doing_nothing(scene) -> None:
    coarse = np.clip(resample(scene.alpha, (80, 60)), 0, 1)
    rows = compare(scene, coarse, pymatting=False)
    by = {(row["kind"], row["method"]): row for row in summary(rows)}
    assert by["refinement", "bilinear"]["error_ratio"]["mean"] == 1.0
    assert by["refinement", "fast"]["error_ratio"]["mean"] < 0.9
    assert by["foreground", "ours"]["error_ratio"]["mean"] < 0.5
    assert composite_error(scene.front, scene) == 0.0


def test_a_native_crop_is_never_resampled() -> None:
    photo = np.random.default_rng(1).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    crop = native_crop(np.random.default_rng(2), photo, (20, 10))
    places = [
        (y, x)
        for y in range(21)
        for x in range(21)
        if np.array_equal(photo[y : y + 10, x : x + 20], crop)
    ]
    assert len(places) == 1
    assert native_crop(np.random.default_rng(2), photo, (60, 50)).shape == (50, 60, 3)
