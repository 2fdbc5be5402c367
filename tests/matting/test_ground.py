"""Known grounds: plain, two, screens, plates; what is found, keyed, and left alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_matting.matting import estimate_foreground, refine
from edge_matting.matting.ground import KEYS, direction_of, plain_ground, plate, screen

SHAPE = (240, 320)


def sweep(colour=(236, 238, 240), *, fall=0.12, noise=1.0, seed=0) -> np.ndarray:
    """An empty set, H x W x 3 float32: one colour under light that falls off, with grain."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(SHAPE) / max(SHAPE)
    light = 1 - fall * ((x - 0.5) ** 2 + (y - 0.3) ** 2) * 4
    empty = np.array(colour) * light[..., None] + rng.normal(0, noise, (*SHAPE, 3))
    return empty.astype(np.float32)


def disc(centre=(120, 160), radius=60) -> np.ndarray:
    y, x = np.indices(SHAPE)
    away = np.hypot(y - centre[0], x - centre[1])
    return np.clip(radius - away + 0.5, 0, 1).astype(np.float32)


def ring() -> np.ndarray:
    return disc(radius=70) - disc(radius=45)


def over(alpha: np.ndarray, empty: np.ndarray, colour=(60, 80, 150)) -> np.ndarray:
    front = np.array(colour, np.float32)
    mixed = alpha[..., None] * front + (1 - alpha[..., None]) * empty
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


def seen(alpha: np.ndarray, side: int = 64) -> np.ndarray:
    """The matte that a network might give: small and soft."""
    return np.clip(cv2.resize(alpha, (side, side), interpolation=cv2.INTER_AREA), 0, 1)


def error(alpha: np.ndarray, truth: np.ndarray) -> float:
    return float(np.abs(alpha - truth).mean())


def test_a_vignetted_white_sweep_is_plain_and_its_edge_is_drawn_more_truly_than_without():
    truth = disc()
    rgb, matte = over(truth, sweep()), seen(disc())
    known, found = plain_ground(rgb, matte)
    assert known is not None
    assert (found.kind, found.plainness) == ("plain", 1.0)
    assert found.noise < 1.5
    assert error(known.refined(rgb), truth) < 0.4 * error(refine(rgb, matte), truth)


def test_a_hole_that_the_network_closed_is_opened():
    truth = ring()
    rgb = over(truth, sweep())
    known, found = plain_ground(rgb, seen(disc(radius=70)) * 0.97)
    assert known is not None
    assert known.refined(rgb)[100:140, 140:180].max() < 0.05
    assert found.disagreement > 0.3


def test_a_cloud_between_two_pieces_is_taken_away():
    left, right = disc((120, 100), 45), disc((120, 220), 45)
    truth = np.maximum(left, right)
    cloud = np.zeros(SHAPE, np.float32)
    cloud[95:145, 130:190] = 0.75
    rgb = over(truth, sweep())
    known, _ = plain_ground(rgb, seen(np.maximum(truth, cloud)))
    assert known is not None
    assert known.refined(rgb)[100:140, 155:165].max() < 0.05


def test_a_thin_pole_that_the_network_left_out_is_found():
    truth = disc((80, 160), 45)
    truth[80:225, 157:163] = 1
    rgb = over(truth, sweep())
    known, _ = plain_ground(rgb, seen(disc((80, 160), 45)))
    assert known is not None
    assert known.refined(rgb)[200, 158:162].min() > 0.9


def test_a_white_thing_on_white_keeps_its_inside():
    truth = disc()
    shade = 1 - 0.1 * np.clip(
        1 - (60 - np.hypot(*(np.indices(SHAPE) - [[[120]], [[160]]]))) / 8, 0, 1
    )
    front = np.array([238, 240, 241]) * shade[..., None]
    rgb = np.clip(truth[..., None] * front + (1 - truth[..., None]) * sweep(), 0, 255).astype(
        np.uint8
    )
    known, _ = plain_ground(rgb, seen(truth))
    assert known is not None
    kept = known.refined(rgb)[truth == 1] > 0.5
    assert kept.mean() > 0.98


def test_a_shadow_is_ground_and_comes_as_a_layer():
    truth = disc((100, 160), 50)
    cast = cv2.GaussianBlur(disc((125, 170), 48), (0, 0), 9)
    rgb = over(truth, sweep() * (1 - 0.3 * cast[..., None]))
    known, _ = plain_ground(rgb, seen(truth))
    assert known is not None
    beside = (truth == 0) & (cast > 0.5)
    assert known.refined(rgb)[beside].mean() < 0.05
    dark = cv2.resize(known.shadow, (SHAPE[1], SHAPE[0]))
    assert np.abs(dark - 0.3 * cast)[beside].mean() < 0.05
    assert dark[:20].max() < 0.02


def test_a_table_and_a_wall_are_two_grounds():
    empty = sweep((200, 190, 180))
    empty[170:] = sweep((120, 90, 70), seed=1)[170:]
    truth = disc()
    rgb = over(truth, empty, (30, 160, 60))
    known, found = plain_ground(rgb, seen(truth))
    assert known is not None
    assert found.kind == "two"
    assert error(known.refined(rgb), truth) < 0.01


@pytest.mark.parametrize("depth", [8, 16])
def test_a_busy_ground_is_left_alone(depth):
    rng = np.random.default_rng(3)
    coarse = rng.uniform(0, 255, (12, 16, 3)).astype(np.float32)
    empty = cv2.resize(coarse, SHAPE[::-1], interpolation=cv2.INTER_CUBIC)
    rgb = over(disc(), empty)
    if depth == 16:
        rgb = rgb.astype(np.uint16) * np.uint16(257)
    known, found = plain_ground(rgb, seen(disc()))
    assert known is None
    assert found.kind == "none"
    assert found.plainness < 0.9


def test_sixteen_bits_are_keyed_like_eight():
    rgb, matte = over(ring(), sweep()), seen(disc(radius=70))
    narrow, _ = plain_ground(rgb, matte)
    wide, _ = plain_ground(rgb.astype(np.uint16) * np.uint16(257), matte)
    assert narrow is not None
    assert wide is not None
    apart = narrow.refined(rgb) - wide.refined(rgb.astype(np.uint16) * np.uint16(257))
    assert np.abs(apart).max() < 0.02


def test_colours_beside_a_known_ground_hold_nothing_of_it():
    truth = cv2.GaussianBlur(disc(), (0, 0), 3)
    rgb = over(truth, sweep((250, 250, 250), fall=0.0, noise=0.0), (150, 20, 20))
    known, _ = plain_ground(rgb, seen(truth))
    assert known is not None
    alpha = known.refined(rgb)
    front = estimate_foreground(rgb, alpha, known.behind).astype(float)
    band = (alpha > 0.3) & (alpha < 0.9)
    assert np.abs(front[band] - [150, 20, 20]).mean() < 20  # in the photo itself it is 80
    assert np.array_equal(front[alpha == 1], rgb[alpha == 1])
    assert not front[alpha == 0].any()


@pytest.mark.parametrize("key", ["green", "blue"])
def test_a_screen_is_keyed_for_glass_and_leaves_its_colour_out(key):
    colour = np.array(KEYS[key]) * 255
    truth = disc() * 0.5  # glass, half see-through
    truth[disc(radius=20) > 0] = 1
    rgb = over(truth, sweep(colour, fall=0.3), (180, 180, 185))
    opinion = np.maximum(disc() * 0.8, disc(radius=20))  # a network is not sure of glass
    known, found = screen(rgb, seen(opinion), KEYS[key])
    assert known is not None
    assert found.kind == "chroma"
    alpha = known.refined(rgb)
    front = known.without_spill(estimate_foreground(rgb, alpha, known.behind), alpha)
    assert np.abs(alpha - truth)[disc(radius=55) > 0].mean() < 0.06
    edge = (alpha > 0.1) & (alpha < 0.9)
    spill = (front[edge].astype(float) @ direction_of(KEYS[key])).mean()
    assert spill < 3


def test_a_photo_without_the_screen_has_none():
    rgb = over(disc(), sweep())
    known, found = screen(rgb, seen(disc()), KEYS["green"])
    assert known is None
    assert found.kind == "none"


def test_a_grey_screen_is_refused():
    with pytest.raises(ValueError, match="strong colour"):
        direction_of((0.5, 0.5, 0.5))


def room(seed: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(20, 235, (15, 20, 3)).astype(np.float32)
    return np.clip(cv2.resize(coarse, SHAPE[::-1], interpolation=cv2.INTER_CUBIC), 0, 255)


def test_a_plate_finds_what_the_network_missed_though_shifted_brighter_and_noisy():
    rng = np.random.default_rng(1)
    empty, truth = room(), ring()
    move = np.array([[1, 0, 2.4], [0, 1, -1.7]], np.float32)
    behind = cv2.warpAffine(empty, move, SHAPE[::-1], borderMode=cv2.BORDER_REFLECT)
    photo = over(truth, behind, (90, 20, 120)) * 1.08 + rng.normal(0, 4, (*SHAPE, 3))
    rgb = np.clip(np.rint(photo), 0, 255).astype(np.uint8)
    known, found = plate(rgb, seen(disc(radius=70)) * 0.9, empty.astype(np.uint8))
    assert known is not None
    assert found.kind == "plate"
    assert error(known.refined(rgb), truth) < 0.03


def test_a_plate_of_another_set_or_shape_is_refused_with_the_reason():
    rgb = over(disc(), room())
    known, found = plate(rgb, seen(disc()), room(9).astype(np.uint8))
    assert known is None
    assert "of the background equals the plate" in (found.note or "")
    known, found = plate(rgb, seen(disc()), room().astype(np.uint8)[:, :200])
    assert known is None
    assert found.note == "the plate is 200 x 240, the photo 320 x 240"


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(3, 90),
    width=st.integers(3, 90),
    level=st.integers(0, 255),
    share=st.floats(0, 1),
    seed=st.integers(0, 9),
)
def test_mattes_stay_in_range_and_shape_for_any_picture(height, width, level, share, seed):
    rng = np.random.default_rng(seed)
    rgb = np.clip(rng.normal(level, 2, (height, width, 3)), 0, 255).astype(np.uint8)
    matte = np.full((16, 16), share, np.float32)
    matte[4:12, 4:12] = 1
    known, _ = plain_ground(rgb, matte)
    if known is not None:
        alpha = known.refined(rgb)
        assert alpha.shape == (height, width)
        assert alpha.dtype == np.float32
        assert 0 <= alpha.min() <= alpha.max() <= 1
        assert 0 <= known.shadow.min() <= known.shadow.max() < 1
