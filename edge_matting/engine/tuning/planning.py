"""The plan for these settings on this device, with what was measured here before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from edge_matting.config import Settings
from edge_matting.core.clock import Clock, SystemClock
from edge_matting.core.device_values import DeviceProfile, Vitals
from edge_matting.core.plan import Plan
from edge_matting.core.providers import PROVIDERS, is_processor
from edge_matting.engine.models.session_factory import SessionMaker
from edge_matting.engine.tuning.calibration import Calibration
from edge_matting.engine.tuning.cpu_timer import CpuTimer
from edge_matting.engine.tuning.store import MeasurementStore
from edge_matting.models import Catalog, Manifest
from edge_matting.planner import Evaluated, ModelNeeds, make_plan
from edge_matting.planner.candidates import Choices, choices, thread_counts
from edge_matting.planner.measurements import MeasuredOn, Measurements, measured_on
from edge_matting.runtimes import Session
from edge_matting.runtimes.registry import available_providers, backend_of, runtime_version

CALIBRATION_SECONDS: Final = 5.0
"""Enough for the shipped model on two processors; a slow device measures fewer ways."""


class Planning:
    """Makes plans, and the measurements behind them."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        profile: DeviceProfile,
        *,
        make: Callable[[Manifest, Plan], Session] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._profile = profile
        self._manifest = catalog.get(settings.model)
        self._needs = needs_of(self._manifest, catalog.path(settings.model))
        self._make = make or SessionMaker(settings, catalog, profile).make
        self._clock = clock or SystemClock()
        self._store = MeasurementStore(settings.measurements_dir)
        self._known: Measurements | None = None

    def plan(self, vitals: Vitals | None = None) -> Plan:
        """The plan by the measurements for the present power mode, where there are any."""
        return make_plan(
            self._profile,
            self._needs,
            self._settings,
            self._available(self._manifest),
            measurements=self.measurements(vitals),
            vitals=vitals,
        )

    def plan_of(self, model_id: str) -> Plan:
        """The plan of another model than the settings' one, which a retry asked for: unmeasured.

        Raises ``ModelError`` for one that there is not.
        """
        manifest = self._catalog.get(model_id)
        needs = needs_of(manifest, self._catalog.path(model_id))
        return make_plan(self._profile, needs, self._settings, self._available(manifest))

    def measurements(self, vitals: Vitals | None = None) -> Measurements | None:
        """What is known of this model here and now."""
        on = self._on(vitals)
        if self._known is None or self._known.on != on:
            self._known = self._store.load(on)
        return self._known

    def worth_measuring(self, plan: Plan) -> bool:
        """Whether there is something to choose from that can be timed in seconds.

        A provider such as TensorRT compiles an engine for each size, for minutes.
        """
        compiles = PROVIDERS[plan.provider].meanwhile is not None
        if compiles or self._settings.device.measure == "never":
            return False
        allowed = self._allowed()
        return len(allowed.ways) * len(self._threads(plan)) > 1

    def measure(
        self,
        plan: Plan,
        *,
        vitals: Vitals | None = None,
        stop: Callable[[], bool] = lambda: False,
        seconds: float = CALIBRATION_SECONDS,
    ) -> Measurements:
        """Time what ``plan``'s provider may do, and keep it; see ``Calibration``."""
        calibration = Calibration(
            lambda each: self._make(self._manifest, each),
            self._manifest.input,
            plan,
            stop=stop,
            seconds=seconds,
            meter=CpuTimer(self._profile.usable_cpus),
        )
        allowed = self._allowed()
        ways = sorted(allowed.ways, key=lambda way: way[1][0] * way[1][1])
        found = calibration.run(ways, self._threads(plan))
        measurements = Measurements(
            on=self._on(vitals),
            taken_at=self._clock.now(),
            took_seconds=round(found.seconds, 3),
            ended=found.ended,
            timings=found.timings,
        )
        if found.ended != "work" and found.timings:
            self._store.save(measurements)
            self._known = measurements
        return measurements

    def _available(self, manifest: Manifest) -> tuple[str, ...]:
        return available_providers(self._backend(manifest))

    def _backend(self, manifest: Manifest) -> str:
        device = self._settings.device
        return backend_of(manifest, device.backend, device.accelerator)

    def _allowed(self) -> Choices:
        return choices(
            self._profile, self._needs, self._settings, self._available(self._manifest), []
        )

    def _threads(self, plan: Plan) -> tuple[int, ...]:
        """An accelerator computes by itself: its session's threads matter little."""
        if not is_processor(plan.provider):
            return (plan.session_threads,)
        return thread_counts(self._profile.usable_cpus, plan.workers)

    def _on(self, vitals: Vitals | None) -> MeasuredOn:
        runtime = runtime_version(self._backend(self._manifest))
        return measured_on(self._manifest.sha256, self._profile, vitals, runtime)


def needs_of(manifest: Manifest, path: Path) -> ModelNeeds:
    """What the plan must know of the model whose main file lies at ``path``."""
    size = manifest.input.size
    return ModelNeeds(
        resolution=(size.width, size.height),
        multiple=size.multiple if size.rule == "multiple_of" else None,
        files=tuple((part.backend, part.precision) for part in manifest.files),
        quality=tuple(Evaluated(q.precision, q.resolution, q.iou) for q in manifest.quality),
        quality_floor=manifest.quality_floor,
        file_bytes=path.stat().st_size if path.is_file() else 0,
    )
