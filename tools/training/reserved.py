"""Photos of `more/` that training never sees: the validation sets are chosen from them by eye."""

from __future__ import annotations

import hashlib
from pathlib import Path

RESERVED = {"groups": 80, "snapshots": 60, "scenes_coco": 50, "objects": 60}


def order(stem: str) -> str:
    """What photos are sorted by where chance should decide, the same each time."""
    return hashlib.sha256(stem.encode()).hexdigest()


def reserved(folder: Path, group: str) -> frozenset[str]:
    """Stems of the photos of ``folder`` (of the set ``group`` of `more/`) that are held out."""
    stems = sorted((path.stem for path in folder.iterdir()), key=order)
    return frozenset(stems[: RESERVED.get(group, 0)])
