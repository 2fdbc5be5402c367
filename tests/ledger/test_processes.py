"""Several processes and threads on one ledger, and a process that is killed in the middle."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edge_matting.core.clock import SystemClock
from edge_matting.core.errors import NotAnImage
from edge_matting.core.jobs import Failed, Signature, Source
from edge_matting.core.states import FINISHED, JobState
from edge_matting.ledger import Ledger

PRELUDE = """
import sys
from pathlib import Path
from edge_matting.core.clock import SystemClock
from edge_matting.core.errors import NotAnImage
from edge_matting.core.jobs import Failed, Signature, Source
from edge_matting.ledger import Ledger

path, name = Path(sys.argv[1]), sys.argv[2]
ledger = Ledger.open(path, clock=SystemClock(), max_attempts=3)
print("ready", flush=True)
"""

CLAIM_ALL = """
while claims := ledger.claim(3):
    for claim in claims:
        print(claim.job.id, claim.job.attempts, flush=True)
        assert ledger.finish(claim, Failed(NotAnImage("no"))) is not None
ledger.close()
"""

WORK_FOR_EVER = """
number = 0
while True:
    number += 1
    source = Source("/srv/hot", f"{name}-{number}.jpg", Signature(1, 1, number), "cutout")
    assert ledger.enqueue([source]).added == 1
    print("enqueued", source.path, flush=True)
    for claim in ledger.claim(1):
        print("claimed", claim.job.source, flush=True)
        ledger.finish(claim, Failed(NotAnImage("no")))
        print("finished", claim.job.source, flush=True)
"""


def start(script: str, path: Path, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + script, str(path), name],
        stdout=subprocess.PIPE,
        text=True,
    )


def sources(count: int) -> list[Source]:
    return [Source("/srv/hot", f"{n}.jpg", Signature(1, 1, n), "cutout") for n in range(count)]


def open_ledger(path: Path) -> Ledger:
    return Ledger.open(path, clock=SystemClock(), max_attempts=3)


def test_two_processes_never_get_the_same_job(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with open_ledger(path) as ledger:
        ledger.enqueue(sources(200))
        workers = [start(CLAIM_ALL, path, str(n)) for n in range(2)]
        lines = [worker.communicate(timeout=60)[0].splitlines() for worker in workers]
        assert [worker.returncode for worker in workers] == [0, 0]
        claimed = Counter(line for lines_of_one in lines for line in lines_of_one[1:])
        assert claimed == {f"{n} 1": 1 for n in range(1, 201)}
        assert ledger.counts()[JobState.FAILED] == 200
        assert ledger.check() == []


def test_processes_that_open_a_new_ledger_together_all_succeed(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    workers = [start(CLAIM_ALL, path, str(n)) for n in range(5)]
    outputs = [worker.communicate(timeout=60)[0] for worker in workers]
    assert outputs == ["ready\n"] * 5


def test_a_new_ledger_waits_for_another_writer_before_it_turns_the_log_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")  # SQLite refuses the log at once then, whatever its timeout
    release = threading.Timer(0.3, other.execute, ["ROLLBACK"])
    release.start()
    with open_ledger(path) as ledger:
        assert ledger.enqueue(sources(1)).added == 1
    release.join()
    other.close()


def test_threads_share_one_ledger(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.sqlite") as ledger, ThreadPoolExecutor(8) as pool:
        ledger.enqueue(sources(100))

        def work(_: int) -> list[int]:
            done = []
            while claims := ledger.claim(2):
                for claim in claims:
                    assert ledger.finish(claim, Failed(NotAnImage("no"))) is not None
                    done.append(claim.job.id)
                    ledger.counts()
            return done

        done = [job_id for ids in pool.map(work, range(8)) for job_id in ids]
        assert sorted(done) == list(range(1, 101))
        assert ledger.check() == []


@pytest.mark.parametrize("burst", [0.05, 0.2, 0.5])
def test_what_a_killed_process_committed_is_there(tmp_path: Path, burst: float) -> None:
    path = tmp_path / "ledger.sqlite"
    workers = [start(WORK_FOR_EVER, path, name) for name in ("a", "b")]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    time.sleep(burst)
    for worker in workers:
        worker.send_signal(signal.SIGKILL)
    told = [worker.communicate(timeout=60)[0] for worker in workers]
    events = [line.split() for output in told for line in output.splitlines()]
    with open_ledger(path) as ledger:
        assert ledger.check() == []
        jobs = {job.source: job for job in ledger.jobs(None, 100_000)}
        for event in events:
            if len(event) == 2:  # the last line may be cut short
                assert event[1] in jobs
                assert event[0] != "finished" or jobs[event[1]].state in FINISHED
        ledger.recover_after_engine_death(guilty=False)
        assert ledger.counts()[JobState.RUNNING] == 0
        for claim in ledger.claim(100_000):
            assert claim.job.attempts == 1
            ledger.finish(claim, Failed(NotAnImage("no")))
        assert ledger.counts()[JobState.FAILED] == len(jobs)
        assert ledger.check() == []
