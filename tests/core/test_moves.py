"""Moves: a file has one place at every moment that counts, and no other file loses its own."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes import AWKWARD_NAMES

from edge_matting.core.anchored import AnchoredFolder
from edge_matting.core.durable import CHUNK_BYTES
from edge_matting.core.errors import FolderUnavailable, SourceChanged
from edge_matting.core.moves import copy_no_replace, move_no_replace
from edge_matting.core.renames import (
    Spot,
    link_no_replace,
    rename_no_replace,
    renameat2,
    reserve_no_replace,
)

WAYS = (rename_no_replace, link_no_replace, reserve_no_replace, copy_no_replace)


@contextmanager
def spot(path: Path) -> Iterator[Spot]:
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield Spot(folder, path.name)
    finally:
        os.close(folder)


def on_spots(way: Callable[..., None]) -> Callable[..., None]:
    """The way of moving, for two paths."""

    def call(source: Path, target: Path, *arguments: object) -> None:
        with spot(source) as here, spot(target) as there:
            way(here, there, *arguments)

    return call


def move(source: Path, target: Path) -> None:
    move_no_replace(
        AnchoredFolder(source.parent), source.name, AnchoredFolder(target.parent), target.name
    )


def refuse(number: int) -> Callable[[Spot, Spot], None]:
    """A system call that always fails with ``number``."""

    def call(source: Spot, target: Spot) -> None:
        raise OSError(number, os.strerror(number), source.name, None, target.name)

    return call


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    folder = Path("/dev/shm", f"edge-matting-test-{os.getpid()}-{os.urandom(4).hex()}")
    if not folder.parent.is_dir() or folder.parent.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system to move to")
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("name", AWKWARD_NAMES)
def test_a_moved_file_is_at_its_new_place_only(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "done").mkdir()
    (tmp_path / "in" / name).write_bytes(b"photo")
    move(tmp_path / "in" / name, tmp_path / "done" / name)
    assert os.listdir(tmp_path / "in") == []
    assert (tmp_path / "done" / name).read_bytes() == b"photo"


@pytest.mark.parametrize(
    "move",
    [move, *map(on_spots, WAYS)],
)
def test_no_way_of_moving_overwrites(tmp_path: Path, move) -> None:
    (tmp_path / "a").write_bytes(b"new")
    (tmp_path / "b").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        move(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert (tmp_path / "b").read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


@pytest.mark.parametrize("move", [*map(on_spots, WAYS[1:])])
def test_each_way_of_moving_moves(tmp_path: Path, move) -> None:
    (tmp_path / "a").write_bytes(b"photo")
    move(tmp_path / "a", tmp_path / "b")
    assert os.listdir(tmp_path) == ["b"]
    assert (tmp_path / "b").read_bytes() == b"photo"


def test_a_file_system_without_flags_or_links_still_moves(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"photo")
    on_spots(rename_no_replace)(tmp_path / "a", tmp_path / "b", refuse(errno.EINVAL))
    on_spots(link_no_replace)(tmp_path / "b", tmp_path / "c", refuse(errno.EPERM))
    assert os.listdir(tmp_path) == ["c"]


def test_other_failures_of_the_calls_are_not_taken_for_a_missing_feature(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Input/output"):
        on_spots(rename_no_replace)(tmp_path / "a", tmp_path / "b", refuse(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        on_spots(link_no_replace)(tmp_path / "a", tmp_path / "b", refuse(errno.EIO))


def test_an_old_c_library_counts_as_a_file_system_without_the_flag(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not implemented") as caught:
        on_spots(renameat2)(tmp_path / "a", tmp_path / "b", SimpleNamespace())
    assert caught.value.errno == errno.ENOSYS


def test_a_reserved_name_is_given_back_when_the_rename_fails(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        on_spots(reserve_no_replace)(tmp_path / "absent", tmp_path / "b")
    assert os.listdir(tmp_path) == []


def test_a_move_that_died_between_link_and_unlink_is_finished(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"photo")
    os.link(tmp_path / "a", tmp_path / "b")
    move(tmp_path / "a", tmp_path / "b")
    assert os.listdir(tmp_path) == ["b"]


def test_a_missing_source_is_not_found_and_a_missing_folder_unavailable(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        move(tmp_path / "a", tmp_path / "b")
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(FolderUnavailable, match="gone"):
        move(tmp_path / "a", tmp_path / "gone/b")
    with pytest.raises(FolderUnavailable, match="is not there"):
        move(tmp_path / "a", tmp_path / "a/b")


def test_a_move_to_another_file_system_copies_and_keeps_the_time(
    tmp_path: Path, other_disk: Path
) -> None:
    source = tmp_path / "a"
    source.write_bytes(os.urandom(CHUNK_BYTES + 7))
    content = source.read_bytes()
    os.utime(source, ns=(10**18, 10**18 + 5))
    move(source, other_disk / "a")
    assert not source.exists()
    assert (other_disk / "a").read_bytes() == content
    assert (other_disk / "a").stat().st_mtime_ns == 10**18 + 5
    assert os.listdir(other_disk) == ["a"]


def test_a_copying_move_that_died_before_the_unlink_is_finished(
    tmp_path: Path, other_disk: Path
) -> None:
    (tmp_path / "a").write_bytes(b"photo")
    shutil.copy2(tmp_path / "a", other_disk / "a")
    move(tmp_path / "a", other_disk / "a")
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
        move(tmp_path / "a", other_disk / "a")
    assert (other_disk / "a").read_bytes() == b"PHOTO"
    assert (tmp_path / "a").exists()


def test_a_source_that_changes_while_it_is_copied_stays(tmp_path: Path) -> None:
    source = tmp_path / "pipe"
    source.write_bytes(bytes(3 * CHUNK_BYTES))

    class Growing(Spot):
        """A file that grows between two looks at it."""

        looks = 0

        def status(self) -> os.stat_result:
            type(self).looks += 1
            if type(self).looks == 2:
                with source.open("ab") as file:
                    file.write(b"more")
            return super().status()

    with (
        spot(source) as here,
        spot(tmp_path / "b") as there,
        pytest.raises(SourceChanged, match="changed while"),
    ):
        copy_no_replace(Growing(here.folder, here.name), there)
    assert os.listdir(tmp_path) == ["pipe"]
