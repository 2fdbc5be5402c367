"""A dark photo is made legible for the network, any other one is left alone."""

from __future__ import annotations

import numpy as np
import pytest
from harness import PHOTO

from edge_matting.imaging import decode
from edge_matting.matting.exposure import equalised


def photo(depth: type = np.uint8) -> np.ndarray:
    rgb = decode(PHOTO.read_bytes(), "photo", max_pixels=10**6).rgb
    return rgb.astype(depth) * (257 if depth is np.uint16 else 1)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_a_usual_and_a_bright_photo_are_not_even_copied(depth) -> None:
    usual = photo(depth)
    assert equalised(usual) is usual
    bright = np.iinfo(depth).max - usual // 20
    assert equalised(bright) is bright


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_a_dark_photo_is_brought_near_the_brightness_of_others(depth) -> None:
    dark = photo(depth) // 12
    legible = equalised(dark)
    assert legible.dtype == depth
    assert legible.shape == dark.shape
    top = np.iinfo(depth).max
    assert dark.mean() / top < 0.1
    assert 0.3 < legible.mean() / top < 0.5
    # the same picture: brighter stays brighter, and grey stays grey
    order = np.argsort(dark[:, 100, 1], kind="stable")
    assert (np.diff(legible[order, 100, 1].astype(int)) >= 0).all()
    grey = equalised(np.repeat(dark[:, :, :1], 3, axis=2))
    assert np.array_equal(grey[:, :, 0], grey[:, :, 2])


def test_a_flat_picture_is_not_stretched_into_noise() -> None:
    black = np.random.default_rng(1).integers(0, 3, (50, 50, 3), dtype=np.uint8)
    assert equalised(black) is black


def test_a_few_lights_in_the_night_do_not_hide_the_rest() -> None:
    night = photo() // 15
    night[:2, :60] = 255
    legible = equalised(night)
    assert legible[100:].mean() > 60
