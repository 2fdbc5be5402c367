"""What is taken from in/, when it has settled, and which folders may not meet."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes import AWKWARD_NAMES
from hypothesis import given
from hypothesis import strategies as st

from edge_matting.config.settings import HotFolder
from edge_matting.core.durable import temporary_name
from edge_matting.core.errors import FolderUnavailable
from edge_matting.core.jobs import Signature
from edge_matting.hotfolder.condition import folder_problem, free_bytes
from edge_matting.hotfolder.filesystems import needs_polling
from edge_matting.hotfolder.ignore import is_ignored, is_ignored_path
from edge_matting.hotfolder.layout import overlaps, prepare, recipe_for
from edge_matting.hotfolder.scan import Found, ScanProblem, look, scan
from edge_matting.hotfolder.settle import EMPTY_SECONDS, SettleTracker

# -- ignored names --------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("._photo.jpg", ".DS_Store", ".Spotlight-V100", ".Trashes", ".fseventsd", "__MACOSX"),
        *("Thumbs.db", "THUMBS.DB", "desktop.ini", "$RECYCLE.BIN", "System Volume Information"),
        *("@eaDir", "#recycle", ".stfolder", ".stversions", ".localized"),
        *("~$letter.docx", "photo.jpg~", ".photo.jpg.swp", "photo.swp", "photo.tmp"),
        *("photo.jpg.part", "photo.jpg.crdownload", "photo.jpg.download", "photo.jpg.filepart"),
        *(".photo.jpg.Xa81kL", ".syncthing.photo.jpg.tmp", "~syncthing~photo.jpg.tmp"),
        *(".nfs000000000012", ".fuse_hidden0001", ".hidden", "photo.PART", "photo.partial"),
        temporary_name(),
    ],
)
def test_partial_uploads_and_litter_are_ignored(name: str) -> None:
    assert is_ignored(name)


@pytest.mark.parametrize(
    "name",
    [
        *("photo.jpg", "PHOTO.JPG", "letter.pdf", "no extension", "a~2.jpg", "part.jpg"),
        *("tmp", "download", "new\nline.png", "-rf", "<script>.jpg", os.fsdecode(b"\xff.png")),
        *("#1.jpg", "$5.jpg", "@home.jpg", "~.jpg", "thumbs.db.jpg"),
    ],
)
def test_everything_else_is_taken_whatever_its_extension(name: str) -> None:
    assert not is_ignored(name)


def test_a_path_is_ignored_for_any_of_its_parts() -> None:
    assert is_ignored_path("a/@eaDir/b.jpg")
    assert not is_ignored_path("a/b/c.jpg")


# -- scan -----------------------------------------------------------------------------


def paths(inbox: Path) -> list[str]:
    return sorted(entry.path for entry in scan(inbox))


def test_a_scan_finds_files_in_all_sub_folders_with_their_signatures(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "1.jpg").write_bytes(b"1")
    (tmp_path / "a/b/2.jpg").write_bytes(b"22")
    found = {entry.path: entry for entry in scan(tmp_path)}
    assert sorted(found) == ["1.jpg", "a/b/2.jpg"]
    signature = Signature.of((tmp_path / "a/b/2.jpg").lstat())
    assert found["a/b/2.jpg"] == Found("a/b/2.jpg", signature)


@pytest.mark.parametrize("name", AWKWARD_NAMES)
def test_a_scan_brings_any_name_through(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    assert paths(tmp_path) == [name]
    assert look(tmp_path, name) is not None


def test_ignored_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "@eaDir").mkdir()
    (tmp_path / "@eaDir/thumb.jpg").write_bytes(b"x")
    (tmp_path / "._a.jpg").write_bytes(b"x")
    (tmp_path / "a.jpg").write_bytes(b"x")
    assert paths(tmp_path) == ["a.jpg"]


def test_what_is_no_regular_file_is_never_taken_or_opened(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    inbox = tmp_path / "in"
    for folder in (outside, inbox, inbox / "folder.jpg"):
        folder.mkdir()
    (outside / "secret.jpg").write_bytes(b"x")
    (inbox / "file-link.jpg").symlink_to(outside / "secret.jpg")
    (inbox / "folder-link").symlink_to(outside)
    (inbox / "loop").symlink_to(inbox)
    os.mkfifo(inbox / "fifo.jpg")
    (inbox / "folder.jpg/inner.jpg").write_bytes(b"x")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(inbox)  # a socket's path may not be long
        try:
            listener.bind("socket.jpg")
        finally:
            os.chdir(here)
        assert paths(inbox) == ["folder.jpg/inner.jpg"]
    assert look(inbox, "@eaDir/a.jpg") is None
    for name in ("file-link.jpg", "fifo.jpg", "socket.jpg", "folder.jpg", "gone", "gone/x"):
        assert look(inbox, name) is None


def test_a_hard_link_is_taken(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "a.jpg").write_bytes(b"x")
    os.link(tmp_path / "a.jpg", tmp_path / "in/a.jpg")
    assert paths(tmp_path / "in") == ["a.jpg"]


def test_the_inbox_itself_may_be_a_symlink(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a.jpg").write_bytes(b"x")
    (tmp_path / "in").symlink_to(tmp_path / "real")
    assert paths(tmp_path / "in") == ["a.jpg"]


@pytest.mark.parametrize("what", ["missing", "file"])
def test_an_inbox_that_cannot_be_listed_is_unavailable(tmp_path: Path, what: str) -> None:
    if what == "file":
        (tmp_path / "in").write_bytes(b"")
    with pytest.raises(FolderUnavailable, match="cannot read the folder"):
        list(scan(tmp_path / "in"))


def deep_folder(root: Path, depth: int, name: str = "d" * 200) -> str:
    """Folders so deep that the innermost has a path no system call takes."""
    here = Path.cwd()
    os.chdir(root)
    try:
        for _ in range(depth):
            Path(name).mkdir()
            os.chdir(name)
        Path("a.jpg").write_bytes(b"x")
    finally:
        os.chdir(here)
    return "/".join([name] * depth)


def test_a_sub_folder_that_cannot_be_read_is_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    deep_folder(tmp_path, 25)
    (tmp_path / "a.jpg").write_bytes(b"x")
    entries = list(scan(tmp_path))
    problems = [entry for entry in entries if isinstance(entry, ScanProblem)]
    assert [entry.path for entry in entries if isinstance(entry, Found)] == ["a.jpg"]
    assert len(problems) == 1
    assert "too long" in problems[0].reason
    with pytest.raises(OSError, match="too long"):
        look(tmp_path, problems[0].path + "/a.jpg")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users reach too; pytest's own are private."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def without_root(*, real: bool = False) -> Iterator[None]:
    """Root reads everything; as nobody the rights count (``os.access`` asks the real user)."""
    before = os.getresuid()
    if before[1] == 0:
        os.setresuid(65534 if real else -1, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(*before)


def test_an_unreadable_sub_folder_is_reported(open_folder: Path) -> None:
    (open_folder / "locked").mkdir(mode=0o000)
    (open_folder / "a.jpg").write_bytes(b"x")
    with without_root():
        entries = list(scan(open_folder))
        with pytest.raises(FolderUnavailable, match="Permission denied"):
            look(open_folder, "locked/a.jpg")
    assert [entry.path for entry in entries] == ["a.jpg", "locked"]
    assert entries[1] == ScanProblem("locked", "Permission denied")


def test_what_vanishes_during_the_scan_is_no_problem(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "sub").mkdir()
    entries = scan(tmp_path)
    seen = [next(entries).path]
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        if name not in seen:
            (tmp_path / name).unlink()
    (tmp_path / "sub").rmdir()
    assert list(entries) == []


def test_a_folder_that_vanishes_after_it_was_seen_is_no_problem(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "one/a.jpg").write_bytes(b"x")
    (tmp_path / "two/a.jpg").write_bytes(b"x")
    entries = scan(tmp_path)
    first = next(entries).path
    other = "two" if first.startswith("one") else "one"
    (tmp_path / other / "a.jpg").unlink()
    (tmp_path / other).rmdir()
    assert list(entries) == []


def test_twenty_thousand_files_are_scanned_in_a_moment(tmp_path: Path) -> None:
    for number in range(20_000):
        os.close(os.open(tmp_path / f"{number}.jpg", os.O_CREAT | os.O_WRONLY))
    tracker = SettleTracker(2.0)
    start = time.process_time()
    for now in (0.0, EMPTY_SECONDS):
        entries = list(scan(tmp_path))
        for entry in entries:
            tracker.observe(entry.path, entry.signature, now)
        tracker.retain({entry.path for entry in entries})
    assert len(tracker.settled()) == 20_000
    assert time.process_time() - start < 10.0  # far below what anything quadratic takes


# -- settle ---------------------------------------------------------------------------


def signature(size: int = 10, mtime: int = 1, inode: int = 1) -> Signature:
    return Signature(size, mtime, inode)


def test_a_file_settles_when_two_looks_far_enough_apart_agree() -> None:
    tracker = SettleTracker(2.0)
    tracker.observe("a", signature(), 100.0)
    assert tracker.settled() == []
    tracker.observe("a", signature(), 101.9)
    assert tracker.settled() == []
    tracker.observe("a", signature(), 102.0)
    assert tracker.settled() == [("a", signature())]
    assert tracker.settled() == []


def test_time_that_passes_without_a_look_settles_nothing() -> None:
    tracker = SettleTracker(2.0)
    tracker.observe("a", signature(), 0.0)
    assert tracker.next_check(500.0) == 0.0
    assert tracker.settled() == []


def test_a_change_starts_the_wait_anew() -> None:
    tracker = SettleTracker(2.0)
    tracker.observe("a", signature(size=1), 0.0)
    tracker.observe("a", signature(size=2), 1.9)
    tracker.observe("a", signature(size=2), 3.8)
    assert tracker.settled() == []
    assert tracker.next_check(3.8) == pytest.approx(0.1)
    tracker.observe("a", signature(size=2), 3.9)
    assert tracker.settled() == [("a", signature(size=2))]


def test_a_time_in_the_past_does_not_settle_a_file_sooner() -> None:
    tracker = SettleTracker(2.0)
    tracker.observe("a", signature(mtime=-(10**18)), 0.0)
    assert tracker.settled() == []


def test_an_empty_placeholder_waits_long_and_settles_in_the_end() -> None:
    tracker = SettleTracker(2.0)
    tracker.observe("a", signature(size=0), 0.0)
    tracker.observe("a", signature(size=0), EMPTY_SECONDS - 0.1)
    assert tracker.settled() == []
    tracker.observe("a", signature(size=0), EMPTY_SECONDS)
    assert tracker.settled() == [("a", signature(size=0))]


def test_content_that_follows_a_placeholder_settles_as_usual() -> None:
    tracker = SettleTracker(2.0)
    tracker.observe("a", signature(size=0), 0.0)
    tracker.observe("a", signature(size=9), 1.0)
    tracker.observe("a", signature(size=9), 3.0)
    assert tracker.settled() == [("a", signature(size=9))]


def test_without_a_settle_time_one_look_is_enough() -> None:
    tracker = SettleTracker(0.0)
    tracker.observe("a", signature(), 0.0)
    assert tracker.settled() == [("a", signature())]


def test_new_content_under_an_old_name_is_handed_out_again() -> None:
    tracker = SettleTracker(0.0)
    tracker.observe("a", signature(mtime=1), 0.0)
    assert tracker.settled()
    tracker.observe("a", signature(mtime=1), 1.0)
    assert tracker.settled() == []
    tracker.observe("a", signature(mtime=2), 2.0)
    assert tracker.settled() == [("a", signature(mtime=2))]


def test_an_absent_path_is_forgotten_and_the_others_are_not() -> None:
    tracker = SettleTracker(1.0)
    for path in ("gone", "kept"):
        tracker.observe(path, signature(), 0.0)
        tracker.observe(path, signature(), 1.0)
    assert len(tracker.settled()) == 2
    tracker.observe("waits", signature(), 1.0)
    tracker.retain({"kept"})
    assert tracker.waiting() == []
    for path in ("gone", "kept"):
        tracker.observe(path, signature(), 2.0)
    assert tracker.waiting() == ["gone"]


def test_a_forgotten_path_settles_anew() -> None:
    tracker = SettleTracker(0.0)
    tracker.observe("a", signature(), 0.0)
    assert tracker.settled()
    tracker.forget("a")
    tracker.forget("never seen")
    tracker.observe("a", signature(), 1.0)
    assert tracker.settled() == [("a", signature())]


def test_nothing_waiting_needs_no_check() -> None:
    assert SettleTracker(1.0).next_check(0.0) is None


LOOKS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.integers(0, 2),  # size; 0 is a placeholder
        st.floats(0.0, 5.0),  # seconds since the look before
    ),
    max_size=60,
)


@given(LOOKS, st.floats(0.0, 4.0))
def test_nothing_settles_before_its_time_or_twice(looks, settle_seconds: float) -> None:
    tracker = SettleTracker(settle_seconds, empty_seconds=8.0)
    now = 0.0
    since: dict[str, tuple[Signature, float]] = {}
    last_out: dict[str, Signature] = {}
    for path, size, pause in looks:
        now += pause
        seen = signature(size)
        if path not in since or since[path][0] != seen:
            since[path] = (seen, now)
            last_out.pop(path, None)
        tracker.observe(path, seen, now)
        for ready, handed in tracker.settled():
            needed = settle_seconds if handed.size else max(8.0, settle_seconds)
            assert handed == since[ready][0]
            assert now - since[ready][1] >= needed
            assert ready not in last_out
            last_out[ready] = handed


@given(LOOKS, st.floats(0.0, 4.0))
def test_everything_settles_in_the_end(looks, settle_seconds: float) -> None:
    tracker = SettleTracker(settle_seconds, empty_seconds=8.0)
    now = 0.0
    current: dict[str, Signature] = {}
    out: dict[str, Signature] = {}
    for path, size, pause in looks:
        now += pause
        current[path] = signature(size)
        tracker.observe(path, current[path], now)
        out.update(tracker.settled())
    while (pause := tracker.next_check(now)) is not None:
        now += pause + 1e-6
        for path in tracker.waiting():
            tracker.observe(path, current[path], now)
        ready = tracker.settled()
        assert ready
        out.update(ready)
    assert out == current


# -- layout ---------------------------------------------------------------------------


def test_the_five_folders_are_made_and_again_without_harm(tmp_path: Path) -> None:
    folder = HotFolder(path=tmp_path / "deep/hot", out=tmp_path / "elsewhere/out")
    prepare(folder)
    prepare(folder)
    assert sorted(os.listdir(tmp_path / "deep/hot")) == ["done", "failed", "in", "review"]
    assert (tmp_path / "elsewhere/out").is_dir()


def test_folders_that_cannot_be_made_are_unavailable(tmp_path: Path) -> None:
    (tmp_path / "hot").write_bytes(b"")
    with pytest.raises(FolderUnavailable, match="cannot make the folder"):
        prepare(HotFolder(path=tmp_path / "hot"))


def test_a_first_level_sub_folder_names_the_recipe() -> None:
    recipes = {"cutout", "passport"}
    assert recipe_for("passport/a.jpg", recipes, "cutout") == "passport"
    assert recipe_for("passport/deep/a.jpg", recipes, "cutout") == "passport"
    assert recipe_for("deep/passport/a.jpg", recipes, "cutout") == "cutout"
    assert recipe_for("passport", recipes, "cutout") == "cutout"
    assert recipe_for("other/a.jpg", recipes, "cutout") == "cutout"


def test_folders_apart_do_not_overlap(tmp_path: Path) -> None:
    folders = [
        HotFolder(path=tmp_path / "a"),
        HotFolder(path=tmp_path / "b", out=tmp_path / "b/results"),
        HotFolder(path=tmp_path / "c", out=tmp_path / "elsewhere"),
        HotFolder(path=tmp_path / "inner" / "in-folder"),
    ]
    assert overlaps(folders) == []


@pytest.mark.parametrize(
    ("out", "relation", "other"),
    [
        ("hot/in", "the same folder as", "hot/in"),
        ("hot/in/out", "inside", "hot/in"),
        ("hot", "around", "hot/in"),
        (".", "around", "hot/in"),
        ("hot/done", "the same folder as", "hot/done"),
        ("hot/failed/x", "inside", "hot/failed"),
        ("hot/review/x", "inside", "hot/review"),
        ("hot/x/../in", "the same folder as", "hot/in"),
    ],
)
def test_an_out_folder_that_meets_another_is_a_fault(
    tmp_path: Path, out: str, relation: str, other: str
) -> None:
    folder = HotFolder(path=tmp_path / "hot", out=tmp_path / out)
    assert overlaps([folder]) == [
        f"hot_folders[0].out: {tmp_path / out} is {relation} {tmp_path / other}"
    ]


def test_symlinks_are_seen_through(tmp_path: Path) -> None:
    hot = tmp_path / "hot"
    (hot / "in").mkdir(parents=True)
    (tmp_path / "link").symlink_to(hot / "in")
    folder = HotFolder(path=hot, out=tmp_path / "link/sub")
    assert overlaps([folder]) == [
        f"hot_folders[0].out: {tmp_path / 'link/sub'} is inside {hot / 'in'}"
    ]
    (hot / "done").symlink_to(hot / "in")
    assert overlaps([HotFolder(path=hot)]) == [
        f"hot_folders[0].path: {hot / 'in'} is the same folder as {hot / 'done'}"
    ]


def test_a_symlink_loop_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert overlaps([HotFolder(path=tmp_path / "a")]) == []


@pytest.mark.parametrize(
    ("path", "out"), [("a", None), ("a/in", None), ("b", "a/in/x"), ("b", "a/out"), ("a/out", None)]
)
def test_hot_folders_that_meet_are_a_fault_that_names_both(
    tmp_path: Path, path: str, out: str | None
) -> None:
    second = HotFolder(path=tmp_path / path, out=tmp_path / out if out else None)
    faults = overlaps([HotFolder(path=tmp_path / "a"), second])
    assert len(faults) == 1
    assert faults[0].startswith("hot_folders[1].path: overlaps hot_folders[0]: ")
    assert faults[0].count(str(tmp_path / "a")) + faults[0].count(str(tmp_path / "b")) >= 2


# -- condition ------------------------------------------------------------------------


def test_a_folder_in_order_has_no_problem(tmp_path: Path) -> None:
    folder = HotFolder(path=tmp_path / "hot")
    prepare(folder)
    assert folder_problem(folder, 0.0) is None
    assert (free_bytes(folder.path) or 0) > 0


def test_a_folder_that_is_not_there_is_the_problem_and_named(tmp_path: Path) -> None:
    folder = HotFolder(path=tmp_path / "hot")
    assert (folder_problem(folder, 0.0) or "").startswith(f"{folder.inbox} is not there")
    prepare(folder)
    folder.review.rmdir()
    assert (folder_problem(folder, 0.0) or "").startswith(f"{folder.review} is not there")
    assert free_bytes(folder.review) is None


def test_too_little_room_is_the_problem(tmp_path: Path) -> None:
    folder = HotFolder(path=tmp_path / "hot")
    prepare(folder)
    assert "limits.min_free_mb" in (folder_problem(folder, 1e12) or "")


def test_missing_rights_are_the_problem(open_folder: Path) -> None:
    folder = HotFolder(path=open_folder / "hot")
    prepare(folder)
    folder.done.chmod(0o555)
    with without_root(real=True):
        assert "cannot be written to" in (folder_problem(folder, 0.0) or "")
    folder.inbox.chmod(0o000)
    with without_root(real=True):
        assert "cannot be read" in (folder_problem(folder, 0.0) or "")


# -- file systems ---------------------------------------------------------------------


def fake_root(tmp_path: Path, mounts: str) -> Path:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text(mounts)
    return tmp_path


MOUNTS = """\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 27 0:50 / /nowhere/nas rw,relatime shared:5 - nfs4 nas:/photos rw
31 27 0:51 / /nowhere/my\\040share rw - cifs //server/share rw
32 30 8:1 / /nowhere/nas/local rw master:1 - ext4 /dev/sda1 rw
33 27 8:2 / /nowhere/usb rw - fuseblk /dev/sdb1 rw
34 27 0:53 / /nowhere/ssh rw - fuse.sshfs me@host: rw
35 27 0:54 / /nowhere/auto rw - autofs systemd-1 rw
36 27 0:55 / /nowhere/auto rw - nfs nas:/x rw
37 27 0:56 / /nowhere/vm rw - virtiofs share rw
a line that is broken
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/nowhere/photos", None),
        ("/nowhere/nas", "nfs4"),
        ("/nowhere/nas/hot/in", "nfs4"),
        ("/nowhere/nas2/in", None),
        ("/nowhere/nas/local/in", None),
        ("/nowhere/my share/in", "cifs"),
        ("/nowhere/usb/in", None),
        ("/nowhere/ssh/in", "fuse.sshfs"),
        ("/nowhere/auto/in", "nfs"),
        ("/nowhere/vm/in", "virtiofs"),
    ],
)
def test_the_file_system_of_the_deepest_mount_decides(
    tmp_path: Path, path: str, kind: str | None
) -> None:
    reason = needs_polling(Path(path), fake_root(tmp_path, MOUNTS))
    assert reason == (
        kind and f"{path} is on {kind}, where changes by other machines raise no events"
    )


def test_where_mounts_cannot_be_read_nothing_speaks_for_polling(tmp_path: Path) -> None:
    assert needs_polling(Path("/nowhere"), tmp_path) is None
    assert needs_polling(Path("/nowhere"), fake_root(tmp_path, "")) is None


def test_this_machine_can_be_read(tmp_path: Path) -> None:
    assert needs_polling(Path("/proc")) is None
