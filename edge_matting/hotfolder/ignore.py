"""Names that are nobody's photo: partial uploads, litter of file managers, a photo's companions.

Everything else that is a regular file is taken, whatever its extension: a text file called
``a.jpg`` ends in ``failed/`` with a reason instead of lying in ``in/`` for ever.
"""

from __future__ import annotations

import re
from typing import Final

_NAMES: Final = frozenset(
    {
        # Windows
        "thumbs.db",
        "ehthumbs.db",
        "ehthumbs_vista.db",
        "desktop.ini",
        "$recycle.bin",
        "system volume information",
        # macOS, also over SMB and inside archives
        "__macosx",
        "icon\r",
        "network trash folder",
        "temporary items",
        "thevolumesettingsfolder",
        # NAS: thumbnails, bins and snapshots of Synology, QNAP and others
        "@eadir",
        "@recycle",
        "@recently-snapshot",
        "@sharebin",
        "@sharesnap",
        "@tmp",
        "#recycle",
        "#snapshot",
        "~snapshot",
        # Linux
        "lost+found",
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
    ".opdownload",
    ".filepart",  # WinSCP
    ".tacitpart",  # Tacit
    ".inprogress",
    ".uploading",
    ".aria2",
    ".tmp",
    ".temp",
    ".swp",
    ":zone.identifier",  # where Windows says that a file was downloaded, copied as a file
)
_COMPANIONS: Final = (
    ".xmp",  # edits and ratings, by Lightroom, darktable and others
    ".aae",  # edits by Apple Photos
    ".thm",  # a camera's thumbnail
    ".mov",  # the moving part of a Live Photo
    ".pp3",  # edits by RawTherapee
    ".dop",  # edits by DxO
    ".cos",  # edits by Capture One
)
"""Files that belong to a photo and are none: they stay where they are, and are no failures."""

_SAFE_SAVE: Final = re.compile(r"\.sb-[0-9a-f]{8}-[0-9a-z]{6}$")
"""``name.sb-1a2b3c4d-Xy12Za``: what macOS writes beside a file that it is about to replace."""


def is_ignored(name: str) -> bool:
    """Whether a file or folder of this name (one path component) is left alone."""
    folded = name.lower()
    return (
        folded in _NAMES
        or folded.startswith(_PREFIXES)
        or folded.endswith(_SUFFIXES + _COMPANIONS)
        or _SAFE_SAVE.search(folded) is not None
    )


def is_ignored_path(path: str) -> bool:
    """Whether any component of a path relative to ``in/`` is ignored."""
    return any(map(is_ignored, path.split("/")))
