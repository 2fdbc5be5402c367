"""What a recipe asks of a matte and its foreground: properties that hold for every picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge_matting.matting import background_cast, despilled, finish_matte
from edge_matting.matting import postprocess as post

ROWS = 256  # of a strip: seams would show at its multiples

mattes = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=30),
    elements=st.floats(0, 1, width=32),
)
radii = st.floats(0.25, 6, width=32)


def disc(height: int, width: int, softness: float = 5.0) -> np.ndarray:
    rows, columns = np.indices((height, width))
    distance = np.hypot(rows - height / 2, columns - width / 2)
    return np.clip((height / 3 - distance) / softness + 0.5, 0, 1).astype(np.float32)


@given(alpha=mattes)
def test_where_nothing_is_asked_the_matte_is_not_even_copied(alpha) -> None:
    assert finish_matte(alpha) is alpha


@given(alpha=mattes, level=st.integers(1, 255))
def test_a_threshold_clears_what_is_below_and_touches_nothing_else(alpha, level) -> None:
    kept = finish_matte(alpha, alpha_threshold=level)
    low = alpha < np.float32(level / 255)
    assert not kept[low].any()
    assert np.array_equal(kept[~low], alpha[~low])
    assert np.array_equal(finish_matte(kept, alpha_threshold=level), kept)  # once is enough


@given(alpha=mattes, radius=radii, more=st.floats(0, 3, width=32))
def test_erosion_only_takes_away_and_a_larger_one_takes_more(alpha, radius, more) -> None:
    once = post.eroded(alpha, radius)
    assert once.dtype == np.float32
    assert (once >= 0).all()
    assert (once <= alpha + 1e-6).all()
    assert (post.eroded(alpha, radius + more) <= once + 1e-6).all()


@given(alpha=mattes, radius=radii)
def test_a_feather_stays_within_the_values_around_it(alpha, radius) -> None:
    soft = post.feathered(alpha, radius)
    assert soft.dtype == np.float32
    assert soft.min() >= alpha.min() - 1e-5
    assert soft.max() <= min(1.0, alpha.max() + 1e-5)


@pytest.mark.parametrize("step", [post.eroded, post.feathered])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_flat_matte_stays_as_it_is_up_to_the_pictures_border(step, value) -> None:
    flat = np.full((40, 30), value, np.float32)
    assert np.array_equal(step(flat, 3.5), flat)


@pytest.mark.parametrize("step", [post.eroded, post.feathered])
@pytest.mark.parametrize("radius", [0.5, 2.0, 7.3])
def test_strips_join_without_a_seam(step, radius, monkeypatch) -> None:
    alpha = np.random.default_rng(1).random((3 * ROWS + 7, 20), np.float32)
    in_strips = step(alpha, radius)
    monkeypatch.setattr(post, "_ROWS", len(alpha))
    assert np.allclose(in_strips, step(alpha, radius), atol=1e-6)


def test_erosion_moves_the_outline_by_the_pixels_asked_for() -> None:
    alpha = np.zeros((60, 60), np.float32)
    alpha[:, :30] = 1
    assert np.flatnonzero(post.eroded(alpha, 4)[30]).max() == 29 - 4
    half = post.eroded(alpha, 1.5)[30]
    assert half[28] == pytest.approx(0.5)
    assert half[27] == 1.0


def test_a_feather_reaches_as_far_as_it_says_on_either_side() -> None:
    alpha = np.zeros((60, 60), np.float32)
    alpha[:, :30] = 1
    row = post.feathered(alpha, 5)[30]
    soft = np.flatnonzero((row > 0) & (row < 1))
    assert (soft.min(), soft.max()) == (25, 34)
    assert row[29] + row[30] == pytest.approx(1.0, abs=1e-6)


def test_the_steps_come_in_their_documented_order() -> None:
    alpha = np.zeros((50, 50), np.float32)
    alpha[10:40, 10:40] = 1
    alpha[10:40, 40:] = 0.04  # haze, which a feather must not find
    finished = finish_matte(alpha, alpha_threshold=15, erode=2, feather=3)
    by_hand = post.feathered(post.eroded(post.threshold(alpha, 15), 2), 3)
    assert np.array_equal(finished, by_hand)
    assert not finished[25, 42:].any()


def green_screen(cast=(20, 200, 40)) -> tuple[np.ndarray, np.ndarray]:
    """A grey disc in front of a studio's green that spills into its edge."""
    alpha = disc(200, 240, 8.0)
    share = alpha[:, :, np.newaxis]
    photo = np.array((120.0, 118.0, 122.0)) * share + np.array(cast) * (1 - share)
    return np.rint(photo).astype(np.uint8), alpha


@pytest.mark.parametrize(
    ("colour", "cast"),
    [
        ((20, 200, 40), "green"),
        ((15, 30, 190), "blue"),
        ((200, 20, 30), "red"),
        ((250, 250, 250), None),
        ((200, 190, 60), None),
    ],
)
def test_the_cast_of_a_background_is_named_only_where_one_colour_leads(colour, cast) -> None:
    photo, alpha = green_screen(colour)
    assert background_cast(photo, alpha) == cast
    assert background_cast(photo.astype(np.uint16) * 257, alpha) == cast


def test_without_a_background_there_is_no_cast() -> None:
    photo, _ = green_screen()
    assert background_cast(photo, np.ones(photo.shape[:2], np.float32)) is None


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_despilling_takes_the_green_off_the_edge_and_leaves_the_inside(depth) -> None:
    photo, alpha = green_screen()
    photo = photo.astype(depth) * (257 if depth is np.uint16 else 1)
    clean = despilled(photo, alpha, "green")
    edge = (alpha > 0.1) & (alpha < 0.9)
    limit = np.maximum(clean[edge][:, 0], clean[edge][:, 2])
    assert (clean[edge][:, 1] <= limit).all()
    assert (photo[edge][:, 1] > np.maximum(photo[edge][:, 0], photo[edge][:, 2])).mean() > 0.5
    green_dress = np.full_like(photo, photo[0, 0])
    inside = disc(160, 240, 8.0)
    kept = despilled(green_dress, np.pad(inside, ((20, 20), (0, 0))), "green")
    assert np.array_equal(kept[100, 115:125], green_dress[100, 115:125])


@given(
    alpha=hnp.arrays(np.float32, (12, 9), elements=st.floats(0, 1, width=32)),
    colours=hnp.arrays(np.uint8, (12, 9, 3)),
    cast=st.sampled_from(["red", "green", "blue"]),
)
@settings(max_examples=60)
def test_despilling_lowers_one_channel_and_never_below_the_other_two(alpha, colours, cast) -> None:
    channel = ("red", "green", "blue").index(cast)
    others = [other for other in range(3) if other != channel]
    clean = despilled(colours, alpha, cast)
    assert np.array_equal(clean[:, :, others], colours[:, :, others])
    assert (clean[:, :, channel] <= colours[:, :, channel]).all()
    floor = np.minimum(colours[:, :, channel], colours[:, :, others].max(axis=2))
    assert (clean[:, :, channel] >= floor).all()
