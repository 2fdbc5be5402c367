"""What file systems do not do: tell what other machines write, number files for good."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from edge_matting.core.reasons import Reason

_REMOTE: Final = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "ceph", "lustre", "glusterfs"),
        *("9p", "vboxsf", "vmhgfs", "prl_fs", "virtiofs", "drvfs", "fuse"),
    }
)
_UNSTABLE: Final = frozenset(
    {
        *("fuse", "fuseblk", "exfat", "vfat", "msdos"),
        *("9p", "vboxsf", "vmhgfs", "prl_fs", "drvfs"),
    }
)
"""Inodes are made up when a file is looked at, and another the next time."""

_ESCAPE: Final = re.compile(r"\\([0-7]{3})")


def needs_polling(path: Path, root: Path = Path("/")) -> Reason | None:
    """Why ``path`` must be polled, or None where native events can be trusted.

    ``root`` holds ``proc/self/mountinfo``. Without it nothing is known, and the watcher's
    self-test decides.
    """
    kind = _kind(path, root)
    if kind in _REMOTE or (kind or "").startswith("fuse."):
        return Reason("watch_remote", path=str(path), kind=str(kind))
    return None


def has_stable_inodes(path: Path, root: Path = Path("/")) -> bool:
    """Whether a file below ``path`` that has another inode is another file."""
    kind = _kind(path, root) or ""
    return kind not in _UNSTABLE and not kind.startswith("fuse.")


def _kind(path: Path, root: Path) -> str | None:
    try:
        text = (root / "proc/self/mountinfo").read_text("utf-8", "surrogateescape")
    except OSError:
        return None
    return _file_system(Path(os.path.realpath(path)), text)


def _file_system(path: Path, mountinfo: str) -> str | None:
    """The type of the file system mounted deepest above ``path``; the later mount wins."""
    best, kind = -1, None
    for line in mountinfo.splitlines():
        before, dash, after = line.partition(" - ")
        fields = before.split(" ")
        if not dash or len(fields) < 5:
            continue
        point = Path(_unescape(fields[4]))
        if len(point.parts) >= best and (point == path or point in path.parents):
            best, kind = len(point.parts), after.split(" ")[0]
    return kind


def _unescape(field: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), field)
