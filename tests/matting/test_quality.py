"""`refinement: quality`: the matting Laplacian in the unknown band, in tiles without seams."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_matting.matting import refine
from edge_matting.matting.laplacian import HALO, solve_band

SIDE = 160


def picture(seed: int = 0, side: int = SIDE):
    """A photo of thin hairs before a wall, its exact alpha, and where that is unknown."""
    rng = np.random.default_rng(seed)
    alpha = np.zeros((side, side), np.uint8)
    cv2.circle(alpha, (side // 2, side // 2), side // 4, 255, -1, cv2.LINE_AA)
    for angle in rng.uniform(0, 2 * np.pi, 40):
        end = side / 2 + np.array([np.cos(angle), np.sin(angle)]) * side * 0.32
        cv2.line(alpha, (side // 2, side // 2), np.rint(end).astype(int).tolist(), 255, 1, 16)
    truth = alpha.astype(np.float32) / 255
    share = truth[..., np.newaxis]
    rgb = np.float32((60, 30, 20)) * share + np.float32((180, 200, 220)) * (1 - share)
    distance = np.hypot(*(np.indices(truth.shape) - side / 2))
    unknown = np.abs(distance - side * 0.29) < side * 0.08
    return np.rint(rgb).astype(np.uint8), truth, unknown


def test_hair_that_the_model_blurred_is_found_again() -> None:
    rgb, truth, unknown = picture()
    prior = cv2.GaussianBlur(truth, (0, 0), 6)
    prior[~unknown] = truth[~unknown]
    solved = solve_band(rgb, prior, unknown)
    assert np.abs(solved - truth).mean() < 0.7 * np.abs(prior - truth).mean()
    assert np.array_equal(solved[~unknown], prior[~unknown])


@given(
    seed=st.integers(0, 100), tile=st.integers(2 * HALO, SIDE), sigma=st.floats(1.0, 8.0, width=32)
)
@settings(max_examples=12, deadline=None)
def test_where_tiles_meet_nothing_shows(seed: int, tile: int, sigma: float) -> None:
    rgb, truth, unknown = picture(seed)
    prior = cv2.GaussianBlur(truth, (0, 0), float(sigma))
    prior[~unknown] = truth[~unknown]
    whole = solve_band(rgb, prior, unknown, tile=10 * SIDE)
    apart = np.abs(solve_band(rgb, prior, unknown, tile=tile) - whole)
    assert apart.max() < 8 / 255
    assert apart.mean() < 0.2 / 255


def test_tiles_without_unknown_values_are_not_looked_at(monkeypatch) -> None:
    from edge_matting.matting import laplacian

    rgb, truth, _ = picture(side=400)
    looked = []
    solved = laplacian._solved
    monkeypatch.setattr(
        laplacian, "_solved", lambda *parts: looked.append(parts[0].shape) or solved(*parts)
    )
    unknown = np.zeros(truth.shape, bool)
    assert np.array_equal(solve_band(rgb, truth, unknown, tile=100), truth)
    assert looked == []
    unknown[150:160, 150:160] = True
    solve_band(rgb, truth, unknown, tile=100)
    assert looked == [(100 + 2 * HALO,) * 2 + (3,)]


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (700, 2), (100, 8000), (1500, 1000)])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_any_size_is_refined_with_quality(shape: tuple[int, int], depth) -> None:
    rgb = np.full((*shape, 3), 100, depth)
    alpha = np.clip(np.linspace(-1, 2, 32 * 32, dtype=np.float32), 0, 1).reshape(32, 32)
    fine = refine(rgb, alpha, "quality")
    assert fine.shape == shape
    assert fine.dtype == np.float32
    assert 0.0 <= fine.min() <= fine.max() <= 1.0


@pytest.mark.parametrize("value", [0.0, 1.0, 0.4])
def test_a_flat_matte_stays_flat_with_quality(value: float) -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    fine = refine(rgb, np.full((32, 32), value, np.float32), "quality")
    assert np.abs(fine - value).max() < 2e-3
