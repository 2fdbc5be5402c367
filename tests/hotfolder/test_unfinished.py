"""Silent files that are not complete: waited for while somebody may still write them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_matting.core import writers
from edge_matting.core.anchored import anchored_file
from edge_matting.core.jobs import Signature
from edge_matting.core.writers import has_writer, looks_unfinished
from edge_matting.hotfolder import unfinished
from edge_matting.hotfolder.unfinished import UnfinishedFiles


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.bmp"
    path.write_bytes(b"complete")
    return path


def held(files: UnfinishedFiles, path: Path, now: float) -> bool:
    return files.holds_back(anchored_file(path), Signature.of(path.stat()), now)


def test_a_file_that_is_open_for_writing_is_held_back_and_a_closed_one_is_not(path: Path) -> None:
    files = UnfinishedFiles(100.0)
    with path.open("ab"):
        assert held(files, path, 0.0)
        assert held(files, path, 99.0)
    assert not held(files, path, 99.5)


def test_one_that_stays_open_and_silent_is_taken_in_the_end(path: Path) -> None:
    files = UnfinishedFiles(100.0)
    with path.open("ab", buffering=0) as file:
        assert held(files, path, 0.0)
        file.write(b"more")
        assert held(files, path, 99.0)  # another signature: the silence begins anew
        assert held(files, path, 198.0)
        assert not held(files, path, 199.0)


def test_room_that_is_not_written_yet_is_waited_for_where_writers_are_unknown(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer on another machine, or of another user."""
    monkeypatch.setattr(unfinished, "has_writer", lambda _descriptor: None)
    files = UnfinishedFiles(100.0)
    assert not held(files, path, 0.0)
    for make in (
        lambda: os.truncate(path, 10**6),
        lambda: path.write_bytes(bytes(9000)),
    ):
        make()
        assert held(files, path, 0.0)
        assert held(files, path, 99.0)
        assert not held(files, path, 100.0)


def test_what_is_gone_or_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    files = UnfinishedFiles(100.0)
    for name in ("fifo", "gone"):
        assert not files.holds_back(anchored_file(tmp_path / name), Signature(1, 2, 3), 0.0)


def test_a_path_that_is_no_longer_waited_for_is_forgotten(path: Path) -> None:
    files = UnfinishedFiles(100.0)
    with path.open("ab"):
        assert held(files, path, 0.0)
        files.retain([])
        assert held(files, path, 150.0)
        files.retain([path.name])
        assert not held(files, path, 250.0)


def test_a_file_system_without_leases_is_asked_through_proc(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int, _command: int, _argument: int = 0) -> int:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(writers.fcntl, "fcntl", refuse)
    with path.open("rb") as reader:
        ours = writers.OpenWriters(valid_seconds=0.0)
        assert has_writer(reader.fileno(), ours) is None
        with path.open("ab"):
            assert has_writer(reader.fileno(), ours) is True
        assert has_writer(reader.fileno(), ours) is None


def test_one_look_through_proc_answers_for_a_burst_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Path] = []
    monkeypatch.setattr(writers, "_open_for_writing", lambda root: looks.append(root) or ())
    ours = writers.OpenWriters(valid_seconds=60.0)
    assert not any(ours.have(tmp_path.stat()) for _ in range(1000))
    assert len(looks) == 1


def test_an_end_in_zeros_or_a_hole_looks_unfinished(path: Path) -> None:
    for content, looks in (
        (b"x" * 5000, False),
        (b"x" * 5000 + bytes(5000), True),
        (b"x" * 5000 + bytes(4000), False),  # the last block is not all zeros
        (b"", False),
    ):
        path.write_bytes(content)
        with path.open("rb") as file:
            assert looks_unfinished(file.fileno()) is looks
    with path.open("wb") as file:
        file.seek(10**6)
        file.write(b"end first")
    with path.open("rb") as file:
        assert looks_unfinished(file.fileno())
