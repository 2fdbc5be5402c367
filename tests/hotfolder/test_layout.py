"""Which folders there are and may not meet, whether they are in order, and what they lie on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from permissions import without_root

from edge_matting.config.settings import HotFolder
from edge_matting.core.errors import PathRefused
from edge_matting.hotfolder.condition import folder_problem, free_bytes
from edge_matting.hotfolder.filesystems import needs_polling
from edge_matting.hotfolder.layout import overlaps, prepare, recipe_for

# -- layout ---------------------------------------------------------------------------


def test_the_five_folders_are_made_and_again_without_harm(tmp_path: Path) -> None:
    folder = HotFolder(path=tmp_path / "deep/hot", out=tmp_path / "elsewhere/out")
    prepare(folder)
    prepare(folder)
    assert sorted(os.listdir(tmp_path / "deep/hot")) == ["done", "failed", "in", "review"]
    assert (tmp_path / "elsewhere/out").is_dir()


def test_folders_that_cannot_be_made_are_unavailable(tmp_path: Path) -> None:
    (tmp_path / "hot").write_bytes(b"")
    with pytest.raises(PathRefused, match="cannot make the folder"):
        prepare(HotFolder(path=tmp_path / "hot"))


def test_a_first_level_sub_folder_names_the_recipe() -> None:
    recipes = {"cutout", "passport"}
    assert recipe_for("passport/a.jpg", recipes, "cutout") == "passport"
    assert recipe_for("passport/deep/a.jpg", recipes, "cutout") == "passport"
    assert recipe_for("deep/passport/a.jpg", recipes, "cutout") == "cutout"
    assert recipe_for("passport", recipes, "cutout") == "cutout"
    assert recipe_for("other/a.jpg", recipes, "cutout") == "cutout"


def test_a_sub_folder_names_its_recipe_in_any_case_that_tells_no_two_apart() -> None:
    assert recipe_for("Passport/a.jpg", ["cutout", "passport"], "cutout") == "passport"
    assert recipe_for("PASSPORT/deep/a.jpg", ["cutout", "passport"], "cutout") == "passport"
    both = ["cutout", "Shop", "shop"]
    assert recipe_for("Shop/a.jpg", both, "cutout") == "Shop"
    assert recipe_for("shop/a.jpg", both, "cutout") == "shop"
    assert recipe_for("SHOP/a.jpg", both, "cutout") == "cutout"


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
