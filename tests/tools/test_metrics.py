"""The measures of a matte's error, on mattes whose error is known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tools.bench.metrics import boundary_fscore, connectivity_error, gradient_error, iou, mse, sad

MEASURES = (sad, mse, gradient_error, connectivity_error)


def square(side: int = 40, low: int = 10, high: int = 30) -> np.ndarray:
    alpha = np.zeros((side, side), np.float32)
    alpha[low:high, low:high] = 1
    return alpha


@pytest.mark.parametrize("measure", MEASURES)
def test_a_true_matte_has_no_error(measure) -> None:
    alpha = np.random.default_rng(1).random((30, 40), np.float32)
    assert measure(alpha, alpha) == 0


def test_differences_are_summed_and_averaged() -> None:
    truth = square()
    alpha = truth.copy()
    alpha[:2, :5] = 0.5
    assert sad(alpha, truth) == pytest.approx(5.0)
    assert mse(alpha, truth) == pytest.approx(10 * 0.25 / 1600)


@pytest.mark.parametrize("measure", MEASURES)
def test_only_the_known_pixels_count(measure) -> None:
    truth = square()
    alpha = truth.copy()
    alpha[0:4, 0:4] = 1
    known = np.ones(truth.shape, bool)
    assert measure(alpha, truth, known) == measure(alpha, truth) > 0
    known[:12, :12] = False
    assert measure(alpha, truth, known) == pytest.approx(0, abs=1e-9)


def test_the_gradient_of_a_ramp_is_that_of_the_unit_norm_kernel() -> None:
    columns = np.arange(60, dtype=np.float32) / 100
    ramp = np.tile(columns, (40, 1))
    at = np.arange(-4, 5)
    smooth = np.exp(-(at**2) / (2 * 1.4**2))
    slope = at * smooth
    gain = (slope * at).sum() / np.linalg.norm(slope) * smooth.sum() / np.linalg.norm(smooth)
    inner = np.zeros(ramp.shape, bool)
    inner[8:-8, 8:-8] = True
    flat = np.zeros_like(ramp)
    assert gradient_error(ramp, flat, inner) == pytest.approx(
        inner.sum() * (gain / 100) ** 2, rel=1e-4
    )


def test_a_soft_edge_in_place_of_a_hard_one_is_an_error_of_the_gradient() -> None:
    import cv2

    truth = square()
    a_little, much = (cv2.GaussianBlur(truth, (0, 0), sigma) for sigma in (1.0, 4.0))
    assert 0 < gradient_error(a_little, truth) < gradient_error(much, truth)


def test_a_loose_fragment_is_an_error_of_connectivity_and_a_thin_veil_is_none() -> None:
    truth = square()
    loose = truth.copy()
    loose[0:4, 0:4] = 0.8
    assert connectivity_error(loose, truth) == pytest.approx(16 * 0.8, rel=1e-4)
    veil = truth.copy()
    veil[0:4, 0:4] = 0.1  # below theta
    assert connectivity_error(veil, truth) == 0


def test_nothing_in_common_is_no_region_at_all() -> None:
    assert connectivity_error(square(), np.zeros((40, 40), np.float32)) == pytest.approx(400)


def test_intersection_over_union_is_cut_at_a_half() -> None:
    truth, half = square(), square()
    half[10:20] *= 0.4
    assert iou(half, truth) == 0.5
    assert iou(np.zeros_like(truth), np.zeros_like(truth)) == 1.0
    assert iou(np.zeros_like(truth), truth) == 0.0
    assert iou(half, truth, half >= 0.5) == 1.0


def test_outlines_within_the_tolerance_agree_and_others_do_not() -> None:
    truth = square()
    assert boundary_fscore(truth, truth) == 1.0
    assert boundary_fscore(square(40, 11, 29), truth, 1.5) == 1.0
    assert boundary_fscore(square(40, 16, 24), truth, 2.0) == 0.0
    half = square(40, 10, 30)
    half[20:] = 0
    assert 0.4 < boundary_fscore(half, truth, 1.0) < 0.8


def test_outlines_that_are_missing_are_said_so() -> None:
    nothing = np.zeros((40, 40), np.float32)
    assert boundary_fscore(nothing, nothing) == 1.0
    assert boundary_fscore(nothing, square()) == 0.0
    assert boundary_fscore(np.ones_like(nothing), nothing) == 1.0  # the picture's rim is none
