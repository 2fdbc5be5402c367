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

    A file is named as it is called when it is synced; a hidden one is ``*``. Not seen are SQLite's
    own syncs, and ``renameat2``, which is followed by syncs of its folders.
    """
    made: list[Call] = []

    def note(call: str, path: Path) -> None:
        made.append((call, _shown(path)))
        if observe is not None:
            observe(call, path)

    def watched(call: str, real: Callable[..., Any], which: int) -> Callable[..., Any]:
        def made_known(*arguments: Any, **options: Any) -> Any:
            result = real(*arguments, **options)
            note(call, Path(os.fsdecode(arguments[which])))
            return result

        return made_known

    sync = os.fsync

    def fsync(descriptor: int) -> None:
        sync(descriptor)
        note("sync", Path(f"/proc/self/fd/{descriptor}").readlink())

    with (
        mock.patch.object(os, "fsync", fsync),
        mock.patch.object(os, "rename", watched("rename", os.rename, 1)),
        mock.patch.object(os, "unlink", watched("remove", os.unlink, 0)),
    ):
        yield made


def _shown(path: Path) -> str:
    return "*" if path.name.startswith(".") else path.name
