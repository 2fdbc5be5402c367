"""What the trial asks of the installed service, in the order in which it is asked.

Each check does something to the box, waits for the outcome and says in a few words what it saw;
``TrialError`` when it did not hold.
"""

from __future__ import annotations

import json
import re
import stat
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tools.trial.box import CONFIG, HOT, MIN_FREE_MB, PROGRAM, STALL_SECONDS, UNIT, Box, must

INSTALL = ("/source/tools/install.sh", "install", "--offline")
SAMPLE = "/source/edge_matting/data/photos/astronaut.jpg"


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
    run("sh", "-c", f"umask 022; cp {SAMPLE} {HOT}/in/ann.jpg", user="ann")
    run("sh", "-c", f"umask 022; mkdir {HOT}/in/sub; cp {SAMPLE} {HOT}/in/sub/ann.jpg", user="ann")
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
    """Photos, the blow while they are in work, more photos, and all of them done afterwards."""
    box.drop(12, label)
    box.wait(lambda: len(box.left()) < len(box.dropped), lambda: "nothing is done")
    strike()
    begin = time.monotonic()
    box.drop(4, f"{label}-after")  # the first ones may all have been done before the blow
    box.wait_done()
    box.wait_ready()
    return f"16 photos done, ready again, {time.monotonic() - begin:.0f} s after the blow"


def hard_power_cuts_lose_nothing(box: Box) -> str:
    for _ in range(box.kills):
        box.drop(8, "cut")
        time.sleep(box.rng.uniform(0.5, 4.0))
        box.container.cut_power()
        box.container.boot()
        # Some cuts hit a box that is just starting, some one that is fully at work.
        if box.rng.random() < 0.5:
            box.wait_ready()
    box.wait_done()
    return f"{box.kills} cuts, each followed by a boot; {each_exactly_once(box)}"


def a_full_disk_is_waited_out(box: Box) -> str:
    run = box.container.run
    run("systemctl", "stop", UNIT)
    since = _now(box)
    run("mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", HOT)
    run("systemd-tmpfiles", "--create", "edge-matting.conf")
    run("cp", SAMPLE, f"{HOT}/in/full.jpg")
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


def each_exactly_once(box: Box) -> str:
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


CHECKS: tuple[Callable[[Box], str], ...] = (
    one_command_installs_and_makes_the_first_cut_out,
    installing_again_changes_nothing_of_the_operators,
    the_unit_is_locked_down,
    photos_of_another_user_come_out_with_the_right_owner_and_mode,
    a_killed_engine_is_replaced,
    a_held_engine_is_replaced,
    a_killed_daemon_is_restarted,
    a_held_daemon_is_restarted_by_the_watchdog,
    hard_power_cuts_lose_nothing,
    a_full_disk_is_waited_out,
    the_journal_has_priorities,
    a_clock_set_back_two_days_disturbs_nothing,
)

QUICK: tuple[Callable[[Box], str], ...] = (
    one_command_installs_and_makes_the_first_cut_out,
    the_unit_is_locked_down,
    photos_of_another_user_come_out_with_the_right_owner_and_mode,
    a_killed_engine_is_replaced,
    a_killed_daemon_is_restarted,
)
