"""Nothing in the appliance reaches out: it works without a route, and asks for none."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tools.waiting import wait_for

ALONE = ("unshare", "--map-root-user", "--net")
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


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace here")
def test_no_outside_address_is_ever_spoken_to(appliance, tmp_path):
    trace = tmp_path / "trace.txt"
    box = appliance()
    box.start(under=("strace", "-D", "-f", "-qq", "-e", "trace=%network", "-o", str(trace)))
    box.drop("a.jpg")
    assert box.wait_finished(1)["succeeded"] == 1
    assert box.page("/")
    assert box.stop() == 0
    said = trace.read_text("utf-8", "replace")
    assert "accept4(" in said or "accept(" in said, "the trace shows nothing of the page"
    spoken = [call for call in OUTSIDE.findall(said) if not AT_HOME.search(call)]
    assert spoken == []
