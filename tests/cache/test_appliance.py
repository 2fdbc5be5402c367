"""The cache in the running appliance: across engines, a lost ledger, and re-exports."""

from __future__ import annotations

import json

import cv2
from harness import PHOTO

from edge_matting.cache import MatteCache
from tools.waiting import wait_for


def reencoded(quality: int) -> bytes:
    pixels = cv2.imread(str(PHOTO))
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def test_mattes_outlive_the_engine_and_results_outlive_the_ledger(appliance):
    box = appliance().start()
    box.drop("first.jpg")
    box.wait_finished(1)
    box.kill_engine()
    wait_for(lambda: box.readiness() == [], "a new engine")
    box.drop("saved again.jpg", reencoded(85))
    box.wait_finished(2)
    found = wait_for(
        lambda: (box.status() or {}).get("cache", {}).get("disk_bytes") and box.status(),
        "the size of the cache",
    )
    assert found["cache"]["entries"] == 1
    assert found["cache"]["problem"] is None
    assert box.stop() == 0

    for path in box.state_dir.glob("ledger.sqlite*"):
        path.unlink()
    box.start()
    box.drop("new name.jpg")
    box.wait_finished(1)
    assert box.stop() == 0
    said = {
        path.stem: json.loads(path.read_bytes())
        for path in box.outbox.glob("*.json")
    }  # fmt: skip
    assert {stem: sidecar["cache"] for stem, sidecar in said.items()} == {
        "first": "miss",
        "saved again": "perceptual",
        "new name": "exact",
    }
    assert said["saved again"]["cache_evidence"]["difference"] <= 7
    assert (box.outbox / "new name.png").read_bytes() == (box.outbox / "first.png").read_bytes()
    cache = MatteCache(box.state_dir / "cache", memory_bytes=0, disk_bytes=10**9)
    assert cache.check() == []
