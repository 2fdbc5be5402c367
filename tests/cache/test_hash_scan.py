"""Fingerprints, and the scan that finds those that are near."""

from __future__ import annotations

import random

import cv2
import numpy as np
from harness import PHOTO
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_matting.cache.fingerprint import dhash, fingerprint_of, phash
from edge_matting.cache.hash_scan import HashScan, bit_count

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
@given(st.lists(HASHES, min_size=1, max_size=60), st.integers(0, 64), st.randoms())
def test_the_scan_finds_what_comparing_one_by_one_finds_nearest_first(hashes, reach, chance):
    scan: HashScan[int] = HashScan()
    for key, bits in enumerate(hashes):
        scan.add(key, bits)
    query = chance.choice(hashes)
    for _ in range(chance.randint(0, 12)):
        query ^= 1 << chance.randrange(64)
    expected = [(distance(bits, query), key) for key, bits in enumerate(hashes)]
    found = scan.near(query, reach)
    assert sorted(found) == sorted(pair for pair in expected if pair[0] <= reach)
    assert [far for far, _ in found] == sorted(far for far, _ in found)


def test_keys_come_and_go_while_the_scan_grows_past_its_blocks():
    chance = random.Random(3)
    scan: HashScan[int] = HashScan()
    known: dict[int, int] = {}
    for key in range(40_000):
        known[key] = chance.getrandbits(64)
        scan.add(key, known[key])
        if key % 5 == 0:
            gone = chance.randrange(key + 1)
            scan.remove(gone)
            known.pop(gone, None)
    assert set(scan) == set(known)
    assert len(scan) == len(known)
    for key in chance.sample(sorted(known), 200):
        assert (0, key) in scan.near(known[key], 0)
        assert key in scan
    assert scan.near(known[39_999] ^ 0b111, 2) == []


def test_a_key_given_again_has_its_new_hash_alone():
    scan: HashScan[str] = HashScan()
    scan.add("a", 0)
    scan.add("a", 2**64 - 1)
    assert scan.near(0, 7) == []
    assert scan.near(2**64 - 1, 0) == [(0, "a")]
    scan.remove("a")
    scan.remove("a")
    assert scan.near(2**64 - 1, 64) == []


@given(st.lists(HASHES, min_size=1))
def test_bits_are_counted_without_numpy_2(words):
    counted = bit_count(np.array(words, np.uint64))
    assert counted.tolist() == [word.bit_count() for word in words]
