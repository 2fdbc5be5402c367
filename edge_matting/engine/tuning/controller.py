"""Keeps the plan at work fit for the device: measured once, adapted all the time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from edge_matting.core.device_values import DeviceProfile, Vitals
from edge_matting.core.plan import Plan
from edge_matting.engine.keepalive import EventSender, preparing
from edge_matting.engine.models.manager import ModelManager
from edge_matting.engine.tuning.adaptation import Adapter
from edge_matting.engine.tuning.calibration_schedule import CalibrationSchedule
from edge_matting.engine.tuning.planning import Planning


class PlanController:
    """Driven by the engine's loop, about once a second, after the models have started."""

    def __init__(
        self,
        *,
        planning: Planning,
        profile: DeviceProfile,
        models: ModelManager,
        read: Callable[[], Vitals],
        use_workers: Callable[[int], None],
        photos_wait: Callable[[], bool],
        events: EventSender,
        now: float,
    ) -> None:
        """``use_workers`` sets the number of photos in flight."""
        self._planning = planning
        self._models = models
        self._read = read
        self._work_with = use_workers
        self._vitals: Vitals | None = None
        self._now = now
        self._asked = models.plan
        self._measuring = CalibrationSchedule(
            planning,
            lambda: models.plan,
            now=now,
            stop=photos_wait,
            measured=self._replan,
            telling=lambda: preparing(events, "calibration"),
        )
        self._adapter = Adapter(
            profile=profile,
            plan=models.plan,
            read=self._take_readings,
            work_by=self._work_by,
            measure_anew=lambda _power: self._measuring.ask(self._now),
            events=events,
        )

    @property
    def wants_quiet(self) -> bool:
        """Whether no photo should be claimed for a moment."""
        return self._measuring.wants_quiet

    def ran_out_of_memory(self, what: str) -> None:
        """A photo could not be done for want of memory; from any thread."""
        self._adapter.ran_out_of_memory(what)

    def step(self, now: float, *, idle: bool) -> None:
        """Look, adapt, and measure when there is time for it."""
        self._now = now
        self._mind_the_session()
        self._adapter.step(now)
        self._measuring.step(now, self._vitals, idle=idle)

    def _take_readings(self) -> Vitals:
        self._vitals = self._read()
        return self._vitals

    def _mind_the_session(self) -> None:
        """Where the models went another way than asked (TensorRT was built, a self-test failed),
        further steps start from there."""
        real, asked = self._models.plan, self._asked
        if (real.provider, real.precision) != (asked.provider, asked.precision):
            plan = self._adapter.plan
            self._adapter.rebase(replace(plan, provider=real.provider, precision=real.precision))

    def _replan(self) -> None:
        plan = self._planning.plan(self._vitals)
        self._models.want(plan.provider)
        self._adapter.rebase(plan)

    def _work_by(self, plan: Plan) -> None:
        self._asked = plan
        self._models.work_by(plan)
        self._work_with(plan.workers)
