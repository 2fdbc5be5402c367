"""The trial's upgrade of an earlier release in place: nothing it holds may be lost."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from tools.trial.box import CONFIG, HOT, MIN_FREE_MB, PROGRAM, UNIT, Box, must
from tools.trial.checks import INSTALL, each_exactly_once

OLD_MODEL = "preview"  # called small since 0.2.0
OWN_MODEL = "mine"
ROOT = Path(__file__).resolve().parents[2]


def unpack(ref: str, work: Path) -> dict[str, Path]:
    """The source tree of a commit and all wheels it needs, as the container is to see them."""
    source, wheels = work / "former", work / "former-wheels"
    source.mkdir()
    with tempfile.TemporaryFile() as archive:
        subprocess.run(["git", "archive", ref], cwd=ROOT, stdout=archive, check=True)
        archive.seek(0)
        with tarfile.open(fileobj=archive) as tar:
            tar.extractall(source, filter="tar")
    subprocess.run([source / "tools" / "install.sh", "wheelhouse", wheels], check=True)
    shutil.rmtree(source / "build", ignore_errors=True)
    return {"/former": source, "/former-wheels": wheels}


def an_earlier_release_is_upgraded_with_all_it_holds(box: Box) -> str:
    """Queue, finished jobs, cache, a model of the operator's own and the configuration."""
    run = box.container.run
    run("/former/tools/install.sh", "install", "--offline", "/former-wheels")
    box.wait_ready()
    former = box.status()["version"]
    box.edit_config(
        ("min_free_mb: 500", f"min_free_mb: {MIN_FREE_MB}"),
        ("settle_seconds: 2.0", "settle_seconds: 0.5"),
        ("model: default", f"model: {OLD_MODEL}"),
        ("precision: auto", "precision: fp32"),  # the cache keeps mattes of each precision apart
    )
    own = "/source/models/quality/matting_mobilenetv2_attention.onnx"
    run(PROGRAM, "models", "add", own, "--id", OWN_MODEL, "-c", CONFIG, user="edge-matting")
    run("systemctl", "restart", UNIT)
    box.wait_ready()
    box.drop(8, "before")
    box.wait_done()
    box.pause()
    box.drop(30, "waiting")
    box.wait(
        lambda: box.status()["queue"]["counts"]["pending"] >= 30, lambda: "the queue does not fill"
    )
    config = box.container.path(CONFIG).read_bytes()
    entries = 8  # those of the photos dropped here; the sample's matte goes with the replaced model
    must(box.status()["cache"]["entries"] >= entries, "the cache holds less than the photos")

    run(*INSTALL, "/wheels", "--drain", "1")
    box.wait_ready()
    status = box.status()
    must(status["version"] != former, f"{former} still runs")
    must(box.container.path(CONFIG).read_bytes() == config, "the configuration was changed")
    must(status["cache"]["entries"] >= entries, f"of {entries} cache entries some are lost")
    box.wait_done()
    listed = run(PROGRAM, "models", "list", "-c", CONFIG)
    must(OWN_MODEL in listed, f"the operator's own model is gone:\n{listed}")
    must(box.container.succeeds(PROGRAM, "check-config", "-c", CONFIG), "the old settings fail")
    counts = status["queue"]["counts"]
    return f"{former} to {status['version']}: {counts}; {_again(box)}; {each_exactly_once(box)}"


def _again(box: Box) -> str:
    """A photo done before the upgrade, dropped again, is answered by what was made then."""
    first = box.dropped[0]
    inbox = box.container.path(f"{HOT}/in")
    staged = inbox / ".again.part"
    staged.write_bytes(first.data)
    shutil.chown(staged, 0, inbox.stat().st_gid)
    staged.chmod(0o660)
    staged.rename(inbox / "again.png")
    sidecars = [box.container.path(f"{HOT}/{place}/again.json") for place in ("out", "review")]
    box.wait(lambda: any(each.exists() for each in sidecars), lambda: "again.png is not done")
    made = next(json.loads(each.read_bytes()) for each in sidecars if each.exists())
    must(made["cache"] in {"exact", "matte"}, f"made anew: {made['cache']}")
    return f"the same bytes answered from before ({made['cache']})"


FORMER: tuple[Callable[[Box], str], ...] = (an_earlier_release_is_upgraded_with_all_it_holds,)
