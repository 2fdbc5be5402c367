"""``doctor --bundle FILE``: what somebody who is to help needs, in one archive, and no secrets.

In it: the doctor's findings, the service's log and unit, the settings as read, the device, the
ledger's numbers, the versions of all packages, the system. Not in it: the token, photos, results,
thumbnails. The log names photos; who gives the archive away should know that.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from edge_matting.cli.client import NoAnswer, Remote
from edge_matting.cli.doctor_service import UNIT
from edge_matting.cli.findings import Finding
from edge_matting.config import Settings
from edge_matting.core.clock import SystemClock
from edge_matting.core.durable import durable_write
from edge_matting.core.errors import EdgeMattingError
from edge_matting.device import probe_device
from edge_matting.engine.factory import plan_for
from edge_matting.ledger import Ledger

LOG_LINES: Final = 5000
DAY_SECONDS: Final = 86400.0
COMMAND_SECONDS: Final = 30.0

COMMANDS: Final = (
    (
        "journal.txt",
        ("journalctl", "-u", UNIT, "-n", str(LOG_LINES), "--no-pager", "-o", "short-iso"),
    ),
    ("kernel.txt", ("journalctl", "-k", "-n", "300", "--no-pager")),
    ("unit.txt", ("systemctl", "cat", UNIT)),
    ("state.txt", ("systemctl", "show", UNIT)),
    ("disks.txt", ("df", "-hT")),
    ("gpu.txt", ("nvidia-smi",)),
)
FILES: Final = ("/etc/os-release", "/etc/nv_tegra_release", "/proc/meminfo", "/proc/version")


def write_bundle(path: Path, settings: Settings | None, findings: Sequence[Finding]) -> list[str]:
    """Write the archive, for its owner alone; the names of what is in it."""
    stem = f"edge-matting-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"
    packed = io.BytesIO()
    names = []
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in _contents(settings, findings):
            data = text.encode("utf-8", "backslashreplace")
            entry = tarfile.TarInfo(f"{stem}/{name}")
            entry.size, entry.mtime, entry.mode = len(data), int(time.time()), 0o600
            archive.addfile(entry, io.BytesIO(data))
            names.append(name)
    durable_write(path.absolute(), packed.getvalue(), mode=0o600)
    return names


def _contents(settings: Settings | None, findings: Sequence[Finding]) -> Iterator[tuple[str, str]]:
    yield "doctor.txt", "".join(f"{finding}\n" for finding in findings)
    yield "packages.txt", _packages()
    yield "system.txt", _system()
    for name, command in COMMANDS:
        yield name, _said(command)
    if settings is None:
        return
    yield "config.json", _json(settings.as_json())
    for name, facts in (
        ("profile.json", _profile),
        ("ledger.json", _ledger),
        ("status.json", _status),
    ):
        yield name, _guarded(facts, settings)


def _guarded(facts: Callable[[Settings], Any], settings: Settings) -> str:
    """What cannot be had is named in its place: often it is the very cause that is looked for."""
    try:
        return _json(facts(settings))
    except (EdgeMattingError, NoAnswer) as error:
        return _json({"error": str(error)})


def _profile(settings: Settings) -> Any:
    profile = probe_device()
    return {"profile": asdict(profile), "plan": asdict(plan_for(settings, profile))}


def _ledger(settings: Settings) -> Any:
    if not settings.ledger_path.exists():
        return {"error": "there is no ledger yet"}
    attempts = settings.limits.max_attempts
    with Ledger.open(settings.ledger_path, clock=SystemClock(), max_attempts=attempts) as ledger:
        return {
            "counts": {state.value: number for state, number in ledger.counts().items()},
            "last_day": {s.value: number for s, number in ledger.rate(DAY_SECONDS).items()},
            "oldest_pending": ledger.oldest_pending(),
            "misplaced": len(ledger.misplaced(1000)),
            "broken_rules": ledger.check(),
            "bytes": {
                path.name: path.stat().st_size
                for path in sorted(settings.state_dir.glob("ledger.sqlite*"))
            },
        }


def _status(settings: Settings) -> Any:
    return Remote.at(settings).get("/api/v1/status")


def _packages() -> str:
    found = {(d.metadata["Name"], d.version) for d in metadata.distributions()}
    return "".join(f"{name}=={version}\n" for name, version in sorted(found))


def _system() -> str:
    parts = []
    for name in FILES:
        path = Path(name)
        if path.is_file():
            parts.append(f"== {name}\n{path.read_text('utf-8', 'replace')}\n")
    return "".join(parts)


def _said(command: Sequence[str]) -> str:
    """What a program prints, errors too; that it is missing or hangs is worth a line as well."""
    if shutil.which(command[0]) is None:
        return f"{command[0]} is not on this machine\n"
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{' '.join(command)} did not end within {COMMAND_SECONDS:g} s\n"
    return done.stdout.decode("utf-8", "backslashreplace")


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, default=str) + "\n"
