"""The order of writes, syncs and renames that a power cut cannot undo: watched in this process, and
from outside where strace is there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from disk_calls import disk_calls

from edge_matting.core import durable
from edge_matting.core.anchored import AnchoredFolder
from edge_matting.core.durable import (
    durable_remove,
    durable_write,
    make_folders,
)
from edge_matting.core.moves import copy_no_replace, move_no_replace


def test_the_system_calls_come_in_the_order_that_survives_a_power_cut(tmp_path: Path) -> None:
    calls = traced_calls(
        tmp_path,
        f"durable_write(Path({str(tmp_path)!r}, 'a.png'), [b'one', b'two'])",
    )
    assert calls == ["write", "write", "fsync file", "rename", "fsync folder"]


def test_a_move_syncs_where_the_file_came_to_before_where_it_left(tmp_path: Path) -> None:
    (tmp_path / "done").mkdir()
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a").write_bytes(b"x")
    root = str(tmp_path)
    calls = traced_calls(
        tmp_path,
        f"move_no_replace(AnchoredFolder(Path({root!r}, 'in')), 'a',"
        f" AnchoredFolder(Path({root!r}, 'done')), 'a')",
    )
    assert calls == ["renameat2", "fsync done", "fsync in"]


def test_a_file_is_whole_when_it_is_synced_and_synced_before_it_has_its_name(
    tmp_path: Path,
) -> None:
    seen: list[tuple[str, list[bytes]]] = []

    def observe(call: str, _path: Path) -> None:
        files = [path.read_bytes() for path in tmp_path.iterdir() if path.name == "a.png"]
        whole = [
            path.read_bytes() for path in tmp_path.iterdir() if durable.is_temporary(path.name)
        ]
        seen.append((call, files or whole))

    with disk_calls(observe) as calls:
        durable_write(tmp_path / "a.png", [b"one", b"two"])
    assert calls == [("sync", "*"), ("rename", "a.png"), ("sync", tmp_path.name)]
    assert seen == [(call, [b"onetwo"]) for call in ("sync", "rename", "sync")]


def test_a_removed_file_is_gone_for_good(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    with disk_calls() as calls:
        assert durable_remove(tmp_path / "a")
        assert not durable_remove(tmp_path / "a")
    assert calls == [("remove", "a"), ("sync", tmp_path.name)]


def test_both_folders_of_a_move_are_synced_the_new_one_first(tmp_path: Path) -> None:
    for folder in ("done", "in"):
        (tmp_path / folder).mkdir()
    (tmp_path / "in/a").write_bytes(b"x")
    with disk_calls() as calls:
        move_no_replace(
            AnchoredFolder(tmp_path / "in"), "a", AnchoredFolder(tmp_path / "done"), "a"
        )
    assert calls == [("sync", "done"), ("sync", "in")]


def test_a_copy_is_synced_under_its_name_before_the_original_goes(tmp_path: Path) -> None:
    for folder in ("done", "in"):
        (tmp_path / folder).mkdir()
    (tmp_path / "in/a").write_bytes(b"x")
    with (
        disk_calls() as calls,
        AnchoredFolder(tmp_path / "in").spot("a") as here,
        AnchoredFolder(tmp_path / "done").spot("a") as there,
    ):
        copy_no_replace(here, there)
    assert calls == [("sync", "*"), ("sync", "done"), ("remove", "a")]


def test_each_new_folder_is_synced_into_the_one_above_it(tmp_path: Path) -> None:
    with disk_calls() as calls:
        make_folders(tmp_path / "one" / "two")
    assert calls == [("sync", tmp_path.name), ("sync", "one")]


def traced_calls(root: Path, statement: str) -> list[str]:
    """Writes, syncs and renames of files under ``root`` that the statement makes."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed; the order of system calls was not checked")
    code = (
        "from pathlib import Path\n"
        "from edge_matting.core.anchored import AnchoredFolder\n"
        "from edge_matting.core.durable import durable_write\n"
        "from edge_matting.core.moves import move_no_replace\n" + statement
    )
    log = root.parent / f"{root.name}.strace"
    command = [strace, "-f", "-y", "-o", str(log), "-e", "trace=write,fsync,rename,renameat2"]
    done = subprocess.run(
        [*command, sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    if "ptrace" in done.stderr.lower():
        pytest.skip("this container does not let strace trace")
    assert done.returncode == 0, done.stderr
    return [named for line in log.read_text().splitlines() if (named := _named(line, str(root)))]


def _named(line: str, root: str) -> str | None:
    match = re.match(r"\d+ +(\w+)\((.*)\) += 0|\d+ +(write)\((.*)\) += \d", line)
    if match is None or root not in line:
        return None
    call, arguments = match[1] or match[3], match[2] or match[4]
    if call != "fsync":
        return call
    path = arguments.split("<", 1)[1].rstrip(">")
    if path == root:
        return "fsync folder"
    return "fsync file" if durable.TEMPORARY_PREFIX in path else f"fsync {Path(path).name}"
