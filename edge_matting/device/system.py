"""Where readings come from: one root for every file, and what no file holds.

Tests hand in a tree of their own, another clock, another NVML; nothing here reads past it.
"""

from __future__ import annotations

import importlib
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_matting.core.clock import Clock, SystemClock
from edge_matting.device.files import as_int, as_text, read_bytes


def load_nvml() -> Any:
    # By name, because a start without NVIDIA hardware should not pay for the import.
    return importlib.import_module("pynvml")


def page_size() -> int:
    return os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class System:
    """The machine; paths are relative to ``root``."""

    root: Path = Path("/")
    read: Callable[[Path], bytes] = read_bytes  # may raise OSError, such as EAGAIN
    clock: Clock = field(default_factory=SystemClock)
    nvml: Callable[[], Any] = load_nvml
    machine: str = field(default_factory=platform.machine)
    page_size: int = field(default_factory=page_size)

    def text(self, path: str) -> str | None:
        """The file's text; None when there is no reading."""
        try:
            return as_text(self.read(self.root / path))
        except OSError:
            return None

    def integer(self, path: str) -> int | None:
        return as_int(self.text(path))

    def strings(self, path: str) -> tuple[str, ...]:
        """A device-tree list: strings that end in NUL."""
        try:
            data = self.read(self.root / path)
        except OSError:
            return ()
        return tuple(part.decode("utf-8", "replace") for part in data.split(b"\0") if part.strip())

    def find(self, pattern: str) -> tuple[str, ...]:
        """Paths that match, ``hwmon2`` before ``hwmon10``; a folder nobody may list is empty."""
        try:
            found = [str(path.relative_to(self.root)) for path in self.root.glob(pattern)]
        except OSError:
            return ()
        return tuple(sorted(found, key=lambda path: (len(path), path)))

    def exists(self, path: str) -> bool:
        return os.path.lexists(self.root / path)
