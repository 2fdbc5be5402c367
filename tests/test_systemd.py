"""The unit file, as systemd itself reads it, and the messages to systemd."""

from __future__ import annotations

import shutil
import socket
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from harness import wait_for

from edge_matting.daemon.notify import Notifier

UNIT = Path(__file__).parents[1] / "systemd" / "edge-matting.service"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
def test_the_unit_is_read_without_a_word(tmp_path):
    root = tmp_path / "root"
    units = root / "etc" / "systemd" / "system"
    units.mkdir(parents=True)
    for program in ("opt/edge-matting/bin/edge-matting", "bin/kill"):
        (root / program).parent.mkdir(parents=True, exist_ok=True)
        (root / program).write_text("#!/bin/sh\n")
        (root / program).chmod(0o755)
    # What the unit names and a bare root does not hold.
    for name in ("local-fs.target", "multi-user.target", "sysinit.target", "basic.target"):
        (units / name).write_text("[Unit]\nDescription=stand-in\n")
    (units / "-.mount").write_text("[Unit]\nDescription=stand-in\n[Mount]\nWhat=x\nWhere=/\n")
    (units / UNIT.name).write_text(UNIT.read_text())
    done = subprocess.run(
        ["systemd-analyze", "verify", f"--root={root}", "--man=no", UNIT.name],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "edge-matting" in line]
    assert ours == [], done.stderr


class Listener:
    """systemd's end of the notification socket."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(10)
        self.heard: list[str] = []

    def close(self) -> None:
        self._socket.close()

    def hears(self, line: str) -> bool:
        while line not in self.heard:
            self.heard += self._socket.recv(4096).decode().splitlines()
        return True


def test_without_systemd_nothing_is_sent():
    notifier = Notifier({})
    notifier.send("READY=1")
    notifier.status("idle")
    assert notifier.watchdog_seconds is None


def test_a_watchdog_meant_for_another_process_is_not_fed():
    assert Notifier({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"}).watchdog_seconds is None
    assert Notifier({"WATCHDOG_USEC": "2000000"}).watchdog_seconds == 2.0


def test_the_running_appliance_says_ready_status_watchdog_and_stopping(
    appliance, tmp_path, monkeypatch
):
    with closing(Listener(tmp_path / "notify")) as systemd:
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "1000000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        box = appliance().start()
        assert systemd.hears("READY=1")
        assert systemd.hears("WATCHDOG=1")
        box.drop("a.jpg")
        box.wait_finished(1)
        assert wait_for(lambda: systemd.hears("STATUS=idle: 0 waiting"), "the status line")
        assert box.stop() == 0
        assert systemd.hears("STOPPING=1")
