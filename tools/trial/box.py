"""The appliance installed in a container, as its operator and its users see it."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

from tools.chaos.photos import Drop, make_photos
from tools.trial.nspawn import Container, TrialError
from tools.waiting import wait_until

HOT = "/srv/edge-matting"
CONFIG = "/etc/edge-matting/edge-matting.yaml"
UNIT = "edge-matting.service"
PROGRAM = "/opt/edge-matting/current/bin/edge-matting"
STALL_SECONDS = 15
MIN_FREE_MB = 8
PATIENCE_SECONDS = 300.0


@final
class Box:
    """The installed appliance, as its operator and its users see it."""

    def __init__(self, container: Container, seed: int, kills: int) -> None:
        self.container = container
        self.kills = kills
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
        value = wait_until(condition, seconds, 0.25)
        if value:
            return value
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
        said = self.container.run(PROGRAM, "status", "--json", check=False)
        return json.loads(said[said.index("{") :])  # behind the log's lines

    def pause(self) -> None:
        """Have it take nothing into work, as the page's button does; a restart ends that."""
        ask = (
            "import urllib.request as u; u.urlopen(u.Request('http://127.0.0.1:8080/api/v1/pause', "
            "b'{}', {'Content-Type': 'application/json', 'X-Requested-With': 'trial'}))"
        )
        self.container.run("python3", "-c", ask)

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
