"""A model opened, tested and verified to run where the plan has it, or on a lower plan."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from edge_matting.config import Settings
from edge_matting.core.device_values import DeviceProfile
from edge_matting.core.errors import (
    DeviceLost,
    EdgeMattingError,
    OutOfMemory,
    SelfTestFailed,
    SessionError,
    StartError,
)
from edge_matting.core.plan import Plan
from edge_matting.core.providers import FULL_PRECISION, PROCESSOR, is_processor, runtime_with
from edge_matting.core.reasons import Reason
from edge_matting.engine.models.golden import GoldenMattes
from edge_matting.engine.models.session_factory import SessionMaker
from edge_matting.models import Catalog, Manifest
from edge_matting.pipeline import PixelBudget, Tools
from edge_matting.pipeline.self_test import Matte, SelfTest, sample_photo, self_test
from edge_matting.pipeline.tasks import steps_of
from edge_matting.planner import Cause, next_step
from edge_matting.runtimes import Session
from edge_matting.runtimes.verification import Proof, prove

log = logging.getLogger(__name__)

Make = Callable[[Manifest, Plan], Session]
"""A session for a model by a plan; what a test puts a fake in for."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model at work: warm, tested, and with the proof of where."""

    session: Session
    manifest: Manifest
    plan: Plan  # what it runs by
    proof: Proof
    test: SelfTest
    lowered: tuple[Reason, ...] = ()  # what was given up on the way, and why

    def session_facts(self) -> dict[str, Any]:
        """What is reported to the daemon."""
        info = self.session.describe()
        return {
            "backend": info.backend,
            "requested_provider": self.proof.requested,
            "actual_provider": self.proof.actual,
            "precision": info.precision,
            "resolution": info.resolution,
            "reason": self.proof.reason,
            "nodes": dict(self.proof.nodes),
            "seconds": self.proof.seconds,
            "cpu_seconds": self.proof.cpu_seconds,
            "self_test": self.test.difference,
            "notes": (*self.lowered, *self.proof.doubts),
        }


def cause_of(error: EdgeMattingError) -> Cause:
    """What a failure to open a model means for the plan."""
    if isinstance(error, SelfTestFailed):
        return Cause.WRONG_RESULT
    return Cause.OUT_OF_MEMORY if isinstance(error, OutOfMemory) else Cause.PROVIDER_LOST


class ModelLoader:
    """Opens one appliance's models."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        profile: DeviceProfile,
        *,
        make: Make | None = None,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._make = make or SessionMaker(settings, catalog, profile).make

    def open(self, plan: Plan, model_id: str, gpu_lost: str | None = None) -> LoadedModel:
        """The model by ``plan``, or by the first lower plan that passes the self-test.

        ``gpu_lost`` is the reason why no accelerator is to be tried.

        Raises ``ModelError``, ``SessionError`` when nothing passes, ``DeviceLost`` when this
        process cannot use the GPU any more, and ``StartError`` when the accelerator is missing
        and the settings say ``fail``.
        """
        manifest = self._catalog.get(model_id)
        steps: list[Reason] = []
        wanted = plan.provider
        while gpu_lost is not None and not is_processor(plan.provider):
            plan, words = self._lower(plan, DeviceLost(gpu_lost, hint=""))
            steps.append(words)
        while True:
            try:
                opened = self._try(plan, manifest)
                break
            except (SessionError, OutOfMemory) as error:
                plan, words = self._lower(plan, error)
                steps.append(words)
                log.error("model %s: %s", model_id, words)
        opened = replace(opened, lowered=tuple(steps))
        if plan.provider != wanted:
            proof = replace(opened.proof, requested=wanted, reason=Reason.joined(steps))
            opened = replace(opened, proof=proof)
        self._judge(opened)
        return opened

    def test(self, opened: LoadedModel) -> SelfTest:
        """The self-test again; raises ``SelfTestFailed``."""
        known = self._known(opened.manifest, opened.plan, opened.session.describe().resolution)
        return self_test(_bare(opened.session, opened.manifest), known)

    def know(self, plan: Plan, model_id: str) -> None:
        """Have the known matte for the plan's size made, if there is none yet."""
        self._known(self._catalog.get(model_id), plan, plan.resolution)

    def _known(self, manifest: Manifest, plan: Plan, resolution: tuple[int, int]) -> Matte:
        known = GoldenMattes(
            manifest, self._catalog.path(manifest.id).parent, self._settings.golden_dir
        )
        return known.matte(
            resolution, lambda size: _bare(self._on_cpu(manifest, plan, size), manifest)
        )

    def _try(self, plan: Plan, manifest: Manifest) -> LoadedModel:
        session = self._make(manifest, plan)
        try:
            session.warm()
            info = session.describe()
            known = self._known(manifest, plan, info.resolution)
            tools = _bare(session, manifest)
            test = self_test(tools, known)
            tensor = steps_of(manifest.task).tensor(sample_photo(), tools)
            proof = prove(
                info, session, lambda: self._on_cpu(manifest, plan, info.resolution), tensor
            )
        except EdgeMattingError:
            session.close()
            raise
        return LoadedModel(session, manifest, plan, proof, test)

    def _on_cpu(self, manifest: Manifest, plan: Plan, resolution: tuple[int, int]) -> Session:
        """The reference: the processor, in full precision."""
        reference = replace(
            plan,
            backend=runtime_with(PROCESSOR, plan.backend),
            provider=PROCESSOR,
            precision=FULL_PRECISION,
            resolution=resolution,
        )
        return self._make(manifest, reference)

    def _lower(self, plan: Plan, error: EdgeMattingError) -> tuple[Plan, Reason]:
        """The next plan and what to say of it; raises ``error`` where nothing is left."""
        step = next_step(plan, cause_of(error))
        if step is None:
            raise self._end(plan, error) from error
        return step.plan, Reason("lowered_because", step=step.reason, why=error.message)

    def _end(self, plan: Plan, error: EdgeMattingError) -> EdgeMattingError:
        """No rung is left; without leave to go to the processor that is the end of the start."""
        forbidden = self._settings.device.missing_accelerator == "fail"
        if forbidden and not is_processor(plan.provider):
            return StartError(f"{plan.provider} was asked for and cannot be used: {error.message}")
        return error

    def _judge(self, opened: LoadedModel) -> None:
        missing = opened.proof.missing
        if missing is not None:
            if self._settings.device.missing_accelerator == "fail":
                opened.session.close()
                raise StartError(missing)
            log.warning("%s", missing)
        for doubt in opened.proof.doubts:
            log.warning("model %s: %s", opened.manifest.id, doubt)


def _bare(session: Session, manifest: Manifest) -> Tools:
    return Tools(session, manifest, PixelBudget(10**7), lambda _stage: None)
