"""The trial's second part: upgrade, way back, bundle, removal, the package for apt."""

from __future__ import annotations

import re
from collections.abc import Callable

from tools.trial.box import CONFIG, HOT, PROGRAM, UNIT, Box, must
from tools.trial.checks import INSTALL, each_exactly_once


def an_upgrade_keeps_the_queue_and_the_configuration(box: Box) -> str:
    config = box.container.path(CONFIG).read_bytes()
    box.pause()
    box.drop(60, "upgrade")
    said = box.container.run(*INSTALL, "/newer", "--drain", "1")
    must("edge-matting 99.0.0 installed" in said, said)
    must(box.container.path(CONFIG).read_bytes() == config, "the configuration was changed")
    (left,) = re.findall(r"upgrade: (\d+) photos in the queue", said)
    must(int(left) >= 60, f"{left} photos were waiting, not all")
    box.wait_done()
    must(box.status()["version"] == "99.0.0", "the old version still runs")
    return f"{left} photos were waiting at the change; {each_exactly_once(box)}"


def a_version_that_does_not_start_is_taken_back(box: Box) -> str:
    done = box.container.run(*INSTALL, "/broken", "--drain", "0", check=False)
    must("the former one is back in place" in done, done)
    box.wait_ready()
    must(box.status()["version"] == "99.0.0", "the former version does not run")
    box.drop(3, "after")
    box.wait_done()
    return "the former version works on with its ledger"


def the_bundle_tells_all_but_secrets(box: Box) -> str:
    box.container.path("/etc/edge-matting/token").write_text("not-to-be-told-to-anybody\n")
    box.container.run("chmod", "600", "/etc/edge-matting/token")
    box.edit_config(("token_file: null", "token_file: /etc/edge-matting/token"))
    box.container.run("/opt/edge-matting/admin/tools/install.sh", "dropins")
    box.container.run("systemctl", "restart", UNIT)
    box.wait_ready()
    said = box.container.run(PROGRAM, "doctor", "--bundle", "/root/bundle.tar.gz")
    names = box.container.run("tar", "-tzf", "/root/bundle.tar.gz").split()
    for name in ("journal.txt", "config.json", "profile.json", "ledger.json", "doctor.txt"):
        must(any(found.endswith(name) for found in names), f"{name} is not in {names}")
    text = box.container.run("sh", "-c", "tar -xzOf /root/bundle.tar.gz")
    must("not-to-be-told" not in text, "the token is in the bundle")
    must("FAIL" not in said, said)
    return f"{len(names)} files; the token came as a credential and is not among them"


def removal_leaves_photos_results_and_configuration(box: Box) -> str:
    before = sorted(path for path in box.container.path(HOT).rglob("*") if path.is_file())
    box.container.run("/opt/edge-matting/admin/tools/install.sh", "uninstall")
    after = sorted(path for path in box.container.path(HOT).rglob("*") if path.is_file())
    must(before == after, "files in the hot folder changed")
    must(box.container.path(CONFIG).exists(), "the configuration is gone")
    must(box.container.path("/var/lib/edge-matting/ledger.sqlite").exists(), "the ledger is gone")
    must(not box.container.path("/opt/edge-matting").exists(), "/opt/edge-matting is still there")
    must(box.property("LoadState") == "not-found", "the unit is still there")
    box.container.run("/source/tools/install.sh", "uninstall", "--purge")
    must(not box.container.path("/var/lib/edge-matting").exists(), "--purge left the ledger")
    return f"{len(after)} files in the hot folder untouched"


def the_package_installs_and_goes_with_apt(box: Box) -> str:
    run = box.container.run
    before = len(box.dropped)
    run("sh", "-c", "DEBIAN_FRONTEND=noninteractive apt-get install -y /deb/*.deb")
    box.wait_ready()
    must(box.container.succeeds("edge-matting", "status"), "no edge-matting in the path")
    box.drop(3, "deb")
    box.wait_done()
    run("sh", "-c", "DEBIAN_FRONTEND=noninteractive apt-get purge -y edge-matting")
    must(box.property("LoadState") == "not-found", "the unit is still there")
    must(not box.container.path("/opt/edge-matting").exists(), "/opt/edge-matting is still there")
    kept = [box.container.path(f"{HOT}/done/{drop.path}").exists() for drop in box.dropped[before:]]
    must(all(kept), "purging the package removed photos")
    return "installed, did 3 photos, purged; the photos stay"


CHANGES: tuple[Callable[[Box], str], ...] = (
    an_upgrade_keeps_the_queue_and_the_configuration,
    a_version_that_does_not_start_is_taken_back,
    the_bundle_tells_all_but_secrets,
    removal_leaves_photos_results_and_configuration,
    the_package_installs_and_goes_with_apt,
)
