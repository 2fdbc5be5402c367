"""The lower bounds of the installed package as pip's constraints: the oldest versions allowed.

    python tools/lower_bounds.py cpu > build/constraints-lower.txt

What pip has read of setup.py is asked, so that what is pinned is what users get.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata

PROJECT = "edge-matting"
BOUND = re.compile(r"(?P<name>[\w.-]+)(?:\[.*\])?>=(?P<least>[\w.]+)[^;]*(?P<marker>;.*)?")
EXTRA = re.compile(r"""extra == ["'](\w+)["']""")


def pins(requirements: Iterable[str], extras: Iterable[str]) -> Iterator[str]:
    """``name==version`` for each requirement that is wanted; ``ValueError`` for one unbounded."""
    for line in requirements:
        extra = EXTRA.search(line)
        if extra is not None and extra[1] not in set(extras):
            continue
        found = BOUND.fullmatch(line.replace(" >=", ">=").replace("(", "").replace(")", ""))
        if found is None:
            raise ValueError(f"no lower bound: {line}")
        yield f"{found['name']}=={found['least']}"


if __name__ == "__main__":
    sys.stdout.writelines(
        f"{pin}\n" for pin in pins(metadata.requires(PROJECT) or (), sys.argv[1:])
    )
