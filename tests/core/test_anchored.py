"""The door to a hot folder: nothing is reached through a link, whatever is swapped or planted."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import AWKWARD_NAMES

from edge_matting.core import beneath
from edge_matting.core.anchored import AnchoredFolder
from edge_matting.core.beneath import FOLDER_PATH, components, open_beneath
from edge_matting.core.durable import temporary_name
from edge_matting.core.errors import FolderUnavailable, PathRefused
from edge_matting.core.pins import take_pins
from edge_matting.core.walks import Unseen, WalkedFile, sweep_temporaries, walk


@pytest.fixture(params=["openat2", "component by component"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "openat2":
        if not beneath.has_openat2():
            pytest.skip("this kernel, or what filters our calls, has no openat2")
    else:
        monkeypatch.setattr(beneath, "has_openat2", lambda: False)
    return str(request.param)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / "ledger").write_bytes(b"secret")
    return folder


@pytest.fixture
def door(tmp_path: Path) -> AnchoredFolder:
    (tmp_path / "hot").mkdir()
    return AnchoredFolder(tmp_path / "hot")


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[str]:
    """A path longer than PATH_MAX below ``hot``, made step by step."""
    names = ["d" * 200] * 30
    here = os.open(tmp_path / "hot", os.O_RDONLY)
    for name in names:
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    yield "/".join(names)
    os.system(f"rm -rf '{tmp_path}/hot'")  # shutil.rmtree cannot


@pytest.mark.parametrize("name", AWKWARD_NAMES)
def test_any_name_is_written_read_and_removed(door: AnchoredFolder, name: str) -> None:
    folder = door.make_folders("sub/folder")
    door.write(f"{folder}/{name}", b"content", replace=False)
    assert b"".join(door.chunks(f"{folder}/{name}")) == b"content"
    with pytest.raises(FileExistsError):
        door.write(f"{folder}/{name}", b"other", replace=False)
    door.write(f"{folder}/{name}", b"newer", replace=True)
    assert door.read(f"{folder}/{name}", 10) == b"newer"
    assert door.remove(f"{folder}/{name}") is True
    assert door.remove(f"{folder}/{name}") is False
    assert os.listdir(door.path / folder) == []


def test_a_path_longer_than_the_system_takes_is_a_path(door: AnchoredFolder, deep: str) -> None:
    assert len(deep) > 4096
    door.write(f"{deep}/a.jpg", b"far below", replace=False)
    assert door.read(f"{deep}/a.jpg", 100) == b"far below"
    found = [entry.path for entry in walk(door) if isinstance(entry, WalkedFile)]
    assert found == [f"{deep}/a.jpg"]


def test_no_act_follows_a_link_on_the_way(door: AnchoredFolder, secret: Path) -> None:
    (door.path / "sub").symlink_to(secret)
    (door.path / "file").symlink_to(secret / "ledger")
    for relative in ("sub/ledger", "file"):
        with pytest.raises(OSError, match=r"symbolic|Not a directory"):
            door.open_file(relative)
        assert door.read(relative, 100) is None
    assert door.status("sub/ledger") is None
    assert door.remove("sub/ledger") is False
    assert door.discard("sub/ledger") is False
    with pytest.raises(PathRefused):
        door.write("sub/planted", b"x", replace=True)
    found = sorted(entry.path for entry in walk(door) if isinstance(entry, WalkedFile))
    assert found == ["file", "sub"]
    assert sorted(os.listdir(secret)) == ["ledger"]
    assert (secret / "ledger").read_bytes() == b"secret"


def test_a_folder_is_made_beside_what_has_its_name(door: AnchoredFolder, secret: Path) -> None:
    (door.path / "q.png").write_bytes(b"a result")
    (door.path / "models").symlink_to(secret)
    assert door.make_folders("q.png/sub") == "q.png~2/sub"
    assert door.make_folders("q.png/sub") == "q.png~2/sub"
    assert door.make_folders("models/evil") == "models~2/evil"
    assert sorted(os.listdir(secret)) == ["ledger"]


def test_what_is_no_regular_file_is_never_waited_for(door: AnchoredFolder) -> None:
    os.mkfifo(door.path / "a.json")
    (door.path / "folder").mkdir()
    assert door.read("a.json", 100) is None
    assert door.read("folder", 100) is None
    assert door.read("absent", 100) is None
    (door.path / "large").write_bytes(bytes(101))
    assert door.read("large", 100) is None


def test_a_path_that_leads_out_is_refused() -> None:
    for path in ("/etc/passwd", "../x", "a/../../x", "a\0b"):
        with pytest.raises(ValueError, match="not a path below"):
            components(path)


def test_a_swap_between_two_looks_never_leads_out(door: AnchoredFolder, secret: Path) -> None:
    """An attacker swaps a folder for a link as fast as he can."""
    (door.path / "real").mkdir()
    (door.path / "real/ledger").write_bytes(b"harmless")
    (door.path / "link").symlink_to(secret)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for name in ("real", "link"):
                (door.path / name).rename(door.path / "sub")
                (door.path / "sub").rename(door.path / name)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        seen = set()
        for _ in range(3000):
            try:
                seen.add(b"".join(door.chunks("sub/ledger")))
            except OSError:
                continue
    finally:
        stop.set()
        thread.join()
    assert seen <= {b"harmless"}


# -- walks ----------------------------------------------------------------------------


def test_a_tree_too_deep_is_told_once_and_the_rest_is_seen(door: AnchoredFolder) -> None:
    here = os.open(door.path, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    (door.path / "a.jpg").write_bytes(b"x")
    found = list(walk(door))
    assert [entry.path for entry in found if isinstance(entry, WalkedFile)] == ["a.jpg"]
    (unseen,) = (entry for entry in found if isinstance(entry, Unseen))
    assert "more than 100 folders deep" in unseen.reason
    os.system(f"rm -rf '{door.path}/d'")


def test_a_walk_ends_at_its_bound_and_says_so(door: AnchoredFolder) -> None:
    for number in range(9):
        (door.path / f"{number % 3}").mkdir(exist_ok=True)
        (door.path / f"{number % 3}/{number}").write_bytes(b"")
    reasons = [one.reason for one in walk(door, max_entries=7) if isinstance(one, Unseen)]
    assert reasons == ["more than 7 files: not all are seen"]


def test_a_sweep_removes_our_leftovers_and_nothing_else(door: AnchoredFolder) -> None:
    root = door.path
    (root / "sub").mkdir()
    leftovers = [root / temporary_name(), root / "sub" / temporary_name()]
    others = [root / ".edge-matting-notes", root / "sub/x.tmp", root / ".hidden.tmp"]
    for path in [*leftovers, *others]:
        path.write_bytes(b"x")
    (root / "link").symlink_to("/")
    (root / "sub" / temporary_name()).mkdir()
    assert sweep_temporaries(door) == 2
    assert not any(map(Path.exists, leftovers))
    assert all(map(Path.exists, others))
    with pytest.raises(FolderUnavailable):
        sweep_temporaries(AnchoredFolder(root / "gone"))


def test_a_sweep_beside_working_writers_takes_only_what_is_old(door: AnchoredFolder) -> None:
    old, young = door.path / temporary_name(), door.path / temporary_name()
    for path in (old, young):
        path.write_bytes(b"x")
    os.utime(old, (1000.0, 1000.0))
    assert sweep_temporaries(door, before=1001.0) == 1
    assert young.exists()
    assert not old.exists()


def test_no_folder_is_made_below_one_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FolderUnavailable):
        AnchoredFolder(tmp_path / "disk/out").make_folders("sub")
    assert os.listdir(tmp_path) == []


# -- pins -----------------------------------------------------------------------------


@pytest.fixture
def hot(tmp_path: Path) -> Path:
    root = tmp_path / "box"
    for name in ("in", "out"):
        (root / name).mkdir(parents=True)
    return root


def pinned(hot: Path, name: str = "in") -> AnchoredFolder:
    return AnchoredFolder(hot / name, hot, take_pins((hot, hot / "in", hot / "out")))


def test_a_link_in_the_place_of_a_folder_is_not_followed(hot: Path, secret: Path) -> None:
    door = pinned(hot)
    (hot / "in").rename(hot / "in.old")
    (hot / "in").symlink_to(secret)
    with pytest.raises(FolderUnavailable, match="has become a link"):
        door.status("ledger")
    with pytest.raises(FolderUnavailable, match="has become a link"):
        list(walk(door))
    (hot / "in").unlink()
    (hot / "in.old").rename(hot / "in")
    assert door.status("ledger") is None


def test_one_part_in_the_place_of_another_is_noticed(hot: Path) -> None:
    door = pinned(hot)
    (hot / "in").rename(hot / "in.old")
    (hot / "out").rename(hot / "in")
    with pytest.raises(FolderUnavailable, match=r"is now what .*/out was"):
        door.check()


def test_a_folder_that_was_made_again_by_its_owner_is_worked_in(hot: Path) -> None:
    door = pinned(hot)
    (hot / "in").rename(hot / "in.old")
    (hot / "in").mkdir()
    door.check()


def test_a_strangers_folder_is_not_worked_in(hot: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder to somebody else")
    door = pinned(hot)
    (hot / "in").rename(hot / "in.old")
    (hot / "in").mkdir()
    os.chown(hot / "in", 65534, -1)
    with pytest.raises(FolderUnavailable, match="replaced by a folder of user 65534"):
        door.check()


def test_a_link_that_was_there_at_the_start_is_followed_while_it_leads_there(
    hot: Path, tmp_path: Path, secret: Path
) -> None:
    other = tmp_path / "other disk"
    other.mkdir()
    (hot / "in").rmdir()
    (hot / "in").symlink_to(other)
    door = pinned(hot)
    door.write("a", b"x", replace=False)
    assert os.listdir(other) == ["a"]
    (hot / "in").unlink()
    (hot / "in").symlink_to(secret)
    with pytest.raises(FolderUnavailable, match="has become a link"):
        door.check()


def test_a_strangers_link_is_refused_at_the_start(hot: Path, secret: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a link to somebody else")
    (hot / "in").rmdir()
    (hot / "in").symlink_to(secret)
    os.lchown(hot / "in", 65534, -1)
    with pytest.raises(FolderUnavailable, match="is a link made by user 65534"):
        pinned(hot)


def test_a_descriptor_is_left_open_by_no_path(door: AnchoredFolder) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for relative in ("", "a", "a/b", "a/../b"):
        try:
            door.status(relative)
        except ValueError:
            continue
    base = os.open(door.path, FOLDER_PATH)
    for relative in ("absent/x", "x"):
        with pytest.raises(FileNotFoundError):
            open_beneath(base, relative, os.O_RDONLY)
    os.close(base)
    assert len(os.listdir("/proc/self/fd")) == before
