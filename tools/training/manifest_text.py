"""Changes to a shipped manifest as text, which keep its comments and its order."""

from __future__ import annotations

import re
from pathlib import Path

from edge_matting.core.durable import durable_write


def put_behind(path: Path, key: str, block: str, old: str) -> None:
    """Put ``block`` behind the line of ``key``, in place of what the pattern ``old`` matches.

    Lines begin where ``^`` does. The file is written whole or not at all; SystemExit where it has
    no such line.
    """
    text = re.sub(old, "", path.read_text(), flags=re.MULTILINE)
    line = rf"^{key}: .*\n"
    text, count = re.subn(line, lambda m: m[0] + block, text, count=1, flags=re.MULTILINE)
    if count == 0:
        raise SystemExit(f"{path}: has no line `{key}: ...`")
    durable_write(path, text.encode())
