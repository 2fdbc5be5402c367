"""Cases 16 to 21, faults around the ledger and the engine, each against the real processes."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_model import MANIFEST, FakeSession
from fakes import QuietReporter
from harness import PHOTO, RunningAppliance, files

from edge_matting.config import Settings
from edge_matting.config.settings import HotFolder
from edge_matting.core.clock import SystemClock
from edge_matting.core.jobs import Claim, Job, Place, Signature, Source
from edge_matting.core.states import JobState
from edge_matting.engine.factory import load_tools, plan_for
from edge_matting.engine.jobs.hotfolder_source import HotFolderSource
from edge_matting.engine.models.pool import ModelPool
from edge_matting.engine.worker import EngineHooks, Supply, Worker
from edge_matting.hotfolder.layout import prepare
from edge_matting.ledger import Ledger
from edge_matting.pipeline import PixelBudget, Tools
from edge_matting.runtimes import Session
from edge_matting.runtimes.session import SessionInfo, Tensor
from tools.waiting import wait_for

WHOLE = PHOTO.read_bytes()

BROKEN_DECODER = '''
"""Stands for a decoder with a native fault: in the engine, some photos crash or block it."""
import ctypes
import sys

if "edge_matting.engine" in sys.orig_argv:
    import simplejpeg

    sound = simplejpeg.decode_jpeg

    def decode_jpeg(data, *arguments, **options):
        if data.endswith(b"CRASH"):
            ctypes.string_at(0)  # a segmentation fault
        if data.endswith(b"BLOCK"):
            ctypes.PyDLL(None).sleep(3600)  # holds the interpreter's lock: nothing else runs
        if data.endswith(b"WAIT"):
            ctypes.CDLL(None).sleep(3600)
        return sound(data, *arguments, **options)

    simplejpeg.decode_jpeg = decode_jpeg
'''


@pytest.fixture
def broken_decoder(tmp_path: Path) -> dict[str, str]:
    """Environment in which the engine's JPEG decoder has faults."""
    return customized(tmp_path, BROKEN_DECODER)


def customized(folder: Path, script: str) -> dict[str, str]:
    """Environment in which every Python process runs ``script`` first."""
    site = folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(script)
    here = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return {"PYTHONPATH": os.pathsep.join([os.fspath(site), *filter(None, here)])}


def replace_text(path: Path, text: str) -> None:
    """Never read half-written."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


def version(number: int | str) -> bytes:
    """The photo with other bytes: what follows the end of a JPEG is not looked at."""
    return WHOLE + str(number).encode()


def noise(side: int) -> bytes:
    """A photo whose cut-out takes megabytes."""
    pixels = np.random.default_rng(1).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 60])[1].tobytes()


def by_name(box: RunningAppliance) -> dict[str, Job]:
    return {job.source: job for job in box.jobs()}


def assert_each_once(box: RunningAppliance, number: int) -> None:
    """Every photo is done once, whole, and nobody was charged for what was not its fault."""
    jobs = box.jobs()
    assert len(jobs) == number
    assert {job.state for job in jobs} == {JobState.SUCCEEDED}
    assert {job.attempts for job in jobs} == {1}
    assert len(files(box.done)) == number
    assert files(box.inbox) == []
    sidecars = box.sidecars()
    assert len(sidecars) == number
    assert len(files(box.outbox)) == 2 * number
    for sidecar in sidecars:
        (output,) = sidecar["outputs"]
        data = (box.outbox / output["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == output["sha256"]
    hidden = [path for path in box.folder.rglob(".*") if path.is_file()]
    assert hidden == []
    assert box.check() == []


@contextmanager
def small_disk(folder: Path, megabytes: float) -> Iterator[None]:
    """A file system of that size at ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={int(megabytes * 1024)}k"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", os.fspath(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path, leave: int = 0) -> Path:
    """Fill the disk of ``folder`` but for ``leave`` bytes; the file to remove again."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
        file.truncate(max(0, file.tell() - leave))
    return filler


def wait_unready(box: RunningAppliance, *words: str) -> None:
    """Wait until /readyz gives a reason with all these words in it."""
    wait_for(
        lambda: [why for why in box.readiness() or () if all(word in why for word in words)],
        f"reason with {words}",
    )


def test_kill_9_of_either_process_at_any_moment_loses_nothing(appliance):
    """CASES 16."""
    chance = random.Random(16)
    box = appliance().start()
    number = 20
    for index in range(number):
        box.drop(f"{index}.jpg", version(index))
    for _ in range(6):
        time.sleep(chance.uniform(0.0, 1.5))
        if chance.random() < 0.5:
            assert box.process is not None
            pid = ((box.status() or {}).get("engine") or {}).get("pid")
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
        else:
            box.kill()
            box.start(ready=False)
    box.wait_finished(number, 120)
    assert_each_once(box, number)


CALL = re.compile(r"^(\d+) +(\w+)\((.*)\) += (\d+)")


def traced_calls(trace: Path) -> list[tuple[str, str, str]]:
    """(thread, call, arguments) of every call that succeeded, in the order of their ends."""
    begun: dict[str, str] = {}
    calls = []
    for line in trace.read_text("utf-8", "replace").splitlines():
        thread, _, rest = line.partition(" ")
        rest = rest.strip()
        if rest.endswith("<unfinished ...>"):
            begun[thread] = rest.removesuffix("<unfinished ...>")
            continue
        if rest.startswith("<... "):
            rest = begun.pop(thread, "") + rest.partition("resumed>")[2]
        match = CALL.match(f"{thread} {rest}")
        if match is not None:
            calls.append((match[1], match[2], match[3]))
    return calls


def test_everything_is_synced_before_the_source_leaves_the_inbox(appliance):
    """CASES 16: a power cut, which the page cache does not survive."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    box = appliance()
    trace = box.root / "trace"
    wanted = "trace=write,pwrite64,fsync,fdatasync,rename,renameat,renameat2"
    # -D: strace is a grandchild, so that signals reach the appliance itself
    box.start(under=["strace", "-D", "-f", "-y", "-s", "0", "-e", wanted, "-o", os.fspath(trace)])
    box.drop("a.jpg")
    box.wait_finished(1)
    assert box.stop() == 0

    calls = traced_calls(trace)
    moved = position(calls, 0, "renameat2", f'{box.inbox}>, "a.jpg"', f'{box.done}>, "a.jpg"')
    calls = [call for call in calls[: moved + 1] if call[0] == calls[moved][0]]  # one thread's
    here = 0
    for name in ("a.png", "a.json"):
        published = position(calls, here, "renameat2", f'{box.outbox}>, "{name}"')
        temporary = box.outbox / calls[published][2].split('"')[1]
        here = position(calls, here, "write", f"{temporary}>")
        here = position(calls, here, "fsync", f"{temporary}>")
        assert here < published
        here = position(calls, published, "fsync", f"{box.outbox}>")
    wal = f"{box.state_dir}/ledger.sqlite-wal>"
    here = position(calls, here, "pwrite64", wal)
    here = position(calls, here, "fdatasync" if synced_by(calls, "fdatasync") else "fsync", wal)
    assert here < len(calls) - 1


def synced_by(calls: list[tuple[str, str, str]], call: str) -> bool:
    return any(name == call and "ledger.sqlite-wal>" in text for _, name, text in calls)


def position(calls: list[tuple[str, str, str]], start: int, name: str, *parts: str) -> int:
    """Where the next such call with all parts in its arguments stands."""
    for index in range(start, len(calls)):
        _, call, arguments = calls[index]
        if call == name and all(part in arguments for part in parts):
            return index
    raise AssertionError(f"no {name} of {parts} after {start} in {calls}")


def test_a_full_hot_folder_is_reported_loses_nothing_and_goes_on(appliance):
    """CASES 17: in the middle of an output."""
    large = {"outputs": [{"kind": "cutout"}, {"kind": "foreground"}], "foreground": False}
    box = appliance(recipes={"cutout": {}, "large": large})
    with small_disk(box.folder, 24):
        box.start()
        box.drop("before.jpg", version("before"))
        box.wait_finished(1)

        # Intake pauses before the disk is full.
        filler = fill(box.folder, leave=900_000)
        wait_unready(box, f"{box.folder}/", "limits.min_free_mb")
        for index in range(3):
            box.drop(f"{index}.jpg", version(index))
        time.sleep(2.5)
        assert box.counts()["succeeded"] == 1
        filler.unlink()
        assert box.wait_finished(4)["succeeded"] == 4
        assert box.readiness() == []

        # An output larger than the room left: it fails half-way, and says so.
        filler = fill(box.folder, leave=4_000_000)
        box.drop("large/photo.jpg", noise(1600))
        wait_unready(box, "cannot write", f"{box.review}/large")
        (job,) = box.jobs("large/")
        assert (job.code, job.attempts) == ("disk_full", 0)
        assert not [path for path in box.folder.rglob(".edge-matting-*") if path.is_file()]
        assert not list(box.folder.rglob("photo.json"))
        filler.unlink()
        counts = box.wait_finished(5, 120)
        assert counts["succeeded"] + counts["review"] == 5
        assert {job.attempts for job in box.jobs()} == {1}
        assert len(files(box.done)) == 5
        wait_for(lambda: box.readiness() == [], "readiness")
        assert box.stop() == 0


def test_a_full_state_folder_is_reported_loses_nothing_and_goes_on(appliance):
    """CASES 17: in the middle of the ledger and of the log."""
    box = appliance()
    number = 10
    with small_disk(box.state_dir, 8):
        box.log_path = box.state_dir / "log.txt"
        box.write_config(limits={"min_free_mb": 0})
        box.start()
        filler = fill(box.state_dir)
        for index in range(number):
            box.drop(f"{index}.jpg", version(index))
        wait_unready(box, f"{box.state_dir}/ledger", "full")
        assert box.get("/healthz")[0] == 200
        filler.unlink()
        wait_for(lambda: len(files(box.done)) > 2, "first results")
        filler = fill(box.state_dir)
        wait_unready(box, f"{box.state_dir}/ledger", "full")
        time.sleep(1)
        assert box.alive()
        assert files(box.failed) == []
        filler.unlink()
        box.wait_finished(number)
        wait_for(lambda: box.readiness() == [], "readiness")
        assert_each_once(box, number)

        # With a limit it pauses before the ledger has no room.
        box.write_config(limits={"min_free_mb": 2})
        assert box.process is not None
        box.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "configuration reloaded" in box.log(), "new limits")
        filler = fill(box.state_dir, leave=1_000_000)
        wait_unready(box, f"{box.state_dir} ", "limits.min_free_mb")
        filler.unlink()
        wait_for(lambda: box.readiness() == [], "readiness")
        assert box.stop() == 0


class StolenSession:
    """A session during whose run the photo is taken away and given to another engine."""

    def __init__(self, real: Session, steal: Callable[[], None]) -> None:
        self._real = real
        self._steal = steal

    def run(self, batch: Tensor) -> Tensor:
        self._steal()
        return self._real.run(batch)

    def warm(self) -> None:
        self._real.warm()

    def describe(self) -> SessionInfo:
        return self._real.describe()

    def close(self) -> None:
        self._real.close()


def worker_of(ledger: Ledger, settings: Settings, tools: Tools | None) -> Worker:
    """A worker as the engine makes it, with these tools."""
    source = HotFolderSource(ledger, settings, SystemClock())
    supply = Supply(source, source, ModelPool(lambda _: tools), settings.model)
    hooks = EngineHooks(lambda: False, lambda _: None, lambda _: None)
    return Worker(supply, QuietReporter(), hooks)


def claimed(ledger: Ledger, folder: HotFolder) -> Claim:
    """A photo in a new hot folder, taken in and claimed."""
    prepare(folder)
    photo = folder.inbox / "a.jpg"
    photo.write_bytes(WHOLE)
    ledger.enqueue([Source(str(folder.path), "a.jpg", Signature.of(photo.lstat()), "cutout")])
    (claim,) = ledger.claim(1)
    return claim


def test_a_photo_whose_whole_folder_went_away_under_the_worker_is_not_failed(tmp_path):
    """CASES 13: the unmount comes between the claim and the first read."""
    folder = HotFolder(path=tmp_path / "hot")
    settings = Settings(state_dir=tmp_path, hot_folders=(folder,))
    with Ledger.open(settings.ledger_path, clock=SystemClock(), max_attempts=3) as ledger:
        claim = claimed(ledger, folder)
        folder.path.rename(tmp_path / "away")
        tools = Tools(FakeSession(np.zeros((8, 8))), MANIFEST, PixelBudget(10**9), lambda _: None)
        worker_of(ledger, settings, tools).perform(claim, lambda: None)
        job = ledger.get(claim.job.id)
        assert job is not None
        assert (job.state, job.attempts) == (JobState.PENDING, 0)
        assert job.code == "folder_unavailable"
        assert ledger.check() == []


def test_a_worker_whose_claim_was_given_to_another_changes_nothing(tmp_path):
    """CASES 18."""
    folder = HotFolder(path=tmp_path / "hot")
    settings = Settings(state_dir=tmp_path, hot_folders=(folder,))
    settings.thumbnails_dir.mkdir()
    with Ledger.open(settings.ledger_path, clock=SystemClock(), max_attempts=3) as ledger:
        stale = claimed(ledger, folder)
        others: list[Claim] = []

        def steal() -> None:
            ledger.recover_after_engine_death(guilty=False)
            others.extend(ledger.claim(1))

        session, manifest = load_tools(settings, plan_for(settings), settings.model)
        tools = Tools(StolenSession(session, steal), manifest, PixelBudget(10**9), lambda _: None)
        worker_of(ledger, settings, tools).perform(stale, lambda: None)

        (other,) = others
        job = ledger.get(other.job.id)
        assert job is not None
        assert (job.state, job.attempts, job.original.place) == (JobState.RUNNING, 1, Place.IN)
        assert ledger.holds(other)
        assert (folder.inbox / "a.jpg").read_bytes() == WHOLE
        assert files(folder.outbox) == files(folder.done) == files(settings.thumbnails_dir) == []
        assert ledger.check() == []

        # The rightful one is not disturbed.
        tools = Tools(session, manifest, PixelBudget(10**9), lambda _: None)
        worker_of(ledger, settings, tools).perform(other, lambda: None)
        assert files(folder.outbox) == ["a.json", "a.png"]
        assert ledger.check() == []


def test_a_native_crash_ends_the_poison_alone_and_its_neighbours_are_done(
    appliance, broken_decoder
):
    """CASES 19."""
    box = appliance(limits={"min_free_mb": 1, "max_attempts": 2})
    number = 8
    for index in range(number):
        box.drop(f"{index}.jpg", version(index))
    box.drop("5 poison.jpg", WHOLE + b"CRASH")
    box.start(env=broken_decoder)
    counts = box.wait_finished(number + 1, 120)
    assert (counts["succeeded"], counts["failed"]) == (number, 1)
    poison = by_name(box)["5 poison.jpg"]
    assert (poison.code, poison.attempts, poison.alone) == ("engine_crashed", 2, True)
    assert files(box.failed) == ["5 poison.jpg", "5 poison.jpg.error.json"]
    assert "SIGSEGV" in box.log()
    assert {job.attempts for job in box.jobs() if job != poison} == {1}
    assert box.readiness() == []
    assert box.check() == []


def test_a_blocked_engine_is_replaced_while_the_page_answers(appliance, broken_decoder):
    """CASES 20."""
    box = appliance(engine={"stall_seconds": 4.0}, limits={"min_free_mb": 1, "max_attempts": 1})
    number = 4
    box.start(env=broken_decoder)
    waits: list[float] = []
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.2):
            begin = time.monotonic()
            status, _ = box.get("/healthz")
            waits.append(time.monotonic() - begin if status in (200, 503) else float("inf"))

    asking = threading.Thread(target=ask)
    asking.start()
    box.drop("block.jpg", WHOLE + b"BLOCK")
    box.drop("wait.jpg", WHOLE + b"WAIT")
    for index in range(number):
        box.drop(f"{index}.jpg", version(index))
    try:
        counts = box.wait_finished(number + 2, 120)
    finally:
        over.set()
        asking.join()
    assert (counts["succeeded"], counts["failed"]) == (number, 2)
    for name in ("block.jpg", "wait.jpg"):
        job = by_name(box)[name]
        assert (job.code, job.attempts, job.alone) == ("engine_crashed", 1, True)
    assert "without progress" in box.log()
    assert len(waits) > 20
    assert max(waits) < 5
    assert box.check() == []


def test_a_stop_is_clean_within_ten_seconds_even_with_a_blocked_engine(appliance, broken_decoder):
    """A clean stop: what is in work is finished, or goes back uncharged."""
    box = appliance().start(env=broken_decoder)
    number = 4
    for index in range(number):
        box.drop(f"{index}.jpg", version(index))
    box.drop("blocked.jpg", WHOLE + b"WAIT")
    wait_for(
        lambda: by_name(box).get("blocked.jpg") and by_name(box)["blocked.jpg"].attempts,
        "work in flight",
    )
    begin = time.monotonic()
    assert box.stop() == 0
    assert time.monotonic() - begin < 10
    assert box.counts()["running"] == 0
    assert by_name(box)["blocked.jpg"].attempts == 0
    box.start()  # with a sound decoder
    box.wait_finished(number + 1)
    assert_each_once(box, number + 1)


JUMPING_CLOCK = """
import os
import time

real = time.time
path = os.environ["CLOCK_OFFSET"]


def jumped():
    with open(path) as file:
        return real() + float(file.read())


time.time = jumped
"""


def test_a_clock_that_jumps_back_by_a_year_stops_nothing(appliance, tmp_path):
    """CASES 21."""
    # Not libfaketime: its clock_nanosleep refuses to sleep after a jump, whatever the program.
    offset, year = tmp_path / "offset", 365 * 86400.0
    offset.write_text("0")
    env = {**customized(tmp_path, JUMPING_CLOCK), "CLOCK_OFFSET": os.fspath(offset)}
    box = appliance().start(env=env)
    number = 6
    box.drop("cut.jpg", WHOLE[:20000])
    for index in range(number):
        box.drop(f"{index}.jpg", version(index))
    wait_for(lambda: box.counts()["succeeded"], "a first result")
    replace_text(offset, str(-year))
    for index in range(number, 2 * number):
        box.drop(f"{index}.jpg", version(index))
    # The truncated one has a retry that was due "in a year", seen from now.
    counts = box.wait_finished(2 * number + 1, 30)
    assert (counts["succeeded"], counts["failed"]) == (2 * number, 1)
    assert {job.attempts for job in box.jobs() if job.source != "cut.jpg"} == {1}
    ages = [time.time() - (job.finished_at or 0.0) for job in box.jobs()]
    assert max(ages) > year > min(ages)  # it did jump
    assert box.readiness() == []
    assert box.get("/api/v1/status")[0] == 200
    assert box.check() == []


def test_two_hot_folders_have_their_own_recipes(appliance):
    """Two hot folders, each with its default recipe."""
    box = appliance(
        hot_folders=[{"path": "hot"}, {"path": "shop", "recipe": "shop", "out": "shop-out"}],
        recipes={"cutout": {}, "shop": {"outputs": [{"kind": "composite", "format": "jpg"}]}},
    ).start()
    box.drop("a.jpg")
    (box.root / "shop/in/a.jpg").write_bytes(WHOLE)
    box.wait_finished(2)
    assert files(box.outbox) == ["a.json", "a.png"]
    assert files(box.root / "shop-out") == ["a.jpg", "a.json"]
    assert json.loads((box.root / "shop-out/a.json").read_text())["recipe"] == "shop"
    assert files(box.done) == files(box.root / "shop/done") == ["a.jpg"]
