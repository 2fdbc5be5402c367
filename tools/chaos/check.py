"""What must hold when all is at rest, checked on the files as a user finds them."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_matting.core.clock import SystemClock
from edge_matting.core.logs import shown
from edge_matting.core.states import JobState
from edge_matting.ledger import Ledger
from tools.chaos.photos import Drop

REPORT = ".error.json"


def broken_invariants(hot: Path, ledger: Path, drops: Sequence[Drop]) -> list[str]:
    """Every broken invariant in a sentence; empty when nothing was lost."""
    healthy, malformed = _by_bytes(drops, healthy=True), _by_bytes(drops, healthy=False)
    return [
        *_left_behind(hot),
        *_exactly_once("done/", _digests(hot / "done"), healthy),
        *_exactly_once("failed/", _digests(hot / "failed"), malformed),
        *_results(hot, healthy),
        *_reports(hot / "failed"),
        *_ledger(ledger),
    ]


def charged(hot: Path) -> int:
    """Healthy photos that an attempt was counted against, though only their engine died."""
    sidecars = [path for root in ("out", "review") for path in (hot / root).rglob("*.json")]
    return sum(json.loads(path.read_bytes())["attempts"] > 1 for path in sidecars)


def _left_behind(hot: Path) -> Iterator[str]:
    yield from (f"in/ still holds {shown(path.name)}" for path in _files(hot / "in"))
    for path in hot.rglob(".edge-matting-*"):
        yield f"a temporary is left: {shown(path)}"


def _by_bytes(drops: Sequence[Drop], *, healthy: bool) -> dict[str, list[Drop]]:
    """The drops by the digest of what is in them; the same bytes may be dropped again."""
    found: dict[str, list[Drop]] = {}
    for drop in drops:
        if drop.healthy == healthy:
            found.setdefault(drop.sha256, []).append(drop)
    return found


def _exactly_once(where: str, found: Counter[str], wanted: dict[str, list[Drop]]) -> Iterator[str]:
    """Each drop once: bytes that were dropped three times lie there three times."""
    for sha256, drops in wanted.items():
        if found[sha256] != len(drops):
            again = f", dropped {len(drops)} times," if len(drops) > 1 else ""
            yield f"{shown(drops[0].path)}{again} is {found[sha256]} times in {where}"
    strangers = sum(number for sha256, number in found.items() if sha256 not in wanted)
    if strangers:
        yield f"{where} holds {strangers} files that do not belong there"


def _digests(folder: Path) -> Counter[str]:
    return Counter(_sha256(path) for path in _files(folder) if not path.name.endswith(REPORT))


def _results(hot: Path, wanted: dict[str, list[Drop]]) -> Iterator[str]:
    sources: Counter[str] = Counter()
    for root in (hot / "out", hot / "review"):
        claimed = set()
        for path in _files(root):
            if path.suffix == ".json":
                sidecar = json.loads(path.read_bytes())
                sources[sidecar["source_sha256"]] += 1
                claimed |= {os.fspath(root / output["file"]) for output in sidecar["outputs"]}
                yield from _outputs(root, path, sidecar)
        for path in _files(root):
            if path.suffix != ".json" and os.fspath(path) not in claimed:
                yield f"{shown(path)} has no sidecar"
    yield from _exactly_once("out/ and review/", sources, wanted)


def _outputs(root: Path, path: Path, sidecar: dict[str, Any]) -> Iterator[str]:
    if not sidecar["outputs"]:
        yield f"{shown(path)} names no outputs"
    for output in sidecar["outputs"]:
        file = root / output["file"]
        if not file.is_file():
            yield f"{shown(file)} is missing, its sidecar is there"
        elif _sha256(file) != output["sha256"]:
            yield f"{shown(file)} does not match its sidecar"
        elif _size(file) != tuple(sidecar["source_size"]):
            yield f"{shown(file)} does not decode to {sidecar['source_size']}"


def _size(path: Path) -> tuple[int, int] | None:
    """Width and height after decoding every pixel."""
    image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    return None if image is None else (image.shape[1], image.shape[0])


def _reports(failed: Path) -> Iterator[str]:
    names = {os.fspath(path) for path in _files(failed)}
    reports = {name for name in names if name.endswith(REPORT)}
    for name in sorted(names - reports):
        report = name + REPORT
        if report not in reports:
            yield f"{shown(name)} has no report"
        elif not json.loads(Path(report).read_bytes())["code"]:
            yield f"{shown(report)} gives no reason"
    for report in sorted(reports):
        if report.removesuffix(REPORT) not in names:
            yield f"{shown(report)} reports a file that is not there"


def _ledger(path: Path) -> Iterator[str]:
    with Ledger.open(path, clock=SystemClock(), max_attempts=3) as ledger:
        yield from (f"ledger: {line}" for line in ledger.check())
        counts = ledger.counts()
        for state in (JobState.RUNNING, JobState.PENDING):
            if counts.get(state, 0):
                yield f"ledger: {counts[state]} jobs are still {state.value}"
        waiting = len(ledger.misplaced(1000))
        if waiting:
            yield f"ledger: {waiting} originals were not put away"


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
