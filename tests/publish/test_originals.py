"""Originals: moved once, never over another file, never a file that is not the job's."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import AWKWARD_NAMES
from hypothesis import given
from hypothesis import strategies as st

from edge_matting.config.settings import HotFolder
from edge_matting.core.anchored import AnchoredFolder
from edge_matting.core.errors import FolderUnavailable, SourceChanged, SourceGone, SourceGrows
from edge_matting.core.jobs import Job, Original, Place, Signature
from edge_matting.core.moves import move_no_replace
from edge_matting.core.naming import fit, numbered
from edge_matting.core.states import JobState
from edge_matting.hotfolder.layout import prepare
from edge_matting.publish import build_report, dispose

REPORT = b'{"source": "a.jpg", "code": "not_an_image"}\n'

ORIGINAL_NAMES = [
    *AWKWARD_NAMES,
    "\N{PARTY POPPER}" * 62 + ".jpg",
    "a." + "x" * 253,
    "a.error.json",
]


@pytest.fixture
def folder(tmp_path: Path) -> HotFolder:
    folder = HotFolder(path=tmp_path / "hot")
    prepare(folder)
    return folder


def drop(folder: HotFolder, source: str = "a.jpg", content: bytes = b"photo") -> Job:
    path = folder.inbox / source
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return Job(
        id=7,
        folder=str(folder.path),
        source=source,
        signature=Signature.of(path.lstat()),
        recipe="cutout",
        state=JobState.FAILED,
        attempts=3,
        alone=False,
        stem="a",
        original=Original(Place.IN, source),
        code="not_an_image",
        message="a.jpg is text",
        created_at=1_700_000_000.0,
    )


def tree(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


# -- names ----------------------------------------------------------------------------


def test_taken_names_are_numbered_before_the_extension() -> None:
    assert numbered("a.jpg", 1) == "a.jpg"
    assert numbered("a.jpg", 2) == "a~2.jpg"
    assert numbered("none", 3) == "none~3"
    assert numbered("a." + "x" * 40, 2) == "a." + "x" * 40 + "~2"


@given(st.binary(min_size=1, max_size=255), st.integers(1, 10**6))
def test_no_name_gets_too_long(raw: bytes, number: int) -> None:
    name = os.fsdecode(raw.replace(b"/", b"_").replace(b"\0", b"_"))
    for made in (numbered(name, number), fit(name, ".error.json")):
        assert 0 < len(os.fsencode(made)) <= 255


def test_names_that_are_cut_stay_apart() -> None:
    one, two = "x" * 250 + "1", "x" * 250 + "2"
    assert fit(one, ".error.json") != fit(two, ".error.json")


# -- done, kept, deleted ---------------------------------------------------------------


@pytest.mark.parametrize("name", ORIGINAL_NAMES)
def test_an_original_goes_to_done_under_its_own_name(folder: HotFolder, name: str) -> None:
    job = drop(folder, f"sub/{name}")
    assert dispose(folder, job, Place.DONE) == Original(Place.DONE, f"sub/{name}")
    assert tree(folder.path) == [f"done/sub/{name}"]
    assert (folder.inbox / "sub").is_dir()


def test_nothing_in_done_is_overwritten(folder: HotFolder) -> None:
    for number in range(3):
        job = drop(folder, "a.jpg", b"%d" % number)
        dispose(folder, job, Place.DONE)
    assert tree(folder.done) == ["a.jpg", "a~2.jpg", "a~3.jpg"]
    assert (folder.done / "a~3.jpg").read_bytes() == b"2"


@pytest.mark.parametrize("kind", ["folder", "dangling symlink"])
def test_whatever_has_the_name_counts_as_taken(folder: HotFolder, kind: str) -> None:
    if kind == "folder":
        (folder.done / "a.jpg").mkdir()
    else:
        (folder.done / "a.jpg").symlink_to("/nowhere")
    assert dispose(folder, drop(folder), Place.DONE) == Original(Place.DONE, "a~2.jpg")


def test_a_kept_original_stays(folder: HotFolder) -> None:
    job = drop(folder)
    assert dispose(folder, job, Place.IN) == job.original
    assert tree(folder.path) == ["in/a.jpg"]


def test_a_deleted_original_is_gone_and_again_without_harm(folder: HotFolder) -> None:
    job = drop(folder)
    for _ in range(2):
        assert dispose(folder, job, Place.GONE) == Original(Place.GONE, "a.jpg")
    assert tree(folder.path) == []
    gone = replace(job, original=Original(Place.GONE, "a.jpg"))
    assert dispose(folder, gone, Place.DONE) == gone.original


# -- not the job's file ----------------------------------------------------------------


@pytest.mark.parametrize("target", [Place.DONE, Place.FAILED, Place.GONE])
@pytest.mark.parametrize("kind", ["other bytes", "symlink", "folder", "fifo"])
def test_something_new_under_the_old_name_is_left_alone(
    folder: HotFolder, target: Place, kind: str
) -> None:
    job = drop(folder)
    path = folder.inbox / "a.jpg"
    path.rename(folder.path / "aside")
    if kind == "other bytes":
        path.write_bytes(b"new photo")
    elif kind == "symlink":
        path.symlink_to(folder.path / "aside")
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    with pytest.raises(SourceChanged, match=r"a\.jpg"):
        dispose(folder, job, target, REPORT)
    assert os.path.lexists(path)
    assert tree(folder.done) == tree(folder.failed) == []


def test_a_photo_that_is_renamed_over_the_old_one_at_the_last_moment_is_put_back(
    folder: HotFolder,
) -> None:
    def replaced(inbox: AnchoredFolder, source: str, done: AnchoredFolder, target: str) -> None:
        (folder.path / "upload").write_bytes(b"the next photo")
        (folder.path / "upload").rename(inbox.path / source)
        move_no_replace(inbox, source, done, target)

    with pytest.raises(SourceChanged, match="was replaced"):
        dispose(folder, drop(folder), Place.DONE, move=replaced)
    assert tree(folder.path) == ["in/a.jpg"]
    assert (folder.inbox / "a.jpg").read_bytes() == b"the next photo"


def test_a_photo_that_is_taken_away_at_the_last_moment_is_gone(folder: HotFolder) -> None:
    def taken(inbox: AnchoredFolder, source: str, done: AnchoredFolder, target: str) -> None:
        (inbox.path / source).unlink()
        move_no_replace(inbox, source, done, target)

    with pytest.raises(SourceGone):
        dispose(folder, drop(folder), Place.DONE, move=taken)


def test_a_name_that_is_taken_at_the_last_moment_is_passed_over(folder: HotFolder) -> None:
    def contested(inbox: AnchoredFolder, source: str, done: AnchoredFolder, target: str) -> None:
        if target == "a.jpg":
            (done.path / target).write_bytes(b"another's")
        move_no_replace(inbox, source, done, target)

    job = drop(folder)
    assert dispose(folder, job, Place.DONE, move=contested) == Original(Place.DONE, "a~2.jpg")
    assert (folder.done / "a.jpg").read_bytes() == b"another's"


@pytest.mark.parametrize("target", [Place.DONE, Place.FAILED])
def test_a_missing_original_is_gone(folder: HotFolder, target: Place) -> None:
    job = drop(folder, "sub/a.jpg")
    shutil.rmtree(folder.inbox / "sub")
    with pytest.raises(SourceGone, match=r"sub/a\.jpg is gone"):
        dispose(folder, job, target, REPORT)


@pytest.mark.parametrize("target", [Place.DONE, Place.FAILED, Place.GONE])
def test_an_unmounted_folder_is_unavailable_and_its_originals_are_not_gone(
    folder: HotFolder, target: Place
) -> None:
    job = drop(folder)
    folder.path.rename(folder.path.with_name("unmounted"))
    with pytest.raises(FolderUnavailable, match="is not there"):
        dispose(folder, job, target, REPORT)
    assert not folder.path.exists()


def test_a_missing_done_folder_is_unavailable_and_not_made(folder: HotFolder) -> None:
    job = drop(folder)
    folder.done.rmdir()
    with pytest.raises(FolderUnavailable, match="is not there"):
        dispose(folder, job, Place.DONE)
    assert tree(folder.path) == ["in/a.jpg"]


@pytest.mark.parametrize("target", [Place.DONE, Place.FAILED])
def test_an_original_whose_path_is_longer_than_the_system_takes_is_put_away(
    folder: HotFolder, target: Place
) -> None:
    """Fits below ``in/`` by one byte, and would not below ``failed/``."""
    room = 4094 - len(os.fsencode(folder.inbox)) - 1
    names = ["d" * 240] * ((room - 10) // 241)
    here = os.open(folder.inbox, os.O_RDONLY)
    for name in names:
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    length = room - len(names) * 241
    source = "/".join([*names, "x" * (length - 4) + ".jpg"])
    path = folder.inbox / source
    assert len(os.fsencode(path)) == 4094
    job = replace(drop(folder, "x.jpg"), source=source, original=Original(Place.IN, source))
    os.rename(folder.inbox / "x.jpg", path.name, dst_dir_fd=here)
    os.close(here)
    moved = dispose(folder, job, target, REPORT)
    assert moved == Original(target, source)
    part = folder.done if target is Place.DONE else folder.failed
    assert folder.door(part).read(source, 10) == b"photo"


@pytest.mark.parametrize("target", [Place.DONE, Place.FAILED])
def test_a_file_where_a_folder_should_be_is_passed_by(folder: HotFolder, target: Place) -> None:
    part = folder.done if target is Place.DONE else folder.failed
    (part / "q.png").write_bytes(b"a photo of that name")
    job = drop(folder, "q.png/a.jpg")
    assert dispose(folder, job, target, REPORT) == Original(target, "q.png~2/a.jpg")
    assert dispose(folder, job, target, REPORT) == Original(target, "q.png~2/a.jpg")


def test_a_foreign_file_under_the_reports_name_is_kept(folder: HotFolder) -> None:
    (folder.failed / "a.jpg.error.json").write_bytes(b"my notes")
    assert dispose(folder, drop(folder), Place.FAILED, REPORT).path == "a~2.jpg"
    assert (folder.failed / "a.jpg.error.json").read_bytes() == b"my notes"
    assert tree(folder.failed) == ["a.jpg.error.json", "a~2.jpg", "a~2.jpg.error.json"]


# -- deleted only when it is the same, byte by byte ------------------------------------


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_other_bytes_under_the_same_signature_are_not_deleted(folder: HotFolder) -> None:
    job = replace(drop(folder), sha256=sha256(b"what was done"))
    with pytest.raises(SourceChanged, match="other bytes"):
        dispose(folder, job, Place.GONE)
    assert tree(folder.path) == ["in/a.jpg"]


def test_a_file_that_somebody_still_writes_is_not_deleted(folder: HotFolder) -> None:
    job = replace(drop(folder), sha256=sha256(b"photo"))
    with (folder.inbox / "a.jpg").open("ab"), pytest.raises(SourceGrows, match="open for writing"):
        dispose(folder, job, Place.GONE)
    assert dispose(folder, job, Place.GONE).place is Place.GONE


def test_a_file_edited_in_done_is_not_deleted(folder: HotFolder) -> None:
    job = replace(drop(folder), sha256=sha256(b"photo"))
    done = replace(job, original=dispose(folder, job, Place.DONE))
    (folder.done / "a.jpg").write_bytes(b"PHOTO")
    with pytest.raises(SourceChanged):
        dispose(folder, done, Place.GONE)
    assert (folder.done / "a.jpg").read_bytes() == b"PHOTO"


def test_a_copy_whose_original_cannot_be_removed_is_removed(
    done_elsewhere: HotFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, unlink = done_elsewhere, os.unlink

    def refuse(name: str, *, dir_fd: int | None = None) -> None:
        if name == "a.jpg" and os.stat(name, dir_fd=dir_fd).st_dev == folder.path.stat().st_dev:
            raise PermissionError(1, "Operation not permitted")
        unlink(name, dir_fd=dir_fd)

    job = drop(folder)
    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.raises(FolderUnavailable, match="not permitted"):
        dispose(folder, job, Place.DONE)
    assert os.listdir(folder.done) == []
    assert (folder.inbox / "a.jpg").read_bytes() == b"photo"


def test_a_copy_with_coarser_times_is_the_original(
    done_elsewhere: HotFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on FAT, whose times are even seconds."""
    folder, utime = done_elsewhere, os.utime

    def coarse(path: str, *, ns: tuple[int, int], dir_fd: int, follow_symlinks: bool) -> None:
        even = [time // 2_000_000_000 * 2_000_000_000 for time in ns]
        utime(path, ns=(even[0], even[1]), dir_fd=dir_fd, follow_symlinks=follow_symlinks)

    job = replace(drop(folder), sha256=sha256(b"photo"))
    monkeypatch.setattr(os, "utime", coarse)
    for _ in range(2):
        assert dispose(folder, job, Place.DONE) == Original(Place.DONE, "a.jpg")
    assert os.listdir(folder.done) == ["a.jpg"]
    assert tree(folder.inbox) == []


# -- failed ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ORIGINAL_NAMES)
def test_a_failed_original_lies_beside_its_reason(folder: HotFolder, name: str) -> None:
    job = drop(folder, name)
    original = dispose(folder, job, Place.FAILED, REPORT)
    assert tree(folder.inbox) == []
    assert (folder.failed / original.path).read_bytes() == b"photo"
    assert (folder.failed / fit(original.path, ".error.json")).read_bytes() == REPORT


def test_each_failed_original_of_a_name_has_its_own_reason(folder: HotFolder) -> None:
    for number in range(2):
        dispose(folder, drop(folder), Place.FAILED, b"%d" % number)
    assert tree(folder.failed) == [
        *("a.jpg", "a.jpg.error.json", "a~2.jpg", "a~2.jpg.error.json"),
    ]
    assert (folder.failed / "a~2.jpg.error.json").read_bytes() == b"1"


def test_an_original_that_is_named_like_a_reason_is_never_overwritten_by_one(
    folder: HotFolder,
) -> None:
    dispose(folder, drop(folder, "a.jpg.error.json", b"dropped"), Place.FAILED, REPORT)
    dispose(folder, drop(folder, "a.jpg"), Place.FAILED, REPORT)
    assert (folder.failed / "a.jpg.error~2.json").read_bytes() == b"dropped"
    assert (folder.failed / "a.jpg.error.json").read_bytes() == REPORT


def test_nothing_goes_to_failed_without_a_reason(folder: HotFolder) -> None:
    with pytest.raises(ValueError, match="no report"):
        dispose(folder, drop(folder), Place.FAILED)


def failed_job(folder: HotFolder) -> Job:
    job = drop(folder)
    return replace(job, original=dispose(folder, job, Place.FAILED, REPORT))


def test_a_retried_job_that_succeeds_takes_its_reason_along(folder: HotFolder) -> None:
    job = failed_job(folder)
    for _ in range(2):
        assert dispose(folder, job, Place.DONE) == Original(Place.DONE, "a.jpg")
        assert tree(folder.path) == ["done/a.jpg"]


def test_a_retried_job_that_fails_again_gets_a_new_reason(folder: HotFolder) -> None:
    job = failed_job(folder)
    assert dispose(folder, job, Place.FAILED, b"again") == job.original
    assert (folder.failed / "a.jpg.error.json").read_bytes() == b"again"
    assert tree(folder.failed) == ["a.jpg", "a.jpg.error.json"]


def test_a_retried_job_whose_original_was_taken_away_is_gone(folder: HotFolder) -> None:
    job = failed_job(folder)
    (folder.failed / "a.jpg").unlink()
    with pytest.raises(SourceGone):
        dispose(folder, job, Place.DONE)


def test_an_original_that_is_where_it_belongs_stays(folder: HotFolder) -> None:
    job = drop(folder)
    done = replace(job, original=dispose(folder, job, Place.DONE))
    assert dispose(folder, done, Place.DONE) == done.original
    assert tree(folder.path) == ["done/a.jpg"]


def test_a_reason_whose_folder_is_gone_needs_no_removal(folder: HotFolder) -> None:
    job = drop(folder, "sub/a.jpg")
    failed = replace(job, original=dispose(folder, job, Place.FAILED, REPORT))
    dispose(folder, failed, Place.GONE)
    shutil.rmtree(folder.failed / "sub")
    assert dispose(folder, failed, Place.GONE).place is Place.GONE


# -- cut short ------------------------------------------------------------------------


@pytest.mark.parametrize("target", [Place.DONE, Place.FAILED])
@pytest.mark.parametrize("taken", [False, True])
def test_a_move_that_was_not_recorded_is_found_again(
    folder: HotFolder, target: Place, taken: bool
) -> None:
    if taken:
        dispose(folder, drop(folder, "a.jpg", b"other"), target, REPORT)
    job = drop(folder)
    moved = dispose(folder, job, target, REPORT)
    before = tree(folder.path)
    assert dispose(folder, job, target, REPORT) == moved
    assert tree(folder.path) == before


def test_a_move_that_was_not_recorded_is_found_though_a_new_file_has_the_name(
    folder: HotFolder,
) -> None:
    job = drop(folder)
    moved = dispose(folder, job, Place.DONE)
    (folder.inbox / "a.jpg").write_bytes(b"the next photo")
    assert dispose(folder, job, Place.DONE) == moved
    assert (folder.inbox / "a.jpg").read_bytes() == b"the next photo"


def test_a_reason_without_its_original_is_used_by_the_repeated_move(folder: HotFolder) -> None:
    job = drop(folder)
    (folder.failed / "a.jpg.error.json").write_bytes(build_report(job, 0.0, "1"))
    assert dispose(folder, job, Place.FAILED, REPORT) == Original(Place.FAILED, "a.jpg")
    assert tree(folder.path) == ["failed/a.jpg", "failed/a.jpg.error.json"]


def test_a_move_that_died_between_link_and_unlink_is_finished(folder: HotFolder) -> None:
    job = drop(folder)
    os.link(folder.inbox / "a.jpg", folder.done / "a.jpg")
    assert dispose(folder, job, Place.DONE) == Original(Place.DONE, "a.jpg")
    assert tree(folder.path) == ["done/a.jpg"]


@pytest.fixture
def done_elsewhere(folder: HotFolder) -> Iterator[HotFolder]:
    """A hot folder whose done/ is on another disk."""
    disk = Path("/dev/shm", f"edge-matting-test-{os.getpid()}-{os.urandom(4).hex()}")
    if not disk.parent.is_dir() or disk.parent.stat().st_dev == folder.path.stat().st_dev:
        pytest.skip("there is no second file system to move to")
    disk.mkdir()
    folder.done.rmdir()
    folder.done.symlink_to(disk)
    yield folder
    shutil.rmtree(disk)


def test_an_original_moves_to_another_disk_once(done_elsewhere: HotFolder) -> None:
    folder = done_elsewhere
    job = drop(folder)
    for _ in range(2):
        assert dispose(folder, job, Place.DONE) == Original(Place.DONE, "a.jpg")
    assert os.listdir(folder.done) == ["a.jpg"]
    assert tree(folder.inbox) == []


def test_a_copy_to_another_disk_that_died_before_the_unlink_is_finished(
    done_elsewhere: HotFolder,
) -> None:
    folder = done_elsewhere
    job = drop(folder)
    shutil.copy2(folder.inbox / "a.jpg", folder.done / "a.jpg")
    assert dispose(folder, job, Place.DONE) == Original(Place.DONE, "a.jpg")
    assert os.listdir(folder.done) == ["a.jpg"]


def test_another_file_of_the_same_size_and_time_on_another_disk_is_kept(
    done_elsewhere: HotFolder,
) -> None:
    folder = done_elsewhere
    job = drop(folder, "a.jpg", b"photo")
    (folder.done / "a.jpg").write_bytes(b"PHOTO")
    os.utime(folder.done / "a.jpg", ns=(0, job.signature.mtime_ns))
    assert dispose(folder, job, Place.DONE) == Original(Place.DONE, "a~2.jpg")
    assert (folder.done / "a.jpg").read_bytes() == b"PHOTO"


# -- the reason -----------------------------------------------------------------------


def test_a_report_says_what_when_and_how_often(folder: HotFolder) -> None:
    content = json.loads(build_report(drop(folder), 1_700_000_060.0, "1.2.3"))
    assert content == {
        "source": "a.jpg",
        "code": "not_an_image",
        "message": "a.jpg is text",
        "hint": "open it in a viewer; if it shows there, export it again as JPEG or PNG",
        "attempts": 3,
        "failed_at": "2023-11-14T22:14:20.000Z",
        "first_seen": "2023-11-14T22:13:20.000Z",
        "version": "1.2.3",
    }


def test_a_hint_can_be_given_and_an_unknown_code_has_none(folder: HotFolder) -> None:
    job = drop(folder)
    assert json.loads(build_report(job, 0.0, "1", hint="call"))["hint"] == "call"
    assert json.loads(build_report(replace(job, code="new"), 0.0, "1"))["hint"] == ""
