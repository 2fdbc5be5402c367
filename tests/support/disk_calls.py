"""What a piece of code asks the file system to make durable, in order, without another process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

Call = tuple[str, str]
"""The call (sync, rename, remove) and the name it concerns; of a rename the new one."""


@contextmanager
def disk_calls(observe: Callable[[str, Path], None] | None = None) -> Iterator[list[Call]]:
    """Collect the calls of the body; ``observe`` sees each, with the path, when it has been made.

    Files are named as they are called when they are synced: a temporary one by ``*``. Not seen are
    SQLite's own syncs and ``renameat2``, which is followed by syncs of its folders.
    """
    made: list[Call] = []

    def note(call: str, path: Path) -> None:
        made.append((call, _shown(path)))
        if observe is not None:
            observe(call, path)

    sync, rename, unlink = os.fsync, Path.rename, Path.unlink

    def fsync(descriptor: int) -> None:
        sync(descriptor)
        note("sync", Path(f"/proc/self/fd/{descriptor}").readlink())

    def renamed(self: Path, target: Path) -> Path:
        moved = rename(self, target)
        note("rename", Path(target))
        return moved

    def removed(self: Path, *arguments: Any, **options: Any) -> None:
        unlink(self, *arguments, **options)
        note("remove", self)

    with (
        mock.patch.object(os, "fsync", fsync),
        mock.patch.object(Path, "rename", renamed),
        mock.patch.object(Path, "unlink", removed),
    ):
        yield made


def _shown(path: Path) -> str:
    return "*" if path.name.startswith(".") else path.name
