"""Entries whose perceptual hash lies near another, found by comparing with all of them.

A cache of the default size holds some 14,000 mattes. Comparing with each takes a twentieth of a
millisecond, with a hundred times as many 14 milliseconds (`tools/bench/cache.py --entries`).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt

Key = TypeVar("Key", bound=Hashable)
Hashes = npt.NDArray[np.uint64]

_FIRST_ROOM: Final = 1024
_BLOCK: Final = 1 << 14
"""Hashes compared at once: what lies between two steps stays in the processor's cache."""


class HashScan(Generic[Key]):
    """Keys by 64-bit hash. Not for several threads at once."""

    def __init__(self) -> None:
        self._keys: list[Key] = []
        self._rows: dict[Key, int] = {}
        self._hashes: Hashes = np.empty(_FIRST_ROOM, np.uint64)

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: Key) -> bool:
        return key in self._rows

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys)

    def add(self, key: Key, bits: int) -> None:
        """Put ``key`` in, or give it another hash."""
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = len(self._keys)
            self._keys.append(key)
            if row == len(self._hashes):
                self._hashes = np.concatenate([self._hashes, np.empty_like(self._hashes)])
        self._hashes[row] = bits

    def remove(self, key: Key) -> None:
        """Take ``key`` out; the last one takes its row."""
        row = self._rows.pop(key, None)
        if row is None:
            return
        last = self._keys.pop()
        if last != key:
            self._keys[row] = last
            self._rows[last] = row
            self._hashes[row] = self._hashes[len(self._keys)]

    def near(self, bits: int, distance: int) -> list[tuple[int, Key]]:
        """(distance, key) of the entries at most ``distance`` bits away, nearest first."""
        found: list[tuple[int, Key]] = []
        for begin in range(0, len(self._keys), _BLOCK):
            block = self._hashes[begin : min(begin + _BLOCK, len(self._keys))]
            far = bit_count(block ^ np.uint64(bits))
            rows = np.flatnonzero(far <= distance)
            found += [(int(far[row]), self._keys[begin + int(row)]) for row in rows]
        return sorted(found, key=lambda pair: pair[0])


def bit_count(words: Hashes) -> Hashes:
    """How many bits of each uint64 are set: Warren, "Hacker's Delight", 2nd edition, figure 5-2.

    ``np.bitwise_count`` came with NumPy 2; NumPy 1.26 is supported too.
    """
    pairs = words - ((words >> _u64(1)) & _u64(0x5555555555555555))
    nibbles = (pairs & _u64(0x3333333333333333)) + ((pairs >> _u64(2)) & _u64(0x3333333333333333))
    octets = (nibbles + (nibbles >> _u64(4))) & _u64(0x0F0F0F0F0F0F0F0F)
    counts: Hashes = (octets * _u64(0x0101010101010101)) >> _u64(56)
    return counts


def _u64(value: int) -> Any:
    """NumPy 1 has no common type of uint64 and a Python integer."""
    return np.uint64(value)
