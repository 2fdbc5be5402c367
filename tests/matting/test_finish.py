"""Refinement, foreground estimation, compositing and the gate, on pictures whose truth is known."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge_matting.matting import (
    Flat,
    assess,
    composite,
    cutout,
    estimate_foreground,
    refine,
    resample,
    trimap,
)

GREEN = (30, 200, 60)


def flat(colour: tuple[int, int, int]) -> Flat:
    red, green, blue = (channel / 255 for channel in colour)
    return Flat((red, green, blue))


def disc(height: int = 300, width: int = 400, softness: float = 6.0) -> np.ndarray:
    """A soft-edged disc, float32 in [0, 1]."""
    rows, columns = np.indices((height, width))
    distance = np.hypot(rows - height / 2, columns - width / 2)
    return np.clip((height / 3 - distance) / softness + 0.5, 0, 1).astype(np.float32)


def subject(height: int = 300, width: int = 400) -> np.ndarray:
    """A foreground with slowly varying warm colours."""
    rows, columns = np.indices((height, width)).astype(np.float32)
    planes = [200 + 40 * np.sin(columns / 90), 90 + 30 * np.cos(rows / 70), 60 + rows * 0.1]
    return np.dstack(planes).astype(np.float32)


def photograph(alpha: np.ndarray, front: np.ndarray) -> np.ndarray:
    share = alpha[:, :, np.newaxis]
    return np.rint(front * share + np.float32(GREEN) * (1 - share)).astype(np.uint8)


def shrunk(alpha: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.clip(resample(alpha, (width, height)), 0, 1)


def band(alpha: np.ndarray) -> np.ndarray:
    return (alpha > 0.02) & (alpha < 0.98)


def test_refinement_brings_a_coarse_matte_nearer_to_the_truth() -> None:
    truth = disc(softness=3.0)
    rgb = photograph(truth, subject())
    coarse = shrunk(truth, 50, 38)
    plain, fine = refine(rgb, coarse, "none"), refine(rgb, coarse, "fast")
    assert np.abs(fine - truth).mean() < 0.7 * np.abs(plain - truth).mean()
    assert np.array_equal(refine(rgb, coarse, "auto"), fine)


@pytest.mark.parametrize("rows", [48, 50, 96, 1000])
def test_the_refined_matte_does_not_depend_on_how_it_was_cut_into_blocks(rows, monkeypatch) -> None:
    truth = disc(height=700, width=500, softness=40.0)
    rgb = photograph(truth, subject(700, 500))
    rgb = np.clip(rgb + np.random.default_rng(3).normal(0, 25, rgb.shape), 0, 255).astype(np.uint8)
    whole = refine(rgb, shrunk(truth, 64, 96), "fast")
    monkeypatch.setattr(sys.modules[refine.__module__], "_BLOCK_ROWS", rows)
    assert np.allclose(refine(rgb, shrunk(truth, 64, 96), "fast"), whole, atol=0.001)


def test_refinement_leaves_what_is_certain_exactly_alone() -> None:
    coarse = shrunk(disc(), 50, 38)
    rgb = np.random.default_rng(3).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    plain, fine = refine(rgb, coarse, "none"), refine(rgb, coarse, "fast")
    sure = (plain == 0) | (plain == 1)
    assert sure.mean() > 0.5
    assert np.array_equal(fine[sure], plain[sure])


@pytest.mark.parametrize("value", [0.0, 1.0, 0.002, 0.999, 0.4])
def test_a_flat_matte_stays_flat_and_is_never_stretched(value: float) -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    fine = refine(rgb, np.full((32, 32), value, np.float32))
    expected = {0.002: 0.0, 0.999: 1.0}.get(value, value)
    assert np.abs(fine - expected).max() < 1e-3


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (700, 2), (100, 20_000), (20_000, 100)])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_any_size_is_refined_and_finished(shape: tuple[int, int], depth) -> None:
    rgb = np.full((*shape, 3), 100, depth)
    alpha = refine(rgb, disc(32, 32))
    assert alpha.shape == shape
    front = estimate_foreground(rgb, alpha)
    assert cutout(front, alpha).shape == (*shape, 4)
    assert assess(rgb, alpha).coverage >= 0.0


@given(
    coarse=hnp.arrays(np.float32, (9, 7), elements=st.floats(0, 1, width=32)),
    rgb=hnp.arrays(np.uint8, (31, 45, 3)),
)
@settings(max_examples=40, deadline=None)
def test_refinement_never_leaves_the_range(coarse, rgb) -> None:
    fine = refine(rgb, coarse)
    assert fine.dtype == np.float32
    assert fine.min() >= 0.0
    assert fine.max() <= 1.0
    assert not np.any((fine > 0) & (fine < 0.9 / 255))


@pytest.mark.parametrize("softness", [4.0, 12.0, 30.0])
def test_the_foreground_loses_the_green_of_the_old_background(softness: float) -> None:
    alpha, front = disc(softness=softness), subject()
    rgb = photograph(alpha, front)
    estimated = estimate_foreground(rgb, alpha).astype(np.float32)
    where = band(alpha) & (alpha > 0.1)
    before = np.abs(rgb - front)[where].mean()
    after = np.abs(estimated - front)[where].mean()
    assert after < 0.3 * before


def test_the_foreground_of_a_large_photo_is_as_good() -> None:
    alpha, front = disc(1500, 2000, 60.0), subject(1500, 2000)
    rgb = photograph(alpha, front)
    estimated = estimate_foreground(rgb, alpha).astype(np.float32)
    where = band(alpha) & (alpha > 0.1)
    assert np.abs(estimated - front)[where].mean() < 0.25 * np.abs(rgb - front)[where].mean()


def test_the_foreground_is_the_photo_where_alpha_is_1_and_black_where_it_is_0() -> None:
    alpha = disc()
    rgb = photograph(alpha, subject())
    estimated = estimate_foreground(rgb, alpha)
    assert np.array_equal(estimated[alpha == 1], rgb[alpha == 1])
    assert not estimated[alpha == 0].any()


def test_the_estimated_foreground_composes_back_to_the_photo() -> None:
    alpha = disc()
    rgb = photograph(alpha, subject())
    again = composite(estimate_foreground(rgb, alpha), alpha, flat(GREEN))
    assert np.abs(again.astype(int) - rgb).mean() < 0.5


def test_sixteen_bits_survive_the_foreground() -> None:
    alpha = disc(60, 80)
    rgb = photograph(alpha, subject(60, 80)).astype(np.uint16) * 257 + 5
    estimated = estimate_foreground(rgb, alpha)
    assert estimated.dtype == np.uint16
    assert np.array_equal(estimated[alpha == 1], rgb[alpha == 1])


PIXELS = hnp.arrays(np.uint8, (5, 6, 3))
ALPHAS = hnp.arrays(np.float32, (5, 6), elements=st.floats(0, 1, width=32))


@given(rgb=PIXELS, alpha=ALPHAS, depth=st.sampled_from([np.uint8, np.uint16]))
def test_no_colour_is_left_where_the_cutout_is_transparent(rgb, alpha, depth) -> None:
    result = cutout(rgb.astype(depth), alpha)
    assert result.dtype == depth
    clear = result[:, :, 3] == 0
    assert not result[clear].any()
    assert np.array_equal(result[~clear][:, :3], rgb[~clear])


@given(rgb=PIXELS, alpha=ALPHAS, colour=st.tuples(*[st.integers(0, 255)] * 3))
def test_a_composite_lies_between_foreground_and_background(rgb, alpha, colour) -> None:
    result = composite(rgb, alpha, flat(colour)).astype(int)
    low, high = np.minimum(rgb, colour), np.maximum(rgb, colour)
    assert (result >= low).all()
    assert (result <= high).all()
    assert np.array_equal(result[alpha == 1], rgb[alpha == 1])
    assert (result[alpha == 0] == colour).all()


@given(rgb=PIXELS, alpha=ALPHAS)
def test_a_cutout_over_a_colour_equals_the_composite(rgb, alpha) -> None:
    rgba = cutout(rgb, alpha).astype(np.float32)
    share = rgba[:, :, 3:] / 255
    over = rgba[:, :, :3] * share + 255 * (1 - share)
    assert np.abs(over - composite(rgb, alpha, flat((255, 255, 255)))).max() <= 1.1


def test_pixels_and_matte_of_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="differ"):
        cutout(np.zeros((4, 4, 3), np.uint8), np.zeros((5, 4), np.float32))


@given(alpha=ALPHAS)
def test_a_trimap_knows_three_values_and_doubts_every_soft_pixel(alpha) -> None:
    result = trimap(alpha)
    assert set(np.unique(result)) <= {0, 128, 255}
    assert (result[(alpha > 0.05) & (alpha < 0.95)] == 128).all()


def test_a_soft_veil_keeps_its_own_softness() -> None:
    veil = np.full((300, 400), 0.3, np.float32)
    rgb = photograph(veil, subject())
    assert np.abs(refine(rgb, shrunk(veil, 50, 38)) - veil).max() < 0.01


COLOURS = st.tuples(*[st.integers(0, 255)] * 3)


@given(front=COLOURS, back=COLOURS, softness=st.floats(1.0, 60.0, width=16))
@settings(max_examples=60, deadline=None)
def test_over_its_old_background_the_foreground_gives_the_photo_back(front, back, softness) -> None:
    alpha = disc(150, 200, float(softness))
    share = alpha[:, :, np.newaxis]
    rgb = np.rint(np.float32(front) * share + np.float32(back) * (1 - share)).astype(np.uint8)
    again = estimate_foreground(rgb, alpha) * share + np.float32(back) * (1 - share)
    assert np.abs(again - rgb).max() <= 1.0
