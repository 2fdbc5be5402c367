"""Durable writes and moves: whole or not at all, and errors that name the place."""

from __future__ import annotations

import errno
import math
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge_matting.core import durable
from edge_matting.core.durable import (
    blocked,
    blocking,
    copy_no_replace,
    durable_remove,
    durable_write,
    is_temporary,
    link_no_replace,
    make_folders,
    move_no_replace,
    read_chunks,
    rename_no_replace,
    reserve_no_replace,
    sweep_temporaries,
    sync_folder,
    temporary_name,
)
from edge_matting.core.errors import DiskFull, FolderUnavailable, SourceChanged

AWKWARD_NAMES = [
    "with space.png",
    "quotes\"and'.png",
    "new\nline.png",
    "emoji \N{PARTY POPPER}.png",
    "-rf",
    "<script>alert(1)<",
    os.fsdecode(b"undecodable \xff\x80.png"),
    "x" * 251 + ".png",
]


def refuse(number: int):
    """A system call that always fails with ``number``."""

    def call(source: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number), str(source), None, str(target))

    return call


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("only root can mount the small disk that this test fills")
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], check=False
    )
    if done.returncode != 0:
        pytest.skip("this container may not mount the small disk that this test fills")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    folder = Path("/dev/shm", f"edge-matting-test-{os.getpid()}-{os.urandom(4).hex()}")
    if not folder.parent.is_dir() or folder.parent.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system to move to")
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


# -- durable_write --------------------------------------------------------------------


@pytest.mark.parametrize("name", AWKWARD_NAMES)
def test_a_written_file_holds_its_bytes_under_any_name(tmp_path: Path, name: str) -> None:
    durable_write(tmp_path / name, b"content")
    assert os.listdir(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() == b"content"


def test_chunks_are_written_in_their_order_and_an_older_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    durable_write(path, b"old" * 100)
    durable_write(path, [b"one ", b"", b"two"])
    assert path.read_bytes() == b"one two"


def test_the_mode_is_narrowed_by_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        durable_write(tmp_path / "a", b"")
        durable_write(tmp_path / "b", b"", mode=0o600)
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o600


def test_a_failing_producer_leaves_neither_temporary_nor_target(tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError("encoder failed")

    with pytest.raises(RuntimeError, match="encoder failed"):
        durable_write(tmp_path / "a.png", chunks())
    assert os.listdir(tmp_path) == []


def test_a_missing_folder_is_unavailable_and_named(tmp_path: Path) -> None:
    with pytest.raises(FolderUnavailable, match=re.escape(str(tmp_path / "gone"))):
        durable_write(tmp_path / "gone/a.png", b"x")


def test_a_folder_in_the_way_of_the_file_is_said_and_leaves_no_temporary(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(FolderUnavailable, match=r"a\.png: Is a directory"):
        durable_write(tmp_path / "a.png", b"x")
    assert os.listdir(tmp_path) == ["a.png"]


def test_a_name_that_no_file_system_takes_is_no_matter_of_place(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too long"):
        durable_write(tmp_path / ("x" * 300), b"x")
    assert os.listdir(tmp_path) == []


def test_a_full_disk_keeps_the_old_file_and_leaves_no_temporary(small_disk: Path) -> None:
    path = small_disk / "a.png"
    durable_write(path, b"old")
    with pytest.raises(DiskFull, match=re.escape(str(path))):
        durable_write(path, bytes(1 << 20))
    assert path.read_bytes() == b"old"
    assert os.listdir(small_disk) == ["a.png"]


def test_a_read_only_disk_is_unavailable(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(FolderUnavailable, match="Read-only"):
        durable_write(small_disk / "a.png", b"x")
    with pytest.raises(FolderUnavailable, match="Read-only"):
        make_folders(small_disk / "new")


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, DiskFull),
        (errno.EDQUOT, DiskFull),
        (errno.EROFS, FolderUnavailable),
        (errno.EACCES, FolderUnavailable),
        (errno.EPERM, FolderUnavailable),
        (errno.ENOENT, FolderUnavailable),
        (errno.ENOTDIR, FolderUnavailable),
        (errno.ESTALE, FolderUnavailable),
        (errno.EIO, FolderUnavailable),
    ],
)
def test_an_error_number_says_whether_the_disk_or_the_folder_is_at_fault(
    number: int, kind: type
) -> None:
    meaning = blocked(OSError(number, os.strerror(number)), "cannot write /x")
    assert type(meaning) is kind
    assert "cannot write /x: " in meaning.message


def test_other_errors_pass_through_unchanged() -> None:
    error = OSError(errno.ENAMETOOLONG, "too long")
    assert blocked(error, "cannot write /x") is None
    with pytest.raises(OSError, match="too long") as caught, blocking("cannot write /x"):
        raise error
    assert caught.value is error


# -- move_no_replace ------------------------------------------------------------------


@pytest.mark.parametrize("name", AWKWARD_NAMES)
def test_a_moved_file_is_at_its_new_place_only(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "done").mkdir()
    (tmp_path / "in" / name).write_bytes(b"photo")
    move_no_replace(tmp_path / "in" / name, tmp_path / "done" / name)
    assert os.listdir(tmp_path / "in") == []
    assert (tmp_path / "done" / name).read_bytes() == b"photo"


@pytest.mark.parametrize(
    "move",
    [move_no_replace, rename_no_replace, link_no_replace, reserve_no_replace, copy_no_replace],
)
def test_no_way_of_moving_overwrites(tmp_path: Path, move) -> None:
    (tmp_path / "a").write_bytes(b"new")
    (tmp_path / "b").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        move(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert (tmp_path / "b").read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


@pytest.mark.parametrize("move", [link_no_replace, reserve_no_replace, copy_no_replace])
def test_each_way_of_moving_moves(tmp_path: Path, move) -> None:
    (tmp_path / "a").write_bytes(b"photo")
    move(tmp_path / "a", tmp_path / "b")
    assert os.listdir(tmp_path) == ["b"]
    assert (tmp_path / "b").read_bytes() == b"photo"


def test_a_file_system_without_flags_or_links_still_moves(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"photo")
    rename_no_replace(tmp_path / "a", tmp_path / "b", refuse(errno.EINVAL))
    link_no_replace(tmp_path / "b", tmp_path / "c", refuse(errno.EPERM))
    assert os.listdir(tmp_path) == ["c"]


def test_other_failures_of_the_calls_are_not_taken_for_a_missing_feature(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Input/output"):
        rename_no_replace(tmp_path / "a", tmp_path / "b", refuse(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        link_no_replace(tmp_path / "a", tmp_path / "b", refuse(errno.EIO))


def test_an_old_c_library_counts_as_a_file_system_without_the_flag(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not implemented") as caught:
        durable._renameat2(tmp_path / "a", tmp_path / "b", SimpleNamespace())
    assert caught.value.errno == errno.ENOSYS


def test_a_reserved_name_is_given_back_when_the_rename_fails(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        reserve_no_replace(tmp_path / "absent", tmp_path / "b")
    assert os.listdir(tmp_path) == []


def test_a_move_that_died_between_link_and_unlink_is_finished(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"photo")
    os.link(tmp_path / "a", tmp_path / "b")
    move_no_replace(tmp_path / "a", tmp_path / "b")
    assert os.listdir(tmp_path) == ["b"]


def test_a_missing_source_is_not_found_and_a_missing_folder_unavailable(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        move_no_replace(tmp_path / "a", tmp_path / "b")
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(FolderUnavailable, match="cannot move"):
        move_no_replace(tmp_path / "a", tmp_path / "gone/b")
    with pytest.raises(FolderUnavailable, match="cannot move"):
        move_no_replace(tmp_path / "a", tmp_path / "a/b")


def test_a_move_to_another_file_system_copies_and_keeps_the_time(
    tmp_path: Path, other_disk: Path
) -> None:
    source = tmp_path / "a"
    source.write_bytes(os.urandom(durable.CHUNK_BYTES + 7))
    content = source.read_bytes()
    os.utime(source, ns=(10**18, 10**18 + 5))
    move_no_replace(source, other_disk / "a")
    assert not source.exists()
    assert (other_disk / "a").read_bytes() == content
    assert (other_disk / "a").stat().st_mtime_ns == 10**18 + 5
    assert os.listdir(other_disk) == ["a"]


def test_a_copying_move_that_died_before_the_unlink_is_finished(
    tmp_path: Path, other_disk: Path
) -> None:
    (tmp_path / "a").write_bytes(b"photo")
    shutil.copy2(tmp_path / "a", other_disk / "a")
    move_no_replace(tmp_path / "a", other_disk / "a")
    assert os.listdir(tmp_path) == []
    assert os.listdir(other_disk) == ["a"]


def test_other_bytes_of_the_same_size_and_time_are_not_taken_for_the_copy(
    tmp_path: Path, other_disk: Path
) -> None:
    (tmp_path / "a").write_bytes(b"photo")
    (other_disk / "a").write_bytes(b"PHOTO")
    for path in (tmp_path / "a", other_disk / "a"):
        os.utime(path, ns=(10**18, 10**18))
    with pytest.raises(FileExistsError):
        move_no_replace(tmp_path / "a", other_disk / "a")
    assert (other_disk / "a").read_bytes() == b"PHOTO"
    assert (tmp_path / "a").exists()


def test_a_source_that_changes_while_it_is_copied_stays(tmp_path: Path) -> None:
    source = tmp_path / "pipe"
    source.write_bytes(bytes(3 * durable.CHUNK_BYTES))

    class Growing(type(tmp_path)):
        """A path whose file grows between the two looks at it."""

        looks = 0

        def lstat(self) -> os.stat_result:
            type(self).looks += 1
            if type(self).looks == 2:
                with Path(self).open("ab") as file:
                    file.write(b"more")
            return Path(self).lstat()

    with pytest.raises(SourceChanged, match="changed while"):
        copy_no_replace(Growing(source), tmp_path / "b")
    assert os.listdir(tmp_path) == ["pipe"]


# -- folders, removal, temporaries ----------------------------------------------------


def test_folders_are_made_with_their_parents_and_again_without_harm(tmp_path: Path) -> None:
    make_folders(tmp_path / "a/b/c")
    make_folders(tmp_path / "a/b/c")
    assert (tmp_path / "a/b/c").is_dir()


def test_a_file_in_the_way_of_a_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(FolderUnavailable, match="not a folder"):
        make_folders(tmp_path / "a")


def test_no_folder_is_made_below_a_root_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FolderUnavailable, match="is not there"):
        make_folders(tmp_path / "disk/out/sub", tmp_path / "disk/out")
    assert os.listdir(tmp_path) == []
    (tmp_path / "disk/out").mkdir(parents=True)
    make_folders(tmp_path / "disk/out/sub", tmp_path / "disk/out")
    assert (tmp_path / "disk/out/sub").is_dir()


def test_removal_says_whether_there_was_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    assert durable_remove(tmp_path / "a") is True
    assert durable_remove(tmp_path / "a") is False
    (tmp_path / "folder").mkdir()
    with pytest.raises(FolderUnavailable, match="cannot remove"):
        durable_remove(tmp_path / "folder")


def test_a_folder_that_cannot_be_synced_on_principle_is_no_error() -> None:
    sync_folder(Path("/proc"))  # EINVAL


def test_a_folder_that_fails_to_sync_is_an_error(tmp_path: Path) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        sync_folder(tmp_path, broken)


def test_a_missing_folder_cannot_be_synced(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "gone")


def test_a_sweep_removes_our_leftovers_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "elsewhere").mkdir()
    leftovers = [tmp_path / temporary_name(), tmp_path / "sub" / temporary_name()]
    others = [tmp_path / ".edge-matting-notes", tmp_path / "sub/x.tmp", tmp_path / ".hidden.tmp"]
    for path in [*leftovers, *others]:
        path.write_bytes(b"x")
    (tmp_path / "link").symlink_to("/")
    (tmp_path / "sub" / temporary_name()).mkdir()
    assert sweep_temporaries(tmp_path) == 2
    assert not any(map(Path.exists, leftovers))
    assert all(map(Path.exists, others))
    assert sweep_temporaries(tmp_path / "gone") == 0


def test_a_sweep_beside_working_writers_takes_only_what_is_old(tmp_path: Path) -> None:
    old, young = tmp_path / temporary_name(), tmp_path / temporary_name()
    for path in (old, young):
        path.write_bytes(b"x")
    os.utime(old, (1000.0, 1000.0))
    assert sweep_temporaries(tmp_path, before=1001.0) == 1
    assert young.exists()
    assert not old.exists()
    assert durable._written(tmp_path / "renamed meanwhile") == math.inf


def test_a_leftover_that_is_gone_meanwhile_is_not_counted(tmp_path: Path) -> None:
    assert durable._removed(tmp_path / "gone") is False


def test_temporary_names_are_told_from_others() -> None:
    assert is_temporary(temporary_name())
    assert not is_temporary("photo.tmp")
    assert not is_temporary(".edge-matting-x")
    assert temporary_name() != temporary_name()


def test_reading_follows_no_symlink_and_waits_for_no_fifo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert list(read_chunks(tmp_path / "fifo")) == []
    with pytest.raises(OSError, match="symbolic"):
        list(read_chunks(tmp_path / "link"))
