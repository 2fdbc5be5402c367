"""Mattes and notes on disk: one file each, named so that a listing is the index.

There is no second file that could contradict the entries. Writes are renamed into place and not
synced: a power cut may cost the newest entries, and a torn one fails its digest. Several
processes may share the folder: names tell content, so whoever writes one writes the same; an
entry that another process removed is a miss.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections import OrderedDict
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from edge_matting.cache.entry import SUFFIX, decode_entry, parse_name
from edge_matting.cache.result_notes import NOTE_SUFFIX, decode_note
from edge_matting.core.durable import is_temporary, temporary_name

_BLOCK: Final = 4096
"""What a disk gives to the smallest file. Counting it bounds the number of entries too, and with it
the memory that their names take: notes on results have a kilobyte each."""

_ABANDONED_SECONDS: Final = 3600.0
"""A temporary file so old has no writer any more."""


class DiskTier:
    """Encoded entries below ``root``, least recently used first. Not for several threads.

    Methods raise ``OSError`` where the disk refuses; a missing entry is no error.
    """

    def __init__(self, root: Path, limit_bytes: int, min_free_bytes: int) -> None:
        """The folder is made where it is missing; a limit of 0 keeps nothing there."""
        self._root = root
        self._limit = limit_bytes
        self._min_free = min_free_bytes
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self.bytes = 0
        if limit_bytes > 0:
            root.mkdir(parents=True, exist_ok=True)
        self.refresh()

    def names(self) -> Collection[str]:
        """Every known entry, least recently used first."""
        return self._sizes.keys()

    def get(self, name: str) -> bytes | None:
        """The entry's bytes, unchecked; None where it is gone."""
        if name not in self._sizes:
            return None
        path = self._root / name
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            self._forget(name)
            return None
        self.touch(name)
        return data

    def touch(self, name: str) -> None:
        """The entry was used; its file's time tells so to the next process."""
        if name in self._sizes:
            self._sizes.move_to_end(name)
            with contextlib.suppress(OSError):  # gone, or read-only: it is then used all the same
                os.utime(self._root / name)

    def put(self, name: str, data: bytes) -> list[str]:
        """Keep ``data`` if limit and free space allow it; the names that left for it."""
        size = _occupied(len(data))
        if size > self._limit:
            return []
        left = self.make_room(size)
        if self._lacking(size) > 0:
            return left  # others fill the disk: there is nothing left to drop
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden = path.with_name(temporary_name())
        try:
            with os.fdopen(os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f:
                f.write(data)
            hidden.rename(path)
        except OSError:
            hidden.unlink(missing_ok=True)
            raise
        self._forget(name)
        self._remember(name, size)
        return left

    def remove(self, name: str) -> None:
        (self._root / name).unlink(missing_ok=True)
        self._forget(name)

    def make_room(self, wanted: int = 0) -> list[str]:
        """Drop the oldest until limit and free space are kept with ``wanted`` bytes more."""
        left = []
        lacking = max(self.bytes + wanted - self._limit, self._lacking(wanted))
        while lacking > 0 and self._sizes:
            name, size = next(iter(self._sizes.items()))
            self.remove(name)
            left.append(name)
            lacking -= size
        return left

    def refresh(self) -> tuple[list[str], list[str]]:
        """Look at the folder anew; the names that came and those that went."""
        found = dict(self._listed())
        gone = [name for name in self._sizes if name not in found]
        for name in gone:
            self._forget(name)
        new = []
        for name in found.keys() - self._sizes.keys():
            try:
                status = found[name].stat()
            except FileNotFoundError:
                continue
            new.append((status.st_mtime, name, _occupied(status.st_size)))
        for _, name, size in sorted(new):
            self._remember(name, size)
        return [name for _, name, _ in sorted(new)], gone

    def keep_models(self, sha256s: Collection[str]) -> list[str]:
        """Drop the entries of every other model, and what killed writers left."""
        left = []
        for folder in self._folders(self._root):
            if folder.name not in sha256s:
                left += [name for name in self._sizes if name.startswith(f"{folder.name}/")]
                shutil.rmtree(folder, ignore_errors=True)
        for name in left:
            self._forget(name)
        self._sweep()
        return left

    def remove_since(self, moment: float) -> list[str]:
        """Drop what was written or used at ``moment`` (seconds since the epoch) or later."""
        left = []
        for name, entry in self._listed():
            try:
                recent = entry.stat().st_mtime >= moment
            except FileNotFoundError:
                continue
            if recent:
                self.remove(name)
                left.append(name)
        return left

    def check(self) -> list[str]:
        """What is wrong with the entries, one line each; none: all is well."""
        faults = []
        for name, entry in self._listed():
            try:
                _check(name, Path(entry.path).read_bytes())
            except FileNotFoundError:
                continue  # another process dropped it meanwhile
            except ValueError as error:  # EntryDamaged, or a name that is none
                faults.append(f"{name}: {error}")
        known = sum(self._sizes.values())
        if known != self.bytes:
            faults.append(f"counted {self.bytes} bytes where entries have {known}")
        return faults

    def _lacking(self, wanted: int) -> int:
        """Bytes that the disk's free space falls short of its reserve."""
        if self._min_free == 0 or not self._root.is_dir():
            return 0
        return self._min_free + wanted - shutil.disk_usage(self._root).free

    def _remember(self, name: str, size: int) -> None:
        self._sizes[name] = size
        self.bytes += size

    def _forget(self, name: str) -> None:
        self.bytes -= self._sizes.pop(name, 0)

    def _listed(self) -> Iterator[tuple[str, os.DirEntry[str]]]:
        for model in self._folders(self._root):
            for context in self._folders(Path(model.path)):
                with os.scandir(context.path) as entries:
                    for entry in entries:
                        if entry.name.endswith((SUFFIX, NOTE_SUFFIX)):
                            yield f"{model.name}/{context.name}/{entry.name}", entry

    def _folders(self, path: Path) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(path) as entries:
                return [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _sweep(self) -> None:
        before = time.time() - _ABANDONED_SECONDS
        for model in self._folders(self._root):
            for context in self._folders(Path(model.path)):
                for path in Path(context.path).iterdir():
                    if is_temporary(path.name) and _written(path) < before:
                        path.unlink(missing_ok=True)


def _occupied(size: int) -> int:
    """Bytes of disk for a file of ``size`` bytes."""
    return -(-size // _BLOCK) * _BLOCK


def _written(path: Path) -> float:
    """When the file was written, seconds since the epoch; now, if it is gone."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def _check(name: str, data: bytes) -> None:
    if name.endswith(NOTE_SUFFIX):
        decode_note(name, data)
        return
    parse_name(name)
    decode_entry(name, data)
