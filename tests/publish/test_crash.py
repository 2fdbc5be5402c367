"""Killed at every single step: a second call always ends as if nothing had happened.

A child process runs an operation and dies, without any cleanup, at its Nth call that opens,
renames, links or removes something; N goes from one to the end. Then the operation is repeated.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

SCRIPT = r'''
import hashlib, json, os, shutil, sys, tempfile
from dataclasses import replace
from pathlib import Path

from edge_matting.config.settings import HotFolder
from edge_matting.core.anchored import AnchoredFolder
from edge_matting.core.durable import TEMPORARY_PREFIX
from edge_matting.core.walks import sweep_temporaries
from edge_matting.core.jobs import EncodedOutput, Job, Original, Place, Signature
from edge_matting.core.states import JobState
from edge_matting.hotfolder.layout import prepare
from edge_matting.publish import (
    accept_result, copy_result, dispose, publish_result, remove_stale,
)

FAST = "/dev/shm" if os.path.isdir("/dev/shm") else None  # another file system than /tmp
OLD = [EncodedOutput("cutout", "png", b"old"), EncodedOutput("alpha", "png", b"old alpha")]
WHY = json.dumps({"source": "sub/a.jpg", "code": "broken"}).encode()
NEW = [EncodedOutput("cutout", "png", b"new"), EncodedOutput("trimap", "png", b"new trimap")]
SIDECAR = {"quality": {"verdict": "review"}}


def dropped(folder):
    path = folder.inbox / "sub/a.jpg"
    path.parent.mkdir()
    path.write_bytes(b"photo")
    return Job(
        7, str(folder.path), "sub/a.jpg", Signature.of(path.lstat()), "cutout", JobState.FAILED,
        1, False, "sub/a", Original(Place.IN, "sub/a.jpg"),
    )


def publish(folder):
    earlier = publish_result(folder.door(folder.outbox), "sub/a", OLD, SIDECAR)
    def act():
        new = publish_result(folder.door(folder.outbox), "sub/a", NEW, SIDECAR, earlier=earlier)
        remove_stale(folder.door(folder.outbox), earlier, new)
    return act


def first_publish(folder):
    return lambda: publish_result(folder.door(folder.outbox), "deep/sub/a", NEW, SIDECAR)


def copy(folder):
    stored = publish_result(folder.door(folder.outbox), "a", OLD, SIDECAR)
    out = folder.door(folder.outbox)
    return lambda: copy_result(out, stored, out, "b", SIDECAR)


def accept(folder):
    outputs = publish_result(folder.door(folder.review), "sub/a", OLD, SIDECAR)
    def act():
        review, out = folder.door(folder.review), folder.door(folder.outbox)
        assert accept_result(review, out, "sub/a", outputs, 0.0) == outputs
    return act


def archive(folder):
    job = dropped(folder)
    return lambda: dispose(folder, job, Place.DONE)


def archive_beside(folder):
    (folder.done / "sub").mkdir()
    (folder.done / "sub/a.jpg").write_bytes(b"other")
    return archive(folder)


def archive_elsewhere(folder):
    folder.done.rmdir()
    other = Path(tempfile.mkdtemp())
    folder.done.symlink_to(other)
    return archive(folder)


def fail(folder):
    job = dropped(folder)
    return lambda: dispose(folder, job, Place.FAILED, WHY)


def delete(folder):
    job = dropped(folder)
    return lambda: dispose(folder, job, Place.GONE)


def retried(folder):
    job = dropped(folder)
    job = replace(job, original=dispose(folder, job, Place.FAILED, WHY))
    return lambda: dispose(folder, job, Place.DONE)


def die_at(number):
    left = [number]
    def hook(event, arguments):
        if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.link", "ctypes.dlsym"):
            left[0] -= 1
            if left[0] == 0:
                os._exit(9)
    sys.addaudithook(hook)


def tree(folder):
    found = {}
    for root, _, names in os.walk(folder.path, followlinks=True):
        for name in names:
            if not name.startswith(TEMPORARY_PREFIX):
                path = Path(root, name)
                found[str(path.relative_to(folder.path))] = path.read_bytes().decode()
    return found


def check(folder, photos):
    """What holds at every moment: sidecars are true, photos have not vanished."""
    found = tree(folder)
    for name, content in found.items():
        if name.startswith(("out/", "review/")) and name.endswith(".json"):
            for output in json.loads(content)["outputs"]:
                data = found[name.split("/")[0] + "/" + output["file"]].encode()
                assert hashlib.sha256(data).hexdigest() == output["sha256"], name
        if name.startswith("failed/") and not name.endswith(".json"):
            assert name + ".error.json" in found
    assert "photo" not in photos or "photo" in found.values()


def run(scenario, number):
    """One life that ends at step ``number`` and one that repeats; None when it did not end."""
    folder = HotFolder(path=Path(tempfile.mkdtemp(dir=FAST)))
    try:
        prepare(folder)
        act = scenario(folder)
        photos = [] if scenario is delete else list(tree(folder).values())
        child = os.fork()
        if child == 0:
            die_at(number)
            act()
            os._exit(0)
        killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        check(folder, photos)
        act()
        sweep_temporaries(AnchoredFolder(folder.path))
        check(folder, photos)
        return killed, tree(folder)
    finally:
        shutil.rmtree(os.path.realpath(folder.done))
        shutil.rmtree(folder.path)


def outcome(scenario):
    ends, number, killed = [], 0, True
    while killed:
        number += 1
        killed, end = run(scenario, number)
        ends.append(end)
    same = all(end == ends[-1] for end in ends)
    return {"steps": number - 1, "same": same, "end": sorted(ends[-1])}


print(json.dumps({name: outcome(globals()[name]) for name in sys.argv[1:]}))
'''

ENDS = {
    "first_publish": ["out/deep/sub/a.json", "out/deep/sub/a.png", "out/deep/sub/a.trimap.png"],
    "publish": ["out/sub/a.json", "out/sub/a.png", "out/sub/a.trimap.png"],
    "copy": [f"out/{stem}.{end}" for stem in "ab" for end in ("alpha.png", "json", "png")],
    "accept": ["out/sub/a.alpha.png", "out/sub/a.json", "out/sub/a.png"],
    "archive": ["done/sub/a.jpg"],
    "archive_beside": ["done/sub/a.jpg", "done/sub/a~2.jpg"],
    "archive_elsewhere": ["done/sub/a.jpg"],
    "fail": ["failed/sub/a.jpg", "failed/sub/a.jpg.error.json"],
    "delete": [],
    "retried": ["done/sub/a.jpg"],
}


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *ENDS], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("scenario", ENDS)
def test_a_second_call_finishes_what_a_kill_cut_short_at_any_step(
    outcomes: dict[str, Any], scenario: str
) -> None:
    outcome = outcomes[scenario]
    assert outcome["steps"] >= 2
    assert outcome["same"]
    assert outcome["end"] == ENDS[scenario]
