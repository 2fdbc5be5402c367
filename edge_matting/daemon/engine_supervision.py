"""One engine kept at work, and judged by progress.

A dead engine's jobs go back before the next one starts: all of them refunded when several were
in work, for one cannot tell which was guilty; they run alone then, and death while alone counts.
"""

from __future__ import annotations

import logging
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum
from typing import Final

from edge_matting.config import Settings
from edge_matting.core.engine_identity import EngineIdentity
from edge_matting.core.errors import LedgerError
from edge_matting.core.exit_codes import DEVICE_LOST, RECYCLE, START_ERROR
from edge_matting.core.reasons import Reason
from edge_matting.daemon.engine_process import EngineProcess
from edge_matting.ledger import Ledger

log = logging.getLogger(__name__)

SECOND_LOOK_SECONDS = 1.0

HOPELESS = 3
"""So many engines in a row without success, and systemd is to restart everything."""

BACKOFF_SECONDS = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Pause before a restart, by the number of deaths in a row without a ready engine between."""

ENDED_UNHEALTHY = 6
"""So many engines in a row that ended, however, without a photo: one bad file costs four."""

LONG_LIFE_SECONDS = 600.0

READY_BACKOFFS = 4
"""Engines that get ready and end without a photo are not waited for longer than so many deaths."""

LOST_IN_A_ROW = 3
"""Engines that lost the GPU and finished nothing, before one is started without it."""

Launch = Callable[[Settings, Callable[[], None], EngineIdentity], EngineProcess]
"""Starts an engine process; what a test puts a fake in for."""


NEEDS_PERSON: Final = frozenset({"model_unusable", "self_test_failed", "session_refused"})
"""Reasons that no further engine makes good by itself."""


class EngineCondition(Enum):
    """How it stands with an engine."""

    LOADING = "loading"  # for the first time
    READY = "ready"
    RECOVERING = "recovering"  # it died or hung, and the next one is on its way
    UNUSABLE = "unusable"  # model or runtime cannot be used


class EngineSupervision:
    """Starts, watches and replaces the engine of one identity (`core.engine_identity`).

    Driven by the daemon's main loop. Other threads may ask (``problem``, ``answers``, ...); each
    such question takes ``_engine`` once, for the main loop may replace it at any moment.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        said: Callable[[], None],
        identity: EngineIdentity,
        launch: Launch = EngineProcess,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._said = said
        self._launch = launch
        self.identity = identity
        self._engine: EngineProcess | None = None
        self._deaths = 0  # in a row, without a ready engine in between
        self._start_at = 0.0
        self._paused = False
        # Guilt of a death whose jobs are not back yet. At the start: what was in work when the
        # daemon or the machine went down, by whatever engine; the first identity sees to that.
        self._recover: bool | None = None if identity.number else False
        self._recover_whom = identity.owner if identity.number else None
        self._lost_in_a_row = 0  # the GPU, by engines that finished nothing
        self._suspected: float | None = None  # when the engine was first found without progress
        self.restarts = 0
        self._adapted: Counter[tuple[str, str]] = Counter()  # the plan, by the engines before
        self._reused = 0  # by the engines before this one
        self._made = 0
        self.replaced_in_a_row = 0  # replaced for want of progress, none in between
        self.ended_in_a_row = 0  # however they ended, without having finished a photo
        self._was_ready = False  # once, whatever came afterwards
        self.start_error: Reason | None = None
        self.last_problem: Reason | None = None

    @property
    def engine(self) -> EngineProcess | None:
        return self._engine

    def answers(self) -> tuple[int, int]:
        """Photos answered from an earlier result, and photos made, since the start."""
        engine = self._engine
        reused, made = (engine.events.reused, engine.events.made) if engine else (0, 0)
        return self._reused + reused, self._made + made

    def adapted(self) -> Counter[tuple[str, str]]:
        """How often the plan was adapted since the start, by cause and direction."""
        engine = self._engine
        return self._adapted + Counter(engine.events.adapted if engine else {})

    def ready(self) -> bool:
        engine = self._engine
        return engine is not None and engine.events.ready is not None

    def condition(self) -> EngineCondition:
        """How it stands with this engine; one that fails again and again stays what it is."""
        problem = self.problem()
        if problem is None:
            return EngineCondition.READY
        if self.start_error is not None or problem.innermost.code in NEEDS_PERSON:
            return EngineCondition.UNUSABLE
        lost = self._was_ready or self._deaths > 0
        return EngineCondition.RECOVERING if lost else EngineCondition.LOADING

    def comes_up(self) -> bool:
        """Whether waiting for an engine may help: few before it died at getting ready."""
        return self._deaths < HOPELESS

    def is_hopeless(self) -> bool:
        """Whether engines are replaced one after the other and none finishes anything."""
        return self.replaced_in_a_row >= HOPELESS or self.ended_in_a_row >= ENDED_UNHEALTHY

    def step(self) -> None:
        """Notice death or hanging, bring a new engine up."""
        engine, now = self._engine, time.monotonic()
        if engine is not None:
            if engine.returncode() is not None:
                self._bury(engine, guilty=engine.death_is_the_photos_fault())
            elif self._hangs(engine, now):
                self._replace(engine, now)
            elif engine.events.ready is not None:
                self._deaths, self._was_ready = 0, True
                if engine.events.finished:
                    self.replaced_in_a_row = self.ended_in_a_row = 0
        if self._engine is None and self.start_error is None and now >= self._start_at:
            self._start()

    def wake(self) -> None:
        """There may be work; a lost wake-up costs a second."""
        if self._engine is not None:
            self._engine.tell("wake")

    def pause(self, *, paused: bool) -> None:
        if paused == self._paused:
            return
        self._paused = paused
        if self._engine is not None:
            self._engine.tell("pause" if paused else "resume")

    def recycle(self, identity: EngineIdentity) -> None:
        """Have the engine end when its photos are done; the next one takes that identity."""
        self.identity = identity
        if self._engine is not None:
            self._engine.tell("recycle")

    def ask_to_stop(self) -> None:
        """Claim nothing more, finish what is in work."""
        if self._engine is not None:
            self._engine.tell("stop")

    def stop(self, seconds: float) -> None:
        """End the engine after at most that time; what is left goes back refunded."""
        engine, self._engine = self._engine, None
        if engine is None:
            return
        engine.tell("stop")
        if not engine.wait(max(0.0, seconds)):
            log.warning("the engine did not stop in time; its jobs go back")
            engine.kill()
        engine.close()
        self._give_back(guilty=False)

    def problem(self) -> Reason | None:
        """Why nothing can be done at the moment, as far as the engine is concerned."""
        if self.start_error is not None:
            return self.start_error
        engine = self._engine
        if engine is None:
            return self.last_problem or Reason("engine_restarting")
        events = engine.events
        if events.problem is not None or events.ready is not None:
            return events.problem
        before = self.last_problem if self._deaths else None
        return before or Reason("model_loading")  # why there is another one, until it is ready

    def obstacles(self) -> Mapping[str, Reason]:
        """What photos in the queue wait for, by place: a hot folder, the ledger."""
        engine = self._engine
        return {} if engine is None else engine.events.obstacles

    # -- life and death ---------------------------------------------------------------

    def _start(self) -> None:
        if self._recover is not None and not self._give_back(guilty=self._recover):
            self._start_at = time.monotonic() + 1.0
            return
        self._suspected = None
        try:
            self._engine = self._launch(self._settings, self._said, self.identity)
        except (OSError, RuntimeError) as error:  # no process, no memory, no thread to be had
            self._deaths += 1
            self.last_problem = Reason("engine_not_started", why=str(error))
            log.error("%s", self.last_problem)
            self._start_at = time.monotonic() + max(1.0, self._backoff())
            return
        log.info("engine %sstarted (process %d)", self._name, self._engine.pid)
        if self._paused:
            self._engine.tell("pause")

    def _hangs(self, engine: EngineProcess, now: float) -> bool:
        """Whether it is held, or without progress at two looks.

        When the daemon itself was held (SIGSTOP, a frozen container) the first look comes before
        what the engine said meanwhile is read; when the engine was, before its workers go on.
        """
        if engine.events.silent_seconds(now) <= self._settings.engine.stall_seconds:
            self._suspected = None
            return False
        if self._suspected is None:
            self._suspected = now
        return engine.stopped_by_signal() or now - self._suspected >= SECOND_LOOK_SECONDS

    def _replace(self, engine: EngineProcess, now: float) -> None:
        held = engine.stopped_by_signal()
        seconds = engine.events.silent_seconds(now)
        self.last_problem = Reason("engine_held" if held else "engine_stalled")
        log.error("engine %d: %s (%.0f s)", engine.pid, self.last_problem, seconds)
        engine.kill()
        self.replaced_in_a_row += 1
        self._bury(engine, guilty=not held)

    def _bury(self, engine: EngineProcess, *, guilty: bool) -> None:
        status = engine.returncode()
        engine.close()
        self._engine = None
        self._adapted.update(engine.events.adapted)
        self._reused += engine.events.reused
        self._made += engine.events.made
        self._note_loss(engine, status)
        if status == START_ERROR:
            self.start_error = engine.events.problem or Reason("engine_cannot_start")
        elif status != RECYCLE:
            self._deaths += 1
            self.restarts += 1
            if guilty or (status or 0) > 0:  # and not by a signal from outside, which tells nothing
                self.ended_in_a_row = 0 if _was_of_use(engine) else self.ended_in_a_row + 1
            cause = _cause(status, killed_for_memory=engine.was_killed_for_memory())
            self.last_problem = engine.events.problem or cause
            log.error("engine %d: %s", engine.pid, cause)
        several = max(self._deaths, self.ended_in_a_row) > 1
        self._start_at = time.monotonic() + (self._backoff() if several else 0.0)
        self._give_back(guilty=guilty)

    def _backoff(self) -> float:
        times = max(self._deaths, min(self.ended_in_a_row, READY_BACKOFFS))
        return BACKOFF_SECONDS[min(times, len(BACKOFF_SECONDS) - 1)]

    def _note_loss(self, engine: EngineProcess, status: int | None) -> None:
        """Engine after engine that loses the GPU and finishes nothing: the next does without."""
        if status != DEVICE_LOST:
            return
        self._lost_in_a_row = 1 if engine.events.finished else self._lost_in_a_row + 1
        if self._lost_in_a_row >= LOST_IN_A_ROW:
            why = Reason("gpu_lost_again", n=self._lost_in_a_row, why=engine.events.problem or "")
            log.error("the GPU is not used: %s", why)
            self.identity = replace(self.identity, gpu_lost=why)
            self._lost_in_a_row = 0

    @property
    def _name(self) -> str:
        return f"{self.identity.number} " if self.identity.engines > 1 else ""

    def _give_back(self, *, guilty: bool) -> bool:
        """Hand the dead engine's jobs back; False when the ledger cannot be written now."""
        try:
            recovered = self._ledger.recover_after_engine_death(
                guilty=guilty, owner=self._recover_whom
            )
        except LedgerError as error:
            problem = Reason("jobs_not_handed_back", why=error.reason)
            if problem != self.last_problem:
                log.error("%s", problem)
            self.last_problem = problem
            self._recover = guilty
            return False
        self._recover, self._recover_whom = None, self.identity.owner
        if recovered.returned or recovered.failed:
            log.warning(
                "%d photos go back to the queue, %d are given up",
                len(recovered.returned),
                len(recovered.failed),
            )
        return True


def _was_of_use(engine: EngineProcess) -> bool:
    """Whether it finished a photo, or lived so long that its end tells nothing."""
    lived = time.monotonic() - engine.events.started
    return engine.events.finished > 0 or lived > LONG_LIFE_SECONDS


def _cause(status: int | None, *, killed_for_memory: bool) -> Reason:
    if status is None:
        return Reason("engine_lost")
    if killed_for_memory:
        return Reason("engine_out_of_memory")
    if status < 0:
        return Reason("engine_killed", signal=signal.Signals(-status).name)
    return Reason("engine_ended", status=status)
