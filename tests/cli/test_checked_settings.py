"""`check-config` and `run` name what the configuration refers to and that is not there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from edge_matting.cli.main import main


def config(folder: Path, **changes: object) -> str:
    values = {"state_dir": "state", "hot_folders": [{"path": "hot"}], "status": {"port": 0}}
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({**values, **changes}))
    return str(path)


def test_a_model_that_there_is_not_is_named_with_the_nearest_known_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check-config", "-c", config(tmp_path, model="defualt")]) == 2
    told = capsys.readouterr().err
    assert "model: there is no model defualt; did you mean default? known models: default" in told


def test_run_ends_with_a_sentence_where_its_model_is_not_there(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edge_matting", "run", "-c", config(tmp_path, model="defualt")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "there is no model defualt" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_token_file_that_is_missing_or_too_short_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = {"port": 0, "token_file": "token"}
    assert main(["check-config", "-c", config(tmp_path, status=status)]) == 2
    told = capsys.readouterr().err
    assert "status.token_file: cannot read" in told
    assert str(tmp_path / "token") in told
    (tmp_path / "token").write_text("short")
    assert main(["check-config", "-c", config(tmp_path, status=status)]) == 2
    assert "needs 16 or more" in capsys.readouterr().err
    (tmp_path / "token").write_text("x" * 16)
    assert main(["check-config", "-c", config(tmp_path, status=status)]) == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_token_that_another_user_alone_may_read_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x" * 16)
    (tmp_path / "token").chmod(0)
    status = {"port": 0, "token_file": "token"}
    assert main(["check-config", "-c", config(tmp_path, status=status)]) == 0


def test_every_fault_is_named_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = config(
        tmp_path,
        model="nothing",
        hot_folders=[{"path": "a"}, {"path": "a"}],
        status={"port": 0, "token_file": "token"},
    )
    assert main(["check-config", "-c", path]) == 2
    told = capsys.readouterr().err
    for key in ("model:", "hot_folders[1].path:", "status.token_file:"):
        assert key in told


def test_a_model_is_found_by_the_id_that_it_had_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config(tmp_path, model="preview")
    assert main(["check-config", "-c", path]) == 0
    assert "preview is called small now" in capsys.readouterr().err
    assert main(["models", "list", "-c", path]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("small")]
    assert "formerly preview" in line
    assert main(["models", "show", "preview", "-c", path]) == 0
    assert capsys.readouterr().out.startswith("id: small\n")


def test_reading_the_checks_loads_no_picture_library_and_no_runtime() -> None:
    code = (
        "import sys, edge_matting.cli.run\n"
        "print([m for m in ('numpy', 'cv2', 'onnxruntime', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
