"""The engine: models, a loop over claims, and what is looked after beside it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import psutil

from edge_matting.cache import MatteCache
from edge_matting.config import Settings
from edge_matting.core.clock import Clock
from edge_matting.core.device_values import DeviceProfile
from edge_matting.core.engine_identity import JOB_SOURCE
from edge_matting.core.errors import DeviceLost, JobSourceError, SelfTestFailed
from edge_matting.core.exit_codes import CLEAN, DEVICE_LOST, RECYCLE
from edge_matting.core.jobs import Claim
from edge_matting.core.reasons import Reason
from edge_matting.device import VitalsReader
from edge_matting.engine.channel import Reporter
from edge_matting.engine.factory import open_plates
from edge_matting.engine.jobs.source import JobSource, PhotoStore
from edge_matting.engine.loop import WorkLoop
from edge_matting.engine.models.loader import ModelLoader
from edge_matting.engine.models.manager import ModelManager
from edge_matting.engine.models.self_test_schedule import SelfTestSchedule
from edge_matting.engine.process_tuning import return_free_memory
from edge_matting.engine.tuning.controller import PlanController
from edge_matting.engine.tuning.planning import Planning
from edge_matting.engine.worker import EngineHooks, Supply, Worker
from edge_matting.models import Catalog

log = logging.getLogger(__name__)

LISTING_SECONDS = 30.0
"""How soon a model that was added can be chosen on the page."""

PUT_AWAY_SECONDS = 10.0
"""How often originals that could not be put away are tried again."""

RETURN_MEMORY_SECONDS = 60.0
"""How often free memory goes back to the kernel; more often, page faults would cost photos time."""


@dataclass(frozen=True, slots=True)
class Device:
    """This engine's share of the machine."""

    profile: DeviceProfile
    readings: VitalsReader
    planning: Planning
    gpu_lost: str | None = None  # why the GPU is not to be used; None: it may be


@dataclass(frozen=True, slots=True)
class EngineParts:
    """What an engine is handed by its composition root. It knows of no other place for work."""

    jobs: JobSource
    photos: PhotoStore
    reporter: Reporter
    clock: Clock
    settings: Settings
    catalog: Catalog
    cache: MatteCache | None
    device: Device


class Engine:
    """One life of the work process."""

    def __init__(self, parts: EngineParts) -> None:
        self._jobs = parts.jobs
        self._photos = parts.photos
        self._reporter = parts.reporter
        self._clock = parts.clock
        self._catalog = parts.catalog
        self._cache = parts.cache
        self._device = parts.device
        self._status = CLEAN
        self._next_put_away = 0.0
        self._next_listing = 0.0
        self._next_return = 0.0
        self._tested_at = self._clock.now()
        self._controller: PlanController | None = None  # once the models have started
        self._models = self._manager(parts.settings)
        self._self_tests = SelfTestSchedule(
            now=self._clock.monotonic(),
            test=self._test,
            reopen=self._models.reopen,
            report=self._report_problem,
        )
        supply = Supply(
            parts.jobs,
            parts.photos,
            self._models.pool,
            parts.settings.model,
            self._catalog.model_for,
        )
        hooks = EngineHooks(
            stopping=lambda: self._loop.stopping,
            device_lost=self._device_lost,
            out_of_memory=self._out_of_memory,
            abandon=lambda: os._exit(RECYCLE),
        )
        self._worker = Worker(supply, parts.reporter, hooks)
        self._loop = WorkLoop(
            claim=self._claim,
            perform=self._worker.perform,
            tick=self._tick,
            workers=self._models.plan.workers,
        )

    @property
    def commands(self) -> Mapping[str, Callable[[], None]]:
        """What the daemon may ask for; from any thread."""
        return {
            "wake": self._wake,
            "pause": self._loop.pause,
            "resume": self._loop.resume,
            "stop": self._loop.stop,
            "recycle": self._recycle,
        }

    def run(self) -> int:
        """Work until stopped; the exit status of the process."""
        if self._cache is not None:
            self._cache.keep_models(_digests(self._catalog))
        self._models.start()
        self._controller = self._plan_controller()
        try:
            self._loop.run()
        finally:
            self._device.readings.close()
        return self._status

    def _manager(self, settings: Settings) -> ModelManager:
        device = self._device
        return ModelManager(
            ModelLoader(settings, self._catalog, device.profile),
            device.planning.plan(device.readings.read()),
            settings.model,
            self._reporter,
            plan_of=device.planning.plan_of,
            cache=self._cache,
            plates=open_plates(settings),
            device_lost=self._device_lost,
            gpu_lost=device.gpu_lost,
            # Who wants the accelerator or nothing waits for it.
            serves_meanwhile=settings.device.missing_accelerator != "fail",
        )

    def _plan_controller(self) -> PlanController:
        return PlanController(
            planning=self._device.planning,
            profile=self._device.profile,
            models=self._models,
            read=self._device.readings.read,
            use_workers=self._loop.use_workers,
            photos_wait=lambda: self._loop.woken or self._loop.stopping,
            events=self._reporter,
            now=self._clock.monotonic(),
        )

    def _claim(self, limit: int) -> Sequence[Claim]:
        quiet = self._controller is not None and self._controller.wants_quiet
        if quiet or self._self_tests.problem is not None:
            return ()
        try:
            claims = self._jobs.claim(limit)
        except JobSourceError as error:
            self._reporter.obstacle(JOB_SOURCE, error.reason)
            raise
        self._reporter.obstacle(JOB_SOURCE, None)
        return claims

    def _wake(self) -> None:
        """There may be new work, or an accepted result whose original is to be put away."""
        self._next_put_away = 0.0
        self._loop.wake()

    def _tick(self) -> None:
        self._reporter.alive(cache=self._cache_figures())
        now = self._clock.monotonic()
        if now >= self._next_put_away:
            self._next_put_away = now + PUT_AWAY_SECONDS
            self._photos.put_away_all(self._reporter.alive)
        if now >= self._next_listing:
            self._next_listing = now + LISTING_SECONDS
            models = self._catalog.list()
            self._reporter.send("models", ids=[entry.id for entry in models if not entry.fault])
        self._self_tests.step(now, idle=self._loop.idle)
        if self._controller is not None:
            self._controller.step(now, idle=self._loop.idle)
        if now >= self._next_return:
            self._next_return = now + RETURN_MEMORY_SECONDS
            return_free_memory()
        self._keep_memory_budget()

    def _test(self) -> None:
        """The self-test; what a failing model made since the last one is not kept."""
        try:
            self._models.test()
        except SelfTestFailed:
            if self._cache is not None:
                self._cache.distrust(self._tested_at)
            raise
        self._tested_at = self._clock.now()

    def _cache_figures(self) -> dict[str, object]:
        """What the cache holds, after it was looked after."""
        if self._cache is None:
            return {}
        self._cache.tend()
        return asdict(self._cache.stored())

    def _keep_memory_budget(self) -> None:
        """A model that only a retry asked for goes first, then the whole process."""
        budget = self._models.plan.memory_bytes
        if self._loop.stopping or self._models.is_building or _used_bytes() <= budget:
            return
        return_free_memory()  # what is free counts as used until then
        if _used_bytes() <= budget:
            return
        if self._models.pool.unload_one():
            return
        log.warning("memory exceeds its budget of %d MiB: starting a new engine", budget >> 20)
        self._recycle()

    def _recycle(self) -> None:
        """End when the photos in work are done; the daemon starts another process."""
        self._status = RECYCLE
        self._loop.stop()

    def _report_problem(self, problem: Reason | None) -> None:
        """Nothing is claimed meanwhile, and the daemon is not ready."""
        if problem is None:
            self._models.announce()
        else:
            self._reporter.send("problem", message=problem)

    def _out_of_memory(self, what: str) -> None:
        if self._controller is not None:
            self._controller.ran_out_of_memory(what)

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
