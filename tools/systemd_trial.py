"""The installed service on a real systemd: killed, held, cut off, filled up, upgraded, removed.

    sudo python tools/systemd_trial.py --debian /var/cache/trial-debian --kills 20

Makes a Debian root with debootstrap (kept at ``--debian``), boots a copy of it without a network,
installs the package from a wheelhouse, and checks from outside. One line for each check; exit
status 0 when all held. Needs root, systemd-nspawn and debootstrap.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

from chaos_photos import Drop, make_photos
from nspawn import Container, TrialError, make_debian, why_not_here

SOURCE = Path(__file__).resolve().parents[1]
HOT = "/srv/edge-matting"
CONFIG = "/etc/edge-matting/edge-matting.yaml"
UNIT = "edge-matting.service"
PROGRAM = "/opt/edge-matting/current/bin/edge-matting"
INSTALL = ("/source/tools/install.sh", "install", "--offline")
STALL_SECONDS = 15
MIN_FREE_MB = 8
PATIENCE_SECONDS = 180.0


@final
class Box:
    """The installed appliance, as its operator and its users see it."""

    def __init__(self, container: Container, seed: int) -> None:
        self.container = container
        self.rng = random.Random(seed)
        self.dropped: list[Drop] = []

    # -- photos -----------------------------------------------------------------------

    def drop(self, number: int, label: str) -> None:
        """Photos of their own bytes, staged beside in/ and renamed into it, as root."""
        inbox = self.container.path(f"{HOT}/in")
        group = inbox.stat().st_gid
        for photo in make_photos(self.rng, number):
            name = f"{label}-{len(self.dropped):04d}{Path(photo.path).suffix}"
            staged = inbox / f".{name}.part"
            staged.write_bytes(photo.data)
            shutil.chown(staged, 0, group)
            staged.chmod(0o660)
            staged.rename(inbox / name)
            self.dropped.append(Drop(name, photo.data, healthy=True))

    def left(self) -> list[str]:
        """Dropped photos that have no result yet, or whose original is not put away."""
        return sorted(
            drop.path
            for drop in self.dropped
            if not self.container.path(f"{HOT}/done/{drop.path}").exists()
        )

    def wait_done(self) -> None:
        self.wait(lambda: not self.left(), lambda: f"not done: {self.left()[:5]}")

    def wait(
        self,
        condition: Callable[[], Any],
        otherwise: Callable[[], str],
        seconds: float = PATIENCE_SECONDS,
    ) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            value = condition()
            if value:
                return value
            time.sleep(0.25)
        journal = self.container.run(
            "journalctl", "-u", UNIT, "-n", "30", "--no-pager", check=False
        )
        raise TrialError(f"{otherwise()}\n{journal}")

    # -- the service ------------------------------------------------------------------

    def ready(self) -> bool:
        return self.container.succeeds(PROGRAM, "status", "-c", CONFIG)

    def wait_ready(self) -> None:
        self.wait(self.ready, lambda: "not ready")

    def status(self) -> Any:
        return json.loads(self.container.run(PROGRAM, "status", "--json", check=False))

    def engine(self) -> str:
        """The engine's process id, as the container numbers it."""
        found = self.wait(lambda: self.status()["engine"]["pid"], lambda: "no engine")
        return str(found)

    def property(self, name: str) -> str:
        return self.container.run("systemctl", "show", "-P", name, UNIT).strip()

    def edit_config(self, *changes: tuple[str, str]) -> None:
        path = self.container.path(CONFIG)
        text = path.read_text("utf-8")
        for old, new in changes:
            if old not in text:
                raise TrialError(f"{CONFIG} does not hold {old!r}")
            text = text.replace(old, new)
        path.write_text(text, "utf-8")

    def journal(self, since: str) -> list[dict[str, Any]]:
        lines = self.container.run(
            "journalctl", "-u", UNIT, "-o", "json", "--no-pager", f"--since={since}"
        )
        return [json.loads(line) for line in lines.splitlines() if line.startswith("{")]


def must(held: object, otherwise: str) -> None:
    if not held:
        raise TrialError(otherwise)


# -- the checks, in the order in which they are made -----------------------------------------


def one_command_installs_and_makes_the_first_cut_out(box: Box) -> str:
    said = box.container.run(*INSTALL, "/wheels")
    must("the first cut-out: /srv/edge-matting/out/astronaut.png" in said, said)
    must(box.ready(), "not ready after the installation")
    box.edit_config(
        ("stall_seconds: 120", f"stall_seconds: {STALL_SECONDS}"),
        ("min_free_mb: 500", f"min_free_mb: {MIN_FREE_MB}"),
        ("settle_seconds: 2.0", "settle_seconds: 0.5"),
    )
    box.container.run("systemctl", "reload", UNIT)
    box.wait_ready()
    return "offline, from a wheelhouse"


def installing_again_changes_nothing_of_the_operators(box: Box) -> str:
    before = box.container.path(CONFIG).read_bytes()
    box.container.run(*INSTALL, "/wheels")
    must(box.container.path(CONFIG).read_bytes() == before, "the configuration was changed")
    box.wait_ready()
    return f"{len(list(box.container.path('/opt/edge-matting/versions').iterdir()))} versions kept"


def the_unit_is_locked_down(box: Box) -> str:
    said = box.container.run("systemd-analyze", "security", "--no-pager", UNIT)
    score = float(re.findall(r"exposure level for \S+: ([0-9.]+)", said)[0])
    must(score <= 2.0, f"exposure {score}")
    return f"exposure {score}"


def photos_of_another_user_come_out_with_the_right_owner_and_mode(box: Box) -> str:
    run = box.container.run
    run("useradd", "-m", "-G", "edge-matting-drop", "ann")
    run("useradd", "-m", "stranger")
    sample = "/source/edge_matting/data/photos/astronaut.jpg"
    run("sh", "-c", f"umask 022; cp {sample} {HOT}/in/ann.jpg", user="ann")
    run("sh", "-c", f"umask 022; mkdir {HOT}/in/sub; cp {sample} {HOT}/in/sub/ann.jpg", user="ann")
    names = ("ann.png", "sub/ann.png", "ann.json")
    paths = [box.container.path(f"{HOT}/out/{name}") for name in names]
    box.wait(lambda: all(path.exists() for path in paths), lambda: f"no {names}")
    for path in paths:
        state = path.stat()
        must(stat.S_IMODE(state.st_mode) == 0o660, f"{path} has mode {state.st_mode:o}")
    shown = run("stat", "-c", "%U:%G", *(f"{HOT}/out/{name}" for name in names)).split()
    must(set(shown) == {"edge-matting:edge-matting-drop"}, f"owners {shown}")
    done = [box.container.path(f"{HOT}/done/{name}") for name in ("ann.jpg", "sub/ann.jpg")]
    box.wait(lambda: all(path.exists() for path in done), lambda: "ann's originals stay in in/")
    run("rm", f"{HOT}/out/ann.png", user="ann")
    for what in (("ls", HOT), ("cat", f"{HOT}/out/ann.json"), ("ls", "/var/lib/edge-matting")):
        must(not box.container.succeeds(*what, user="stranger"), f"a stranger may {what}")
    must(
        not box.container.succeeds("ls", "/var/lib/edge-matting", user="ann"), "ann sees the ledger"
    )
    return "ann (in the group) reads and deletes results; a stranger sees nothing"


def a_killed_engine_is_replaced(box: Box) -> str:
    return _struck(box, "engine-kill", lambda: box.container.run("kill", "-KILL", box.engine()))


def a_held_engine_is_replaced(box: Box) -> str:
    return _struck(box, "engine-stop", lambda: box.container.run("kill", "-STOP", box.engine()))


def a_killed_daemon_is_restarted(box: Box) -> str:
    before = int(box.property("NRestarts"))
    said = _struck(
        box, "daemon-kill", lambda: box.container.run("kill", "-KILL", box.property("MainPID"))
    )
    must(int(box.property("NRestarts")) > before, "systemd did not restart it")
    return said


def a_held_daemon_is_restarted_by_the_watchdog(box: Box) -> str:
    before = int(box.property("NRestarts"))
    since = _now(box)
    said = _struck(
        box, "daemon-stop", lambda: box.container.run("kill", "-STOP", box.property("MainPID"))
    )
    must(int(box.property("NRestarts")) > before, "systemd did not restart it")
    log = box.container.run("journalctl", "-u", UNIT, "--no-pager", f"--since={since}")
    must("Watchdog timeout" in log, "not by the watchdog")
    return said


def _struck(box: Box, label: str, strike: Callable[[], object]) -> str:
    """Photos, the blow while they are in work, and all of them done afterwards."""
    box.drop(12, label)
    box.wait(lambda: len(box.left()) < len(box.dropped), lambda: "nothing is done")
    strike()
    begin = time.monotonic()
    box.wait_done()
    box.wait_ready()
    return f"12 photos done, ready again, {time.monotonic() - begin:.0f} s after the blow"


def hard_power_cuts_lose_nothing(box: Box, kills: int) -> str:
    for _ in range(kills):
        box.drop(8, "cut")
        time.sleep(box.rng.uniform(0.5, 4.0))
        box.container.cut_power()
        box.container.boot()
        # Some cuts hit a box that is just starting, some one that is fully at work.
        if box.rng.random() < 0.5:
            box.wait_ready()
    box.wait_done()
    return f"{kills} cuts, each followed by a boot; {_each_exactly_once(box)}"


def an_upgrade_keeps_the_queue_and_the_configuration(box: Box) -> str:
    config = box.container.path(CONFIG).read_bytes()
    box.drop(60, "upgrade")
    said = box.container.run(*INSTALL, "/newer", "--drain", "1")
    must("edge-matting 99.0.0 installed" in said, said)
    must(box.container.path(CONFIG).read_bytes() == config, "the configuration was changed")
    left = re.findall(r"upgrade: (\d+) photos in the queue", said)
    box.wait_done()
    must(box.status()["version"] == "99.0.0", "the old version still runs")
    return f"{(left or ['?'])[0]} photos were waiting at the change; {_each_exactly_once(box)}"


def a_version_that_does_not_start_is_taken_back(box: Box) -> str:
    done = box.container.run(*INSTALL, "/broken", "--drain", "0", check=False)
    must("the former one is back in place" in done, done)
    box.wait_ready()
    must(box.status()["version"] == "99.0.0", "the former version does not run")
    box.drop(3, "after")
    box.wait_done()
    return "the former version works on with its ledger"


def a_full_disk_is_waited_out(box: Box) -> str:
    run = box.container.run
    run("systemctl", "stop", UNIT)
    since = _now(box)
    run("mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", HOT)
    run("systemd-tmpfiles", "--create", "edge-matting.conf")
    sample = "/source/edge_matting/data/photos/astronaut.jpg"
    run("cp", sample, f"{HOT}/in/full.jpg")
    run("sh", "-c", f"dd if=/dev/zero of={HOT}/filler bs=1M 2>/dev/null || true")
    # READY is the self-test's: the service starts, and says on its page that it has no room.
    run("systemctl", "start", UNIT)
    box.wait(lambda: any("free" in why for why in box.status()["reasons"]), lambda: "not said")
    must(not box.ready(), "it calls itself ready on a full disk")
    run("rm", f"{HOT}/filler")
    result = f"{HOT}/out/full.png"
    box.wait(lambda: box.container.succeeds("test", "-e", result), lambda: "not done with room")
    box.wait_ready()
    errors = [line for line in box.journal(since) if line.get("PRIORITY") == "3"]
    must(any("free" in str(line["MESSAGE"]) for line in errors), "no error in the journal")
    run("systemctl", "stop", UNIT)
    run("umount", HOT)
    run("systemctl", "start", UNIT)
    box.wait_ready()
    return f"started, said why, went on with room; {len(errors)} error lines in the journal"


def the_journal_has_priorities(box: Box) -> str:
    seen = Counter(line.get("PRIORITY") for line in box.journal("-2h"))
    must(seen["6"] and seen["4"] and seen["3"], f"priorities {dict(seen)}")
    texts = [str(line["MESSAGE"]) for line in box.journal("-2h")]
    must(not any(re.match(r"<\d>", text) for text in texts), "a prefix is left in the text")
    named = {"3": "errors", "4": "warnings", "6": "notes"}
    return ", ".join(f"{seen[level]} {word}" for level, word in named.items())


def a_clock_set_back_two_days_disturbs_nothing(box: Box) -> str:
    """The container shares the machine's clock, so the service is given one of its own."""
    library = next(box.container.path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    must(library, "no libfaketime in the container")
    assert library is not None
    inside = "/" + str(library.relative_to(box.container.root))
    dropin = box.container.path(f"/etc/systemd/system/{UNIT}.d/90-clock.conf")
    clock = box.container.path("/etc/edge-matting/clock")
    clock.write_text("+0\n")
    dropin.write_text(
        f"[Service]\nEnvironment=LD_PRELOAD={inside} FAKETIME_NO_CACHE=1 DONT_FAKE_MONOTONIC=1\n"
        "Environment=FAKETIME_TIMESTAMP_FILE=/etc/edge-matting/clock\n"
    )
    box.container.run("systemctl", "daemon-reload")
    box.container.run("systemctl", "restart", UNIT)
    box.drop(10, "before")
    box.wait(lambda: len(box.left()) < 10, lambda: "nothing is done")
    clock.write_text("-2d\n")
    box.drop(10, "back")
    box.wait_done()
    box.container.run("systemctl", "restart", UNIT)
    box.drop(5, "restarted")
    box.wait_done()
    sidecar = box.container.path(f"{HOT}/out/{Path(box.dropped[-1].path).stem}.json")
    finished = json.loads(sidecar.read_bytes())["finished_at"]
    must(finished < time.strftime("%Y-%m-%d", time.gmtime(time.time() - 86400)), finished)
    dropin.unlink()
    box.container.run("systemctl", "daemon-reload")
    box.container.run("systemctl", "restart", UNIT)
    box.wait_ready()
    return f"25 photos done across the jump; the last sidecar says {finished}"


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


def _each_exactly_once(box: Box) -> str:
    """Every dropped photo: one original in done/, one sidecar in out/ or review/, outputs whole."""
    hot = box.container.path(HOT)
    results: Counter[str] = Counter()
    for folder in (hot / "out", hot / "review"):
        for path in folder.rglob("*.json"):
            results[json.loads(path.read_bytes())["source"]] += 1
    for drop in box.dropped:
        must((hot / "done" / drop.path).read_bytes() == drop.data, f"{drop.path} was altered")
        must(results[drop.path] == 1, f"{drop.path} has {results[drop.path]} results")
    unfinished = [str(path) for path in hot.rglob(".edge-matting-*")]
    must(not unfinished, f"left behind: {unfinished}")
    failed = [path.name for path in (hot / "failed").rglob("*")]
    must(not failed, f"in failed/: {failed}")
    said = box.container.run(PROGRAM, "doctor", check=False)
    must(re.search(r"ok +ledger: .*consistent", said), said)
    return f"each of {len(box.dropped)} photos exactly once so far, ledger consistent"


def _now(box: Box) -> str:
    return box.container.run("date", "+%Y-%m-%d %H:%M:%S").strip()


# -- around them -----------------------------------------------------------------------------


def make_wheel(into: Path, wheels: Path, version: str, *, starts: bool = True) -> None:
    """The wheels of ``wheels``, with the appliance of another version; one that fails to start."""
    with tempfile.TemporaryDirectory() as work:
        source = Path(work) / "source"
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(SOURCE / "edge_matting", source / "edge_matting", ignore=ignored)
        for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(SOURCE / name, source / name)
        init = source / "edge_matting" / "__init__.py"
        init.write_text(
            re.sub(r'__version__ = "[^"]+"', f'__version__ = "{version}"', init.read_text())
        )
        if not starts:
            run = source / "edge_matting" / "cli" / "run.py"
            run.write_text(
                run.read_text().replace(
                    "return Appliance(", "raise SystemExit(1)\n    return Appliance("
                )
            )
        into.mkdir()
        for wheel in wheels.glob("*.whl"):
            if not wheel.name.startswith("edge_matting"):
                (into / wheel.name).symlink_to(f"/wheels/{wheel.name}")
        subprocess.run(
            [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(into), str(source)],
            check=True,
        )


def checks(kills: int) -> list[tuple[str, Callable[[Box], str]]]:
    made: list[Callable[[Box], str]] = [
        one_command_installs_and_makes_the_first_cut_out,
        installing_again_changes_nothing_of_the_operators,
        the_unit_is_locked_down,
        photos_of_another_user_come_out_with_the_right_owner_and_mode,
        a_killed_engine_is_replaced,
        a_held_engine_is_replaced,
        a_killed_daemon_is_restarted,
        a_held_daemon_is_restarted_by_the_watchdog,
        lambda box: hard_power_cuts_lose_nothing(box, kills),
        an_upgrade_keeps_the_queue_and_the_configuration,
        a_version_that_does_not_start_is_taken_back,
        a_full_disk_is_waited_out,
        the_journal_has_priorities,
        a_clock_set_back_two_days_disturbs_nothing,
        the_bundle_tells_all_but_secrets,
        removal_leaves_photos_results_and_configuration,
    ]
    names = [check.__name__.replace("_", " ") for check in made]
    return [
        ("hard power cuts lose nothing" if "lambda" in name else name, check)
        for name, check in zip(names, made, strict=True)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--debian", type=Path, default=Path("/var/cache/edge-matting-trial/debian"))
    parser.add_argument("--wheelhouse", type=Path, help="made by `make wheelhouse`; else made now")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="leave the container's files there")
    options = parser.parse_args()
    problem = why_not_here()
    if problem:
        print(f"trial: SKIPPED: {problem}")
        return 0
    if not (options.debian / "etc/os-release").exists():
        print("trial: making a Debian root, once", flush=True)
        make_debian(options.debian)
    work = Path(tempfile.mkdtemp(prefix="trial-", dir=options.debian.resolve().parent))
    try:
        return _try(work, options)
    finally:
        if not options.keep:
            shutil.rmtree(work, ignore_errors=True)


def _try(work: Path, options: argparse.Namespace) -> int:
    wheels = options.wheelhouse
    if wheels is None:
        wheels = work / "wheels"
        subprocess.run([SOURCE / "tools" / "install.sh", "wheelhouse", wheels], check=True)
    make_wheel(work / "newer", wheels, "99.0.0")
    make_wheel(work / "broken", wheels, "99.0.1", starts=False)
    subprocess.run(["cp", "-a", str(options.debian), str(work / "root")], check=True)
    binds = {"/source": SOURCE, "/wheels": wheels.resolve()}
    binds |= {"/newer": work / "newer", "/broken": work / "broken"}
    container = Container(work / "root", binds)
    box = Box(container, options.seed)
    begin = time.monotonic()
    container.boot()
    try:
        for name, check in checks(options.kills):
            started = time.monotonic()
            said = check(box)
            print(f"trial: ok   {name} ({time.monotonic() - started:.0f} s): {said}", flush=True)
    except TrialError as error:
        print(f"trial: FAIL {name}: {error}")
        return 1
    finally:
        container.shut_down()
    print(f"trial: HELD {len(checks(options.kills))} checks, {time.monotonic() - begin:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
