"""The doctor looks at who else could read the token or change what the service trusts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_matting.cli.doctor_rights import rights
from edge_matting.cli.findings import Finding
from edge_matting.config import Settings
from edge_matting.config.settings import StatusSettings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "token").write_text("correct-horse-battery-staple")
    (tmp_path / "token").chmod(0o600)
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "config.yaml").write_bytes(b"")
    status = StatusSettings(token_file=tmp_path / "token")
    return Settings(state_dir=tmp_path / "state", status=status)


def looked_at(settings: Settings) -> dict[str, Finding]:
    config = settings.state_dir.parent / "config.yaml"
    return {finding.what.split(" /")[0]: finding for finding in rights(settings, config)}


def test_rights_as_they_are_installed_are_well(settings: Settings) -> None:
    found = looked_at(settings)
    assert set(found) == {"rights of token", "rights of configuration", "rights of state dir"}
    assert all(finding.well for finding in found.values()), found


@pytest.mark.parametrize(
    ("name", "mode", "words"),
    [
        ("token", 0o666, "every user may change it: chmod 600"),
        ("token", 0o604, "every user may read it: chmod 600"),
        ("state", 0o777, "every user may change it: chmod 700"),
        ("config.yaml", 0o646, "every user may change it: chmod 644"),
    ],
)
def test_what_others_may_read_or_change_is_named_with_what_to_do(
    settings: Settings, tmp_path: Path, name: str, mode: int, words: str
) -> None:
    (tmp_path / name).chmod(mode)
    (wrong,) = [finding for finding in looked_at(settings).values() if not finding.well]
    assert words in wrong.found
    assert str(tmp_path / name) in wrong.what


def test_a_folder_above_that_every_user_may_change_is_named(
    settings: Settings, tmp_path: Path
) -> None:
    tmp_path.chmod(0o777)
    found = looked_at(settings)
    assert not any(finding.well for finding in found.values())
    assert f"every user may change {tmp_path} above it" in found["rights of token"].found
    tmp_path.chmod(0o1777)
    assert all(finding.well for finding in looked_at(settings).values())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_token_of_another_user_or_of_a_shared_group_is_named(
    settings: Settings, tmp_path: Path
) -> None:
    os.chown(tmp_path / "token", 12345, 0)
    assert "belongs to user 12345" in looked_at(settings)["rights of token"].found
    os.chown(tmp_path / "token", 0, 12345)
    (tmp_path / "token").chmod(0o640)
    assert "its group may read it" in looked_at(settings)["rights of token"].found
