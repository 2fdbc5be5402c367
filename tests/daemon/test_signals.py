"""Signals in any number, and processes that cannot be made: the daemon goes on, and obeys."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from pathlib import Path

import pytest

from edge_matting.daemon.wakeup import WakeUp
from tools.waiting import wait_for

needs_strace = pytest.mark.skipif(not shutil.which("strace"), reason="no strace here")


def storm(pid: int, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            os.kill(pid, signal.SIGHUP)
        except ProcessLookupError:
            return


def test_a_storm_of_reloads_delays_no_photo_and_hides_no_stop(appliance) -> None:
    """The descriptor that handlers write to is full of reloads most of the time."""
    box = appliance()
    box.start()
    assert box.process is not None
    over = threading.Event()
    threads = [threading.Thread(target=storm, args=(box.process.pid, over)) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        box.drop("a.jpg")
        assert box.wait_finished(1)["succeeded"] == 1
        assert box.stop() == 0, box.log()
    finally:
        over.set()
        for thread in threads:
            thread.join()


@needs_strace
@pytest.mark.parametrize("call", ["vfork,clone", "pipe2"])
def test_an_engine_that_cannot_be_started_is_tried_again(appliance, tmp_path, call) -> None:
    """`Popen` raises: no more processes, or no more descriptors, for a while."""
    box = appliance()
    error = "EMFILE" if call == "pipe2" else "EAGAIN"
    trace = tmp_path / "trace.txt"
    inject = f"inject={call}:error={error}:when=1..3"
    box.start(
        ready=False,
        under=("strace", "-D", "-f", "-qq", "-e", f"trace={call}", "-e", inject, "-o", str(trace)),
    )
    wait_for(lambda: box.alive() and box.readiness() == [], box.log)
    assert "INJECTED" in trace.read_text()
    assert "the engine cannot be started: " in box.log()
    assert "Traceback" not in box.log()
    box.drop("a.jpg")
    assert box.wait_finished(1)["succeeded"] == 1
    # strace -D is a grandchild: the pid that was started is the appliance's.
    open_files = [link.readlink() for link in Path(f"/proc/{box.process.pid}/fd").iterdir()]
    pipes = [str(target) for target in open_files if str(target).startswith("pipe:")]
    # Its engine's two, and both ends of the watch's; none of the engines that were not started.
    assert len(pipes) <= 4, pipes


def test_a_signal_ends_the_wait_and_is_told_once() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    wakeup = WakeUp()
    wakeup.take_signals([signal.SIGUSR1])
    try:
        signal.raise_signal(signal.SIGUSR1)
        assert wakeup.wait(0.0, later={signal.SIGUSR1}) == frozenset()
        assert wakeup.wait(60.0) == {signal.SIGUSR1}
        assert wakeup.wait(0.0) == frozenset()
    finally:
        signal.signal(signal.SIGUSR1, before)
