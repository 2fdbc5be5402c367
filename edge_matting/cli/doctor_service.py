"""The doctor's look at the systemd service: why it does not start, why it is not ready."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from edge_matting.cli.client import NoAnswer, Remote
from edge_matting.cli.findings import Finding
from edge_matting.config import Settings
from edge_matting.core.errors import ConfigError
from edge_matting.status.security import read_token

UNIT: Final = "edge-matting.service"
SYSTEMD_RUNS: Final = Path("/run/systemd/system")
ASKED: Final = ("LoadState", "ActiveState", "SubState", "Result", "ExecMainStatus", "NRestarts")
DROPINS: Final = "sudo /opt/edge-matting/admin/tools/install.sh dropins"
RESTART: Final = f"sudo systemctl restart {UNIT}"

RESULTS: Final = MappingProxyType(
    {
        "exit-code": "it ended by itself",
        "signal": "it was killed",
        "core-dump": "it crashed",
        "watchdog": "it made no progress and the watchdog ended it",
        "timeout": "it was not ready in time: the engine does not come up; the log shows why",
        "oom-kill": "the kernel ended it for want of memory: lower limits.max_pixels",
        "start-limit-hit": "it failed too often in a row; mend the cause below, then: "
        f"sudo systemctl reset-failed {UNIT} && sudo systemctl start {UNIT}",
        "resources": "systemd could not set it up; see journalctl -u edge-matting",
        "exec-condition": "a condition of the unit does not hold",
        "protocol": "it ended before it was ready",
    }
)

STATUSES: Final = MappingProxyType(
    {
        1: "a fault of its own; the last lines of the log say which",
        2: "a configuration or a machine it cannot start with; `edge-matting check-config` and the "
        "last line of the log say which. systemd does not try again",
        203: f"its program cannot be run: install again (ExecStart= of {UNIT})",
        216: f"a group of the unit does not exist: {DROPINS}",
        217: "the user edge-matting does not exist: sudo systemd-sysusers edge-matting.conf",
        226: f"a folder that the unit names is missing: {DROPINS}",
        238: "its state directory cannot be made: is /var/lib full or read-only?",
        243: f"the token file that the unit names is missing: {DROPINS}",
    }
)
"""Exit statuses of ours, and those of systemd's own (systemd.exec(5))."""


def service(_settings: Settings) -> Iterator[Finding]:
    """Whether it is installed, runs, and if not, why."""
    state = unit_state(ASKED)
    if state is None:
        return
    if state["LoadState"] != "loaded":
        yield Finding("service", f"{UNIT} is {state['LoadState']}; the appliance is run by hand")
        return
    active = state["ActiveState"]
    restarts = f", restarted {state['NRestarts']} times" if state["NRestarts"] != "0" else ""
    if active == "active":
        yield Finding("service", f"runs{restarts}")
    elif active == "activating" and state["SubState"] == "start":
        yield Finding("service", "is starting; READY comes after the self-test", well=False)
    elif state["Result"] == "success":
        yield Finding("service", f"is stopped: sudo systemctl start {UNIT}", well=False)
    else:
        yield Finding("service", f"{active}: {cause(state)}{restarts}", well=False)


def cause(state: Mapping[str, str]) -> str:
    """Why it is down, in words, from systemd's properties."""
    result, status = state["Result"], state["ExecMainStatus"]
    meaning_of_result = RESULTS.get(result, result)
    code = int(status) if status.isdigit() else 0
    if result in {"exit-code", "start-limit-hit", "protocol"} and code:
        meaning = STATUSES.get(code, "journalctl -u edge-matting shows more")
        return f"{meaning_of_result} (status {code}: {meaning})"
    return meaning_of_result


def unit_folders(settings: Settings) -> Iterator[Finding]:
    """Whether the unit lets the service write where the configuration wants it to."""
    state = unit_state(("LoadState", "ReadWritePaths", "StateDirectory"))
    if state is None or state["LoadState"] != "loaded":
        return
    opened = [path.lstrip("-+") for path in state["ReadWritePaths"].split()]
    opened += [f"/var/lib/{name}" for name in state["StateDirectory"].split()]
    wanted = [settings.state_dir]
    for folder in settings.hot_folders:
        wanted += [folder.path] if folder.out is None else [folder.path, folder.out]
    for path in wanted:
        if not any(path.is_relative_to(folder) for folder in opened) and " " not in str(path):
            yield Finding(
                f"unit and {path}",
                f"the unit does not open it for writing: {DROPINS} && {RESTART}",
                well=False,
            )


def service_user(settings: Settings) -> Iterator[Finding]:
    """Whether the service's user may do its work; root, who asks, may do everything."""
    try:
        user = pwd.getpwnam("edge-matting")
    except KeyError:
        return
    if os.geteuid() != 0:
        return
    folders = {path for hot in settings.hot_folders for path in (hot.inbox, hot.outbox, hot.done)}
    for path in sorted(folders | {settings.state_dir}):
        if path.is_dir() and not _may_write(path, user):
            yield Finding(
                f"rights on {path}",
                f"{user.pw_name} may not write there: chown edge-matting:edge-matting-drop "
                f"{path}; chmod 2770 {path}",
                well=False,
            )


def page(settings: Settings) -> Iterator[Finding]:
    """Who answers on the page's address, and its state."""
    status = settings.status
    if status.token_file is not None:
        try:
            read_token(status.token_file)
        except ConfigError as error:
            if os.geteuid() == 0:
                yield Finding("token", str(error), well=False)
                return
            yield Finding("token", f"{status.token_file} is not for this user to read")
    remote = Remote.at(settings)
    try:
        reasons = remote.get("/api/v1/status")["reasons"]
    except NoAnswer as error:
        problem = port_problem(status.host, status.port)
        yield Finding("page", problem or str(error), well=problem is None)
        return
    yield Finding("page", "; ".join(reasons) or f"{remote.url} answers", well=remote.ready())


def port_problem(host: str, port: int) -> str | None:
    """What keeps the page from its address while the appliance does not run."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host.strip("[]"), port))
        except OSError as error:
            return f"{host}:{port} cannot be listened on: {error.strerror}; set status.port"
    return None


def unit_state(properties: Sequence[str]) -> dict[str, str] | None:
    """Properties of the unit; None where systemd does not run."""
    if shutil.which("systemctl") is None or not SYSTEMD_RUNS.is_dir():
        return None
    done = subprocess.run(
        ["systemctl", "show", UNIT, f"--property={','.join(properties)}"],
        capture_output=True,
        text=True,
        check=False,
    )
    found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    return {name: found.get(name, "") for name in properties}


def _may_write(path: Path, user: pwd.struct_passwd) -> bool:
    done = subprocess.run(
        ["sh", "-c", 'test -r "$1" && test -w "$1" && test -x "$1"', "sh", path],
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=os.getgrouplist(user.pw_name, user.pw_gid),
        cwd="/",
        check=False,
    )
    return done.returncode == 0
