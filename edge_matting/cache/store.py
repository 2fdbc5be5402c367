"""Memory and disk behind one lock, with the index over both."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_matting.cache.disk import DiskTier
from edge_matting.cache.entry import SUFFIX, parse_name
from edge_matting.cache.hash_scan import HashScan
from edge_matting.cache.memory import MemoryTier
from edge_matting.core.reasons import Reason

log = logging.getLogger(__name__)

REFRESH_SECONDS: Final = 60.0
"""How long what another process stored may stay unseen."""

PAUSE_SECONDS: Final = 60.0
"""A disk that refused a write is left alone for so long."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What is stored now, and how many entries had to leave since the start."""

    entries: int
    memory_bytes: int
    disk_bytes: int
    evictions: int
    problem: Reason | None  # why the disk is not used, if it should be


class TieredStore:
    """Encoded entries by name: in memory, on disk, found by pixels or by hash. Thread-safe.

    A disk that cannot be used is no fault of a photo: it is told once, and memory goes on.
    """

    def __init__(
        self,
        root: Path | None,
        memory_bytes: int,
        disk_bytes: int,
        min_free_bytes: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lock = threading.Lock()
        self._monotonic = monotonic
        self._memory = MemoryTier(memory_bytes)
        self._by_pixels: dict[tuple[str, str], str] = {}
        self._hashes: defaultdict[str, HashScan[str]] = defaultdict(HashScan)
        self._evictions = 0
        self._problem: Reason | None = None
        self._paused_until = float("-inf")
        self._next_refresh = monotonic() + REFRESH_SECONDS
        self._disk = self._opened(root, disk_bytes, min_free_bytes)
        if self._disk is not None:
            self._enter(self._disk.names())

    def with_pixels(self, context: str, pixels: str) -> str | None:
        """The entry whose model input has this digest."""
        with self._lock:
            return self._by_pixels.get((context, pixels))

    def near(self, context: str, phash: int, bits: int) -> list[tuple[int, str]]:
        """(distance, name) of entries at most ``bits`` away, nearest first."""
        with self._lock:
            return self._hashes[context].near(phash, bits)

    def get(self, name: str) -> bytes | None:
        """The entry's bytes; None where it is gone."""
        with self._lock:
            data = self._memory.get(name)
            if data is not None and self._disk is not None:
                self._disk.touch(name)
            elif self._disk is not None:
                data = self._read(self._disk, name)
                if data is not None:
                    self._memory.put(name, data)
            if data is None:
                self._leave([name])
            return data

    def put(self, name: str, data: bytes) -> None:
        """Keep the entry wherever there is room for it."""
        with self._lock:
            left = self._memory.put(name, data)
            if self._disk is None:
                self._evictions += len(left)
            elif self._monotonic() >= self._paused_until:
                left += self._write(self._disk, name, data)
            self._enter([name])
            self._leave_unless_kept([name, *left])

    def remove(self, name: str) -> None:
        """Drop the entry everywhere."""
        with self._lock:
            self._memory.remove(name)
            if self._disk is not None:
                try:
                    self._disk.remove(name)
                except OSError as error:
                    self._refused(Reason("cache_not_removed", why=str(error)))
            self._leave([name])

    def tend(self) -> None:
        """Trim for the disk's sake; from time to time look what other processes did."""
        with self._lock:
            disk = self._disk
            if disk is None:
                return
            try:
                dropped = disk.make_room()
                self._evictions += len(dropped)
                self._leave_unless_kept(dropped)
                if self._monotonic() >= self._next_refresh:
                    self._next_refresh = self._monotonic() + REFRESH_SECONDS
                    came, went = disk.refresh()
                    self._enter(came)
                    self._leave_unless_kept(went)
            except OSError as error:
                self._refused(Reason("cache_not_tended", why=str(error)))

    def keep_models(self, sha256s: Collection[str]) -> None:
        """Drop the entries of all models but these."""
        with self._lock:
            if self._disk is None:
                return
            try:
                self._leave_unless_kept(self._disk.keep_models(sha256s))
            except OSError as error:
                self._refused(Reason("cache_not_dropped", why=str(error)))

    def distrust(self, moment: float) -> int:
        """Drop what was stored or used since ``moment``, seconds since the epoch; how many."""
        with self._lock:
            left = set(self._memory.clear())
            if self._disk is not None:
                try:
                    left |= set(self._disk.remove_since(moment))
                except OSError as error:
                    self._refused(Reason("cache_not_cleared", why=str(error)))
            gone = [name for name in left if not self._kept(name)]
            self._leave(gone)
            return len(gone)

    def check(self) -> list[str]:
        """Faults of the entries on disk and of the index over them."""
        with self._lock:
            faults = [] if self._disk is None else self._disk.check()
            indexed = {name for hashes in self._hashes.values() for name in hashes}
            for name in indexed:
                if not self._kept(name):
                    faults.append(f"{name}: is in the index and nowhere else")
            for name in self._by_pixels.values():
                if name not in indexed:
                    faults.append(f"{name}: is found by its pixels and not by its hash")
            return faults

    def stored(self) -> Stored:
        with self._lock:
            disk = 0 if self._disk is None else self._disk.bytes
            return Stored(
                len(self._by_pixels), self._memory.bytes, disk, self._evictions, self._problem
            )

    # -- with the lock held -----------------------------------------------------------

    def _opened(self, root: Path | None, limit: int, min_free: int) -> DiskTier | None:
        if root is None or limit <= 0:
            return None
        try:
            return DiskTier(root, limit, min_free)
        except OSError as error:
            self._refused(Reason("cache_in_memory", why=str(error)))
            return None

    def _read(self, disk: DiskTier, name: str) -> bytes | None:
        try:
            return disk.get(name)
        except OSError as error:
            self._refused(Reason("cache_unreadable", why=str(error)))
            return None

    def _write(self, disk: DiskTier, name: str, data: bytes) -> list[str]:
        try:
            left = disk.put(name, data)
        except OSError as error:
            self._paused_until = self._monotonic() + PAUSE_SECONDS
            self._refused(Reason("cache_unwritable", why=str(error)))
            return []
        self._problem = None
        self._evictions += len(left)
        return left

    def _refused(self, problem: Reason) -> None:
        """Told once, until the disk works again."""
        if self._problem is None:
            log.warning("%s; photos are done without it", problem)
        self._problem = problem

    def _enter(self, names: Iterable[str]) -> None:
        for name in filter(is_matte, list(names)):
            try:
                context, mark = parse_name(name)
            except ValueError as error:
                log.warning("not a cached matte, left alone: %s", error)
                continue
            self._by_pixels[context, mark.pixels] = name
            self._hashes[context].add(name, mark.phash)

    def _leave(self, names: Iterable[str]) -> None:
        for name in filter(is_matte, names):
            context, mark = parse_name(name)
            if self._by_pixels.get((context, mark.pixels)) == name:
                del self._by_pixels[context, mark.pixels]
            self._hashes[context].remove(name)

    def _leave_unless_kept(self, names: Iterable[str]) -> None:
        self._leave([name for name in names if not self._kept(name)])

    def _kept(self, name: str) -> bool:
        return name in self._memory or (self._disk is not None and name in self._disk.names())


def is_matte(name: str) -> bool:
    """Whether the entry is a matte, which is looked up by what it shows."""
    return name.endswith(SUFFIX)
