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
def disk_calls(  # noqa: C901  one patched call after the other
    observe: Callable[[str, Path], None] | None = None,
) -> Iterator[list[Call]]:
    """Collect the calls of the body; ``observe`` sees each, with the path, when it has been made.

    Files are named as they are called when they are synced: a temporary one by ``*``. Not seen are
    SQLite's own syncs and ``renameat2``, which is followed by syncs of its folders.
    """
    made: list[Call] = []
    inside: set[str] = set()  # calls that pathlib makes of os

    def note(call: str, path: Path) -> None:
        if call != "sync" and path.name.startswith("."):
            return  # what nobody ever sees
        made.append((call, _shown(path)))
        if observe is not None:
            observe(call, path)

    sync, rename, unlink = os.fsync, os.rename, os.unlink
    rename_path, unlink_path = Path.rename, Path.unlink

    def fsync(descriptor: int) -> None:
        sync(descriptor)
        note("sync", _opened(descriptor))

    def renamed(source: Any, target: Any, **folders: Any) -> None:
        rename(source, target, **folders)
        if "rename" not in inside:
            note("rename", _opened(folders.get("dst_dir_fd")) / os.fspath(target))

    def removed(name: Any, *, dir_fd: int | None = None) -> None:
        unlink(name, dir_fd=dir_fd)
        if "remove" not in inside:
            note("remove", _opened(dir_fd) / os.fspath(name))

    def renamed_path(self: Path, target: Path) -> Path:
        inside.add("rename")
        try:
            moved = rename_path(self, target)
        finally:
            inside.discard("rename")
        note("rename", Path(target))
        return moved

    def removed_path(self: Path, *arguments: Any, **options: Any) -> None:
        inside.add("remove")
        try:
            unlink_path(self, *arguments, **options)
        finally:
            inside.discard("remove")
        note("remove", self)

    with (
        mock.patch.object(os, "fsync", fsync),
        mock.patch.object(os, "rename", renamed),
        mock.patch.object(os, "unlink", removed),
        mock.patch.object(Path, "rename", renamed_path),
        mock.patch.object(Path, "unlink", removed_path),
    ):
        yield made


def _shown(path: Path) -> str:
    return "*" if path.name.startswith(".") else path.name


def _opened(descriptor: int | None) -> Path:
    return Path() if descriptor is None else Path(f"/proc/self/fd/{descriptor}").readlink()
