"""Photo to tensor and output to matte, for every variant that a manifest can state."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_matting.core.errors import InferenceFailed
from edge_matting.core.model_io import InputSize, ModelInput, ModelOutput
from edge_matting.matting import Geometry, from_output, input_size, resample, to_tensor
from edge_matting.matting.tiles import Grid

PLAIN = ModelInput("x", InputSize(64, 48))


def picture(height: int = 90, width: int = 120) -> np.ndarray:
    rows, columns = np.indices((height, width)).astype(np.float32)
    planes = [columns * 255 / max(1, width - 1), rows * 255 / max(1, height - 1), 0 * rows + 40]
    return np.dstack(planes).astype(np.uint8)


def full(width: int, height: int) -> Geometry:
    return Geometry(width, height, 0, 0, width, height)


def test_the_tensor_holds_the_shrunk_photo_in_the_manifests_range() -> None:
    rgb = picture()
    tensor, geometry = to_tensor(rgb, PLAIN)
    assert tensor.shape == (1, 3, 48, 64)
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    by_hand = cv2.resize(rgb, (64, 48), interpolation=cv2.INTER_AREA).transpose(2, 0, 1) / 255
    assert np.allclose(tensor[0], by_hand, atol=1e-6)
    assert geometry == full(64, 48)


def test_layout_channel_order_and_normalisation_follow_the_manifest() -> None:
    spec = replace(PLAIN, layout="nhwc", channels="bgr", range=(0.0, 255.0))
    spec = replace(spec, mean=(104.0, 117.0, 123.0), std=(2.0, 2.0, 2.0))
    tensor, _ = to_tensor(picture(), spec)
    plain, _ = to_tensor(picture(), PLAIN)
    expected = (plain[0].transpose(1, 2, 0)[:, :, ::-1] * 255 - (104, 117, 123)) / 2
    assert tensor.shape == (1, 48, 64, 3)
    assert np.allclose(tensor[0], expected, atol=1e-3)


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_both_layouts_hold_the_same_values_to_the_last_bit(channels: str, dtype: str) -> None:
    spec = replace(PLAIN, channels=channels, dtype=dtype, range=(0.0, 255.0))
    spec = replace(spec, mean=(104.5, 7.0, 0.3), std=(57.0, 2.0, 1.1))
    first, _ = to_tensor(picture(), spec)
    last, _ = to_tensor(picture(), replace(spec, layout="nhwc"))
    assert np.array_equal(first.transpose(0, 2, 3, 1), last)


@pytest.mark.parametrize(("dtype", "top"), [("float16", 1.0), ("uint8", 255.0)])
def test_other_tensor_types_are_made(dtype: str, top: float) -> None:
    tensor, _ = to_tensor(picture(), replace(PLAIN, dtype=dtype, range=(0.0, top)))
    plain, _ = to_tensor(picture(), PLAIN)
    assert tensor.dtype == np.dtype(dtype)
    assert np.allclose(tensor.astype(np.float32) / top, plain, atol=0.003)


def test_sixteen_bit_photos_give_the_same_tensor() -> None:
    deep, _ = to_tensor(picture().astype(np.uint16) * 257, PLAIN)
    assert np.allclose(deep, to_tensor(picture(), PLAIN)[0], atol=0.003)


def test_letterbox_keeps_proportions_and_its_margins_are_cut_off_again() -> None:
    spec = ModelInput("x", InputSize(64, 64, fit="letterbox"))
    tensor, place = to_tensor(np.full((50, 100, 3), 255, np.uint8), spec)
    assert (place.box_width, place.box_height, place.left, place.top) == (64, 32, 0, 16)
    assert tensor[0, :, :16].max() == 0.0
    assert tensor[0, :, 16:48].min() == 1.0
    alpha = from_output(tensor[:, :1], ModelOutput("y"), place)
    assert alpha.shape == (32, 64)
    assert alpha.min() == 1.0


def test_letterbox_output_of_another_resolution_is_brought_back() -> None:
    place = to_tensor(picture(), ModelInput("x", InputSize(64, 64, fit="letterbox")))[1]
    alpha = from_output(np.ones((1, 1, 32, 32), np.float32), ModelOutput("y"), place)
    assert alpha.shape == (place.box_height, place.box_width)


@given(
    box=st.tuples(st.integers(32, 1024), st.integers(32, 1024)),
    fit=st.sampled_from(["stretch", "letterbox"]),
)
@settings(deadline=None)
def test_free_sizes_are_multiples_near_the_box(box, fit) -> None:
    size = InputSize(*box, "multiple_of", fit, multiple=32)
    width, height = input_size(size)
    assert width % 32 == 0 == height % 32
    assert 32 <= width <= box[0] + 16
    assert 32 <= height <= box[1] + 16


def test_a_resolution_replaces_the_box_of_free_sizes_only() -> None:
    free = InputSize(512, 512, "multiple_of", multiple=32)
    assert input_size(free, (256, 250)) == (256, 256)
    assert input_size(InputSize(320, 320), (256, 256)) == (320, 320)


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (20_000, 3), (100, 20_000)])
@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
def test_photos_of_any_proportion_fit_the_tensor(shape: tuple[int, int], fit: str) -> None:
    spec = ModelInput("x", InputSize(64, 48, fit=fit))
    tensor, place = to_tensor(np.full((*shape, 3), 128, np.uint8), spec)
    assert tensor.shape == (1, 3, 48, 64)
    assert from_output(tensor[:, :1], ModelOutput("y"), place).min() > 0.4


def test_every_kind_of_output_becomes_the_same_matte() -> None:
    alpha = np.linspace(0.01, 0.99, 24, dtype=np.float32).reshape(4 + 2, 4)
    logits = np.log(alpha / (1 - alpha))
    place = full(4, 6)
    outputs = {
        "alpha": [alpha, alpha[None, None], alpha[None, :, :, None], alpha[None]],
        "logits": [logits[None, None], logits[None, :, :, None]],
        "two_class": [
            np.stack([logits * 0 + 3, logits + 3])[None],
            np.stack([1 - alpha, alpha])[None],
            np.stack([1 - alpha, alpha], axis=2)[None],
        ],
        "rgba": [np.stack([alpha * 0, alpha * 0, alpha * 0, alpha])[None]],
    }
    for kind, arrays in outputs.items():
        for array in arrays:
            matte = from_output(array, ModelOutput("y", kind), place)
            assert matte.dtype == np.float32
            assert np.allclose(matte, alpha, atol=1e-5), (kind, array.shape)


def test_values_beyond_the_range_are_clamped_and_flat_mattes_stay_flat() -> None:
    wild = np.float32([[-3.0, 0.25], [0.5, 9.0]])
    assert from_output(wild, ModelOutput("y"), full(2, 2)).tolist() == [[0.0, 0.25], [0.5, 1.0]]
    flat = from_output(np.full((8, 8), 0.3, np.float32), ModelOutput("y"), full(8, 8))
    assert np.all(flat == np.float32(0.3))


def test_huge_logits_do_not_overflow() -> None:
    matte = from_output(np.float32([[-1e30, 1e30]]), ModelOutput("y", "logits"), full(2, 1))
    assert matte.tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_fail_the_inference(bad: float) -> None:
    output = np.zeros((1, 1, 4, 4), np.float32)
    output[0, 0, 2, 2] = bad
    with pytest.raises(InferenceFailed, match="not numbers"):
        from_output(output, ModelOutput("y"), full(4, 4))


@pytest.mark.parametrize(
    ("shape", "kind"), [((1, 7, 8, 9), "alpha"), ((5,), "alpha"), ((1, 1, 8, 9), "rgba")]
)
def test_an_output_of_the_wrong_shape_fails_the_inference(shape, kind) -> None:
    with pytest.raises(InferenceFailed, match="shape"):
        from_output(np.zeros(shape, np.float32), ModelOutput("y", kind), full(9, 8))


@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    target=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    seed=st.integers(0, 99),
)
@settings(deadline=None)
def test_resampling_never_overshoots(size, target, seed) -> None:
    values = np.random.default_rng(seed).random(size, dtype=np.float32)
    result = resample(values, target)
    assert result.shape == (target[1], target[0])
    assert result.min() >= values.min() - 1e-6
    assert result.max() <= values.max() + 1e-6


SIDES = st.tuples(st.integers(1, 90), st.integers(1, 90))


@given(side=SIDES, factor=st.integers(1, 9), channels=st.sampled_from([None, 2, 3]))
@settings(deadline=None)
def test_a_grid_averages_whole_and_cut_off_cells(side, factor: int, channels) -> None:
    shape = side if channels is None else (*side, channels)
    values = np.random.default_rng(7).random(shape, dtype=np.float32)
    grid = Grid(*side, factor)
    means = grid.means(values)
    assert means.shape == (*grid.shape, *shape[2:])
    for row, column in np.ndindex(grid.shape):
        cell = values[row * factor : (row + 1) * factor, column * factor : (column + 1) * factor]
        assert np.allclose(means[row, column], cell.mean(axis=(0, 1)), atol=1e-5)


@given(side=SIDES, factor=st.integers(1, 9), seed=st.integers(0, 99), share=st.floats(0, 1))
@settings(deadline=None)
def test_tiles_hold_every_uncertain_cell_once(side, factor: int, seed: int, share: float) -> None:
    grid = Grid(*side, factor)
    rng = np.random.default_rng(seed)
    matte = np.where(rng.random(grid.shape) < share, 0.5, 1.0).astype(np.float32)
    held = np.zeros(side, int)
    for tile in grid.band(matte):
        held[grid.pixels(tile)] += 1
    assert held.max() <= 1
    uncertain = np.repeat(np.repeat(matte < 1, factor, 0), factor, 1)[: side[0], : side[1]]
    assert held[uncertain].all()


@given(side=SIDES, factor=st.integers(1, 9), channels=st.sampled_from([None, 3, 4]))
@settings(deadline=None)
def test_enlarged_tiles_join_without_a_seam(side, factor: int, channels) -> None:
    grid = Grid(*side, factor)
    shape = grid.shape if channels is None else (*grid.shape, channels)
    cells = np.random.default_rng(7).random(shape, dtype=np.float32)
    size = grid.shape[1] * factor, grid.shape[0] * factor
    whole = resample(cells, size).reshape(size[1], size[0], *shape[2:])
    for tile in grid.band(np.full(grid.shape, 0.5, np.float32)):
        assert np.allclose(grid.enlarge(cells, tile), whole[grid.pixels(tile)], atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1080, 1920, 3), (20_000, 3), (641, 640)])
def test_a_grid_has_no_more_cells_a_side_than_asked_for(shape: tuple[int, ...]) -> None:
    grid = Grid.over(shape, 640)
    assert 1 <= max(grid.shape) <= 640
    assert grid.factor == 1 or max(shape) / (grid.factor // 2) > 640


def test_certain_parts_of_a_large_matte_are_in_no_tile() -> None:
    matte = np.zeros((600, 600), np.float32)
    matte[:, 300:] = 1.0
    matte[250:350, 299] = 0.5
    grid = Grid(2400, 2400, 4)
    held = sum(
        (rows.stop - rows.start) * (columns.stop - columns.start)
        for rows, columns in map(grid.pixels, grid.band(matte))
    )
    assert held <= 128 * 4 * 4


def test_the_subject_is_taken_from_the_channel_and_range_that_the_manifest_names() -> None:
    signed = ModelOutput("y", range=(-1.0, 1.0))
    assert from_output(np.float32([[-1.0, 0.0, 1.0]]), signed, full(3, 1)).tolist() == [[0, 0.5, 1]]
    inverted = ModelOutput("y", range=(255.0, 0.0))
    assert from_output(np.float32([[255.0, 0.0]]), inverted, full(2, 1)).tolist() == [[0.0, 1.0]]
    classes = np.float32([[[[0.9, 0.2]], [[0.1, 0.8]]]])
    first = ModelOutput("y", "two_class", channel=0)
    assert np.allclose(from_output(classes, first, full(2, 1)), [[0.9, 0.2]])
    planes = np.arange(3, dtype=np.float32).reshape(3, 1, 1) * np.full((3, 8, 8), 0.4, np.float32)
    assert np.allclose(from_output(planes, ModelOutput("y", channel=1), full(8, 8)), 0.4)
