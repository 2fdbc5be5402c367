"""``doctor``: everything a start needs, one line each, with what to do."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from edge_matting.cli.bundle import write_bundle
from edge_matting.cli.doctor_rights import rights
from edge_matting.cli.doctor_service import page, service, service_user, unit_folders
from edge_matting.cli.execution import execution_facts, execution_lines
from edge_matting.cli.findings import Check, Finding
from edge_matting.cli.output import print_line
from edge_matting.cli.settings import read_settings
from edge_matting.config import HotFolder, Settings, find_config
from edge_matting.core.clock import SystemClock
from edge_matting.core.errors import ConfigError, EdgeMattingError
from edge_matting.daemon.appliance import check_folders
from edge_matting.device import probe_device
from edge_matting.device.files import read_int
from edge_matting.engine.factory import open_catalog, plan_for
from edge_matting.hotfolder.condition import folder_problem, free_bytes
from edge_matting.hotfolder.filesystems import needs_polling
from edge_matting.ledger import Ledger
from edge_matting.models.catalog import HIDDEN
from edge_matting.runtimes import installed_runtimes, runtime_problem

ALL_WELL, ATTENTION = 0, 1
FEW_WATCHES = 16384
BUILT_AFTER = 1_790_000_000.0
"""A clock before autumn 2026 has not been set since the battery was empty."""


def run(options: argparse.Namespace) -> int:
    try:
        settings = read_settings(options)
        check_folders(settings)
    except ConfigError as error:
        if options.bundle is not None:
            wrong = [Finding("configuration", fault, well=False) for fault in error.faults]
            _bundle(options.bundle, None, wrong)
        raise
    config = find_config(options.config)

    def file_rights(settings: Settings) -> Iterator[Finding]:
        return rights(settings, config)

    findings = []
    for check in (*CHECKS, file_rights):
        for finding in _guarded(check, settings):
            print_line(str(finding))
            findings.append(finding)
    if options.bundle is not None:
        _bundle(options.bundle, settings, findings)
    return ALL_WELL if all(finding.well for finding in findings) else ATTENTION


def _bundle(path: Path, settings: Settings | None, findings: Sequence[Finding]) -> None:
    names = write_bundle(path, settings, findings)
    print_line(f"{path}: {', '.join(names)}. The log in it names photos; nothing in it is secret.")


def _guarded(check: Check, settings: Settings) -> Iterator[Finding]:
    """A check that cannot be made is a finding, and the others are still made."""
    try:
        yield from check(settings)
    except EdgeMattingError as error:
        yield Finding(_name_of(check), str(error), well=False)
    except OSError as error:
        found = str(error) if error.filename is None else f"{error.filename}: {error.strerror}"
        yield Finding(_name_of(check), found, well=False)


def _name_of(check: Check) -> str:
    return check.__name__.strip("_").replace("_", " ")


def _folders(settings: Settings) -> Iterator[Finding]:
    for folder in settings.hot_folders:
        problem = folder_problem(folder, settings.limits.min_free_mb)
        free = free_bytes(folder.outbox)
        found = "" if free is None else f"{free / 1e9:.1f} GB free, {_watching(folder)}"
        yield Finding(f"hot folder {folder.path}", problem or found, well=problem is None)


def _watching(folder: HotFolder) -> str:
    return needs_polling(folder.inbox) or "changes raise events"


def _state_dir(settings: Settings) -> Iterator[Finding]:
    path = settings.state_dir
    if not path.is_dir():
        yield Finding(f"state dir {path}", "is not there yet; the first start makes it")
    elif not os.access(path, os.W_OK | os.X_OK):
        yield Finding(f"state dir {path}", "cannot be written to by this user", well=False)
    else:
        yield Finding(f"state dir {path}", "can be written to")


def _ledger(settings: Settings) -> Iterator[Finding]:
    if not settings.ledger_path.exists():
        yield Finding("ledger", "is not there yet; the first start makes it")
        return
    attempts = settings.limits.max_attempts
    with Ledger.open(settings.ledger_path, clock=SystemClock(), max_attempts=attempts) as ledger:
        broken = ledger.check()
        jobs = sum(ledger.counts().values())
    yield Finding("ledger", "; ".join(broken) or f"{jobs} jobs, consistent", well=not broken)


def _watch_limits(_settings: Settings) -> Iterator[Finding]:
    limit = read_int(Path("/proc/sys/fs/inotify/max_user_watches"))
    if limit is not None:
        advice = "" if limit >= FEW_WATCHES else "; sysctl fs.inotify.max_user_watches=524288"
        yield Finding("watch limit", f"{limit} folders{advice}", well=limit >= FEW_WATCHES)


def _runtimes(_settings: Settings) -> Iterator[Finding]:
    runtimes = installed_runtimes()
    problem = runtime_problem(runtimes)
    found = ", ".join(f"{runtime.distribution} {runtime.version}" for runtime in runtimes)
    yield Finding("runtime", problem or found, well=problem is None)


def _models(settings: Settings) -> Iterator[Finding]:
    catalog = open_catalog(settings)
    for entry in catalog.list():
        try:
            catalog.verify(entry.id)
        except EdgeMattingError as error:
            yield Finding(f"model {entry.id}", str(error), well=False)
        else:
            yield Finding(f"model {entry.id}", "is as its manifest says")
    for model_id in catalog.hidden():
        yield Finding(f"model {model_id}", HIDDEN, well=False)
    catalog.get(settings.model)


def _accelerator(settings: Settings) -> Iterator[Finding]:
    profile = probe_device()
    facts = execution_facts(settings, plan_for(settings, profile), profile)
    well = "error" not in facts and facts["reason"] is None and not facts["notes"]
    found = "; ".join(execution_lines(facts))
    yield Finding("accelerator", f"{found}; {len(profile.gpus)} GPU(s) seen", well=well)


def _clock(_settings: Settings) -> Iterator[Finding]:
    now = time.time()
    text = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    advice = "" if now > BUILT_AFTER else ": wrong; set the clock (timedatectl)"
    yield Finding("clock", text + advice, well=now > BUILT_AFTER)


CHECKS: tuple[Check, ...] = (
    service,
    unit_folders,
    service_user,
    page,
    _folders,
    _state_dir,
    _ledger,
    _watch_limits,
    _runtimes,
    _models,
    _accelerator,
    _clock,
)
