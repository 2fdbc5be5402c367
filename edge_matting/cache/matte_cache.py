"""The matte cache: a hash nominates, pixels decide, and every doubt ends in a new inference."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeVar

import numpy as np

from edge_matting.cache.entry import (
    EntryDamaged,
    MatteEntry,
    decode_entry,
    encode_entry,
    parse_name,
)
from edge_matting.cache.fingerprint import Fingerprint
from edge_matting.cache.result_notes import decode_note, encode_note, note_name
from edge_matting.cache.single_flight import SingleFlight
from edge_matting.cache.store import Stored, TieredStore
from edge_matting.cache.verify import (
    Distances,
    MatchTolerances,
    comparable_size,
    compare,
    same_aspect,
)
from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.core.jobs import StoredResult

log = logging.getLogger(__name__)

Kept = TypeVar("Kept")
LookupResult = Literal["matte", "perceptual", "rejected", "miss"]

PHASH_BITS: Final = 7
DHASH_BITS: Final = 12
LAYOUT_LEVELS: Final = 16.0
CANDIDATES: Final = 3
"""How many nominated entries are compared on pixels before the photo is inferred."""


@dataclass(frozen=True, slots=True, eq=False)
class CacheLookup:
    """What the cache says of a photo, and why.

    ``alpha`` is the stored matte, h x w float32 in [0, 1] at model size, or None. ``evidence``
    goes to the sidecar: the nominated photo's distances.
    """

    verdict: LookupResult
    alpha: Alpha | None = None
    evidence: Mapping[str, float] = field(default_factory=dict)


class MatteCache:
    """Stored mattes by context (one model in one way of running it). Safe for several threads."""

    def __init__(
        self,
        root: Path | None,
        *,
        memory_bytes: int,
        disk_bytes: int,
        min_free_bytes: int = 0,
        perceptual: bool = True,
        limits: MatchTolerances | None = None,
    ) -> None:
        """Entries lie below ``root``; without it, or where it cannot be used, in memory alone."""
        self.store = TieredStore(root, memory_bytes, disk_bytes, min_free_bytes)
        self._perceptual = perceptual
        self._limits = limits or MatchTolerances()
        self._flight = SingleFlight()

    def find(self, context: str, mark: Fingerprint, thumbnail: Rgb) -> CacheLookup:
        """A stored matte for the photo that ``thumbnail`` (h x w x 3) shows, if proven fit."""
        return self._same_input(context, mark) or self._nominated(context, mark, thumbnail)

    def keep(
        self, context: str, mark: Fingerprint, thumbnail: Rgb, alpha: Alpha, seconds: float
    ) -> None:
        """Store a fresh matte (h x w float32 in [0, 1] at model size) of the photo."""
        self.store.put(*encode_entry(context, MatteEntry(mark, alpha, thumbnail, seconds)))

    def find_result(self, sha256: str, recipe_key: str, model_sha256: str) -> StoredResult | None:
        """Where a result of the same bytes, recipe and model was published, if it was noted."""
        name = note_name(sha256, recipe_key, model_sha256)
        data = self.store.get(name)
        return None if data is None else self._intact(decode_note, name, data)

    def keep_result(self, stored: StoredResult) -> None:
        """Note where a result was published; ``stored.root`` must be given."""
        self.store.put(*encode_note(stored))

    def turn(
        self, context: str, mark: Fingerprint, waiting: Callable[[], None]
    ) -> AbstractContextManager[None]:
        """Held while the photo is looked up and inferred, so that its double waits for it."""
        return self._flight.turn(f"{context}/{mark.pixels}", waiting)

    def tend(self) -> None:
        """Give space back that the disk lacks, and see what other processes changed."""
        self.store.tend()

    def keep_models(self, sha256s: Collection[str]) -> None:
        """Drop the entries of all other models."""
        self.store.keep_models(sha256s)

    def distrust(self, moment: float) -> None:
        """Drop what was stored since ``moment`` (seconds since the epoch): its model failed."""
        log.warning("%d entries of the matte cache are dropped", self.store.distrust(moment))

    def check(self) -> list[str]:
        """What is wrong with the stored entries, one line each; none: all is well."""
        return self.store.check()

    def stored(self) -> Stored:
        """What is stored now."""
        return self.store.stored()

    # -- pieces -----------------------------------------------------------------------

    def _same_input(self, context: str, mark: Fingerprint) -> CacheLookup | None:
        """The model's own input again, bit for bit, whatever the photo's size or file."""
        name = self.store.with_pixels(context, mark.pixels)
        entry = None if name is None else self.load(name)
        return None if entry is None else CacheLookup("matte", entry.alpha)

    def _nominated(self, context: str, mark: Fingerprint, thumbnail: Rgb) -> CacheLookup:
        refused: Mapping[str, float] = {}
        for phash, name in self._alike(context, mark):
            entry = self.load(name)
            if entry is None:
                continue
            size = comparable_size(mark.size, entry.mark.size, _size(entry.thumbnail))
            if size is None:
                continue
            distances = compare(entry.thumbnail, thumbnail, entry.alpha, size)
            evidence = _evidence(phash, mark, entry.mark, distances)
            if distances.within(self._limits):
                return CacheLookup("perceptual", entry.alpha, evidence)
            refused = refused or evidence  # the nearest one's: it says most
        return CacheLookup("rejected" if refused else "miss", evidence=refused)

    def _alike(self, context: str, mark: Fingerprint) -> list[tuple[int, str]]:
        """(pHash distance, name) of the few entries that are worth a comparison, nearest first."""
        if not self._perceptual:
            return []
        found = []
        for phash, name in self.store.near(context, mark.phash, PHASH_BITS):
            if alike(mark, parse_name(name)[1]):
                found.append((phash, name))
                if len(found) == CANDIDATES:
                    break
        return found

    def load(self, name: str) -> MatteEntry | None:
        """The entry of that name, checked; a damaged one is dropped."""
        data = self.store.get(name)
        return None if data is None else self._intact(decode_entry, name, data)

    def _intact(self, decode: Callable[[str, bytes], Kept], name: str, data: bytes) -> Kept | None:
        try:
            return decode(name, data)
        except EntryDamaged as error:
            log.warning("%s in the cache is damaged and dropped: %s", name, error)
            self.store.remove(name)
            return None


def alike(one: Fingerprint, other: Fingerprint) -> bool:
    """Whether all but pHash speaks for the same photo: aspect ratio, dHash, colour layout."""
    return (
        same_aspect(one.size, other.size)
        and (one.dhash ^ other.dhash).bit_count() <= DHASH_BITS
        and layout_distance(one, other) <= LAYOUT_LEVELS
    )


def layout_distance(one: Fingerprint, other: Fingerprint) -> float:
    """Largest difference between the 3 x 3 mean colours, less the common one; levels of 255."""
    layouts = (np.frombuffer(mark.layout, np.uint8).astype(np.float64) for mark in (one, other))
    first, second = layouts
    difference = first - second
    return float(np.abs(difference - np.median(difference)).max())


def _size(picture: Rgb) -> tuple[int, int]:
    return picture.shape[1], picture.shape[0]


def _evidence(
    phash: int, mark: Fingerprint, other: Fingerprint, distances: Distances
) -> dict[str, float]:
    """The decision's grounds in plain numbers, for the sidecar."""
    measured = {key: round(value, 4) for key, value in asdict(distances).items()}
    return {"phash": phash, "dhash": (mark.dhash ^ other.dhash).bit_count(), **measured}
