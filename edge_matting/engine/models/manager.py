"""The models at work: opened, announced, tested again, and exchanged while photos go on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from typing import Protocol

from edge_matting.cache import MatteCache
from edge_matting.core.errors import (
    DeviceLost,
    EdgeMattingError,
    ModelError,
    OutOfMemory,
    SessionError,
)
from edge_matting.core.plan import Plan
from edge_matting.core.providers import PROCESSOR, PROVIDERS, is_processor, runtime_with
from edge_matting.core.reasons import Reason
from edge_matting.engine.keepalive import preparing
from edge_matting.engine.models.loader import LoadedModel, ModelLoader
from edge_matting.engine.models.pool import ModelPool
from edge_matting.pipeline import PixelBudget, Tools, batched
from edge_matting.pipeline.grounds import LearnedPlates
from edge_matting.planner.ladder import is_step_of
from edge_matting.runtimes.verification import Proof

log = logging.getLogger(__name__)


class EngineReporter(Protocol):
    """The part of the engine's reporter that is needed."""

    def send(self, event: str, **facts: object) -> None:
        """Report to the daemon."""

    def progress(self, stage: str) -> None:
        """The calling thread makes progress."""

    def progress_of(self, thread: int) -> None:
        """A thread that waits makes progress, if it is at work."""


class ModelManager:
    """Opens models by the plan and keeps them; ``default`` is the one that the settings name."""

    def __init__(
        self,
        opener: ModelLoader,
        plan: Plan,
        default: str,
        reporter: EngineReporter,
        *,
        plan_of: Callable[[str], Plan],
        cache: MatteCache | None,
        plates: LearnedPlates | None = None,
        device_lost: Callable[[DeviceLost], None],
        gpu_lost: str | None = None,
        serves_meanwhile: bool = True,
    ) -> None:
        """``plan_of`` gives the plan of another model than ``default``.

        ``gpu_lost`` is the reason why the GPU is not to be used, None: it may be.
        ``serves_meanwhile``: CUDA may serve while TensorRT compiles.
        """
        self._opener = opener
        self._default = default
        self._reporter = reporter
        self._plan_of = plan_of
        self._cache = cache
        self._plates = plates
        self._device_lost = device_lost
        self._gpu_lost = gpu_lost
        self._serves_meanwhile = serves_meanwhile
        self._gate = PixelBudget(plan.pixels_in_flight)
        self._plan = plan
        self._opened: LoadedModel | None = None
        self._wanted = plan.provider  # what stays asked for when another provider serves
        self._why: Reason | None = None  # why it does not serve, as far as a session reported
        self._builder: threading.Thread | None = None
        self.pool = ModelPool(self._load)

    @property
    def plan(self) -> Plan:
        """What is worked by; lower than the first plan where that had to be given up."""
        return self._plan

    @property
    def is_building(self) -> bool:
        """Whether an engine is being compiled beside the work."""
        return self._builder is not None and self._builder.is_alive()

    def start(self) -> None:
        """Open the default model, and say that photos can be done.

        TensorRT compiles for minutes: CUDA serves meanwhile. Raises what ``ModelLoader.open``
        raises.
        """
        best = self._plan
        meanwhile = PROVIDERS[best.provider].meanwhile if self._serves_meanwhile else None
        if meanwhile is not None:
            backend = runtime_with(meanwhile, best.backend)
            self._plan = replace(best, backend=backend, provider=meanwhile)
            self._wanted = meanwhile
        self.pool.tools(self._default)
        opened = self._opened
        assert opened is not None
        if meanwhile is not None and opened.proof.actual == meanwhile:
            self._build(best)
        elif meanwhile is not None:
            self.want(best.provider)
        self.announce()

    def want(self, provider: str) -> None:
        """Ask for that provider from now on: a plan that was measured anew says so."""
        self._wanted, self._why = provider, None

    def test(self) -> None:
        """The self-test of the default model; raises ``SelfTestFailed``."""
        opened = self._opened
        assert opened is not None
        with self._patience("the self-test"):
            self._opener.test(opened)

    def reopen(self) -> None:
        """Put a new session of the default model in place, lower where it must be."""
        self.pool.put(self._default, self._load(self._default))
        self.announce()

    def work_by(self, plan: Plan) -> None:
        """Work by another plan from now on; photos in work keep the session that they have.

        The session goes before the next one comes: a plan often changes for want of memory. One
        that cannot be made leaves the former plan in place.
        """
        self._gate.resize(plan.pixels_in_flight)
        before, opened = self._plan, self._opened
        assert opened is not None
        if self.is_building or session_of(plan) == session_of(before):
            self._plan = with_session_of(plan, before)
            self._opened = replace(opened, plan=self._plan)
        else:
            self._plan = plan
            self.pool.drop(self._default)
            try:
                self.pool.tools(self._default)
            except (ModelError, SessionError, OutOfMemory) as error:
                log.error("the previous plan stays in use: %s", error)
                self._plan = with_session_of(plan, before)
                self.pool.tools(self._default)
        self.announce()

    def _load(self, model_id: str) -> Tools:
        with self._patience(f"model {model_id}"):
            opened = self._opener.open(self._plan_for(model_id), model_id, self._gpu_lost)
        if model_id == self._default:
            self._opened, self._plan = opened, opened.plan
            self._why = opened.proof.reason or self._why
        return self._tools(opened)

    def _plan_for(self, model_id: str) -> Plan:
        """Another model runs where the default one does, in its own size and precision."""
        if model_id == self._default:
            return self._plan
        own = self._plan_of(model_id)
        if is_processor(self._plan.provider) and not is_processor(own.provider):
            exact = own.fallbacks.precisions[0]
            backend = runtime_with(PROCESSOR, own.backend)
            own = replace(own, backend=backend, provider=PROCESSOR, precision=exact)
        return replace(with_session_of(self._plan, own), fallbacks=own.fallbacks)

    def _told(self, proof: Proof, plan: Plan) -> Proof:
        """Never silently elsewhere: a plan lowered to another provider still says what is missing,
        and why."""
        if self._wanted in {proof.actual, proof.requested}:
            return proof
        steps = (reason for reason in reversed(plan.reasons) if is_step_of(reason, "provider"))
        reason = proof.reason or self._why or next(steps, Reason("plan_lowered"))
        return replace(proof, requested=self._wanted, reason=reason)

    def _tools(self, opened: LoadedModel) -> Tools:
        progress = self._reporter.progress
        session = batched(opened.session, opened.manifest, opened.plan.batch)
        return Tools(
            session, opened.manifest, self._gate, progress, self._cache, plates=self._plates
        )

    def announce(self) -> None:
        """Say that photos can be done, and how."""
        opened = self._opened
        assert opened is not None
        opened = replace(opened, proof=self._told(opened.proof, opened.plan))
        facts = opened.session_facts()
        self._reporter.send("ready", plan=asdict(opened.plan), session=facts)
        log.info("ready: model %s on %s", opened.manifest.id, opened.proof.actual)

    def _build(self, best: Plan) -> None:
        self._builder = threading.Thread(
            target=self._compile, args=(best,), name=best.provider, daemon=True
        )
        self._builder.start()

    def _compile(self, best: Plan) -> None:
        """Compile the engine beside the work, then put it in the place of what serves."""
        try:
            with self._patience(f"the {PROVIDERS[best.provider].label} engine"):
                opened = self._opener.open(best, self._default)
        except DeviceLost as error:
            self._device_lost(error)
            return
        except EdgeMattingError as error:
            self._stay(best, error.reason)
        else:
            if opened.proof.actual == best.provider:
                self.want(best.provider)
                self._opened, self._plan = opened, opened.plan
                self.pool.put(self._default, self._tools(opened))
            else:
                opened.session.close()
                self._stay(best, opened.proof.reason or Reason("plan_lowered"))
        self.announce()

    def _stay(self, best: Plan, reason: Reason) -> None:
        """What serves stays; that the best was wanted and why it is not used is reported."""
        self._wanted, self._why = best.provider, reason
        served = self._plan.provider
        log.warning("%s stays in use, %s was asked for: %s", served, best.provider, reason)

    def _patience(self, what: str) -> AbstractContextManager[None]:
        thread = threading.get_ident()
        return preparing(self._reporter, what, lambda: self._reporter.progress_of(thread))


def session_of(plan: Plan) -> tuple[object, ...]:
    """What of a plan decides the session."""
    return (
        plan.backend,
        plan.provider,
        plan.precision,
        plan.resolution,
        plan.batch,
        plan.session_threads,
    )


def with_session_of(plan: Plan, other: Plan) -> Plan:
    """``plan``, but its model is run as in ``other``."""
    return replace(
        plan,
        backend=other.backend,
        provider=other.provider,
        precision=other.precision,
        resolution=other.resolution,
        batch=other.batch,
        session_threads=other.session_threads,
    )
