"""Nothing in the appliance reaches out: it works without a route, and asks for none."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness import PHOTO

from edge_matting.models import shipped_models_dir
from tools.waiting import PATIENCE_SECONDS, wait_for

SHIPPED = next((shipped_models_dir() / "default").glob("*.onnx"))

ALONE = ("unshare", "--map-root-user", "--net")
LOOK_UP = re.compile(r"(?:connect|sendto|sendmsg|sendmmsg)\([^\n]*htons\(53\)|/etc/resolv\.conf")
OUTSIDE = re.compile(r"(?:connect|sendto|sendmsg)\(\d+[^\n]*sin6?_addr[^\n]*")
AT_HOME = re.compile(r'inet_addr\("127\.|inet_pton\(AF_INET6, "(?:::1|::ffff:127\.)')


def may_be_alone() -> bool:
    """Whether this machine lets us have a network of our own, with nothing in it."""
    if not shutil.which("unshare") or not shutil.which("ip"):
        return False
    probe = subprocess.run([*ALONE, "ip", "link", "set", "lo", "up"], check=False, timeout=10)
    return probe.returncode == 0


@pytest.mark.skipif(not may_be_alone(), reason="no network namespace to be had here")
def test_a_photo_is_done_on_a_machine_without_any_route(appliance):
    box = appliance()
    box.start(ready=False, under=(*ALONE, "sh", "-c", 'ip link set lo up; exec "$@"', "sh"))
    wait_for(lambda: box.alive() and "ready: model" in box.log(), "a ready engine")
    box.drop("a.jpg")
    assert box.wait_finished(1)["succeeded"] == 1
    assert "status page on http://127.0.0.1" in box.log()


def tracing(trace: Path) -> tuple[str, ...]:
    """What a command is run under to see whom it speaks to, and whether it asks for a name."""
    calls = "trace=%network,open,openat"
    return ("strace", "-D", "-f", "-qq", "-e", calls, "-o", str(trace))


def reached_out(trace: Path) -> list[str]:
    """Look-ups of names, to whatever address, and connections to another machine."""
    said = trace.read_text("utf-8", "replace")
    spoken = [call for call in OUTSIDE.findall(said) if not AT_HOME.search(call)]
    return spoken + LOOK_UP.findall(said)


COMMANDS = {
    "process": ("process", str(PHOTO), "-o", "OUT/results"),
    "models list": ("models", "list"),
    "models verify": ("models", "verify"),
    "models add": ("models", "add", "OUT/again.onnx", "--preset", "half", "--size", "320x320"),
    "doctor": ("doctor",),
    "profile": ("profile", "--json"),
}


@pytest.fixture
def command(appliance, tmp_path, monkeypatch):
    """Runs a command of the program in a home folder of its own, under another command."""
    box = appliance()
    home = tmp_path / "home"
    home.mkdir()
    # As users have it: what the tests set for themselves is not there.
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    shutil.copy(SHIPPED, tmp_path / "again.onnx")

    def run(name: str, under: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        words = [word.replace("OUT", str(tmp_path)) for word in COMMANDS[name]]
        program = [sys.executable, "-m", "edge_matting", *words, "-c", str(box.config_path)]
        done = subprocess.run(
            [*under, *program],
            env={**os.environ, "HOME": str(home)},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert list(home.rglob("*")) == [], "a runtime keeps files in the home folder"
        return done

    return run


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace here")
@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_looks_a_name_up_or_connects_anywhere(command, tmp_path, name):
    trace = tmp_path / "trace.txt"
    done = command(name, tracing(trace))
    assert done.returncode in {0, 1}, done.stderr
    assert "openat(" in trace.read_text("utf-8", "replace")
    assert reached_out(trace) == []


@pytest.mark.skipif(not may_be_alone(), reason="no network namespace to be had here")
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_works_without_any_network_at_all(command, name):
    done = command(name, ALONE)
    # doctor finds that no service answers here; every other command must succeed.
    assert done.returncode == (1 if name == "doctor" else 0), done.stderr


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace here")
def test_no_outside_address_is_ever_spoken_to(appliance, tmp_path, monkeypatch):
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    trace, home = tmp_path / "trace.txt", tmp_path / "home"
    home.mkdir()
    box = appliance()
    box.start(under=tracing(trace), env={"HOME": str(home)})
    box.drop("a.jpg")
    assert box.wait_finished(1)["succeeded"] == 1
    assert box.page("/")
    assert box.stop() == 0
    said = trace.read_text("utf-8", "replace")
    assert "accept4(" in said or "accept(" in said, "the trace shows nothing of the page"
    assert reached_out(trace) == []
    assert list(home.rglob("*")) == []
