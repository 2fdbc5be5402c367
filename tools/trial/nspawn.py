"""A Debian with a real systemd in a container, driven from outside; needs root."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import final

from tools.waiting import wait_until

PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "procps", "iproute2", "ca-certificates"),
    *("python3", "python3-venv", "acl", "libfaketime"),
)
BOOT_SECONDS = 90.0
END_SECONDS = 60.0
NEEDED_PROGRAMS = ("systemd-nspawn", "debootstrap", "nsenter")


class TrialError(Exception):
    """Something did not happen as it must."""


class NotHereError(Exception):
    """This machine cannot do it: nothing was found out about the appliance."""


def why_not_here() -> str | None:
    """Why no container can be booted on this machine; None where one can."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [name for name in NEEDED_PROGRAMS if shutil.which(name) is None]
    return f"needs {', '.join(missing)}" if missing else None


def make_debian(root: Path, suite: str = "bookworm") -> None:
    """A minimal Debian with systemd and Python; takes minutes and the network, once."""
    unfinished = root.with_name(f"{root.name}.unfinished")  # half a root is never taken for one
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    include = f"--include={','.join(PACKAGES)}"
    done = subprocess.run(
        ["debootstrap", "--variant=minbase", include, suite, str(unfinished)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NotHereError(f"debootstrap makes no Debian here: {_last_line(done.stdout)}")
    unfinished.rename(root)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1]


@final
class Container:
    """One root file system that is booted, cut off and booted again."""

    def __init__(self, root: Path, binds: Mapping[str, Path]) -> None:
        self.root = root
        self._binds = binds
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._init = 0  # PID 1 of the container, as seen from outside
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115  read when a boot fails

    def boot(self) -> None:
        """Start systemd in it, without a network of its own, and wait until all units are up."""
        binds = [f"--bind-ro={source}:{target}" for target, source in self._binds.items()]
        self._nspawn = subprocess.Popen(
            [
                *("systemd-nspawn", "-q", "-D", str(self.root), "--boot", "--register=no"),
                *("--keep-unit", "--private-network", *binds),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
        )
        if not wait_until(self._booted, BOOT_SECONDS, 0.2):
            raise TrialError("the container did not boot")

    def _booted(self) -> bool:
        self._init = self._find_init()
        states = {"running", "degraded"}
        return bool(self._init) and self.ask("systemctl", "is-system-running") in states

    def cut_power(self) -> None:
        """SIGKILL to everything in it at once. What was not yet synced may be there all the same:
        the disk's cache survives, only the processes do not."""
        assert self._nspawn is not None
        if self._init:  # 0 would be ourselves
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._init, signal.SIGKILL)
        self._nspawn.kill()
        self._wait_gone()

    def shut_down(self) -> None:
        if self._nspawn is not None:
            self._nspawn.terminate()
            self._wait_gone()

    def run(self, *command: str, user: str | None = None, check: bool = True) -> str:
        """What the command prints (both streams); ``TrialError`` when it fails."""
        done = subprocess.run(
            self._inside(command, user),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="backslashreplace",
            check=False,
        )
        if check and done.returncode:
            raise TrialError(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}")
        return done.stdout

    def ask(self, *command: str) -> str:
        """The first word of what it prints, whatever its status."""
        return (self.run(*command, check=False).split() or [""])[0]

    def succeeds(self, *command: str, user: str | None = None) -> bool:
        done = subprocess.run(
            self._inside(command, user),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return done.returncode == 0

    def path(self, inside: str) -> Path:
        """A path in the container, as seen from outside."""
        return self.root / inside.lstrip("/")

    def _inside(self, command: tuple[str, ...], user: str | None) -> list[str]:
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        become = ["runuser", "-u", user, "--"] if user else []
        enter = ["nsenter", "-t", str(self._init), "-a", "env", "-i", path, "LC_ALL=C.UTF-8"]
        return [*enter, *become, *command]

    def _find_init(self) -> int:
        """nspawn's only child, once it has become systemd."""
        assert self._nspawn is not None
        if self._nspawn.poll() is not None:
            self._said.seek(0)
            status, said = self._nspawn.returncode, _last_line(self._said.read())
            raise TrialError(f"systemd-nspawn ended with status {status}: {said}")
        pid = self._nspawn.pid
        with contextlib.suppress(OSError, ValueError):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
            for child in map(int, children):
                if Path(f"/proc/{child}/comm").read_text("ascii").strip() == "systemd":
                    return child
        return 0

    def _wait_gone(self) -> None:
        assert self._nspawn is not None
        self._nspawn.wait(END_SECONDS)
        wait_until(lambda: not Path(f"/proc/{self._init}").exists(), END_SECONDS)
        self._nspawn, self._init = None, 0
