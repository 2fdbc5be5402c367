"""What the machine refuses is said in a sentence, with exit status 2: no traceback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from harness import PHOTO

# Root without its privileges: rights count for it as for any user.
PLAIN_ROOT = ("setpriv", "--bounding-set", "-all", "--inh-caps", "-all")
NOBODY = 65534

rights_count = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="needs root, and setpriv to take root's privileges away",
)


def edge_matting(
    *words: str, shell: str = "", under: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    program = [*under, sys.executable, "-m", "edge_matting", *words]
    return subprocess.run(
        ["sh", "-c", f'"$@" {shell}', "sh", *program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir(mode=0o700)
    told = {
        "state_dir": "state",
        "hot_folders": [{"path": "hot"}],
        "status": {"port": 0},
        "device": {"measure": "never"},
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(told))
    return path


def is_one_sentence(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith("edge-matting: ")]
    assert len(told) == 1, done.stderr
    for word in words:
        assert word in told[0]


@rights_count
@pytest.mark.parametrize(
    "words",
    [
        ("run",),
        ("models", "list"),
        ("models", "verify"),
        ("models", "remove", "mine"),
        ("models", "add", str(PHOTO)),
    ],
    ids=" ".join,
)
def test_a_state_folder_of_another_user_is_named(
    config: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    os.chown(tmp_path / "state", NOBODY, NOBODY)
    done = edge_matting(*words, "-c", str(config), under=PLAIN_ROOT)
    is_one_sentence(done, str(tmp_path / "state"), "user")


@rights_count
def test_a_state_folder_that_may_not_be_written_is_named(config: Path, tmp_path: Path) -> None:
    (tmp_path / "state").chmod(0o555)
    done = edge_matting("run", "-c", str(config), under=PLAIN_ROOT)
    is_one_sentence(done, str(tmp_path / "state"), "user")


@rights_count
def test_a_photo_is_done_without_a_state_folder_of_ones_own(config: Path, tmp_path: Path) -> None:
    os.chown(tmp_path / "state", NOBODY, NOBODY)
    words = ("process", str(PHOTO), "-o", str(tmp_path / "out"), "-c", str(config))
    done = edge_matting(*words, under=PLAIN_ROOT)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr


@rights_count
def test_the_doctor_goes_on_after_a_folder_that_it_may_not_look_into(
    config: Path, tmp_path: Path
) -> None:
    os.chown(tmp_path / "state", NOBODY, NOBODY)
    done = edge_matting("doctor", "-c", str(config), under=PLAIN_ROOT)
    assert (done.returncode, done.stderr) == (1, "")
    assert f"FAIL models: {tmp_path / 'state' / 'models'}: Permission denied" in done.stdout
    assert "ok   clock" in done.stdout


def test_a_file_in_place_of_the_state_folder_is_named(config: Path, tmp_path: Path) -> None:
    (tmp_path / "state").rmdir()
    (tmp_path / "state").write_bytes(b"")
    is_one_sentence(edge_matting("run", "-c", str(config)), str(tmp_path / "state"))


@pytest.mark.parametrize("words", [("run",), ("models", "list"), ("doctor",)], ids=" ".join)
@pytest.mark.parametrize(
    ("shell", "told"),
    [
        (">&-", "standard output is closed"),
        ("2>&-", "standard error is closed"),
        (">&- 2>&-", ""),
        ("<&- >&- 2>&-", ""),
    ],
)
def test_closed_standard_streams_are_refused(
    config: Path, tmp_path: Path, words: tuple[str, ...], shell: str, told: str
) -> None:
    done = edge_matting(*words, "-c", str(config), shell=shell)
    assert done.returncode == 2
    assert told in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "state").iterdir()) == [], "nothing was begun"


def test_closed_standard_input_is_nobodys_matter(config: Path) -> None:
    done = edge_matting("models", "list", "-c", str(config), shell="<&-")
    assert (done.returncode, done.stderr) == (0, "")


def test_output_that_cannot_be_written_is_told(config: Path) -> None:
    done = edge_matting("models", "list", "-c", str(config), shell=">/dev/full")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "edge-matting: cannot write to standard output: No space left on device\n"
    )
