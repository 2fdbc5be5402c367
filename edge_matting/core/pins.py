"""Which folders a hot folder's parts were at the start, and when another one may take a place.

Who may drop photos may perhaps also rename the folders themselves. So device and inode of each
are kept from the start, and a folder is worked in only while it is that one, or while somebody
who is trusted (root, the service's user, the owner of the hot folder) has put another in its
place: a folder made again, a file system mounted again. A link is followed only where it was
one at the start, of a trusted owner, and still leads to the same folder.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_matting.core.beneath import FOLDER_PATH
from edge_matting.core.errors import FolderUnavailable


@dataclass(frozen=True, slots=True)
class Pin:
    """A folder as it was at the start."""

    path: str  # absolute
    device: int
    inode: int

    def is_still(self, status: os.stat_result) -> bool:
        return (status.st_dev, status.st_ino) == (self.device, self.inode)


def take_pins(paths: Iterable[Path]) -> tuple[Pin, ...]:
    """The folders that are there now; raises ``FolderUnavailable`` for a stranger's link."""
    pins = []
    for path in paths:
        try:
            itself, status = path.lstat(), path.stat()
        except OSError:
            continue  # not mounted or not made yet: judged when it comes
        if stat.S_ISLNK(itself.st_mode) and itself.st_uid not in {0, os.geteuid()}:
            raise FolderUnavailable(
                f"{path} is a link made by user {itself.st_uid}",
                hint="remove it; only root or the service's user may make such a link",
            )
        pins.append(Pin(str(path), status.st_dev, status.st_ino))
    return tuple(pins)


def open_pinned(path: Path, root: Path, pins: Sequence[Pin]) -> int:
    """Open the folder ``path`` of the hot folder ``root``; ``FolderUnavailable`` for another one.

    Raises ``OSError`` where it cannot be opened at all.
    """
    pin = next((one for one in pins if one.path == str(path)), None)
    try:
        descriptor = os.open(path, FOLDER_PATH | os.O_NOFOLLOW)
        linked = False
    except OSError:
        if not path.is_symlink():
            raise
        descriptor = os.open(path, FOLDER_PATH)
        linked = True
    try:
        status = os.fstat(descriptor)
        if not (pin is not None and pin.is_still(status)):
            _check_another(path, root, pins, status, linked=linked)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_another(
    path: Path, root: Path, pins: Sequence[Pin], status: os.stat_result, *, linked: bool
) -> None:
    advice = "put back the one that was there, or look at it and restart the service"
    if linked:
        raise FolderUnavailable(f"{path} has become a link since the start", hint=advice)
    others = [pin.path for pin in pins if pin.path != str(path) and pin.is_still(status)]
    if others:
        raise FolderUnavailable(f"{path} is now what {others[0]} was", hint=advice)
    above = path.parent.stat()
    mounted = status.st_dev != above.st_dev  # mounting is for root alone
    owners = {0, os.geteuid(), _owner(root)}
    if not mounted and status.st_uid not in owners:
        raise FolderUnavailable(
            f"{path} was replaced by a folder of user {status.st_uid}", hint=advice
        )


def _owner(root: Path) -> int:
    try:
        return root.stat().st_uid
    except OSError:
        return 0
