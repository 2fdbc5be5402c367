"""Every bad file ends in failed/ with a reason or validly in out/, and costs nothing else."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
from corpus import Specimen, corpus, healthy
from harness import RunningAppliance, files

SEED = 20260722
WARM_UP = 54

LIMITS = {"min_free_mb": 1, "max_attempts": 1}
INTAKE = {"settle_seconds": 0.2, "rescan_seconds": 2.0}


def test_the_corpus_is_the_same_for_a_seed_and_has_more_than_500_different_files():
    first, second = corpus(1), corpus(1)
    assert first == second
    assert len({specimen.name for specimen in first}) == len(first)
    assert len({hashlib.sha256(specimen.data).digest() for specimen in first}) == len(first)
    assert len(first) >= 500


def test_the_corpus_ends_where_it_must_and_leaves_no_trace_in_memory(appliance):
    box = appliance(limits=LIMITS, intake=INTAKE).start()
    # Readers of rare formats are loaded when they are first needed, so each kind comes once before.
    rare = [replace(each, name=f"before/{each.name}") for each in corpus(SEED + 1)]
    warm_up = [*healthy(WARM_UP, SEED), *rare]
    settle(box, warm_up, 0)
    before, engine = memory(box), box.engine_pid()
    lines_before = len(box.log().splitlines())
    specimens = corpus(SEED)
    settle(box, specimens, len(warm_up))
    after = memory(box)
    results = results_by_source(box)
    places = Counter(place_of(box, specimen, results) for specimen in specimens)
    lines = len(box.log().splitlines()) - lines_before
    print(f"corpus: {dict(places)}; MB before {before}, after {after}; {lines} log lines")
    assert box.status()["engine"]["restarts"] == 0
    assert box.engine_pid() == engine
    assert "Traceback" not in box.log()
    assert "internal" not in box.log()
    assert files(box.inbox) == []
    assert lines <= 2 * len(specimens)
    for process, megabytes in after.items():
        assert megabytes <= before[process] * 1.1, (before, after)
    assert box.stop() == 0
    assert box.check() == []


def settle(box: RunningAppliance, specimens: list[Specimen], finished: int) -> None:
    """Drop them all and wait until every one has its place."""
    for specimen in specimens:
        box.drop(specimen.name, specimen.data)
    box.wait_finished(finished + len(specimens), seconds=600)


def memory(box: RunningAppliance) -> dict[str, float]:
    """Resident megabytes of both processes."""
    assert box.process is not None
    pids = {"daemon": box.process.pid, "engine": box.engine_pid()}
    return {
        name: round(psutil.Process(pid).memory_info().rss / 1e6, 1) for name, pid in pids.items()
    }


def place_of(box: RunningAppliance, specimen: Specimen, results: dict[str, Any]) -> str:
    """Where the specimen ended; asserts that it did so rightly."""
    failed = box.failed / specimen.name
    if failed.exists():
        assert failed.read_bytes() == specimen.data
        assert specimen.name not in results
        report = json.loads(Path(f"{failed}.error.json").read_bytes())
        assert specimen.name in report["message"]
        assert specimen.expected != "done", report
        return str(report["code"])
    assert (box.done / specimen.name).read_bytes() == specimen.data
    assert specimen.expected != "failed", specimen.name
    sidecar = results[specimen.name]
    assert sidecar["source_sha256"] == hashlib.sha256(specimen.data).hexdigest()
    return str(sidecar["quality"]["verdict"])


def results_by_source(box: RunningAppliance) -> dict[str, Any]:
    """Every sidecar, its output decoded and compared; no source may have two."""
    found: dict[str, Any] = {}
    for root in (box.outbox, box.review):
        for path in root.rglob("*.json"):
            sidecar = json.loads(path.read_bytes())
            assert sidecar["source"] not in found
            found[sidecar["source"]] = sidecar
            (output,) = sidecar["outputs"]
            data = (root / output["file"]).read_bytes()
            assert hashlib.sha256(data).hexdigest() == output["sha256"]
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
            assert [pixels.shape[1], pixels.shape[0]] == sidecar["source_size"]
    return found
