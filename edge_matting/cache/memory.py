"""The entries used last, in memory, bounded by their bytes."""

from __future__ import annotations

from collections import OrderedDict


class MemoryTier:
    """Encoded entries by name; the least recently used leave first. Not for several threads."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._entries: OrderedDict[str, bytes] = OrderedDict()
        self.bytes = 0

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def get(self, name: str) -> bytes | None:
        data = self._entries.get(name)
        if data is not None:
            self._entries.move_to_end(name)
        return data

    def put(self, name: str, data: bytes) -> list[str]:
        """Keep ``data``, if it fits at all; the names that had to leave for it."""
        self.remove(name)
        if len(data) > self._limit:
            return []
        self._entries[name] = data
        self.bytes += len(data)
        left = []
        while self.bytes > self._limit:
            gone, dropped = self._entries.popitem(last=False)
            self.bytes -= len(dropped)
            left.append(gone)
        return left

    def clear(self) -> list[str]:
        """Let go of everything; the names."""
        left = list(self._entries)
        self._entries.clear()
        self.bytes = 0
        return left

    def remove(self, name: str) -> None:
        data = self._entries.pop(name, None)
        self.bytes -= 0 if data is None else len(data)
