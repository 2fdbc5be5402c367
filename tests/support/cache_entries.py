"""Mattes for the cache's tests: entries by number, and a cache to keep them in."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge_matting.cache import Fingerprint, MatteCache
from edge_matting.cache.entry import MatteEntry, encode_entry

MODEL = "ab" * 32
CONTEXT = f"{MODEL}/0123456789abcdef"


def a_mark(number: int) -> Fingerprint:
    chance = np.random.default_rng(number)
    phash, dhash = (int(chance.integers(2**63)) for _ in range(2))
    return Fingerprint(f"{number:032x}", phash, dhash, chance.bytes(27), (640, 480))


def an_entry(number: int, side: int = 64) -> MatteEntry:
    chance = np.random.default_rng(number)
    alpha = np.zeros((side, side), np.float32)
    alpha[side // 4 : side // 2] = chance.random((side // 4, side), np.float32)
    alpha[side // 2 :] = 1
    thumbnail = np.full((side, side, 3), number % 251, np.uint8)
    return MatteEntry(a_mark(number), alpha, thumbnail, 0.125)


def encoded(number: int) -> tuple[str, bytes]:
    return encode_entry(CONTEXT, an_entry(number))


def on_disk(number: int) -> int:
    """Bytes that an entry takes of the disk, in whole blocks."""
    return -(-len(encoded(number)[1]) // 4096) * 4096


def kept(cache: MatteCache, number: int) -> None:
    entry = an_entry(number)
    cache.keep(CONTEXT, entry.mark, entry.thumbnail, entry.alpha, entry.seconds)


def answered(cache: MatteCache, number: int) -> str:
    """The verdict; a matte must be the right one."""
    entry = an_entry(number)
    answer = cache.find(CONTEXT, entry.mark, entry.thumbnail)
    if answer.alpha is not None:
        np.testing.assert_allclose(answer.alpha, entry.alpha, atol=1 / 255)
    return answer.verdict


def open_cache(root: Path, **changes: int) -> MatteCache:
    limits = {"memory_bytes": 10**6, "disk_bytes": 10**7, **changes}
    return MatteCache(root, **limits)
