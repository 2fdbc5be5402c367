"""Grounds in the story of one photo: sidecar, review, plates of the settings and learned ones."""

from __future__ import annotations

import json

import cv2
import numpy as np
from fake_model import MANIFEST, FakeSession

from edge_matting.cache.plates import PlateStore, median_of
from edge_matting.config import Recipe
from edge_matting.core.states import JobState
from edge_matting.pipeline import PhotoTask, PixelBudget, Tools, process_photo

SIZE = 128


def disc(radius: float, size: int = SIZE) -> np.ndarray:
    y, x = np.indices((size, size)) - size / 2 + 0.5
    return np.clip(radius * size / SIZE - np.hypot(x, y) + 0.5, 0, 1).astype(np.float32)


def photo(empty: np.ndarray, alpha: np.ndarray) -> bytes:
    front = np.array([140, 60, 40], np.float32)
    mixed = alpha[..., None] * front + (1 - alpha[..., None]) * empty
    return cv2.imencode(".png", np.rint(mixed).astype(np.uint8)[..., ::-1])[1].tobytes()


def white() -> np.ndarray:
    return np.full((SIZE, SIZE, 3), 240, np.float32)


def room(seed: int = 1) -> np.ndarray:
    coarse = np.random.default_rng(seed).uniform(20, 235, (8, 8, 3)).astype(np.float32)
    return np.clip(cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC), 0, 255)


def tools(matte: np.ndarray, plates: PlateStore | None = None) -> Tools:
    return Tools(
        FakeSession(matte), MANIFEST, PixelBudget(10**6), lambda _stage: None, plates=plates
    )


def alpha_of(data: bytes, matte: np.ndarray, plates: PlateStore | None = None, **recipe):
    """The matte that is made, 0 to 255, and the result."""
    recipe = {"outputs": [{"kind": "alpha"}], **recipe}
    task = PhotoTask("a.png", data, Recipe.model_validate_json(json.dumps(recipe)), 10**7)
    done = process_photo(task, tools(matte, plates))
    return cv2.imdecode(np.frombuffer(done.files[0].data, np.uint8), -1), done


def test_a_plain_ground_opens_a_hole_and_the_result_says_so():
    ring = disc(45) - disc(25)
    data = photo(white(), ring)
    closed = disc(45, 32)
    alpha, done = alpha_of(data, closed)
    without, other = alpha_of(data, closed, ground="none")
    assert alpha[SIZE // 2, SIZE // 2] == 0
    assert without[SIZE // 2, SIZE // 2] == 255
    assert done.result.ground is not None
    assert done.result.ground.kind == "plain"
    assert other.result.ground is None
    assert done.result.recipe_key != other.result.recipe_key


def test_a_ground_that_is_not_plain_changes_no_bit():
    data = photo(room(), disc(40))
    alpha, done = alpha_of(data, disc(40, 32))
    without, _ = alpha_of(data, disc(40, 32), ground="none")
    assert np.array_equal(alpha, without)
    assert done.result.ground is not None
    assert done.result.ground.kind == "none"


def test_a_plain_ground_that_was_expected_and_is_not_there_goes_to_review():
    _, done = alpha_of(photo(room(), disc(40)), disc(40, 32), ground="plain")
    assert done.state is JobState.REVIEW
    assert "ground_not_found" in done.result.quality.reasons


def test_a_plate_of_the_settings_shows_what_the_network_did_not_see(tmp_path):
    path = tmp_path / "empty.png"
    path.write_bytes(photo(room(), disc(0) * 0))
    truth = disc(45) - disc(25)
    alpha, done = alpha_of(photo(room(), truth), disc(45, 32), ground={"plate": str(path)})
    assert done.result.ground is not None
    assert done.result.ground.kind == "plate"
    assert np.abs(alpha / 255 - truth).mean() < 0.02


def test_a_plate_of_another_set_is_refused_and_says_why(tmp_path):
    path = tmp_path / "empty.png"
    path.write_bytes(photo(room(7), disc(0) * 0))
    _, done = alpha_of(photo(room(), disc(40)), disc(40, 32), ground={"plate": str(path)})
    assert "ground_not_found" in done.result.quality.reasons
    assert done.result.ground is not None
    assert "equals the plate" in (done.result.ground.note or "")


def test_a_plate_is_learned_used_and_thrown_away_when_the_set_changes(tmp_path):
    store = PlateStore(tmp_path / "plates")
    rng = np.random.default_rng(2)
    for _ in range(4):
        move = np.array([[1, 0, rng.integers(-25, 25)], [0, 1, rng.integers(-25, 25)]], np.float32)
        truth = cv2.warpAffine(disc(22), move, (SIZE, SIZE))
        matte = cv2.resize(truth, (32, 32), interpolation=cv2.INTER_AREA)
        _, done = alpha_of(photo(room(), truth), matte, store, ground={"plate": "learn"})
    assert done.result.ground is not None
    assert done.result.ground.kind == "plate"
    (note,) = store.notes()
    assert note.photos == 4
    assert f"{SIZE} x {SIZE}" in note.camera
    _, done = alpha_of(photo(room(8), disc(22)), disc(22, 32), store, ground={"plate": "learn"})
    assert done.result.ground is not None
    assert "thrown away" in (done.result.ground.note or "")
    assert [note.photos for note in store.notes()] in ([], [1])


def test_the_shadow_is_an_output_of_its_own_and_lies_under_a_cutout():
    cast = cv2.GaussianBlur(disc(40), (0, 0), 6) * 0.4
    moved = cv2.warpAffine(cast, np.array([[1, 0, 8], [0, 1, 10]], np.float32), (SIZE, SIZE))
    data = photo(white() * (1 - moved[..., None]), disc(36))
    recipe = {"outputs": [{"kind": "shadow"}, {"kind": "cutout"}], "shadow": "natural"}
    task = PhotoTask("a.png", data, Recipe.model_validate_json(json.dumps(recipe)), 10**7)
    done = process_photo(task, tools(disc(36, 32)))
    layer, cutout = (cv2.imdecode(np.frombuffer(file.data, np.uint8), -1) for file in done.files)
    beside = (disc(40) == 0) & (moved > 0.2)
    assert np.abs(layer[..., 3][beside] / 255 - moved[beside]).mean() < 0.05
    assert not layer[..., :3].any()
    assert np.abs(cutout[..., 3][beside] / 255 - moved[beside]).mean() < 0.05
    assert layer[:8, :8, 3].max() == 0


def test_medians_leave_out_what_was_covered():
    frames = np.full((3, 2, 2, 4), 255, np.uint8)
    frames[:, :, :, :3] = np.array([10, 20, 30])[:, None, None, None]
    frames[2, 0, 0, 3] = 0
    frames[:, 1, 1, 3] = 0
    plate, known = median_of(frames)
    assert plate[0, 1].tolist() == [20] * 3
    assert plate[0, 0].tolist() == [10] * 3
    assert known.tolist() == [[True, True], [True, False]]
