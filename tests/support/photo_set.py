"""A small prepared training set, for tests of the training tools."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np


def make_photo_set(work: Path) -> None:
    """Photos with masks, both sides of the split; things and scenes only on the held-out side."""
    from tools.training.store import CHECKED, PHOTOS

    rng = np.random.default_rng(5)
    photos = [(g, f"{n:04d}", 7, n > 1) for g in PHOTOS for n in range(4)]
    others = [(CHECKED, "0002", 7, True), ("objects", "a_cup_00", 4, True)]
    others += [("backgrounds", name, 3, True) for name in ("scene", "shelf_00")]
    items: list[dict[str, object]] = []
    (work / "set").mkdir()
    with (work / "set" / "pixels.bin").open("wb") as out:
        for group, name, channels, validation in (*photos, *others):
            pixels = rng.integers(0, 90, (96, 80, channels)).astype(np.uint8)
            pixels[30:80, 20:60, :3] |= 128
            pixels[..., 3:4] = 0
            pixels[30:80, 20:60, 3:4] = 200
            place = {"name": name, "shape": pixels.shape, "offset": out.tell()}
            items.append({"group": group, "validation": validation, "soft": True, **place})
            out.write(pixels.tobytes())
    (work / "set" / "index.json").write_text(json.dumps(items))
