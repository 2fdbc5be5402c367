"""What is taken from in/, and what is passed over or reported."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest
from fakes import AWKWARD_NAMES
from permissions import without_root

from edge_matting.core.anchored import AnchoredFolder
from edge_matting.core.durable import TEMPORARY_PREFIX, TEMPORARY_SUFFIX
from edge_matting.core.errors import FolderUnavailable
from edge_matting.core.jobs import Signature
from edge_matting.core.walks import MAX_DEPTH
from edge_matting.hotfolder.ignore import is_ignored, is_ignored_path
from edge_matting.hotfolder.scan import FoundFile, ScanProblem, look, scan
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
        *("@Recycle", "#snapshot", "Network Trash Folder", "lost+found", "ehthumbs.db", "Icon\r"),
        *("photo.jpg.tacitpart", "photo.jpg.sb-1a2b3c4d-Xy12Za", "photo.jpg.inprogress"),
        *("photo.jpg.uploading", "photo.jpg:Zone.Identifier", "@Recently-Snapshot", "@tmp"),
        *("photo.xmp", "IMG_0001.AAE", "MVI_0001.THM", "IMG_0001.MOV", "photo.jpg.xmp"),
        f"{TEMPORARY_PREFIX}0123456789abcdef{TEMPORARY_SUFFIX}",
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
        *("photo.sb-1.jpg", "lost+found.jpg", "snapshot", "recycle.jpg", "movie.jpg", "xmp.jpg"),
    ],
)
def test_everything_else_is_taken_whatever_its_extension(name: str) -> None:
    assert not is_ignored(name)


def test_a_path_is_ignored_for_any_of_its_parts() -> None:
    assert is_ignored_path("a/@eaDir/b.jpg")
    assert not is_ignored_path("a/b/c.jpg")


# -- scan -----------------------------------------------------------------------------


def paths(inbox: Path) -> list[str]:
    return sorted(entry.path for entry in scan(AnchoredFolder(inbox)))


def test_a_scan_finds_files_in_all_sub_folders_with_their_signatures(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "1.jpg").write_bytes(b"1")
    (tmp_path / "a/b/2.jpg").write_bytes(b"22")
    found = {entry.path: entry for entry in scan(AnchoredFolder(tmp_path))}
    assert sorted(found) == ["1.jpg", "a/b/2.jpg"]
    signature = Signature.of((tmp_path / "a/b/2.jpg").lstat())
    assert found["a/b/2.jpg"] == FoundFile("a/b/2.jpg", signature)


@pytest.mark.parametrize("name", AWKWARD_NAMES)
def test_a_scan_brings_any_name_through(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    assert paths(tmp_path) == [name]
    assert look(AnchoredFolder(tmp_path), name) is not None


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
    assert look(AnchoredFolder(inbox), "@eaDir/a.jpg") is None
    for name in ("file-link.jpg", "fifo.jpg", "socket.jpg", "folder.jpg", "gone", "gone/x"):
        assert look(AnchoredFolder(inbox), name) is None


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
    with pytest.raises(FolderUnavailable, match="is not there"):
        list(scan(AnchoredFolder(tmp_path / "in")))


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
    deep_folder(tmp_path, MAX_DEPTH + 1, "d")
    (tmp_path / "a.jpg").write_bytes(b"x")
    entries = list(scan(AnchoredFolder(tmp_path)))
    problems = [entry for entry in entries if isinstance(entry, ScanProblem)]
    assert [entry.path for entry in entries if isinstance(entry, FoundFile)] == ["a.jpg"]
    assert len(problems) == 1
    assert "folders deep" in problems[0].reason


def test_a_path_longer_than_the_system_takes_is_looked_at(tmp_path: Path) -> None:
    folder = deep_folder(tmp_path, 25)
    assert len(folder) > 4096
    (found,) = scan(AnchoredFolder(tmp_path))
    assert found == look(AnchoredFolder(tmp_path), f"{folder}/a.jpg")


def test_an_unreadable_sub_folder_is_reported(open_folder: Path) -> None:
    (open_folder / "locked").mkdir(mode=0o000)
    (open_folder / "a.jpg").write_bytes(b"x")
    with without_root():
        entries = list(scan(AnchoredFolder(open_folder)))
        with pytest.raises(FolderUnavailable, match="Permission denied"):
            look(AnchoredFolder(open_folder), "locked/a.jpg")
    assert [entry.path for entry in entries] == ["a.jpg", "locked"]
    assert entries[1] == ScanProblem("locked", "Permission denied")


def test_what_vanishes_during_the_scan_is_no_problem(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "sub").mkdir()
    entries = scan(AnchoredFolder(tmp_path))
    seen = [next(entries).path]
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).unlink()
    (tmp_path / "sub").rmdir()
    assert {*seen, *(entry.path for entry in entries)} == {"a.jpg", "b.jpg", "c.jpg"}


def test_a_folder_that_vanishes_after_it_was_seen_is_no_problem(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "one/a.jpg").write_bytes(b"x")
    (tmp_path / "two/a.jpg").write_bytes(b"x")
    entries = scan(AnchoredFolder(tmp_path))
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
        entries = list(scan(AnchoredFolder(tmp_path)))
        for entry in entries:
            tracker.observe(entry.path, entry.signature, now)
        tracker.retain({entry.path for entry in entries})
    assert len(tracker.settled()) == 20_000
    assert time.process_time() - start < 10.0  # far below what anything quadratic takes
