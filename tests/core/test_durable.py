"""Durable writes: whole or not at all, and errors that name the place."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_matting.core import durable
from edge_matting.core.durable import (
    blocked,
    blocking,
    durable_remove,
    durable_write,
    is_temporary,
    make_folders,
    read_chunks,
    sync_folder,
    temporary_name,
)
from edge_matting.core.errors import (
    DiskFull,
    FolderUnavailable,
    PathRefused,
    ResourcesShort,
    TemporaryError,
)

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
    with pytest.raises(PathRefused, match=r"a\.png: Is a directory"):
        durable_write(tmp_path / "a.png", b"x")
    assert os.listdir(tmp_path) == ["a.png"]


def test_a_name_that_no_file_system_takes_is_no_matter_of_place(tmp_path: Path) -> None:
    with pytest.raises(PathRefused, match="too long"):
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
        (errno.ENOTDIR, PathRefused),
        (errno.ENAMETOOLONG, PathRefused),
        (errno.EINVAL, PathRefused),
        (errno.EUCLEAN, PathRefused),
        (errno.EMFILE, ResourcesShort),
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


def test_every_error_of_the_system_has_a_meaning() -> None:
    for number in errno.errorcode:
        with pytest.raises(TemporaryError), blocking("cannot write /x"):
            raise OSError(number, os.strerror(number))
    with pytest.raises(FileExistsError), blocking("cannot", passing=(FileExistsError,)):
        raise FileExistsError


# -- folders, removal, temporaries ----------------------------------------------------


def test_folders_are_made_with_their_parents_and_again_without_harm(tmp_path: Path) -> None:
    make_folders(tmp_path / "a/b/c")
    make_folders(tmp_path / "a/b/c")
    assert (tmp_path / "a/b/c").is_dir()


def test_a_file_in_the_way_of_a_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(PathRefused, match=r"not a folder|Not a directory"):
        make_folders(tmp_path / "a")


def test_removal_says_whether_there_was_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    assert durable_remove(tmp_path / "a") is True
    assert durable_remove(tmp_path / "a") is False
    (tmp_path / "folder").mkdir()
    with pytest.raises(PathRefused, match="cannot remove"):
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
