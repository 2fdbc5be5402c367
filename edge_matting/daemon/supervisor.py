"""Keeps the engines at work: one, or one for each GPU.

The second and further engines start when the first is ready and its card is proved to be in use;
on the processor several engines would only divide it. All claim from the same ledger.
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

from edge_matting.config import Settings
from edge_matting.core.device_values import DeviceProfile
from edge_matting.core.engine_identity import EngineIdentity
from edge_matting.core.providers import is_processor
from edge_matting.core.reasons import Reason
from edge_matting.daemon.engine_process import EngineProcess
from edge_matting.daemon.engine_supervision import EngineCondition, EngineSupervision, Launch
from edge_matting.ledger import Ledger

log = logging.getLogger(__name__)

STOP_SECONDS = 8.0
"""What is in work may be finished for so long when the appliance stops."""


def cards(
    profile: DeviceProfile, settings: Settings, environ: Mapping[str, str] = os.environ
) -> tuple[str, ...]:
    """UUIDs of the cards that get an engine each; () where one engine takes what there is.

    Who set CUDA_VISIBLE_DEVICES has chosen already.
    """
    if is_processor(settings.device.accelerator) or "CUDA_VISIBLE_DEVICES" in environ:
        return ()
    found = tuple(gpu.uuid for gpu in profile.usable_gpus if gpu.uuid is not None)
    return found if len(found) > 1 else ()


_BEST_FIRST = (
    EngineCondition.READY,
    EngineCondition.UNUSABLE,
    EngineCondition.RECOVERING,
    EngineCondition.LOADING,
)
"""Whoever is ready works; of the others, what needs a person is said first."""


class Supervisor:
    """The engines as one. Driven by the daemon's main loop; other threads may ask."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        said: Callable[[], None],
        gpus: tuple[str, ...] = (),
        launch: Launch = EngineProcess,
    ) -> None:
        identities = [
            EngineIdentity(number, len(gpus), gpu) for number, gpu in enumerate(gpus)
        ] or [EngineIdentity()]
        self._engines = [
            EngineSupervision(settings, ledger, said, identity, launch) for identity in identities
        ]
        self._first = self._engines[0]
        self._proved = False  # that the first engine's card works, once

    def step(self) -> None:
        """Notice death or hanging, bring new engines up."""
        self._first.step()
        if len(self._engines) == 1:
            return
        self._prove()
        if self._proved:
            for engine in self._engines[1:]:
                engine.step()

    def _prove(self) -> None:
        """Start the others on the first one's word, or give it the whole machine."""
        engine = self._first.engine
        ready = None if engine is None else engine.events.ready
        if self._proved or ready is None:
            return
        if not is_processor(ready["session"]["actual_provider"]):
            self._proved = True
            return
        log.warning("%d GPUs, and none in use: one engine takes the processor", len(self._engines))
        del self._engines[1:]
        self._first.recycle(replace(self._first.identity, engines=1))

    # -- asked by the daemon and the page ---------------------------------------------

    @property
    def engine(self) -> EngineProcess | None:
        """An engine that is ready, if there is one."""
        return next(
            (engine.engine for engine in self._engines if engine.ready()), self._first.engine
        )

    @property
    def engines(self) -> tuple[EngineProcess, ...]:
        found = (engine.engine for engine in self._engines)
        return tuple(engine for engine in found if engine is not None)

    @property
    def restarts(self) -> int:
        return sum(engine.restarts for engine in self._engines)

    @property
    def last_problem(self) -> Reason | None:
        found = (engine.last_problem for engine in self._engines)
        return next((problem for problem in found if problem is not None), None)

    @property
    def ended_in_a_row(self) -> int:
        """However they ended, without having finished a photo."""
        return max(engine.ended_in_a_row for engine in self._engines)

    @property
    def replaced_in_a_row(self) -> int:
        """Replaced for want of progress, none in between."""
        return max(engine.replaced_in_a_row for engine in self._engines)

    @property
    def start_error(self) -> Reason | None:
        """Why no engine can start, and starting again unchanged would not help."""
        return self._first.start_error

    def answers(self) -> tuple[int, int]:
        """Photos answered from an earlier result, and photos made, since the start."""
        each = [engine.answers() for engine in self._engines]
        return sum(reused for reused, _ in each), sum(made for _, made in each)

    def adapted(self) -> Counter[tuple[str, str]]:
        """How often plans were adapted since the start, by cause and direction."""
        return sum((engine.adapted() for engine in self._engines), Counter())

    def ready(self) -> bool:
        return any(engine.ready() for engine in self._engines)

    def condition(self) -> EngineCondition:
        """How it stands with the best of the engines."""
        found = {engine.condition() for engine in self._engines}
        return next(each for each in _BEST_FIRST if each in found)

    def is_partly_unusable(self) -> bool:
        """Whether some of several engines cannot work until a person acts, while others do."""
        found = {engine.condition() for engine in self._engines}
        return {EngineCondition.READY, EngineCondition.UNUSABLE} <= found

    def comes_up(self) -> bool:
        """Whether waiting for an engine may help: few before it died at getting ready."""
        return self._first.comes_up()

    def is_hopeless(self) -> bool:
        """Whether engines are replaced one after the other and none finishes anything."""
        return all(engine.is_hopeless() for engine in self._engines)

    def problem(self) -> Reason | None:
        """Why nothing can be done at the moment, as far as the engines are concerned."""
        problems = [engine.problem() for engine in self._engines]
        return None if None in problems else problems[0]

    def partial_problems(self) -> tuple[Reason, ...]:
        """What keeps some of several engines from working."""
        if len(self._engines) == 1 or not self._proved:
            return ()
        found = ((engine.identity.number, engine.problem()) for engine in self._engines)
        return tuple(
            Reason("engine_of_several", number=number, why=why)
            for number, why in found
            if why is not None
        )

    def obstacles(self) -> Mapping[str, Reason]:
        """What photos in the queue wait for, by place: a hot folder, the ledger."""
        return {
            place: what for engine in self._engines for place, what in engine.obstacles().items()
        }

    # -- told by the daemon -----------------------------------------------------------

    def wake(self) -> None:
        """There may be work; a lost wake-up costs a second."""
        for engine in self._engines:
            engine.wake()

    def pause(self, *, paused: bool) -> None:
        for engine in self._engines:
            engine.pause(paused=paused)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Let what is in work finish, then end the engines; what is left goes back refunded."""
        end = time.monotonic() + seconds
        for engine in self._engines:
            engine.ask_to_stop()
        for engine in self._engines:
            engine.stop(end - time.monotonic())
