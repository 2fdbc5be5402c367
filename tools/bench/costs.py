"""What each stage of a photo costs in processor time, and the pace that this implies.

The bare loop's stages run one after the other, each timed by its thread's processor time, in two
ways by turns: alone, and with the loop at work on every other processor beside it, for processors
of one machine share caches, memory and clocks. The limit is ``processors / sum of core seconds``:
what no pipeline of these stages can pass. The ledger's share is measured on a real ledger.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from edge_matting.cache import content_digest
from edge_matting.config import HotFolder
from edge_matting.core.clock import SystemClock
from edge_matting.core.jobs import Claim, Done, Output, Place, Signature, Source
from edge_matting.core.states import JobState
from edge_matting.imaging import before_after, decode
from edge_matting.ledger import Ledger
from edge_matting.publish import dispose
from tools.bench.bare import Bare, open_bare


@dataclass(slots=True)
class Costs:
    """Milliseconds by stage; ``cpu`` of the thread, ``clock`` as it passed."""

    cpu: dict[str, list[float]] = field(default_factory=dict)
    clock: dict[str, list[float]] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begin, used = time.perf_counter(), time.thread_time()
        yield
        self.cpu.setdefault(name, []).append((time.thread_time() - used) * 1e3)
        self.clock.setdefault(name, []).append((time.perf_counter() - begin) * 1e3)

    def report(self) -> dict[str, Any]:
        """Means: the pace of many photos follows their sum, not the median photo."""
        cpu = {name: round(statistics.mean(values), 2) for name, values in self.cpu.items()}
        clock = {name: round(statistics.mean(values), 2) for name, values in self.clock.items()}
        total = sum(cpu.values())
        return {
            "cpu_ms": cpu,
            "clock_ms": clock,
            "sum_cpu_ms": round(total, 2),
            "sum_clock_ms": round(sum(clock.values()), 2),
        }


def stage_costs(
    photos: Sequence[Path], scratch: Path, config: Path, recipe: str = "cutout"
) -> dict[str, Any]:
    """Costs alone and beside, with the limits; of the daemon's own work too."""
    scratch.mkdir(parents=True, exist_ok=True)
    bare, _ = open_bare(config, recipe, scratch / "out")
    processors = len(psutil.Process().cpu_affinity())
    for photo in photos[:3]:  # what is loaded late
        bare.do(photo)
    alone, beside = Costs(), Costs()
    for photo in photos:
        bare.do(photo, alone.stage)
    with _company(bare, photos, processors - 1):
        for photo in photos:
            bare.do(photo, beside.stage)
    extra = Costs()
    _daemon_work(photos, scratch / "daemon", extra)
    report: dict[str, Any] = {"processors": processors}
    for name, costs in (("alone", alone), ("beside", beside)):
        report[name] = costs.report()
        report[name]["limit"] = round(1e3 * processors / report[name]["sum_cpu_ms"], 2)
    report["daemon"] = extra.report()
    whole = report["beside"]["sum_cpu_ms"] + report["daemon"]["sum_cpu_ms"]
    report["daemon"]["limit"] = round(1e3 * processors / whole, 2)
    return report


@contextmanager
def _company(bare: Bare, photos: Sequence[Path], threads: int) -> Iterator[None]:
    """The loop at work in other threads."""
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            for photo in photos[::-1]:
                if not done.is_set():
                    bare.do(photo)

    company = [threading.Thread(target=work) for _ in range(threads)]
    for thread in company:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in company:
            thread.join()


def _daemon_work(photos: Sequence[Path], root: Path, costs: Costs) -> None:
    """What the daemon does beside a photo: thumbnail, ledger, the original's move."""
    folder = HotFolder(path=root / "hot")
    for each in (folder.inbox, folder.done):
        each.mkdir(parents=True)
    with Ledger.open(root / "ledger.sqlite", clock=SystemClock(), max_attempts=3) as ledger:
        for photo in photos:
            _one(photo, folder, ledger, costs)


def _one(photo: Path, folder: HotFolder, ledger: Ledger, costs: Costs) -> None:
    path = folder.inbox / photo.name
    path.write_bytes(photo.read_bytes())
    source = Source(str(folder.path), photo.name, Signature.of(path.lstat()), "cutout")
    with costs.stage("ledger: enqueue"):
        ledger.enqueue([source])
    with costs.stage("ledger: claim"):
        (claim,) = ledger.claim(1)
    done = _done(photo, ledger, claim, costs)
    with costs.stage("ledger: finish"):
        job = ledger.finish(claim, done)
    assert job is not None
    with costs.stage("original to done/"):
        original = dispose(folder, job, Place.DONE)
    with costs.stage("ledger: moved"):
        ledger.moved(job, original)


def _done(photo: Path, ledger: Ledger, claim: Claim, costs: Costs) -> Done:
    data = photo.read_bytes()
    rgb = decode(data, photo.name, max_pixels=10**9).rgb
    alpha = rgb[:, :, 0] / rgb.dtype.type(255)
    with costs.stage("preview"):
        before_after(rgb, alpha.astype("float32"))
    digest = content_digest(data)
    result = example_result(digest, (rgb.shape[1], rgb.shape[0]), claim.job.stem)
    with costs.stage("ledger: look up"):
        ledger.holds(claim)
        ledger.find_result(digest, result.recipe_key, result.model_sha256)
        ledger.previous_outputs(claim.job.folder, claim.job.source, claim.job.id)
    return Done(JobState.SUCCEEDED, result)


def example_result(digest: str, size: tuple[int, int], stem: str) -> Any:
    from edge_matting.core.jobs import Execution, Quality, Result

    return Result(
        sha256=digest,
        source_size=size,
        outputs=(Output(f"{stem}.png", "cutout", "png", "0" * 64),),
        recipe_key="0" * 16,
        model_id="default",
        model_sha256="0" * 64,
        execution=Execution("ort", "cpu", "fp32", (320, 320), 1),
        cache="miss",
        quality=Quality("ok", (), 0.3, 0.01, 0.0, 0.1),
        seconds={"total": 0.1},
    )
