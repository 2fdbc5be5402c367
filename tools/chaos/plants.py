"""What a member of the drop group leaves about: all of it is there afterwards, as it was.

Foreign files where results and reports will go, links to the appliance's own files, a FIFO, and a
tree too deep to be looked into.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_matting.core.logs import shown
from tools.chaos.photos import Drop

NAME = "planted"
FOREIGN_SHARE = 8
"""Every so manieth photo finds a foreign file under the name of its result."""

DEPTH = 150


@dataclass(frozen=True, slots=True)
class Plant:
    """One thing that must still be there; ``content`` of a file, where a link leads, or None."""

    path: Path
    content: bytes | None

    def is_there(self) -> bool:
        try:
            mode = self.path.lstat().st_mode
        except OSError:
            return False
        if stat.S_ISLNK(mode):
            return os.fsencode(self.path.readlink()) == self.content
        return self.content is None or self.path.read_bytes() == self.content


def plant(hot: Path, state_dir: Path, drops: Sequence[Drop]) -> list[Plant]:
    """Leave everything about before the first photo comes."""
    plants = [
        _link(hot / "in" / f"{NAME}-folder", state_dir),
        _link(hot / "in" / f"{NAME}.jpg", state_dir / "ledger.sqlite"),
        _link(hot / "out" / f"{NAME}-folder", state_dir),
        _link(hot / "failed" / f"{NAME}-folder", state_dir),
    ]
    os.mkfifo(hot / "in" / f"{NAME}.fifo")
    (hot / "in" / f"{NAME}-deep" / "/".join("d" * DEPTH)).mkdir(parents=True)
    plants += [
        Plant(hot / "in" / f"{NAME}.fifo", None),
        Plant(hot / "in" / f"{NAME}-deep", None),
    ]
    for number, drop in enumerate(drops[::FOREIGN_SHARE]):
        stem = drop.path.rpartition(".")[0]
        if drop.healthy:
            plants.append(_file(hot / "out" / f"{stem}.{('png', 'json')[number % 2]}"))
        else:
            plants.append(_file(hot / "failed" / f"{drop.path}.error.json"))
    return plants


def uproot(plants: Sequence[Plant], state_dir: Path, drops: Sequence[Drop]) -> Iterator[str]:
    """Name what is not as it was, and clear all of it away."""
    for one in plants:
        if not one.is_there():
            yield f"{shown(one.path)} was planted, and is gone or another thing now"
        if one.path.is_dir() and not one.path.is_symlink():
            shutil.rmtree(one.path)
        else:
            one.path.unlink(missing_ok=True)
    names = {drop.path.rpartition("/")[2] for drop in drops}
    for path in state_dir.rglob("*"):
        if path.name in names:
            yield f"{shown(path)}: a photo among the appliance's own files"


def _link(path: Path, target: Path) -> Plant:
    path.symlink_to(target)
    return Plant(path, os.fsencode(target))


def _file(path: Path) -> Plant:
    content = f"planted: {path.name!a}".encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return Plant(path, content)
