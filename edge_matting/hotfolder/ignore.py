"""Names that are nobody's photo: partial uploads and the litter of file managers.

Everything else that is a regular file is taken, whatever its extension: a text file called
``a.jpg`` ends in ``failed/`` with a reason instead of lying in ``in/`` for ever.
"""

from __future__ import annotations

from typing import Final

_NAMES: Final = frozenset(
    {
        "thumbs.db",  # Windows
        "desktop.ini",
        "$recycle.bin",
        "system volume information",
        "__macosx",  # macOS, inside archives
        "@eadir",  # NAS
        "#recycle",
    }
)
_PREFIXES: Final = (
    ".",  # AppleDouble, .DS_Store, rsync's .name.XXXXXX, .nfs*, .fuse_hidden*, our own temporaries
    "~$",  # Office
    "~syncthing~",
)
_SUFFIXES: Final = (
    "~",  # editors
    ".part",  # browsers, FTP clients
    ".partial",
    ".crdownload",
    ".download",
    ".filepart",  # WinSCP
    ".tmp",
    ".swp",
)


def is_ignored(name: str) -> bool:
    """Whether a file or folder of this name (one path component) is left alone."""
    folded = name.lower()
    return folded in _NAMES or folded.startswith(_PREFIXES) or folded.endswith(_SUFFIXES)


def is_ignored_path(path: str) -> bool:
    """Whether any component of a path relative to ``in/`` is ignored."""
    return any(map(is_ignored, path.split("/")))
