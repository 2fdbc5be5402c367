"""The quality gate: what it measures, when it looks twice, what it says."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from harness import PHOTO

from edge_matting.matting import assess, halved
from edge_matting.matting.quality_gate.features import Reduced, disagreement, measure
from edge_matting.matting.quality_gate.gate import REASONS, predicted_error, reasons
from edge_matting.matting.quality_gate.place import doubted_box
from edge_matting.matting.quality_gate.weights import DOUBT, FIRST, LIMIT, SECOND, Weights


def scene(height: int = 300, width: int = 400, softness: float = 3.0):
    """A warm disc before a green wall, and its matte."""
    rows, columns = np.indices((height, width))
    distance = np.hypot(rows - height / 2, columns - width / 2)
    alpha = np.clip((height / 3 - distance) / softness + 0.5, 0, 1).astype(np.float32)
    share = alpha[..., np.newaxis]
    rgb = np.float32((200, 90, 60)) * share + np.float32((30, 200, 60)) * (1 - share)
    return np.rint(rgb).astype(np.uint8), alpha


def of(rgb: np.ndarray, alpha: np.ndarray):
    return measure(Reduced.of(rgb, alpha))


def test_an_empty_matte_is_doubted_and_says_why() -> None:
    rgb = scene(50, 50)[0]
    for empty in (np.zeros((50, 50), np.float32), np.full((50, 50), 0.3, np.float32)):
        quality = assess(rgb, empty)
        assert (quality.verdict, quality.reasons) == ("review", ("no_subject",))
        assert quality.predicted_error is None


def test_a_subject_passes_the_gate_with_its_measurements() -> None:
    quality = assess(*scene(softness=6.0))
    assert (quality.verdict, quality.reasons) == ("ok", ())
    assert quality.coverage == pytest.approx(np.pi * 100**2 / (300 * 400), rel=0.02)
    assert 0.01 < quality.uncertain_fraction < 0.06
    assert quality.border_contact == 0.0
    assert quality.predicted_error is not None
    assert quality.predicted_error < LIMIT


def test_a_subject_that_fills_the_frame_passes_and_touches_the_whole_border() -> None:
    rgb = np.full((1, 1, 3), 90, np.uint8)
    quality = assess(rgb, np.ones((1, 1), np.float32))
    assert (quality.verdict, quality.coverage, quality.border_contact) == ("ok", 1.0, 1.0)


def test_a_small_subject_is_not_mistaken_for_none() -> None:
    alpha = np.zeros((1000, 1000), np.float32)
    cv2.circle(alpha, (500, 500), 40, 1.0, -1)
    rgb = np.full((1000, 1000, 3), 230, np.uint8)
    rgb[alpha > 0] = (120, 40, 30)
    assert assess(rgb, alpha).verdict == "ok"


def test_a_cloud_in_place_of_a_subject_goes_to_review_as_uncertain() -> None:
    rgb, alpha = scene()
    cloud = cv2.GaussianBlur(alpha * 0.8, (0, 0), 40)
    quality = assess(rgb, cloud)
    assert quality.verdict == "review"
    assert quality.reasons[0] == "uncertain"


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (700, 2), (100, 20_000), (2000, 1000)])
def test_any_size_and_depth_is_measured(shape, depth) -> None:
    rng = np.random.default_rng(1)
    rgb = rng.integers(0, np.iinfo(depth).max, (*shape, 3)).astype(depth)
    for value in (1.0, 0.6):
        values = of(rgb, np.full(shape, value, np.float32)).values()
        assert all(np.isfinite(number) for number in values.values())


def test_fragments_and_holes_are_shares_of_the_subject() -> None:
    rgb = np.zeros((192, 192, 3), np.uint8)
    alpha = np.zeros((192, 192), np.float32)
    alpha[20:80, 20:80] = 1
    alpha[40:60, 40:60] = 0  # a hole of 400
    alpha[100:120, 100:120] = 1  # a loose piece of 400
    alpha[:5, 100:180] = 1  # at the border: no hole is made by it
    found = of(rgb, alpha)
    subject = 3600 - 400 + 400 + 400
    assert found.holes == pytest.approx(400 / subject)
    assert found.fragments == pytest.approx(800 / subject)
    assert found.border_contact == pytest.approx(80 / 764)


def test_the_outline_agrees_with_the_photo_or_not() -> None:
    rgb, alpha = scene()
    there, elsewhere = of(rgb, alpha), of(rgb, np.roll(alpha, 70, axis=1))
    assert there.edge_gain > elsewhere.edge_gain
    assert there.contrast > elsewhere.contrast
    assert there.weak_edges <= elsewhere.weak_edges


def test_uncertainty_far_from_the_outline_is_told_from_a_soft_edge() -> None:
    rgb, alpha = scene(softness=6.0)
    haunted = np.maximum(alpha, np.float32(0))
    haunted[:60, :60] = 0.4
    assert of(rgb, alpha).unsure_outside < 0.01 < of(rgb, haunted).unsure_outside


def test_a_second_matte_that_is_the_same_agrees_and_another_does_not() -> None:
    rgb, alpha = scene()
    reduced = Reduced.of(rgb, alpha)
    asked = []

    def same(part):
        asked.append(part.shape)
        return (part[..., 0].astype(np.float32) - 30) / 170  # as warm as the disc

    whole = np.ones((20, 20), np.float32)
    assert disagreement(rgb, reduced, same) < 0.02
    assert disagreement(rgb, reduced, lambda part: whole) > 0.3
    assert disagreement(rgb, reduced, lambda part: 0 * whole) == 1.0
    assert asked[0][0] < 300  # the subject with a margin, not the whole photo
    assert asked[0][1] < 400


def test_the_model_looks_twice_only_in_doubt() -> None:
    rgb, alpha = scene()
    looks = []

    def look(part):
        looks.append(part)
        return np.zeros((8, 8), np.float32)

    blurred = [
        np.minimum(cv2.GaussianBlur(alpha, (0, 0), sigma), 1)
        for sigma in (1, 4, 8, 12, 16, 24, 32, 48)
    ]
    for matte in (alpha, *blurred):
        looks.clear()
        first = predicted_error(of(rgb, matte).values(), FIRST)
        assess(rgb, matte, look)
        assert len(looks) == (DOUBT[0] < first < DOUBT[1])


def test_halved_copies_spare_the_gate_the_large_photo_and_change_nothing() -> None:
    rgb, alpha = (part.repeat(4, axis=0).repeat(4, axis=1) for part in scene())
    small = halved(rgb, (240, 240)), halved(alpha, (240, 240))
    assert small[1].shape == (alpha.shape[0] // 4, alpha.shape[1] // 4)
    assert assess(rgb, alpha, small=small) == assess(rgb, alpha)


def test_every_measurement_has_its_word_and_every_weight_its_measurement() -> None:
    named = [name for names in REASONS.values() for name in names]
    measured = [*of(*scene()).values(), "disagreement"]
    assert sorted(named) == sorted(measured)
    assert {term[0] for term in SECOND.terms} == set(named)
    assert {term[0] for term in FIRST.terms} == set(named) - {"disagreement"}
    assert 0 < DOUBT[0] < DOUBT[1] <= 1
    assert 0 < LIMIT < 1


def test_the_strongest_reasons_are_said_and_never_none() -> None:
    weights = Weights(0.0, (("holes", 0.0, 1.0, 2.0), ("fragments", 0.0, 1.0, 0.1)))
    assert reasons({"holes": 3.0, "fragments": 3.0}, weights) == ("holes",)
    assert reasons({"holes": 0.0, "fragments": 0.0}, weights) != ()


def test_the_page_knows_every_reason() -> None:
    from edge_matting.core.reasons.photos import WORDS
    from edge_matting.pipeline.grounds import DISAGREES, NOT_FOUND

    for word in (*REASONS, "no_subject", NOT_FOUND, DISAGREES):
        assert WORDS[word]["en"]
        assert WORDS[word]["zh"]


def test_the_sample_photo_goes_out_and_not_to_review() -> None:
    from edge_matting.config import Settings
    from edge_matting.engine.factory import open_catalog
    from edge_matting.imaging import decode
    from edge_matting.matting import refine
    from edge_matting.pipeline.matte import infer, second_look
    from edge_matting.runtimes.ort.session import OrtSession

    catalog = open_catalog(Settings())
    manifest = catalog.get("default")
    session = OrtSession(manifest, catalog.verify("default"), threads=1)
    photo = decode(PHOTO.read_bytes(), "photo", max_pixels=10**7)
    alpha = refine(photo.rgb, infer(photo.rgb, session, manifest))
    assert assess(photo.rgb, alpha, second_look(session, manifest)).verdict == "ok"


def test_the_place_of_the_doubt_is_where_a_second_look_sees_another_thing() -> None:
    alpha = np.zeros((100, 200), np.float32)
    alpha[20:80, 40:100] = 1
    other = np.full_like(alpha, np.nan)
    other[10:90, 30:190] = alpha[10:90, 30:190]
    other[40:70, 140:170] = 1  # a second person, seen only now
    box = doubted_box(alpha, other)
    assert box is not None
    left, top, width, height = box
    assert 0.6 < left < 0.7
    assert left + width < 0.92
    assert 0.3 < top < 0.4
    assert top + height < 0.78


def test_without_a_second_look_the_undecided_part_is_the_place() -> None:
    alpha = np.zeros((100, 200), np.float32)
    alpha[20:80, 40:100] = 1
    alpha[30:60, 150:180] = 0.5
    box = doubted_box(alpha, None)
    assert box is not None
    assert 0.68 < box[0] < 0.76


def test_a_soft_edge_alone_is_no_place_of_doubt() -> None:
    alpha = np.zeros((150, 150), np.float32)
    alpha[40:110, 40:110] = 1
    alpha[39, 39:111] = alpha[110, 39:111] = 0.5
    assert doubted_box(alpha, None) is None
    assert doubted_box(alpha, alpha.copy()) is None
