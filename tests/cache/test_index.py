"""Fingerprints, and the index that finds those that are near."""

from __future__ import annotations

import random

import cv2
import numpy as np
import pytest
from harness import PHOTO
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_matting.cache.fingerprint import dhash, fingerprint_of, phash
from edge_matting.cache.index import MAX_DISTANCE, HammingIndex

RGB = cv2.cvtColor(cv2.imread(str(PHOTO)), cv2.COLOR_BGR2RGB)
VIEW = cv2.resize(RGB, (320, 320), interpolation=cv2.INTER_AREA)

HASHES = st.integers(0, 2**64 - 1)


def distance(one: int, other: int) -> int:
    return (one ^ other).bit_count()


def reencoded(rgb: np.ndarray, quality: int) -> np.ndarray:
    data = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def test_a_reencode_keeps_its_hashes_and_another_picture_does_not():
    mark = fingerprint_of(VIEW, (512, 512))
    again = fingerprint_of(reencoded(VIEW, 80), (512, 512))
    other = fingerprint_of(np.ascontiguousarray(VIEW[:, ::-1]), (512, 512))
    assert mark.pixels != again.pixels
    assert distance(mark.phash, again.phash) <= 2
    assert distance(mark.dhash, again.dhash) <= 4
    assert distance(mark.phash, other.phash) > 12


def test_equal_pixels_have_equal_digests_whatever_the_photos_size():
    assert fingerprint_of(VIEW, (512, 512)) == fingerprint_of(VIEW.copy(), (512, 512))
    assert fingerprint_of(VIEW, (512, 512)).pixels == fingerprint_of(VIEW, (1024, 1024)).pixels
    changed = VIEW.copy()
    changed[100, 100, 1] ^= 1
    assert fingerprint_of(changed, (512, 512)).pixels != fingerprint_of(VIEW, (512, 512)).pixels


def test_sixteen_bits_look_like_eight_and_are_told_apart():
    wide = VIEW.astype(np.uint16) * 257
    mark, narrow = fingerprint_of(wide, (512, 512)), fingerprint_of(VIEW, (512, 512))
    assert (mark.phash, mark.dhash, mark.layout) == (narrow.phash, narrow.dhash, narrow.layout)
    assert mark.pixels != narrow.pixels


def test_flat_pictures_have_hashes_too():
    flat = np.full((32, 32), 7, np.uint8)
    assert 0 <= phash(flat) < 2**64
    assert dhash(flat) == 0


@settings(max_examples=30, deadline=None)
@given(st.lists(HASHES, min_size=1, max_size=60), st.integers(0, MAX_DISTANCE), st.randoms())
def test_the_index_finds_what_comparing_with_all_finds(hashes, reach, chance):
    index: HammingIndex[int] = HammingIndex()
    for key, bits in enumerate(hashes):
        index.add(key, bits)
    index._sort()
    query = chance.choice(hashes)
    for _ in range(chance.randint(0, MAX_DISTANCE)):
        query ^= 1 << chance.randrange(64)
    expected = sorted((distance(bits, query), key) for key, bits in enumerate(hashes))
    expected = [pair for pair in expected if pair[0] <= reach]
    assert sorted(index.near(query, reach)) == expected


def test_keys_come_and_go_while_the_index_grows():
    chance = random.Random(3)
    index: HammingIndex[int] = HammingIndex()
    known: dict[int, int] = {}
    for key in range(12_000):
        known[key] = chance.getrandbits(64)
        index.add(key, known[key])
        if key % 5 == 0:
            gone = chance.randrange(key + 1)
            index.remove(gone)
            known.pop(gone, None)
    assert set(index) == set(known)
    assert len(index) == len(known)
    for key in chance.sample(sorted(known), 200):
        assert (0, key) in index.near(known[key], 0)
        assert key in index
    assert index.near(known[11_999] ^ 0b111, 2) == []


def test_a_key_given_again_has_its_new_hash_alone():
    index: HammingIndex[str] = HammingIndex()
    index.add("a", 0)
    index.add("a", 2**64 - 1)
    assert index.near(0, 7) == []
    assert index.near(2**64 - 1, 0) == [(0, "a")]
    index.remove("a")
    index.remove("a")
    assert index.near(2**64 - 1, 7) == []


def test_distances_beyond_the_buckets_are_refused():
    with pytest.raises(ValueError, match="0 to 7"):
        HammingIndex().near(0, MAX_DISTANCE + 1)
