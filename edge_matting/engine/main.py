"""Composition root of the engine process."""

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
from dataclasses import asdict
from pathlib import Path

import psutil

from edge_matting.config import Settings
from edge_matting.core import logs
from edge_matting.core.clock import SystemClock
from edge_matting.core.engine_identity import EngineIdentity
from edge_matting.core.errors import (
    DeviceLost,
    EdgeMattingError,
    LedgerError,
    SelfTestFailed,
    StartError,
)
from edge_matting.core.exit_codes import CLEAN, DEVICE_LOST, FAULT, RECYCLE, START_ERROR
from edge_matting.core.jobs import Claim
from edge_matting.core.locks import SharedLock, exclusive_lock
from edge_matting.core.reasons import Reason
from edge_matting.device import VitalsReader, probe_device
from edge_matting.engine.channel import Reporter, listen
from edge_matting.engine.factory import open_cache, open_catalog, planning_for
from edge_matting.engine.jobs.folders import Folders
from edge_matting.engine.jobs.originals import Originals
from edge_matting.engine.loop import Computed, WorkLoop
from edge_matting.engine.models.loader import ModelLoader
from edge_matting.engine.models.manager import ModelManager
from edge_matting.engine.models.self_test_schedule import SelfTestSchedule
from edge_matting.engine.process_tuning import return_free_memory, tune_process
from edge_matting.engine.tuning.controller import PlanController
from edge_matting.engine.worker import LEDGER, Worker
from edge_matting.hotfolder.condition import folder_problem, space_problem
from edge_matting.ledger import Ledger
from edge_matting.models import Catalog

log = logging.getLogger(__name__)

OOM_SCORE_ADJUST = 500
"""The kernel is to take the engine, which is replaced, rather than the daemon or sshd."""

LOCK_SECONDS = 10.0
LISTING_SECONDS = 30.0
"""How soon a model that was added can be chosen on the page."""

PUT_AWAY_SECONDS = 10.0
"""How often originals that could not be put away are tried again."""

HAND_BACK_SECONDS = 60.0
"""How often free memory goes back to the kernel; more often, page faults would cost photos time."""


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
    settings = Settings.model_validate_json(sys.stdin.readline())
    try:
        with _only_engine(settings, identity):
            return Engine(settings, reporter, identity).run()
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
    """Hold the seat's lock; the one before may take a moment to be gone, so try again later."""
    with ExitStack() as stack:
        try:
            path = settings.state_dir / identity.lock_name
            stack.enter_context(exclusive_lock(path, "engine", LOCK_SECONDS))
        except StartError as error:
            raise EdgeMattingError(str(error)) from error
        yield


class Engine:
    """One life of the work process."""

    def __init__(self, settings: Settings, reporter: Reporter, identity: EngineIdentity) -> None:
        self._settings = settings
        self._reporter = reporter
        self._clock = SystemClock()
        self._folders = Folders(settings.hot_folders)
        self._status = CLEAN
        self._next_put_away = 0.0
        self._next_listing = 0.0
        self._next_hand_back = 0.0
        self._ledger = Ledger.open(
            settings.ledger_path,
            clock=self._clock,
            max_attempts=settings.limits.max_attempts,
            owner=identity.owner,
        )
        moving = SharedLock(settings.state_dir / "originals.lock") if identity.engines > 1 else None
        self._originals = Originals(self._ledger, self._folders, self._clock, moving)
        self._cache = open_cache(settings)
        self._passed_at = self._clock.now()
        profile = identity.share_of(probe_device())
        self._profile = profile
        self._planning = planning_for(settings, profile)
        self._readings = VitalsReader()
        plan = self._planning.plan(self._readings.read())
        self._steering: PlanController | None = None  # once the models have started
        self._models = ModelManager(
            ModelLoader(settings, open_catalog(settings), profile),
            plan,
            settings.model,
            reporter,
            plan_of=self._planning.plan_of,
            cache=self._cache,
            device_lost=self._device_lost,
            gpu_lost=identity.gpu_lost,
            # Who wants the accelerator or nothing waits for it.
            serves_meanwhile=settings.device.missing_accelerator != "fail",
        )
        self._check_up = SelfTestSchedule(
            now=self._clock.monotonic(),
            test=self._test,
            reopen=self._models.reopen,
            told=self._unable,
        )
        self._loop = WorkLoop(
            claim=self._claim, perform=self._perform, tick=self._tick, workers=plan.workers
        )
        self._worker = Worker(
            jobs=self._ledger,
            settings=settings,
            models=self._models.pool,
            originals=self._originals,
            clock=self._clock,
            progress=reporter.progress,
            rest=reporter.rest,
            finished=lambda reused: reporter.finished(reused=reused),
            stopping=lambda: self._loop.stopping,
            obstacle=reporter.obstacle,
            device_lost=self._device_lost,
            out_of_memory=self._ran_out_of_memory,
        )

    def run(self) -> int:
        settings = self._settings
        with contextlib.suppress(OSError):  # without room there are no previews
            settings.previews_dir.mkdir(parents=True, exist_ok=True)
        self._listen()
        if self._cache is not None:
            self._cache.keep_models(_digests(open_catalog(settings)))
        self._models.start()
        self._steering = PlanController(
            planning=self._planning,
            profile=self._profile,
            models=self._models,
            read=self._readings.read,
            use_workers=self._loop.use_workers,
            photos_wait=lambda: self._loop.woken or self._loop.stopping,
            events=self._reporter,
            now=self._clock.monotonic(),
        )
        try:
            self._loop.run()
        finally:
            self._readings.close()
            self._ledger.close()
        return self._status

    def _listen(self) -> None:
        commands = {
            "wake": self._wake,
            "pause": self._loop.pause,
            "resume": self._loop.resume,
            "stop": self._loop.stop,
            "recycle": self._recycle,
        }
        threading.Thread(
            target=listen, args=(sys.stdin, commands, _orphaned), name="commands", daemon=True
        ).start()

    def _claim(self, limit: int) -> Sequence[Claim]:
        """Nothing is claimed while every folder has a problem: it would come back unharmed."""
        quiet = self._steering is not None and self._steering.wants_quiet
        if quiet or self._check_up.problem is not None:
            return ()
        if all(self._problem_of(folder.path) for folder in self._settings.hot_folders):
            return ()
        if space_problem(self._settings.state_dir, self._settings.limits.min_free_mb):
            return ()
        try:
            claims = self._ledger.claim(limit)
        except LedgerError as error:
            self._reporter.obstacle(LEDGER, error.reason)
            raise
        self._reporter.obstacle(LEDGER, None)
        return claims

    def _problem_of(self, path: os.PathLike[str]) -> str | None:
        folder = self._folders.of(os.fspath(path))
        return folder_problem(folder, self._settings.limits.min_free_mb)

    def _perform(self, claim: Claim, computed: Computed) -> None:
        self._worker.perform(claim, computed)

    def _wake(self) -> None:
        """There may be new work, or an accepted result whose original is to be put away."""
        self._next_put_away = 0.0
        self._loop.wake()

    def _tick(self) -> None:
        self._reporter.alive(cache=self._tended())
        now = self._clock.monotonic()
        if now >= self._next_put_away:
            self._next_put_away = now + PUT_AWAY_SECONDS
            self._originals.put_away_all()
        if now >= self._next_listing:
            self._next_listing = now + LISTING_SECONDS
            models = open_catalog(self._settings).list()
            self._reporter.send("models", ids=[entry.id for entry in models if not entry.fault])
        self._check_up.step(now, idle=self._loop.idle)
        if self._steering is not None:
            self._steering.step(now, idle=self._loop.idle)
        if now >= self._next_hand_back:
            self._next_hand_back = now + HAND_BACK_SECONDS
            return_free_memory()
        self._mind_memory()

    def _test(self) -> None:
        """The self-test; what a failing model made since the last one is not kept."""
        try:
            self._models.test()
        except SelfTestFailed:
            if self._cache is not None:
                self._cache.distrust(self._passed_at)
            raise
        self._passed_at = self._clock.now()

    def _tended(self) -> dict[str, object]:
        """What the cache holds, after it was looked after."""
        if self._cache is None:
            return {}
        self._cache.tend()
        return asdict(self._cache.stored())

    def _mind_memory(self) -> None:
        """A model that only a retry asked for goes first, then the whole process."""
        budget = self._models.plan.memory_bytes
        if self._loop.stopping or self._models.is_building or _used_bytes() <= budget:
            return
        return_free_memory()  # what is free counts as used until then
        if _used_bytes() <= budget:
            return
        if self._models.pool.unload_one():
            return
        log.warning("memory is past its budget of %d MiB: a new engine takes over", budget >> 20)
        self._recycle()

    def _recycle(self) -> None:
        """End when the photos in work are done; the daemon starts another process."""
        self._status = RECYCLE
        self._loop.stop()

    def _unable(self, problem: Reason | None) -> None:
        """Nothing is claimed meanwhile, and the daemon is not ready."""
        if problem is None:
            self._models.announce()
        else:
            self._reporter.send("problem", message=problem)

    def _ran_out_of_memory(self, what: str) -> None:
        if self._steering is not None:
            self._steering.ran_out_of_memory(what)

    def _device_lost(self, error: DeviceLost) -> None:
        """Each photo in work fails so and is refunded; the daemon starts another process."""
        if self._status != DEVICE_LOST:
            log.error("this process cannot use the GPU any more: %s", error)
            self._reporter.send("problem", message=error.reason)
        self._status = DEVICE_LOST
        self._loop.stop()


def _digests(catalog: Catalog) -> frozenset[str]:
    """Digests of the models whose mattes are kept; of one that cannot be read nothing is known."""
    entries = catalog.list()
    return frozenset(entry.manifest.sha256 for entry in entries if entry.manifest is not None)


def _used_bytes() -> int:
    return int(psutil.Process().memory_info().rss)


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
