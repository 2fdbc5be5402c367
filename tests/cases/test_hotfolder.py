"""Cases 1 to 15 that hot folders get wrong, each against the real processes."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import psutil
import pytest
from harness import PHOTO, RunningAppliance, files

from edge_matting.core.jobs import Job, Place
from edge_matting.core.states import JobState
from tools.waiting import wait_for

WHOLE = PHOTO.read_bytes()
TRUNCATED = WHOLE[: len(WHOLE) // 2]
BOTH = {"outputs": [{"kind": "cutout"}, {"kind": "alpha"}]}
RESCAN_SECONDS = 1.0
RECIPES = {"cutout": {}, "both": BOTH}


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAppliance]:
    """One running appliance; each test works in a sub-folder of its own."""
    intake = {"settle_seconds": 0.3, "rescan_seconds": RESCAN_SECONDS}
    running = RunningAppliance(tmp_path_factory.mktemp("box"), recipes=RECIPES, intake=intake)
    running.start()
    yield running
    assert running.check() == []
    assert running.stop() == 0


def version(number: int | str) -> bytes:
    """The photo with other bytes: what follows the end of a JPEG is not looked at."""
    return WHOLE + str(number).encode()


def small_jpeg(side: int) -> bytes:
    """The photo at another size; tiny ones are quick and end in review."""
    picture = cv2.resize(cv2.imread(str(PHOTO)), (side, side), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", picture)[1].tobytes()


def states(jobs: dict[str, Job]) -> set[JobState]:
    return {job.state for job in jobs.values()}


def cpu_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


@contextmanager
def unwritable(folder: Path) -> Iterator[None]:
    """Nothing in the folder can be renamed or removed, not even by root."""
    root = os.geteuid() == 0
    freeze, thaw = (["chattr", "+i"], ["chattr", "-i"]) if root else (["chmod", "555"],) * 2
    if subprocess.run([*freeze, folder], capture_output=True, check=False).returncode:
        pytest.skip("root can write everywhere, and this file system knows no chattr +i")
    try:
        yield
    finally:
        subprocess.run([*(thaw if root else ["chmod", "755"]), folder], check=True)


def test_a_truncated_jpeg_is_given_up_after_growing_delays_and_then_costs_nothing(box):
    """CASES 1."""
    box.drop("case1/cut.jpg", TRUNCATED)
    begun: dict[int, float] = {}

    def given_up() -> bool:
        jobs = box.jobs("case1/")
        if jobs:
            begun.setdefault(jobs[0].attempts, time.monotonic())
        return bool(jobs) and jobs[0].state is JobState.FAILED

    wait_for(given_up, "end of the truncated photo")
    (job,) = box.wait_resting(1, "case1/").values()
    assert (job.attempts, job.code) == (3, "truncated")
    first, second = begun[2] - begun[1], begun[3] - begun[2]
    assert first > 1.5
    assert second > first + 1.0
    assert files(box.failed / "case1") == ["cut.jpg", "cut.jpg.error.json"]
    report = json.loads((box.failed / "case1/cut.jpg.error.json").read_text())
    assert (report["code"], report["attempts"]) == ("truncated", 3)
    assert sum("case1/cut.jpg" in line for line in box.log().splitlines()) == 3

    assert box.process is not None
    pids = [box.process.pid, box.engine_pid()]
    before = [cpu_seconds(pid) for pid in pids]
    time.sleep(5)
    used = [cpu_seconds(pid) - was for pid, was in zip(pids, before, strict=True)]
    assert max(used) < 0.02 * 5, dict(zip(pids, used, strict=True))


def test_thirty_uploads_by_temporary_name_and_rename_all_arrive(box):
    """CASES 2."""
    folder = box.inbox / "case2"
    folder.mkdir()
    for number in range(30):
        # Every other name is one that no list of temporary names knows.
        temporary = folder / (f"{number}.jpg.part" if number % 2 else f".{number}.jpg.Xy12ab")
        temporary.write_bytes(WHOLE)
        if number % 3 == 0:
            time.sleep(0.05)
        temporary.rename(folder / f"{number}.jpg")
    jobs = box.wait_resting(30, "case2/")
    assert sorted(jobs) == sorted(f"case2/{number}.jpg" for number in range(30))
    assert states(jobs) == {JobState.SUCCEEDED}
    assert len(box.jobs("case2/")) == 30
    assert files(box.done / "case2") == sorted(f"{number}.jpg" for number in range(30))


def test_a_slow_writer_and_one_that_pauses_in_the_middle_give_one_result_each(box):
    """CASES 3."""
    folder = box.inbox / "case3"
    folder.mkdir()
    with (folder / "slow.jpg").open("wb", buffering=0) as slow:
        for start in range(0, len(WHOLE), 1 + len(WHOLE) // 15):
            slow.write(WHOLE[start : start + 1 + len(WHOLE) // 15])
            time.sleep(0.15)
    with (folder / "pausing.jpg").open("wb", buffering=0) as pausing:
        pausing.write(TRUNCATED)
        time.sleep(2.0)  # far longer than it takes a silent file to settle
        assert "case3/pausing.jpg" not in box.log()  # it is open for writing
        pausing.write(WHOLE[len(TRUNCATED) :])
    jobs = box.wait_resting(2, "case3/")
    assert states(jobs) == {JobState.SUCCEEDED}
    assert len(box.jobs("case3/")) == 2
    assert jobs["case3/pausing.jpg"].attempts == 1
    assert files(box.outbox / "case3") == [
        "pausing.json",
        "pausing.png",
        "slow.json",
        "slow.png",
    ]
    assert files(box.done / "case3") == ["pausing.jpg", "slow.jpg"]
    assert (box.done / "case3/pausing.jpg").read_bytes() == WHOLE
    assert not (box.failed / "case3").exists()


def test_what_is_moved_or_linked_in_from_outside_is_taken(box):
    """CASES 4."""
    outside = box.root / "outside"
    (outside / "album/deep").mkdir(parents=True)
    for name in ("moved.jpg", "linked.jpg", "album/one.jpg", "album/deep/two.jpg"):
        (outside / name).write_bytes(WHOLE)
    target = box.inbox / "case4"
    target.mkdir()
    (outside / "moved.jpg").rename(target / "moved.jpg")
    (target / "linked.jpg").hardlink_to(outside / "linked.jpg")
    (target / "again.jpg").hardlink_to(outside / "linked.jpg")
    (outside / "album").rename(target / "album")
    jobs = box.wait_resting(5, "case4/")
    assert states(jobs) == {JobState.SUCCEEDED}
    assert files(box.done / "case4") == [
        "again.jpg",
        "album/deep/two.jpg",
        "album/one.jpg",
        "linked.jpg",
        "moved.jpg",
    ]
    assert files(target) == []
    assert (outside / "linked.jpg").read_bytes() == WHOLE


def test_what_arrived_while_it_was_off_or_while_it_started_is_done_once(appliance):
    """CASES 5."""
    box = appliance()
    for number in range(8):
        box.drop(f"off/{number}.jpg")
    box.start(ready=False)
    number = 0
    while box.readiness() != [] or number < 20:
        box.drop(f"starting/{number}.jpg")
        number += 1
        time.sleep(0.05)
    box.wait_finished(8 + number)
    assert box.stop() == 0
    box.drop("off/later.jpg")
    box.start()
    counts = box.wait_finished(9 + number)
    assert counts["succeeded"] == 9 + number
    assert len(box.jobs()) == 9 + number
    assert len(files(box.done)) == 9 + number
    assert box.check() == []


def test_sources_of_the_same_stem_never_overwrite_each_other(box):
    """CASES 6."""
    picture = cv2.imread(str(PHOTO))
    png = cv2.imencode(".png", cv2.flip(picture, 1))[1].tobytes()
    box.drop("both/case6/a.jpg")
    box.wait_resting(1, "both/case6/")
    box.drop("both/case6/a.png", png)
    box.drop("both/case6/a.alpha.jpg", version("alpha"))
    box.drop("both/case6/one/a.jpg", version(1))
    box.drop("both/case6/two/a.jpg", version(2))
    jobs = box.wait_resting(5, "both/case6/")
    assert states(jobs) == {JobState.SUCCEEDED}
    folder = box.outbox / "both/case6"
    assert files(folder) == [
        "a.alpha.png",
        "a.alpha~jpg.alpha.png",
        "a.alpha~jpg.json",
        "a.alpha~jpg.png",
        "a.json",
        "a.png",
        "a~png.alpha.png",
        "a~png.json",
        "a~png.png",
        "one/a.alpha.png",
        "one/a.json",
        "one/a.png",
        "two/a.alpha.png",
        "two/a.json",
        "two/a.png",
    ]
    sources = {json.loads(path.read_text())["source"] for path in folder.rglob("*.json")}
    assert sources == set(jobs)
    assert len(files(box.done / "both/case6")) == 5


def _same(root: Path) -> list[dict[str, str]]:
    return [{"path": "hot", "out": "hot/in"}]


def _inside(root: Path) -> list[dict[str, str]]:
    return [{"path": "hot", "out": "hot/in/out"}]


def _around(root: Path) -> list[dict[str, str]]:
    return [{"path": "hot", "out": "."}]


def _by_link(root: Path) -> list[dict[str, str]]:
    (root / "hot/in").mkdir(parents=True)
    (root / "elsewhere").symlink_to(root / "hot/in")
    return [{"path": "hot", "out": "elsewhere"}]


def _two(root: Path) -> list[dict[str, str]]:
    return [{"path": "hot"}, {"path": "hot/out"}]


def _two_by_link(root: Path) -> list[dict[str, str]]:
    (root / "hot").mkdir()
    (root / "other").symlink_to(root / "hot")
    return [{"path": "hot"}, {"path": "other"}]


@pytest.mark.parametrize(
    ("folders", "named"),
    [
        (_same, ("hot/in", "hot/in")),
        (_inside, ("hot/in/out", "hot/in")),
        (_around, ("", "hot/in")),
        (_by_link, ("elsewhere", "hot/in")),
        (_two, ("hot_folders[1]", "hot_folders[0]", "hot/out")),
        (_two_by_link, ("hot_folders[1]", "hot_folders[0]", "other", "hot")),
    ],
)
def test_folders_that_would_feed_each_other_are_refused_at_the_start(
    appliance: Callable[..., RunningAppliance],
    folders: Callable[[Path], list[dict[str, str]]],
    named: tuple[str, ...],
) -> None:
    """CASES 7."""
    box = appliance()
    box.write_config(hot_folders=folders(box.root))
    ended = box.refused()
    assert ended.returncode == 2
    for name in named:
        text = name if name.startswith("hot_folders") else os.path.normpath(box.root / name)
        assert text in ended.stderr
    assert not box.state_dir.exists()


def test_a_truncated_output_is_never_taken_for_a_result(box):
    """CASES 8."""
    folder = box.outbox / "case8"
    folder.mkdir()
    (folder / "crash.png").write_bytes(b"\x89PNG\r\n\x1a\n half")
    box.drop("case8/crash.jpg", version(8))
    box.wait_resting(1, "case8/")
    # What lay there is none of ours, and stays.
    assert (folder / "crash.png").read_bytes() == b"\x89PNG\r\n\x1a\n half"
    whole = (folder / "crash~2.png").read_bytes()
    assert cv2.imread(str(folder / "crash~2.png"), cv2.IMREAD_UNCHANGED).shape == (512, 512, 4)

    # One that was published and lost its end since is not copied for the same bytes either.
    (folder / "crash~2.png").write_bytes(whole[:1000])
    box.drop("case8/again.jpg", version(8))
    box.wait_resting(2, "case8/")
    assert (folder / "again.png").read_bytes() == whole
    assert json.loads((folder / "again.json").read_text())["cache"] == "matte"


def test_new_content_is_done_anew_and_known_content_is_answered_from_the_ledger(box):
    """CASES 9."""
    box.drop("case9/a.jpg", version("old"))
    box.wait_resting(1, "case9/")
    old = json.loads((box.outbox / "case9/a.json").read_text())
    box.drop("case9/a.jpg", version("new"))
    wait_for(lambda: len(box.jobs("case9/")) == 2, "a second job")
    box.wait_resting(1, "case9/")
    new = json.loads((box.outbox / "case9/a.json").read_text())
    assert new["source_sha256"] != old["source_sha256"]
    assert new["cache"] == "matte"  # other bytes, the same pixels: finished anew
    assert files(box.done / "case9") == ["a.jpg", "a~2.jpg"]
    assert (box.done / "case9/a.jpg").read_bytes() == version("old")

    box.drop("case9/other.jpg", version("new"))
    box.wait_resting(2, "case9/")
    other = json.loads((box.outbox / "case9/other.json").read_text())
    assert other["cache"] == "exact"
    copied, made = (box.outbox / f"case9/{name}.png" for name in ("other", "a"))
    assert copied.read_bytes() == made.read_bytes()
    assert copied.stat().st_ino != made.stat().st_ino


def test_a_source_that_cannot_be_removed_is_done_once_and_reported(appliance):
    """CASES 10."""
    box = appliance(intake={"settle_seconds": 0.1, "rescan_seconds": 0.5})
    path = box.drop("stuck.jpg")
    with unwritable(box.inbox):
        box.start()
        box.wait_finished(1)
        (job,) = box.jobs()
        assert job.state is JobState.SUCCEEDED
        assert job.original.place is Place.IN
        assert "cannot move" in (job.message or "")
        time.sleep(1)  # two rescans
        assert box.stop() == 0
        box.start()
        time.sleep(1)
        assert box.jobs() == [job]
        assert box.log().count("its original stays where it is") == 1
        assert box.stop() == 0
    assert path.read_bytes() == WHOLE
    assert files(box.outbox) == ["stuck.json", "stuck.png"]


def overflow(box: RunningAppliance, folder: Path, number: int, data: bytes) -> None:
    """Drop files while the daemon does not listen and the kernel's event queue is full."""
    assert box.process is not None
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    os.kill(box.process.pid, signal.SIGSTOP)
    try:
        for _ in range(limit // 2 + 1):  # created and closed: two events each
            os.close(os.open(folder / ".junk", os.O_CREAT | os.O_WRONLY))
            (folder / ".junk").unlink()
        for index in range(number):
            (folder / f"{index}.jpg").write_bytes(data)
    finally:
        os.kill(box.process.pid, signal.SIGCONT)


def test_a_burst_while_the_event_queue_overflows_is_found_by_the_rescan(box):
    """CASES 11."""
    folder = box.inbox / "case11"
    folder.mkdir()
    wait_for(lambda: "native events" in box.log(), "a native watch")
    time.sleep(0.5)
    number = 1000
    overflow(box, folder, number, small_jpeg(8))
    jobs = box.wait_resting(number, "case11/", 120)
    assert len(jobs) == number
    assert len(box.jobs("case11/")) == number
    assert states(jobs) <= {JobState.SUCCEEDED, JobState.REVIEW}
    assert len(files(box.done / "case11")) == number
    results = files(box.review) + files(box.outbox)
    made = [name for name in results if name.startswith("case11/") and name.endswith(".png")]
    assert len(made) == number
    assert files(folder) == []


@pytest.mark.slow
def test_twenty_thousand_photos_in_one_burst_are_all_found_and_done(appliance):
    """CASES 11."""
    box = appliance().start()
    number = 20_000
    folder = box.inbox / "burst"
    folder.mkdir()
    overflow(box, folder, number, small_jpeg(8))
    counts = box.wait_finished(number, 1800)
    assert counts["succeeded"] + counts["review"] == number
    assert len(box.jobs()) == number
    assert len(files(box.done)) == number
    assert files(box.inbox) == []
    assert box.check() == []


JUNK = (
    "._photo.jpg",
    ".DS_Store",
    "Thumbs.db",
    "@eaDir/photo.jpg",
    "~$x.jpg",
    "a.jpg.part",
    "b.jpg.crdownload",
    "c.jpg.filepart",
    ".d.jpg.Xy12ab",
    ".hidden/photo.jpg",
)


def test_litter_is_left_alone_and_a_placeholder_is_done_once_its_content_comes(box):
    """CASES 12."""
    folder = box.inbox / "case12"
    for name in JUNK:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(WHOLE)
    before = {name: (folder / name).stat() for name in JUNK}
    placeholder = folder / "photo.jpg"
    placeholder.touch()
    time.sleep(1.5 * RESCAN_SECONDS)
    assert box.jobs("case12/") == []
    placeholder.write_bytes(WHOLE)
    begin = time.monotonic()
    jobs = box.wait_resting(1, "case12/")
    assert time.monotonic() - begin < 20  # an empty file's patience is a minute
    assert {(name, job.state, job.attempts) for name, job in jobs.items()} == {
        ("case12/photo.jpg", JobState.SUCCEEDED, 1)
    }
    for name, was in before.items():
        now = (folder / name).stat()
        assert (now.st_ino, now.st_mtime_ns, now.st_atime_ns) == (
            was.st_ino,
            was.st_mtime_ns,
            was.st_atime_ns,
        )


def test_a_folder_that_disappears_is_reported_and_work_goes_on_when_it_is_back(appliance):
    """CASES 13."""
    box = appliance().start()
    for number in range(12):
        box.drop(f"{number}.jpg", version(number))
    wait_for(lambda: sum(box.counts().values()) == 12, "twelve jobs")
    away = box.root / "away"
    box.folder.rename(away)
    reasons = wait_for(lambda: box.readiness() or None, "word of the folder")
    assert str(box.inbox) in reasons[0]
    time.sleep(4)
    assert box.counts()["failed"] == 0
    assert not box.folder.exists()  # what is not mounted is not made anew
    away.rename(box.folder)
    wait_for(lambda: box.readiness() == [], "readiness")
    box.drop("late.jpg", version("late"))
    counts = box.wait_finished(13, 120)
    assert counts["succeeded"] == 13
    assert len(files(box.done)) == 13
    assert box.check() == []


def test_an_unmounted_folder_is_not_made_anew_and_goes_on_when_it_is_mounted(appliance):
    """CASES 13."""
    box = appliance()
    disk = box.root / "disk"
    disk.mkdir()
    box.folder.mkdir()
    mount = ["mount", "--bind", os.fspath(disk), os.fspath(box.folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting needs root")
    try:
        box.start()
        box.drop("before.jpg")
        box.wait_finished(1)
        subprocess.run(["umount", box.folder], check=True)
        reasons = wait_for(lambda: box.readiness() or None, "word of the folder")
        assert str(box.inbox) in reasons[0]
        time.sleep(3)
        assert list(box.folder.iterdir()) == []
        (disk / "in/meanwhile.jpg").write_bytes(version("meanwhile"))
        subprocess.run(mount, check=True)
        assert box.wait_finished(2)["succeeded"] == 2
        assert box.readiness() == []
        box.drop("after.jpg")
        assert box.wait_finished(3)["succeeded"] == 3
        assert box.stop() == 0
    finally:
        subprocess.run(["umount", "-l", box.folder], check=False)
    assert files(disk / "done") == ["after.jpg", "before.jpg", "meanwhile.jpg"]


NAMES = (
    "a b  c.jpg",
    'it\'s "quoted".jpg',
    "two\nlines.jpg",
    "tab\tand\x1b[31mred.jpg",
    "\N{CAMERA WITH FLASH}\N{FAMILY}.jpg",
    "\u0645\u0631\u062d\u0628\u0627.jpg",
    "-rf.jpg",
    "<script>alert(1)<script>.jpg",
    "%2e%2e%2f.jpg",
    "no extension",
    "x" * 251 + ".jpg",
    b"caf\xe9.jpg".decode("utf-8", "surrogateescape"),
)


def test_odd_names_are_done_and_shown_without_harm(box):
    """CASES 14."""
    for name in NAMES:
        box.drop(f"case14/{name}")
    jobs = box.wait_resting(len(NAMES), "case14/")
    assert sorted(jobs) == sorted(f"case14/{name}" for name in NAMES)
    assert states(jobs) == {JobState.SUCCEEDED}
    assert sorted(os.listdir(box.done / "case14")) == sorted(NAMES)
    for job in jobs.values():
        picture = (box.outbox / job.outputs[0].file).read_bytes()
        sidecar = json.loads((box.outbox / f"{job.stem}.json").read_text())
        assert picture.startswith(b"\x89PNG")
        assert sidecar["source"] == job.source
    status, body = box.get("/api/v1/jobs?limit=100")
    assert status == 200
    assert len(body["jobs"]) >= len(NAMES)
    page = box.page()
    assert b"<script>alert(1)" not in page
    assert "\x1b" not in box.log()


def test_links_pipes_sockets_and_devices_are_never_opened(box):
    """CASES 15."""
    secret = box.root / "secret"
    (secret / "album").mkdir(parents=True)
    for name in ("photo.jpg", "album/inner.jpg"):
        (secret / name).write_bytes(WHOLE)
    folder = box.inbox / "case15"
    folder.mkdir()
    (folder / "link.jpg").symlink_to(secret / "photo.jpg")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "album").symlink_to(secret / "album")
    os.mkfifo(folder / "pipe.jpg")
    with suppress(PermissionError):  # without root there is no device to make
        os.mknod(folder / "zero.jpg", 0o600 | 0o020000, os.makedev(1, 5))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(folder / "sock.jpg"))
        box.drop("case15/x.jpg/real.jpg")
        box.drop("case15/neighbour.jpg")
        jobs = box.wait_resting(2, "case15/")
        time.sleep(1.5 * RESCAN_SECONDS)
        with pytest.raises(OSError, match=os.strerror(errno.ENXIO)):
            os.open(folder / "pipe.jpg", os.O_WRONLY | os.O_NONBLOCK)  # nobody reads it
    assert {job.source for job in box.jobs("case15/")} == {
        "case15/neighbour.jpg",
        "case15/x.jpg/real.jpg",
    }
    assert states(jobs) == {JobState.SUCCEEDED}
    left = {"link.jpg", "loop.jpg", "album", "pipe.jpg", "sock.jpg"}
    assert left <= set(os.listdir(folder))
    assert files(box.done / "case15") == ["neighbour.jpg", "x.jpg/real.jpg"]
    assert (secret / "photo.jpg").stat().st_nlink == 1
