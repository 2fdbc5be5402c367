"""A damaged or lost ledger: set aside, made anew, and told what the folders still know."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edge_matting.config import HotFolder, Settings
from edge_matting.core.anchored import AnchoredFolder
from edge_matting.core.clock import Clock
from edge_matting.core.errors import LedgerCorrupt, TemporaryError
from edge_matting.core.walks import WalkedFile, walk
from edge_matting.ledger import Ledger, set_aside
from edge_matting.publish import read_sidecar, sidecar_name

SIDECAR_SUFFIX: Final = sidecar_name("")

log = logging.getLogger(__name__)


def open_ledger(settings: Settings, clock: Clock) -> Ledger:
    """The ledger; a damaged one is kept under a name that says so, and a new one is begun.

    What lies in ``in/`` is found by the scan; results in folders that it does not know give it
    their names.
    """
    path = settings.ledger_path
    try:
        return _undamaged(path, clock, settings)
    except LedgerCorrupt as error:
        kept = set_aside(path, clock)
        log.error("%s; kept as %s, a new one is made from the folders", error, kept)
        ledger = _undamaged(path, clock, settings)
        ledger.kept_as = kept
        return ledger


def _undamaged(path: Path, clock: Clock, settings: Settings) -> Ledger:
    ledger = Ledger.open(path, clock=clock, max_attempts=settings.limits.max_attempts)
    try:
        _check_file(ledger, path)
        _adopt_results(settings, ledger)
    except BaseException:
        ledger.close()
        raise
    return ledger


def _check_file(ledger: Ledger, path: Path) -> None:
    damage = ledger.damage()
    if damage:
        raise LedgerCorrupt(f"{path}: {damage[0]}")


def _adopt_results(settings: Settings, ledger: Ledger) -> None:
    """Learn the names of the results in folders that the ledger does not know.

    Without them the next photo of the same name would overwrite another's result.
    """
    for folder in settings.hot_folders:
        if ledger.knows(str(folder.path)):
            continue
        adopted = ledger.adopt(str(folder.path), list(_results(folder)))
        if adopted:
            log.warning("%s: %d earlier results are not in the ledger", folder.path, adopted)


def _results(folder: HotFolder) -> Iterator[tuple[str, str]]:
    """(source, stem) of every sidecar of ours in ``out/`` and ``review/``."""
    for path in (folder.outbox, folder.review):
        root = folder.door(path)
        if root.status_of_itself() is None:
            continue  # not made yet, or not mounted
        try:
            stems = sorted(
                entry.path.removesuffix(SIDECAR_SUFFIX)
                for entry in walk(root)
                if isinstance(entry, WalkedFile) and entry.path.endswith(SIDECAR_SUFFIX)
            )
        except TemporaryError as error:
            log.warning("%s", error)
            continue
        for stem in stems:
            yield from _named_by(root, stem)


def _named_by(root: AnchoredFolder, stem: str) -> Iterator[tuple[str, str]]:
    try:
        content = read_sidecar(root, stem) or {}
    except TemporaryError:
        return  # cannot be read, and names nothing
    source = content.get("source")
    if isinstance(source, str) and "source_sha256" in content:
        yield source, stem
