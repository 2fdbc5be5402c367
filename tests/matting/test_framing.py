"""Crop and canvas, backdrops and shadows: what is shown, where, and what lies under it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_matting.matting import (
    Box,
    Flat,
    Frame,
    Gradient,
    blurred,
    composite,
    cover,
    cropped,
    cutout,
    drop_shadow,
    fitted,
    framed,
    subject_box,
    with_shadow,
)
from edge_matting.matting.backdrop import Picture


def subject(
    height: int = 120, width: int = 160, box: tuple[int, int, int, int] = (40, 30, 90, 100)
):
    """A photo of a red block on blue, and its matte; ``box`` is left, top, right, bottom."""
    alpha = np.zeros((height, width), np.float32)
    left, top, right, bottom = box
    alpha[top:bottom, left:right] = 1
    photo = np.where(alpha[:, :, np.newaxis] > 0, (200, 30, 30), (20, 30, 180)).astype(np.uint8)
    return photo, alpha


def test_the_subjects_box_leaves_haze_out() -> None:
    _, alpha = subject()
    alpha[:, 150] = 0.05
    assert subject_box(alpha) == Box(40, 30, 90, 100)
    assert subject_box(np.zeros((5, 5), np.float32)) is None


def test_a_margin_is_a_part_of_the_subjects_longer_side() -> None:
    assert cropped(Box(40, 30, 90, 100), (160, 120), margin=10, proportion=None) == Box(
        33, 23, 97, 107
    )


def test_a_bust_stands_on_the_lower_edge() -> None:
    photo, alpha = subject(box=(40, 30, 90, 120))
    box = cropped(Box(40, 30, 90, 120), (160, 120), margin=10, proportion=1.0)
    assert box.bottom == 120
    assert box.width == box.height
    _, shown = framed(photo, alpha, fitted(box, (160, 120), (200, 200)))
    assert shown[-1].max() == 1.0


RANGES = st.sets(st.integers(0, 100), min_size=2, max_size=2).map(sorted)


@given(
    across=RANGES, down=RANGES,
    margin=st.floats(0, 100), proportion=st.floats(0.1, 10),
)  # fmt: skip
def test_a_crop_holds_the_subject_and_has_the_proportion_asked_for(
    across, down, margin, proportion
) -> None:
    (left, right), (top, bottom) = across, down
    box = cropped(Box(left, top, right, bottom), (100, 100), margin=margin, proportion=proportion)
    assert box.left <= left < right <= box.right
    assert box.top <= top < bottom <= box.bottom
    assert abs(box.width - box.height * proportion) <= max(1.0, proportion)


@given(
    width=st.integers(1, 400), height=st.integers(1, 400),
    canvas=st.none() | st.tuples(st.integers(1, 500), st.integers(1, 500)),
)  # fmt: skip
def test_a_frame_lies_inside_its_canvas_and_keeps_proportions(width, height, canvas) -> None:
    frame = fitted(Box(0, 0, width, height), (100, 100), canvas)
    place = frame.place
    assert 0 <= place.left < place.right <= frame.size[0]
    assert 0 <= place.top < place.bottom <= frame.size[1]
    if canvas is not None:
        assert frame.size == canvas
        assert place.width == canvas[0] or place.height == canvas[1]
    else:
        assert place.width * place.height <= 100 * 100
    assert abs(place.width - place.height * width / height) <= 1 + width / height * 1.5


@given(
    box=st.tuples(*[st.integers(-30, 20)] * 2, *[st.integers(30, 90)] * 2),
    canvas=st.none() | st.tuples(st.integers(1, 80), st.integers(1, 80)),
    depth=st.sampled_from([np.uint8, np.uint16]),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_any_frame_gives_its_size_and_nothing_beyond_the_photo(box, canvas, depth) -> None:
    photo, alpha = subject(50, 60, (5, 5, 55, 45))
    frame = fitted(Box(*box), (60, 50), canvas)
    front, shown = framed(photo.astype(depth), alpha, frame)
    assert front.shape == (frame.size[1], frame.size[0], 3)
    assert front.dtype == depth
    assert shown.shape == front.shape[:2]
    assert 0.0 <= shown.min() <= shown.max() <= 1.0
    if canvas is None and frame.scale == (1.0, 1.0):
        outside = frame.size[0] * frame.size[1] - np.count_nonzero(shown)
        inside = alpha[max(0, box[1]) : box[3], max(0, box[0]) : box[2]]
        assert np.count_nonzero(inside) + outside == shown.size


@pytest.mark.parametrize("canvas", [(37, 23), (53, 91), (300, 200)])
def test_black_under_alpha_0_does_not_creep_into_a_scaled_edge(canvas) -> None:
    photo, alpha = subject()
    photo[alpha == 0] = 0
    front, shown = framed(photo, alpha, fitted(Box(0, 0, 160, 120), (160, 120), canvas))
    seen = front[shown > 0.02].astype(int)
    assert np.abs(seen - (200, 30, 30)).max() <= 1


def test_the_whole_photo_at_its_own_size_is_not_copied() -> None:
    photo, alpha = subject()
    front, shown = framed(photo, alpha, Frame.whole((160, 120)))
    assert np.shares_memory(front, photo)
    assert np.shares_memory(shown, alpha)


def test_a_gradient_runs_along_its_angle_from_one_colour_to_the_other() -> None:
    down = Gradient((0, 0, 0), (1, 1, 1), 90, (10, 100)).rows(0, 100)
    assert down[0].max() < 0.01
    assert down[-1].min() > 0.99
    assert np.ptp(down, axis=1).max() < 1e-6
    across = Gradient((0, 0, 0), (1, 0.5, 0), 0, (100, 10)).rows(0, 10)
    assert across[5, -1].tolist() == pytest.approx([0.995, 0.4975, 0], abs=1e-4)
    parts = [Gradient((0, 0, 0), (1, 1, 1), 30, (20, 30)).rows(*rows) for rows in ((0, 7), (7, 30))]
    whole = Gradient((0, 0, 0), (1, 1, 1), 30, (20, 30)).rows(0, 30)
    assert np.allclose(np.concatenate(parts), whole, atol=1e-6)


@pytest.mark.parametrize("size", [(30, 30), (200, 50), (50, 200)])
def test_a_picture_covers_any_size_without_being_stretched(size) -> None:
    picture = np.zeros((80, 100, 3), np.uint8)
    picture[:, 45:55] = 255  # a bar in the middle
    shown = cover(picture, size).rows(0, size[1])
    assert shown.shape == (size[1], size[0], 3)
    assert shown[size[1] // 2, size[0] // 2].min() > 0.99


def test_a_blurred_background_holds_no_halo_of_the_subject() -> None:
    photo, alpha = subject()
    behind = blurred(photo, alpha, Frame.whole((160, 120)), 5.0)
    rows = np.rint(behind.rows(0, 120) * 255)
    assert rows.shape == (120, 160, 3)
    assert np.abs(rows[alpha == 0] - (20, 30, 180)).max() <= 2
    beyond = blurred(photo, alpha, fitted(Box(-50, -50, 200, 200), (160, 120), None), 5.0)
    assert np.abs(np.rint(beyond.rows(0, 250) * 255)[:20] - (20, 30, 180)).max() <= 12


def test_a_little_blur_keeps_the_photos_own_places() -> None:
    rng = np.random.default_rng(3)
    photo = rng.integers(0, 255, (90, 120, 3), dtype=np.uint8)
    behind = blurred(photo, np.zeros((90, 120), np.float32), Frame.whole((120, 90)), 0.05)
    assert np.abs(behind.rows(0, 90) * 255 - photo).max() < 2


def test_a_shadow_falls_where_its_offset_says_and_only_darkens() -> None:
    photo, alpha = subject()
    shadow = drop_shadow(alpha, colour=(0, 0, 0), opacity=0.5, blur=1.0, offset=(10, 0))
    plain = composite(photo, alpha, Flat((1, 1, 1)))
    shaded = composite(photo, alpha, Flat((1, 1, 1)), shadow=shadow)
    assert (shaded <= plain).all()
    assert shaded[65, 98].tolist() == pytest.approx([128] * 3, abs=3)  # right of the subject
    assert shaded[65, 20].tolist() == [255] * 3  # left of it
    assert np.array_equal(shaded[alpha == 1], plain[alpha == 1])


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_a_cutout_with_its_shadow_composes_as_the_composite_does(depth) -> None:
    photo, alpha = subject()
    alpha[:, 40:44] *= 0.5
    photo = photo.astype(depth) * (257 if depth is np.uint16 else 1)
    shadow = drop_shadow(alpha, colour=(0.1, 0, 0), opacity=0.4, blur=2.0, offset=(3, 3))
    wanted = composite(photo, alpha, Flat((0.2, 0.9, 0.4)), shadow=shadow)
    front, both = with_shadow(photo, alpha, shadow)
    got = composite(front, both, Flat((0.2, 0.9, 0.4)))
    unit = 257 if depth is np.uint16 else 1
    assert np.abs(got.astype(int) - wanted).max() <= 1 * unit


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_colours_with_a_shadow_are_rounded_to_the_nearest(depth) -> None:
    """Cut off instead, each would be half a level too dark on average."""
    rng = np.random.default_rng(2)
    top = np.iinfo(depth).max
    photo = rng.integers(0, top, (80, 60, 3), dtype=depth, endpoint=True)
    alpha = rng.random((80, 60), np.float32)
    shadow = drop_shadow(alpha, colour=(0.3, 0.2, 0.6), opacity=0.7, blur=4.0, offset=(3, 3))
    front, both = with_shadow(photo, alpha, shadow)
    shaded = composite(photo, alpha, Flat((0.2, 0.9, 0.4)), shadow=shadow)

    share = alpha.astype(float)[:, :, np.newaxis]
    dark = shadow.opacity_of(0, 80).astype(float)[:, :, np.newaxis]
    under = np.array((0.2, 0.9, 0.4)) * (1 - dark) + shadow.colour * dark
    exact = photo * share + under * top * (1 - share)
    assert np.abs(shaded - exact).max() <= 0.51
    part = share / (share + dark * (1 - share))
    exact = photo * part + shadow.colour * top * (1 - part)
    assert np.abs(front - exact).max() <= 0.51
    assert np.abs(both - (share + dark * (1 - share))[:, :, 0]).max() < 1e-6


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_premultiplied_colours_are_colour_times_alpha(depth) -> None:
    rng = np.random.default_rng(1)
    top = np.iinfo(depth).max
    rgb = rng.integers(0, top, (70, 5, 3), dtype=depth, endpoint=True)
    alpha = rng.random((70, 5), np.float32)
    straight = cutout(rgb, alpha)
    done = cutout(rgb, alpha, premultiplied=True)
    assert np.array_equal(done[:, :, 3], straight[:, :, 3])
    share = straight[:, :, 3:].astype(float) / top
    assert np.abs(done[:, :, :3] - straight[:, :, :3] * share).max() <= 0.51


def test_sixteen_bit_pictures_are_backdrops_too() -> None:
    deep = Picture(np.full((4, 5, 3), 32768, np.uint16))
    assert deep.rows(0, 2).mean() == pytest.approx(0.5, abs=1e-4)
