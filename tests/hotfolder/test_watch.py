"""Events as hints, and every way in which they can fail to come."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from permissions import without_root
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, EventEmitter

from edge_matting.core.anchored import AnchoredFolder
from edge_matting.core.errors import FolderUnavailable
from edge_matting.hotfolder.watch import FolderWatcher, _Probe
from tools.waiting import wait_for


class Hints:
    """Collects what a watcher passes on."""

    def __init__(self) -> None:
        self.paths: list[str | None] = []

    def __call__(self, path: str | None) -> None:
        self.paths.append(path)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


@pytest.fixture
def hints() -> Hints:
    return Hints()


@pytest.fixture
def watcher(inbox: Path, hints: Hints) -> Iterator[FolderWatcher]:
    watcher = FolderWatcher(inbox, "native", hints)
    watcher.start()
    yield watcher
    watcher.stop()


def test_a_local_folder_is_watched_natively_and_the_test_file_leaves_no_trace(
    watcher: FolderWatcher, inbox: Path, hints: Hints
) -> None:
    assert watcher.native
    assert watcher.problem is None
    assert watcher.describe() == "native events (inotify)"
    assert watcher.alive()
    assert os.listdir(inbox) == []
    assert hints.paths == []


@pytest.mark.parametrize("name", ["a.jpg", "new\nline.jpg", os.fsdecode(b"\xff.jpg"), "-x"])
def test_a_written_file_is_hinted_at(
    watcher: FolderWatcher, inbox: Path, hints: Hints, name: str
) -> None:
    (inbox / name).write_bytes(b"x")
    wait_for(lambda: name in hints.paths, "its hint")


def test_files_that_are_moved_or_linked_in_or_renamed_are_hinted_at(
    watcher: FolderWatcher, inbox: Path, tmp_path: Path, hints: Hints
) -> None:
    for name in ("moved.jpg", "linked.jpg"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "moved.jpg").rename(inbox / "moved.jpg")
    os.link(tmp_path / "linked.jpg", inbox / "linked.jpg")
    (inbox / "upload.part").write_bytes(b"x")
    (inbox / "upload.part").rename(inbox / "final.jpg")
    wait_for(lambda: {"moved.jpg", "linked.jpg", "final.jpg"} <= set(hints.paths), "three hints")
    assert "upload.part" not in hints.paths


def test_a_folder_that_is_moved_in_asks_for_a_rescan(
    watcher: FolderWatcher, inbox: Path, tmp_path: Path, hints: Hints
) -> None:
    (tmp_path / "album/deep").mkdir(parents=True)
    (tmp_path / "album/deep/a.jpg").write_bytes(b"x")
    (tmp_path / "album").rename(inbox / "album")
    wait_for(lambda: None in hints.paths, "a call for a rescan")
    wait_for(lambda: "album/deep/a.jpg" in hints.paths, "the hint inside")


def test_reading_a_file_and_ignored_names_raise_no_hint(
    watcher: FolderWatcher, inbox: Path, hints: Hints
) -> None:
    (inbox / "a.jpg").write_bytes(b"x")
    wait_for(lambda: hints.paths.count("a.jpg") == 2, "both hints")  # created, closed
    hints.paths.clear()
    for _ in range(20):
        (inbox / "a.jpg").read_bytes()
    (inbox / "@eaDir").mkdir()
    (inbox / "._a.jpg").write_bytes(b"x")
    (inbox / "last.jpg").write_bytes(b"x")
    wait_for(lambda: hints.paths.count("last.jpg") == 2, "the last hints")
    assert set(hints.paths) == {"last.jpg"}


def test_an_inbox_behind_a_symlink_is_watched(tmp_path: Path, inbox: Path, hints: Hints) -> None:
    (tmp_path / "link").symlink_to(inbox)
    watcher = FolderWatcher(tmp_path / "link", "native", hints)
    watcher.start()
    try:
        assert watcher.native
        (inbox / "a.jpg").write_bytes(b"x")
        wait_for(lambda: "a.jpg" in hints.paths, "a hint")
    finally:
        watcher.stop()


def test_a_deleted_folder_is_noticed_and_watched_again_when_it_is_back(
    watcher: FolderWatcher, inbox: Path, hints: Hints
) -> None:
    inbox.rmdir()
    assert not watcher.alive()
    with pytest.raises(FolderUnavailable, match="cannot watch"):
        watcher.start()
    inbox.mkdir()  # often with the same inode number as before
    wait_for(lambda: not watcher.alive(), "end of the old watch")
    watcher.stop()
    watcher.start()
    assert watcher.alive()
    (inbox / "a.jpg").write_bytes(b"x")
    wait_for(lambda: "a.jpg" in hints.paths, "a hint")


def test_another_folder_in_its_place_is_noticed(watcher: FolderWatcher, inbox: Path) -> None:
    inbox.rename(inbox.with_name("old"))
    inbox.mkdir()
    assert not watcher.alive()


def test_a_folder_that_is_mounted_over_is_noticed(watcher: FolderWatcher, inbox: Path) -> None:
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "tmpfs", str(inbox)], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("mounting is not allowed here")
    try:
        assert not watcher.alive()
    finally:
        subprocess.run(["umount", str(inbox)], check=True)


def test_stopping_twice_is_harmless(watcher: FolderWatcher) -> None:
    watcher.stop()
    watcher.stop()
    assert not watcher.native


# -- polling --------------------------------------------------------------------------


def test_polling_that_was_asked_for_says_so(inbox: Path, hints: Hints) -> None:
    watcher = FolderWatcher(inbox, "polling", hints, poll_seconds=3)
    assert watcher.describe() == "polling every 3 s: not started"
    watcher.start()
    assert not watcher.native
    assert watcher.problem is None
    assert watcher.alive()
    assert watcher.describe() == "polling every 3 s: set by intake.watch"
    watcher.check()
    watcher.stop()


def test_a_network_file_system_is_polled_in_auto_mode_only(
    tmp_path: Path, inbox: Path, hints: Hints
) -> None:
    root = tmp_path / "root"
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/mountinfo").write_text("27 1 0:1 / / rw - nfs4 nas:/ rw\n")
    auto = FolderWatcher(inbox, "auto", hints, root=root)
    auto.start()
    assert not auto.native
    assert "is on nfs4" in auto.describe()
    assert auto.problem is None
    native = FolderWatcher(inbox, "native", hints, root=root)
    native.start()
    try:
        assert native.native
    finally:
        native.stop()


class BrokenObserver(BaseObserver):
    """Refuses to start, as at an inotify limit."""

    def __init__(self, number: int) -> None:
        super().__init__(EventEmitter)
        self.number = number

    def start(self) -> None:
        raise OSError(self.number, os.strerror(self.number))


class DeafObserver(BaseObserver):
    """Starts, and never tells of anything."""

    def __init__(self) -> None:
        super().__init__(DeafEmitter)


class DeafEmitter(EventEmitter):
    def queue_events(self, timeout: float) -> None:
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "fs.inotify.max_user_watches="),
        (errno.EMFILE, "fs.inotify.max_user_instances="),
        (errno.EACCES, "set intake.watch to polling"),
    ],
)
def test_a_refused_watch_says_what_to_do_and_polls(
    inbox: Path, hints: Hints, number: int, advice: str
) -> None:
    watcher = FolderWatcher(inbox, "auto", hints, make_observer=lambda: BrokenObserver(number))
    watcher.start()
    assert not watcher.native
    assert watcher.problem is not None
    assert advice in watcher.problem
    assert watcher.problem in watcher.describe()


def test_an_observer_that_cannot_even_be_made_is_polled_around(inbox: Path, hints: Hints) -> None:
    def refuse() -> BaseObserver:
        raise OSError(errno.EMFILE, "inotify instance limit reached")

    watcher = FolderWatcher(inbox, "native", hints, make_observer=refuse)
    watcher.start()
    assert "instance limit reached" in watcher.describe()


def test_a_test_file_that_raises_no_event_ends_in_polling(inbox: Path, hints: Hints) -> None:
    watcher = FolderWatcher(inbox, "native", hints, probe_seconds=0.05, make_observer=DeafObserver)
    watcher.start()
    assert not watcher.native
    assert "raised no event" in watcher.describe()
    assert os.listdir(inbox) == []


def test_a_dead_watch_is_not_alive(inbox: Path, hints: Hints) -> None:
    made: list[BaseObserver] = []

    def make() -> BaseObserver:
        made.append(Observer())
        return made[-1]

    watcher = FolderWatcher(inbox, "native", hints, make_observer=make)
    watcher.start()
    made[0].stop()
    made[0].join()
    assert not watcher.alive()
    watcher.stop()


# -- sub-folders that are left out -----------------------------------------------------


def fake_fdinfo(root: Path, *folders: Path) -> Path:
    """A proc in which inotify watches these folders only."""
    (root / "proc/self/fdinfo").mkdir(parents=True, exist_ok=True)
    lines = [f"inotify wd:1 ino:{folder.stat().st_ino:x} sdev:1 mask:1" for folder in folders]
    (root / "proc/self/fdinfo/7").write_text("\n".join(["pos:\t0", *lines, ""]))
    return root


def test_a_sub_folder_left_out_at_start_ends_in_polling(
    tmp_path: Path, inbox: Path, hints: Hints
) -> None:
    (inbox / "sub").mkdir()
    root = fake_fdinfo(tmp_path / "root", inbox)
    watcher = FolderWatcher(inbox, "native", hints, root=root)
    watcher.start()
    assert not watcher.native
    assert "fs.inotify.max_user_watches=" in watcher.describe()


def test_a_sub_folder_left_out_later_ends_in_polling_at_the_second_look(
    tmp_path: Path, inbox: Path, hints: Hints
) -> None:
    root = fake_fdinfo(tmp_path / "root", inbox)
    watcher = FolderWatcher(inbox, "native", hints, root=root)
    watcher.start()
    watcher.check()
    (inbox / "sub").mkdir()
    watcher.check()
    assert watcher.native
    watcher.check()
    assert not watcher.native
    assert "not watched" in (watcher.problem or "")


@pytest.mark.parametrize("known", [True, False])
def test_where_the_kernel_does_not_tell_nothing_is_held_against_it(
    tmp_path: Path, inbox: Path, hints: Hints, known: bool
) -> None:
    (inbox / "sub").mkdir()
    root = fake_fdinfo(tmp_path / "root", *([tmp_path] if known else []))
    (root / "proc/self/fdinfo/8").mkdir()  # cannot be read as a file
    watcher = FolderWatcher(inbox, "native", hints, root=root)
    watcher.start()
    try:
        assert watcher.native
    finally:
        watcher.stop()


def test_a_folder_that_takes_no_test_file_is_trusted(open_folder: Path) -> None:
    with without_root():
        assert _Probe().answered(AnchoredFolder(open_folder), 0.0)
    assert os.listdir(open_folder) == []


def test_a_tree_too_deep_to_be_watched_is_polled(inbox: Path, hints: Hints) -> None:
    here = os.open(inbox, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    watcher = FolderWatcher(inbox, "auto", hints)
    watcher.start()
    watcher.check()
    watcher.stop()
    subprocess.run(["rm", "-rf", str(inbox / "d")], check=True)


def test_folders_made_later_are_watched_too(
    watcher: FolderWatcher, inbox: Path, hints: Hints
) -> None:
    (inbox / "one/two").mkdir(parents=True)
    wait_for(lambda: watcher._unwatched() == 0, "all watches")
    watcher.check()
    watcher.check()
    assert watcher.native


def test_a_real_watch_limit_is_told_and_polled_around(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / "in" / str(number)).mkdir(parents=True)
    code = (
        "import json, pathlib, sys\n"
        "from edge_matting.hotfolder.watch import FolderWatcher\n"
        "pathlib.Path('/proc/sys/user/max_inotify_watches').write_text('3')\n"
        "watcher = FolderWatcher(pathlib.Path(sys.argv[1]), 'auto', print)\n"
        "watcher.start()\n"
        "print(json.dumps([watcher.native, watcher.describe()]))\n"
        "watcher.stop()\n"
    )
    unshare = shutil.which("unshare")
    if (
        unshare is None
        or subprocess.run([unshare, "-Ur", "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("a user namespace of its own is not allowed here; the limit stays as it is")
    done = subprocess.run(
        [unshare, "-Ur", sys.executable, "-c", code, str(tmp_path / "in")],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    native, description = json.loads(done.stdout.splitlines()[-1])
    assert not native
    assert "fs.inotify.max_user_watches=" in description
