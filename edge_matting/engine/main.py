"""Composition root of the engine process: opens the ledger, makes the parts, runs the engine."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from edge_matting.config import Settings
from edge_matting.core import logs
from edge_matting.core.clock import SystemClock
from edge_matting.core.engine_identity import EngineIdentity
from edge_matting.core.errors import DeviceLost, EdgeMattingError, StartError
from edge_matting.core.exit_codes import DEVICE_LOST, FAULT, START_ERROR
from edge_matting.core.locks import SharedLock, exclusive_lock
from edge_matting.device import VitalsReader, probe_device
from edge_matting.engine.channel import Reporter, listen
from edge_matting.engine.engine import Device, Engine, EngineParts
from edge_matting.engine.factory import open_cache, open_catalog, planning_for
from edge_matting.engine.jobs.hotfolder_source import HotFolderSource
from edge_matting.engine.process_tuning import tune_process
from edge_matting.ledger import Ledger

log = logging.getLogger(__name__)

OOM_SCORE_ADJUST = 500
"""The kernel is to take the engine, which is replaced, rather than the daemon or sshd."""

LOCK_SECONDS = 10.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the settings from stdin, work until told to stop; the exit status says why it ended."""
    arguments = sys.argv[1:] if arguments is None else arguments
    _die_with_the_daemon()
    _be_taken_first()
    faulthandler.enable()  # a native crash leaves its stack in the log
    tune_process()
    logs.configure()
    reporter = Reporter(int(arguments[0]))
    identity = EngineIdentity.from_argument(arguments[1])
    told = sys.stdin.readline()
    if not told:
        return FAULT  # the daemon died before it could say what to do
    settings = Settings.model_validate_json(told)
    try:
        with _only_engine(settings, identity), _hot_folders(settings, identity) as source:
            engine = Engine(_parts(settings, identity, source, reporter))
            _listen(engine)
            return engine.run()
    except StartError as error:
        log.error("the engine cannot start: %s", error)
        reporter.send("problem", message=error.reason)
        return START_ERROR
    except DeviceLost as error:
        log.error("this process cannot use the GPU any more: %s", error)
        reporter.send("problem", message=error.reason)
        return DEVICE_LOST
    except EdgeMattingError as error:
        log.error("the engine cannot work: %s", error)
        reporter.send("problem", message=error.reason)
        return FAULT


@contextmanager
def _only_engine(settings: Settings, identity: EngineIdentity) -> Iterator[None]:
    """Hold this engine's lock; the one before may take a moment to end, so try for a while."""
    with ExitStack() as stack:
        try:
            path = settings.state_dir / identity.lock_name
            stack.enter_context(exclusive_lock(path, "engine", LOCK_SECONDS))
        except StartError as error:
            raise EdgeMattingError(str(error)) from error
        yield


@contextmanager
def _hot_folders(settings: Settings, identity: EngineIdentity) -> Iterator[HotFolderSource]:
    """The ledger's jobs and the hot folders' photos."""
    clock = SystemClock()
    with contextlib.suppress(OSError):  # without room there are no thumbnails
        settings.thumbnails_dir.mkdir(parents=True, exist_ok=True)
    moving = SharedLock(settings.state_dir / "originals.lock") if identity.engines > 1 else None
    with Ledger.open(
        settings.ledger_path,
        clock=clock,
        max_attempts=settings.limits.max_attempts,
        owner=identity.owner,
    ) as ledger:
        yield HotFolderSource(ledger, settings, clock, moving)


def _parts(
    settings: Settings, identity: EngineIdentity, source: HotFolderSource, reporter: Reporter
) -> EngineParts:
    cache = open_cache(settings)
    profile = identity.share_of(probe_device())
    planning = planning_for(settings, profile)
    return EngineParts(
        jobs=source,
        photos=source,
        reporter=reporter,
        clock=SystemClock(),
        settings=settings,
        catalog=open_catalog(settings),
        cache=cache,
        device=Device(profile, VitalsReader(), planning, identity.gpu_lost),
    )


def _listen(engine: Engine) -> None:
    """Obey the daemon's commands in a thread of their own."""
    arguments = (sys.stdin, engine.commands, _orphaned)
    threading.Thread(target=listen, args=arguments, name="commands", daemon=True).start()


def _die_with_the_daemon() -> None:
    """SIGKILL for this process when its parent dies, and no Ctrl-C: the daemon says when to stop.

    An engine without its daemon would work on while the next daemon starts another.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _be_taken_first(path: Path = Path("/proc/self/oom_score_adj")) -> None:
    """Anybody may raise it; where even that is refused, the daemon's own value holds."""
    with contextlib.suppress(OSError):
        if int(path.read_text()) < OOM_SCORE_ADJUST:
            path.write_text(str(OOM_SCORE_ADJUST))


def _orphaned() -> None:
    """End of file on stdin: the daemon is dead. What is in work is found again in the ledger."""
    os._exit(FAULT)
