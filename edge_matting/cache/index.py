"""Entries whose perceptual hash lies near another: multi-index hashing.

Norouzi, Punjani and Fleet, "Fast Search in Hamming Space with Multi-Index Hashing", CVPR 2012:
two hashes at most ``4 r + 3`` bits apart are at most ``r`` bits apart in one of four quarters.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt

Key = TypeVar("Key", bound=Hashable)

_BANDS: Final = 4
_BAND_BITS: Final = 16
_NEAR: Final = np.array([0, *(1 << bit for bit in range(_BAND_BITS))], np.uint32)
MAX_DISTANCE: Final = 4 * 1 + 3
"""Quarters are probed at distances 0 and 1."""

_LEAST_TAIL: Final = 4096
_FIRST_ROOM: Final = 1024


class HammingIndex(Generic[Key]):
    """Keys by 64-bit hash. Not for several threads at once.

    The newest entries form a tail that is compared one by one; it is sorted into the buckets when
    it has grown to a quarter of them, so that adding costs little on average.
    """

    def __init__(self) -> None:
        self._keys: list[Key | None] = []
        self._rows: dict[Key, int] = {}
        self._hashes = np.empty(_FIRST_ROOM, np.uint64)
        self._sorted = 0  # rows that are in the buckets
        self._starts = [np.zeros((1 << _BAND_BITS) + 1, np.int64)] * _BANDS
        self._order = [np.empty(0, np.int64)] * _BANDS

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: Key) -> bool:
        return key in self._rows

    def __iter__(self) -> Iterator[Key]:
        return iter(self._rows)

    def add(self, key: Key, bits: int) -> None:
        """Put ``key`` in, or give it another hash."""
        self.remove(key)
        row = len(self._keys)
        if row == len(self._hashes):
            self._hashes = np.concatenate([self._hashes, np.empty_like(self._hashes)])
        self._hashes[row] = bits
        self._keys.append(key)
        self._rows[key] = row
        if row + 1 - self._sorted > max(_LEAST_TAIL, self._sorted // 4):
            self._sort()

    def remove(self, key: Key) -> None:
        """Take ``key`` out; its row stays empty until the next sorting."""
        row = self._rows.pop(key, None)
        if row is not None:
            self._keys[row] = None

    def near(self, bits: int, distance: int) -> list[tuple[int, Key]]:
        """(distance, key) of entries at most ``distance`` (up to 7) bits away, nearest first."""
        if not 0 <= distance <= MAX_DISTANCE:
            raise ValueError(f"distance {distance} is not within 0 to {MAX_DISTANCE}")
        rows = np.concatenate([self._nominated(bits), np.arange(self._sorted, len(self._keys))])
        far = np.bitwise_count(self._hashes[rows] ^ np.uint64(bits))
        found: dict[Key, int] = {}
        for index in np.flatnonzero(far <= distance):
            key = self._keys[rows[index]]
            if key is not None:
                found[key] = int(far[index])
        return sorted(((far, key) for key, far in found.items()), key=lambda pair: pair[0])

    def _nominated(self, bits: int) -> npt.NDArray[np.int64]:
        """Rows that share a quarter with ``bits``, or nearly; some more than once."""
        parts = []
        for band in range(_BANDS):
            probes = _NEAR ^ np.uint32(int(_quarter(np.uint64(bits), band)))
            starts, order = self._starts[band], self._order[band]
            begins, ends = starts[probes], starts[probes + 1]
            parts += [
                order[begin:end]
                for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)
                if end > begin
            ]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def _sort(self) -> None:
        """Rebuild the buckets over every row that is not empty."""
        kept = [(key, row) for row, key in enumerate(self._keys) if key is not None]
        self._hashes[: len(kept)] = self._hashes[[row for _, row in kept]]
        self._keys = [key for key, _ in kept]
        self._rows = {key: row for row, (key, _) in enumerate(kept)}
        self._sorted = len(kept)
        hashes = self._hashes[: self._sorted]
        for band in range(_BANDS):
            quarters = _quarter(hashes, band)
            self._order[band] = np.argsort(quarters, kind="stable")
            counts = np.bincount(quarters, minlength=1 << _BAND_BITS)
            self._starts[band] = np.concatenate([[0], np.cumsum(counts)])


def _quarter(hashes: Any, band: int) -> Any:
    """One quarter of the bits, 0 to 65535."""
    return (hashes >> np.uint64(band * _BAND_BITS)).astype(np.uint16)
